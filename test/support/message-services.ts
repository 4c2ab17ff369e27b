/** What the services behind channels take, from their own documentation and written apart from the channels: each check answers with what
 *  is wrong about a request. And a receiver that plays such a service. */

import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import { z } from 'zod';
import type { ChannelKind } from '#contract/notifications.ts';

export interface Received {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

const plainText = (max: number) =>
  z.strictObject({ type: z.literal('plain_text'), text: z.string().min(1).max(max), emoji: z.literal(false) });

/** https://docs.slack.dev/reference/block-kit/blocks */
const slackSchema = z.strictObject({
  text: z.string().min(1).max(4000),
  unfurl_links: z.literal(false),
  unfurl_media: z.literal(false),
  attachments: z
    .array(
      z.strictObject({
        color: z.string().regex(/^#[0-9a-f]{6}$/),
        blocks: z
          .array(
            z.union([
              z.strictObject({ type: z.literal('header'), text: plainText(150) }),
              z.strictObject({ type: z.literal('section'), text: plainText(3000) }),
              z.strictObject({ type: z.literal('section'), fields: z.array(plainText(2000)).min(1).max(10) }),
              z.strictObject({ type: z.literal('context'), elements: z.array(plainText(2000)).min(1).max(10) }),
              z.strictObject({
                type: z.literal('actions'),
                elements: z
                  .array(z.strictObject({ type: z.literal('button'), text: plainText(75), url: z.url().max(3000) }))
                  .max(25),
              }),
            ]),
          )
          .max(50),
      }),
    )
    .max(20),
});

/** https://docs.discord.com/developers/resources/message#embed-object-embed-limits */
const discordSchema = z
  .strictObject({
    username: z.string().min(1).max(80),
    allowed_mentions: z.strictObject({ parse: z.tuple([]) }),
    embeds: z
      .array(
        z.strictObject({
          title: z.string().max(256),
          description: z.string().max(4096).optional(),
          color: z.int().min(0).max(0xffffff),
          fields: z
            .array(
              z.strictObject({
                name: z.string().min(1).max(256),
                value: z.string().min(1).max(1024),
                inline: z.boolean(),
              }),
            )
            .max(25),
          timestamp: z.iso.datetime(),
          url: z.url().optional(),
        }),
      )
      .min(1)
      .max(10),
  })
  .refine(
    ({ embeds }) =>
      embeds.reduce(
        (sum, { title, description = '', fields }) =>
          sum +
          title.length +
          description.length +
          fields.reduce((all, { name, value }) => all + name.length + value.length, 0),
        0,
      ) <= 6000,
    'more than 6,000 characters in all embeds',
  );

const textBlock = z.strictObject({
  type: z.literal('TextBlock'),
  text: z.string(),
  wrap: z.literal(true),
  weight: z.literal('Bolder').optional(),
  size: z.literal('Medium').optional(),
});
const factSet = z.strictObject({
  type: z.literal('FactSet'),
  facts: z.array(z.strictObject({ title: z.string(), value: z.string() })).min(1),
});
/** https://adaptivecards.io/schemas/adaptive-card.json, version 1.4 */
const teamsSchema = z.strictObject({
  type: z.literal('message'),
  attachments: z.tuple([
    z.strictObject({
      contentType: z.literal('application/vnd.microsoft.card.adaptive'),
      contentUrl: z.null(),
      content: z.strictObject({
        $schema: z.literal('http://adaptivecards.io/schemas/adaptive-card.json'),
        type: z.literal('AdaptiveCard'),
        version: z.literal('1.4'),
        body: z.array(z.union([textBlock, factSet])).min(1),
        actions: z.array(z.strictObject({ type: z.literal('Action.OpenUrl'), title: z.string(), url: z.url() })),
        msteams: z.strictObject({ width: z.literal('full') }),
      }),
    }),
  ]),
});

/** https://docs.ntfy.sh/publish/#publish-as-json */
const ntfySchema = z.strictObject({
  topic: z.string().regex(/^[-_A-Za-z0-9]{1,64}$/),
  title: z.string().refine((text) => Buffer.byteLength(text) <= 1024),
  message: z.string().refine((text) => text !== '' && Buffer.byteLength(text) <= 4096),
  priority: z.int().min(1).max(5),
  tags: z.array(z.string().regex(/^[a-z_]+$/)).refine((tags) => Buffer.byteLength(tags.join(',')) <= 512),
  click: z.url().optional(),
});

/** https://core.telegram.org/bots/api#html-style: only these tags, every other `<`, `>` and `&` as an entity. */
const telegramSchema = z.strictObject({
  chat_id: z.string(),
  message_thread_id: z.int().optional(),
  text: z.string().refine((text) => {
    const bare = text.replace(/<\/?b>/g, '');
    const read = bare.replace(/&(amp|lt|gt|quot);/g, 'x');
    return !/[<>]/.test(bare) && !read.includes('&') && read.length >= 1 && read.length <= 4096;
  }),
  parse_mode: z.literal('HTML'),
  link_preview_options: z.strictObject({ is_disabled: z.literal(true) }),
});

const gotifySchema = z.strictObject({
  title: z.string(),
  message: z.string().min(1),
  priority: z.int().min(0).max(10),
  extras: z.strictObject({ 'client::display': z.strictObject({ contentType: z.literal('text/plain') }) }),
});

/** https://developer.pagerduty.com/docs/send-alert-event */
const pagerdutySchema = z.discriminatedUnion('event_action', [
  z.strictObject({
    routing_key: z.string().length(32),
    event_action: z.literal('trigger'),
    dedup_key: z.string().min(1).max(255),
    payload: z.strictObject({
      summary: z.string().min(1).max(1024),
      source: z.string().min(1),
      severity: z.enum(['critical', 'error', 'warning', 'info']),
      timestamp: z.iso.datetime(),
      component: z.string().optional(),
      group: z.string().optional(),
      class: z.string().optional(),
      custom_details: z.record(z.string(), z.unknown()),
    }),
    client: z.string(),
    client_url: z.url(),
  }),
  z.strictObject({
    routing_key: z.string().length(32),
    event_action: z.literal('resolve'),
    dedup_key: z.string().min(1).max(255),
  }),
]);

const labels = z.record(z.string().regex(/^[a-zA-Z_][a-zA-Z0-9_]*$/), z.string().min(1));
const alertmanagerSchema = z.array(
  z.strictObject({
    labels: labels.refine((all) => 'alertname' in all),
    annotations: z.record(z.string().regex(/^[a-zA-Z_][a-zA-Z0-9_]*$/), z.string()),
    startsAt: z.iso.datetime(),
    endsAt: z.iso.datetime(),
    generatorURL: z.url().optional(),
  }),
);

/** https://prometheus.io/docs/alerting/latest/configuration/#webhook_config; further fields are allowed there. */
const webhookSchema = z.object({
  version: z.literal('4'),
  groupKey: z.string().min(1),
  truncatedAlerts: z.int(),
  status: z.enum(['firing', 'resolved']),
  receiver: z.string(),
  groupLabels: z.record(z.string(), z.string()),
  commonLabels: z.record(z.string(), z.string()),
  commonAnnotations: z.record(z.string(), z.string()),
  externalURL: z.string(),
  alerts: z.array(
    z.object({
      status: z.enum(['firing', 'resolved']),
      labels,
      annotations: z.record(z.string(), z.string()),
      startsAt: z.iso.datetime(),
      endsAt: z.iso.datetime(),
      generatorURL: z.string(),
      fingerprint: z.string(),
    }),
  ),
});

const appriseSchema = z.strictObject({
  title: z.string(),
  body: z.string().min(1),
  type: z.enum(['info', 'success', 'warning', 'failure']),
  format: z.literal('text'),
  tag: z.string().optional(),
});

type HttpKind = Exclude<ChannelKind, 'email'>;

interface Service {
  readonly schema: z.ZodType;
  /** Of the whole body. */
  readonly maxBytes?: number;
  readonly path: RegExp;
  /** A header that must be there. */
  readonly header?: readonly [name: string, value: RegExp];
  readonly answer: { readonly status: number; readonly body: string };
}

const OK = { status: 200, body: 'ok' };

export const SERVICES: Readonly<Record<HttpKind, Service>> = {
  slack: { schema: slackSchema, path: /^\/services\//, maxBytes: 40_000, answer: OK },
  discord: {
    schema: discordSchema,
    path: /^\/api\/webhooks\/.*[?&]wait=true$/,
    answer: { status: 200, body: '{"id":"1"}' },
  },
  teams: { schema: teamsSchema, path: /^\/workflows\//, maxBytes: 28 * 1024, answer: { status: 202, body: '' } },
  ntfy: {
    schema: ntfySchema,
    path: /^\/$/,
    header: ['authorization', /^Bearer tk_/],
    answer: { status: 200, body: '{}' },
  },
  telegram: {
    schema: telegramSchema,
    path: /^\/bot\d+:[\w-]+\/sendMessage$/,
    answer: { status: 200, body: '{"ok":true,"result":{}}' },
  },
  gotify: {
    schema: gotifySchema,
    path: /^\/message$/,
    header: ['x-gotify-key', /^A/],
    answer: { status: 200, body: '{"id":1}' },
  },
  pagerduty: {
    schema: pagerdutySchema,
    path: /^\/v2\/enqueue$/,
    maxBytes: 512 * 1024,
    answer: { status: 202, body: '{"status":"success"}' },
  },
  alertmanager: { schema: alertmanagerSchema, path: /^\/api\/v2\/alerts$/, answer: OK },
  webhook: { schema: webhookSchema, path: /^\/hook$/, header: ['x-hyper-signature', /^v1=[0-9a-f]{64}$/], answer: OK },
  apprise: { schema: appriseSchema, path: /^\/notify\//, answer: OK },
};

/** What is wrong with a request; nothing when the service would take it. */
export function problemsOf(kind: HttpKind, { path, headers, text }: Received): string[] {
  const service = SERVICES[kind];
  const parsed = service.schema.safeParse(JSON.parse(text));
  const header = service.header;
  return [
    ...(parsed.success ? [] : parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`)),
    ...(service.path.test(path) ? [] : [`path ${path}`]),
    ...(headers['content-type'] === 'application/json' ? [] : ['content type']),
    ...(Buffer.byteLength(text) <= (service.maxBytes ?? 1_000_000) ? [] : [`${Buffer.byteLength(text)} bytes`]),
    ...(header === undefined || header[1].test(String(headers[header[0]])) ? [] : [`header ${header[0]}`]),
  ];
}

/** Settings and secrets of a channel of this kind at a service on `origin`. */
export const settingsOf = (
  kind: HttpKind,
  origin: string,
): { settings: Record<string, unknown>; secrets: Record<string, string> } => {
  const all: Record<HttpKind, { settings?: Record<string, unknown>; secrets?: Record<string, string> }> = {
    slack: { secrets: { url: `${origin}/services/T0/B0/slacksecretpart` } },
    discord: { secrets: { url: `${origin}/api/webhooks/1/discordsecretpart` } },
    teams: { secrets: { url: `${origin}/workflows/teamssecretpart/triggers/manual` } },
    ntfy: { settings: { server: origin, topic: 'hyper' }, secrets: { token: 'tk_ntfysecretpart' } },
    telegram: {
      settings: { server: origin, chatId: '-100123' },
      secrets: { token: '123456:telegramsecretpart0000000000' },
    },
    gotify: { settings: { server: origin }, secrets: { token: 'Agotifysecretpart' } },
    pagerduty: { settings: { server: origin }, secrets: { routingKey: 'pagerdutysecretpart0000000000000' } },
    alertmanager: { settings: { server: origin } },
    webhook: { secrets: { url: `${origin}/hook`, signingSecret: 'webhooksecretpart0000' } },
    apprise: { secrets: { url: `${origin}/notify/apprisesecretpart` } },
  };
  return { settings: all[kind].settings ?? {}, secrets: all[kind].secrets ?? {} };
};

export interface MessageReceiver {
  readonly origin: string;
  readonly received: Received[];
  close(): Promise<void>;
}

/** @param respond answers each request; may destroy the connection instead */
export async function startMessageReceiver(
  respond: (request: Received, response: ServerResponse) => void,
): Promise<MessageReceiver> {
  const received: Received[] = [];
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      const one = { path: request.url ?? '', headers: request.headers, text: Buffer.concat(parts).toString('utf8') };
      received.push(one);
      respond(one, response);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return {
    origin: `http://127.0.0.1:${port}`,
    received,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}

/** Messages to people and services: channels, routing, silences, and what was sent. */

import { z } from 'zod';
import { defineErrors } from '#kernel/errors.ts';
import { durationTextSchema, severitySchema } from './alerts-config.ts';
import { nameSchema, textSchema, timeSchema } from './common.ts';
import { parseCron } from './cron.ts';
import { defineRoutes, idParam, pageOf, pageQuery } from './define.ts';

export const notificationErrors = defineErrors({
  channel_from_configuration: {
    status: 409,
    title: 'This channel is set in the configuration',
    hint: 'Change it in the section `alerts` of the configuration and restart hyperd.',
  },
  channel_in_use: {
    status: 409,
    title: 'Something sends through this channel by its name',
    hint: 'Take it out of the routing and of the named rules first.',
  },
  channel_settings: {
    status: 422,
    title: 'The settings of the channel do not fit',
    hint: 'Correct the named fields; `hv channel kinds` shows what each kind takes.',
  },
  channel_tested_just_now: {
    status: 429,
    title: 'A test message was sent through this channel just now',
    hint: 'Wait ten seconds and try again.',
  },
  notice_not_dead: {
    status: 409,
    title: 'This message was not given up',
    hint: 'Only messages in state dead can be sent again; `hv notice list --state dead` lists them.',
  },
});

export const CHANNEL_KINDS = [
  'email',
  'slack',
  'discord',
  'teams',
  'ntfy',
  'telegram',
  'gotify',
  'pagerduty',
  'alertmanager',
  'webhook',
  'apprise',
] as const;
export const channelKindSchema = z.enum(CHANNEL_KINDS);
export type ChannelKind = z.infer<typeof channelKindSchema>;

/** Checked against what the kind takes. */
const settingsSchema = z.record(z.string().max(64), z.unknown());
const secretsSchema = z
  .record(z.string().max(64), z.string().max(8192).nullable())
  .meta({ secret: true })
  .describe('what is never shown again; null removes one');
const titleSchema = textSchema(200).describe(
  'what a message is called; {status}, {severity}, {rule}, {entity}, {host}, {project}, {value} and {count} are replaced',
);

export const channelSchema = z.object({
  id: z.string(),
  name: z.string(),
  kind: channelKindSchema,
  project: z.string().nullable().describe('id of the project whose messages it gets; null = those of all'),
  origin: z.enum(['api', 'configuration']),
  isEnabled: z.boolean(),
  title: z.string().nullable(),
  settings: settingsSchema,
  secretNames: z.array(z.string()).describe('which secrets are kept; their values are never shown'),
  state: z
    .enum(['ok', 'failing', 'unused'])
    .describe('how the newest attempt ended; unused = nothing was sent since it was made'),
  lastError: z.string().nullable(),
  lastSentAt: timeSchema.nullable(),
});
export type Channel = z.infer<typeof channelSchema>;

export const channelFieldSchema = z.object({
  name: z.string(),
  isSecret: z.boolean(),
  isRequired: z.boolean(),
  description: z.string(),
});

const globSchema = z.string().min(1).max(256).describe('* and ? stand for any text and any character');
const channelNames = z.array(z.string().min(1).max(100)).max(50).describe('names or ids of channels');
const clockTimeSchema = z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$/, 'use HH:MM');

const labelMatchSchema = z.strictObject({
  label: z.string().min(1).max(64),
  value: globSchema,
  isNot: z.boolean().default(false),
});

export const routeSchema = z.strictObject({
  name: nameSchema,
  match: z
    .strictObject({
      severities: z.array(severitySchema).min(1).optional(),
      labels: z.array(labelMatchSchema).max(20).optional(),
      project: z.string().max(63).optional().describe('id or name'),
      rule: globSchema.optional(),
      times: z
        .strictObject({
          days: z.array(z.int().min(0).max(6)).min(1).max(7).optional().describe('0 = Sunday'),
          from: clockTimeSchema.optional(),
          to: clockTimeSchema.optional().describe('may be earlier than from: over midnight'),
        })
        .optional(),
    })
    .prefault({}),
  mode: z.enum(['all', 'any']).default('all').describe('whether all of match must fit, or one is enough'),
  isInverted: z.boolean().default(false).describe('for what does not fit'),
  goesOn: z.boolean().default(false).describe('look at the following routes too'),
  channels: channelNames,
  escalation: z
    .array(z.strictObject({ afterMinutes: z.int().min(1).max(1440), channels: channelNames.min(1) }))
    .max(5)
    .default([])
    .describe('who else hears of it when nobody acknowledged it in time'),
});
export type Route = z.infer<typeof routeSchema>;

const routes = z
  .array(routeSchema)
  .max(100)
  .refine((items) => new Set(items.map(({ name }) => name)).size === items.length, 'two routes have the same name');

export const routingSchema = z.strictObject({
  routes: routes.default([]).describe('the first that fits decides; without any, all channels get warnings and worse'),
  groupWait: durationTextSchema.default('30s').describe('how long alerts of one rule and host are gathered'),
  groupInterval: durationTextSchema.default('5m').describe('least time between two messages of one group'),
  repeat: durationTextSchema.default('4h').describe('when what still fires is told again'),
  weeklyTest: z.boolean().default(false).describe('send a test message through every channel once a week'),
});
export type Routing = z.infer<typeof routingSchema>;

const matcherSchema = z.strictObject({
  rule: globSchema.optional(),
  severities: z.array(severitySchema).min(1).optional(),
  labels: z.array(labelMatchSchema).max(20).optional(),
});

export const silenceSchema = z.object({
  id: z.string(),
  project: z.string().nullable(),
  match: matcherSchema,
  from: timeSchema,
  to: timeSchema,
  cron: z.string().nullable().describe('when a maintenance window begins, again and again between from and to'),
  durationMinutes: z.int().nullable().describe('how long each window is'),
  reason: z.string(),
  createdBy: z.string(),
  createdAt: timeSchema,
  isActive: z.boolean().describe('quiet at this moment'),
  isOver: z.boolean(),
  hits: z.int().describe('messages it kept back'),
});
export type Silence = z.infer<typeof silenceSchema>;

const MAX_SILENCE_MS = 30 * 86_400_000;
const MAX_WINDOW_PLAN_MS = 3 * 366 * 86_400_000;

export const silenceCreateSchema = z
  .strictObject({
    project: z.string().max(63).nullish().describe('id or name; left out = the whole system'),
    match: matcherSchema.refine(
      ({ rule, severities, labels }) => rule !== undefined || severities !== undefined || (labels?.length ?? 0) > 0,
      'name at least one of rule, severities and labels; rule "*" is everything',
    ),
    from: z.iso.datetime().optional().describe('left out = now'),
    to: z.iso.datetime(),
    cron: z
      .string()
      .max(200)
      .refine((text) => parseCron(text) !== null, 'use five fields of cron, as 0 3 * * sun')
      .optional(),
    durationMinutes: z.int().min(1).max(1440).optional(),
    reason: textSchema(500).min(1),
  })
  .refine(({ cron, durationMinutes }) => (cron === undefined) === (durationMinutes === undefined), {
    message: 'cron and durationMinutes go together',
    path: ['cron'],
  })
  .refine(({ from, to }) => from === undefined || Date.parse(from) < Date.parse(to), {
    message: 'to must be after from',
    path: ['to'],
  });

/** Longest time from begin to end: of a silence, or of a plan of windows. */
export const maxSilenceMs = (isWindow: boolean): number => (isWindow ? MAX_WINDOW_PLAN_MS : MAX_SILENCE_MS);

export const NOTICE_STATES = [
  'waiting',
  'sent',
  'dead',
  'merged',
  'silenced',
  'inhibited',
  'unrouted',
  'not_sent',
] as const;

export const noticeSchema = z.object({
  id: z.string(),
  at: timeSchema,
  project: z.string().nullable(),
  channelId: z.string().nullable(),
  channel: z
    .string()
    .nullable()
    .describe('name of the channel; null = it went to none, or to one that you may not see'),
  severity: severitySchema,
  title: z.string(),
  state: z
    .enum(NOTICE_STATES)
    .describe(
      'dead = given up; merged = it is part of another message; unrouted = no channel takes it; not_sent = it was over, or told shortly before',
    ),
  attempts: z.int(),
  nextAt: timeSchema.nullable(),
  sentAt: timeSchema.nullable(),
  lastError: z.string().nullable(),
});
export type Notice = z.infer<typeof noticeSchema>;

const projectField = z
  .string()
  .max(63)
  .nullish()
  .describe('id or name; left out = the system, whose channels get everything');
const channelParam = idParam('id or name of the channel');

export const notificationRoutes = defineRoutes({
  'GET /channel-kinds': {
    summary: 'Kinds of channels and what each takes',
    permission: 'alert.read',
    list: true,
    response: z.object({
      items: z.array(z.object({ kind: channelKindSchema, title: z.string(), fields: z.array(channelFieldSchema) })),
    }),
  },
  'GET /channels': {
    summary: 'Where messages go',
    permission: 'alert.read',
    list: true,
    query: z.object(pageQuery),
    response: pageOf(channelSchema),
  },
  'POST /channels': {
    summary: 'Add a channel',
    permission: 'alert.configure',
    list: true,
    body: z.strictObject({
      name: nameSchema,
      kind: channelKindSchema,
      project: projectField,
      isEnabled: z.boolean().default(true),
      title: titleSchema.nullish(),
      settings: settingsSchema.default({}),
      secrets: secretsSchema.default({}),
    }),
    response: channelSchema,
    status: 201,
  },
  'GET /channels/{id}': {
    summary: 'Show a channel, without its secrets',
    permission: 'alert.read',
    object: { type: 'channel', param: 'id' },
    params: channelParam,
    response: channelSchema,
  },
  'PATCH /channels/{id}': {
    summary: 'Change a channel; settings and secrets that are not named stay',
    permission: 'alert.configure',
    object: { type: 'channel', param: 'id' },
    params: channelParam,
    body: z.strictObject({
      name: nameSchema.optional(),
      isEnabled: z.boolean().optional(),
      title: titleSchema.nullish(),
      settings: settingsSchema.optional(),
      secrets: secretsSchema.optional(),
    }),
    response: channelSchema,
  },
  'DELETE /channels/{id}': {
    summary: 'Remove a channel',
    permission: 'alert.configure',
    object: { type: 'channel', param: 'id' },
    params: channelParam,
    status: 204,
  },
  'POST /channels/{id}/test': {
    summary: 'Send a test message the way all messages go, and tell how it ended',
    permission: 'alert.configure',
    object: { type: 'channel', param: 'id' },
    params: channelParam,
    response: z.object({
      isDelivered: z.boolean(),
      error: z.string().nullable(),
      note: z.string().nullable().describe('what delivery means there'),
      noticeId: z.string(),
    }),
  },
  'GET /notification-routing': {
    summary: 'Which message goes to which channel',
    permission: 'alert.configure',
    response: routingSchema,
  },
  'PUT /notification-routing': {
    summary: 'Replace the routing',
    permission: 'alert.configure',
    body: routingSchema,
    response: routingSchema,
  },
  'GET /silences': {
    summary: 'Planned quiet',
    permission: 'alert.read',
    list: true,
    query: z.object({ ...pageQuery, all: z.stringbool().default(false).describe('those that are over too') }),
    response: pageOf(silenceSchema),
  },
  'POST /silences': {
    summary: 'Keep messages back for a time, or in windows that come again',
    permission: 'alert.ack',
    list: true,
    body: silenceCreateSchema,
    response: silenceSchema,
    status: 201,
  },
  'DELETE /silences/{id}': {
    summary: 'End a silence',
    permission: 'alert.ack',
    object: { type: 'silence', param: 'id' },
    params: idParam('id of the silence'),
    status: 204,
  },
  'GET /notices': {
    summary: 'What was sent, waits, or was given up, newest first',
    permission: 'alert.read',
    list: true,
    query: z.object({
      ...pageQuery,
      limit: z.coerce.number().int().min(1).max(1000).default(100),
      state: z.enum(NOTICE_STATES).optional(),
      channel: z.string().max(100).optional().describe('id or name'),
    }),
    response: z.object({ items: z.array(noticeSchema), next: z.string().nullable() }),
  },
  'POST /notices/{id}/retry': {
    summary: 'Send a message again that was given up',
    permission: 'alert.configure',
    list: true,
    params: idParam('id of the message'),
    response: noticeSchema,
  },
});

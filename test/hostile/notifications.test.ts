/** Hostile names, texts, addresses and answers on their way to people: no channel lets a name mention, link, format or run anything, none
 *  exceeds what its service takes, and none reaches a private machine that no administrator named. Rows C1, C4, C5, C7. */

import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { CHANNEL_KINDS } from '#contract/notifications.ts';
import {
  DESTINATION_SETTINGS,
  type HttpCall,
  type Outside,
  SendError,
} from '#features/notifications/channels/channel.ts';
import { CHANNEL_TYPES } from '#features/notifications/channels/index.ts';
import { noticeOf, resolved } from '#features/notifications/fake-outside.ts';
import { type Message, type ToldAlert, titleOf } from '#features/notifications/message.ts';
import { createFetcher, type Resolve } from '#platform/fetch/index.ts';
import { type Mail, sendMail } from '#platform/smtp.ts';
import { problemsOf, SERVICES, settingsOf, startMessageReceiver } from '#test/support/message-services.ts';

const HTTP_KINDS = CHANNEL_KINDS.filter((kind) => kind !== 'email');
const NOW = Date.parse('2026-01-01T10:05:00Z');
const GOLDEN = join(import.meta.dirname, 'notifications.golden.json');

const HOSTILE_NAMES = [
  '[click](http://evil.example)',
  '@everyone',
  '@here <@123> <@&456>',
  '<!channel> <!here|x>',
  '<https://evil.example|harmless>',
  '*bold* _it_ ~no~ `code` ```block``` ||spoiler||',
  'a\r\nBcc: victim@evil.example\r\n\r\nbody',
  'line\u2028separator\u2029\u0000\u001b[31m',
  '\u202egnp.exe',
  '</b><script>alert(1)</script><img src=x onerror=alert(1)>',
  "{{constructor.constructor('return process')()}}",
  // biome-ignore lint/suspicious/noTemplateCurlyInString: it is what a template engine would run
  '${7*7} #{7*7} <%= 7*7 %> {% include "/etc/passwd" %} {rule} {severity}',
  '# heading\n- list\n> quote\n| a | b |',
  '\ud800 lone surrogate',
  'x'.repeat(5000),
  '🐧'.repeat(3000),
];

const alertNamed = (name: string, n = 0): ToldAlert => ({
  kind: 'firing',
  notice: noticeOf({
    fingerprint: `fp-${n}`,
    entity: { kind: 'vm', name },
    labels: { vm: name, 'odd-label': name, '0': name },
    rule: { name: `rule ${name.slice(0, 60)}` },
    valueText: name.slice(0, 100),
    text: name,
    severity: 'critical',
  }),
});

function messageOf(alerts: readonly ToldAlert[], template: string | null = null): Message {
  return {
    key: 'k'.repeat(32),
    thread: 'rule-1|node1|',
    kind: 'alert',
    severity: 'critical',
    title: titleOf(template, alerts),
    text: '',
    alerts,
    atMs: NOW,
    host: 'node1',
    origin: 'https://node1.example:8080',
  };
}

/** What would end a header, or turn the direction of text. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these must not be there
const CONTROLS = /[\u0000-\u001f\u2028\u2029\u202e]/;

const secretsOfMail = { user: 'mailer', password: 'mailsecretpart' };
const mailSettings = { smtp: 'mail.example:465', from: 'hyper@example.org', to: ['ops@example.org'] };

const openOf = (kind: (typeof CHANNEL_KINDS)[number]) => {
  if (kind === 'email') return CHANNEL_TYPES.email.open(mailSettings, secretsOfMail);
  const { settings, secrets } = settingsOf(kind, 'https://service.example');
  return CHANNEL_TYPES[kind].open(settings, secrets);
};
const callsOf = (built: readonly HttpCall[] | Mail): readonly HttpCall[] => ('subject' in built ? [] : built);
const mailOf = (built: readonly HttpCall[] | Mail): Mail => {
  assert.ok('subject' in built);
  return built;
};
const requestOf = (call: HttpCall) => {
  const url = new URL(call.url);
  return { path: `${url.pathname}${url.search}`, headers: { ...call.headers }, text: call.body };
};

test('C5: every service takes the message whatever its VM is called, within its published limits', () => {
  let checked = 0;
  for (const kind of HTTP_KINDS) {
    const many = Array.from({ length: 60 }, (_, n) => alertNamed(HOSTILE_NAMES[n % HOSTILE_NAMES.length] ?? '', n));
    const over = many.map(({ notice }): ToldAlert => ({ kind: 'resolved', notice: resolved(notice) }));
    const messages = [...HOSTILE_NAMES.map((name) => [alertNamed(name)]), many, over].map((alerts) =>
      messageOf(alerts),
    );
    for (const message of messages)
      for (const call of callsOf(openOf(kind).build(message, NOW))) {
        assert.deepEqual(problemsOf(kind, requestOf(call)), [], `${kind}: ${message.title.slice(0, 80)}`);
        checked += 1;
      }
  }
  console.log(`# count: ${checked} hostile messages fit what ${HTTP_KINDS.length} services take`);
});

test('C5: no name mentions, links or formats: the chats show it as it is', () => {
  for (const name of HOSTILE_NAMES) {
    const message = messageOf([alertNamed(name)]);
    const [slack] = callsOf(openOf('slack').build(message, NOW));
    const document = JSON.parse(slack?.body ?? '');
    assert.doesNotMatch(document.text, /<|>/, 'mrkdwn of Slack links and mentions by angle brackets only');
    assert.doesNotMatch(slack?.body ?? '', /"type":"mrkdwn"/);

    const [discord] = callsOf(openOf('discord').build(message, NOW));
    const embed = JSON.parse(discord?.body ?? '').embeds[0];
    for (const text of [
      embed.title,
      embed.description,
      ...embed.fields.map((field: { value: string }) => field.value),
    ]) {
      assert.doesNotMatch(text, /(?<!\\)[*_~`|[\]<>]/, 'Markdown is escaped');
      assert.doesNotMatch(text, /@(everyone|here)/);
      assert.doesNotMatch(text, /https?:\/\//, 'nothing to click but our own link');
    }

    const [teams] = callsOf(openOf('teams').build(message, NOW));
    for (const block of JSON.parse(teams?.body ?? '').attachments[0].content.body)
      for (const text of block.text === undefined
        ? block.facts.map((fact: { value: string }) => fact.value)
        : [block.text])
        assert.doesNotMatch(text, /(?<!\\)[*_[\]`]|https?:\/\/|\{\{|\$\{/);
  }
});

test('C5: line breaks in names make no headers and no second recipient', () => {
  for (const name of HOSTILE_NAMES) {
    const mail = mailOf(openOf('email').build(messageOf([alertNamed(name)], '{entity}'), NOW));
    assert.deepEqual(mail.to, mailSettings.to);
    for (const header of [mail.subject, mail.messageId, mail.thread ?? '', ...Object.values(mail.headers)])
      assert.doesNotMatch(header, CONTROLS);
    assert.doesNotMatch(mail.html, /<script|<img|<\/b>/i);
  }
});

test('C7: what looks like a template is text, and a title replaces the names of its list once', () => {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: it is what a template engine would run
  const name = "{{constructor.constructor('x')()}} ${7*7} {rule} {severity}";
  // biome-ignore lint/suspicious/noTemplateCurlyInString: only what stands in braces is a name
  const template = '{status}|{entity}|{constructor}|{__proto__}|{{rule}}|${count}|{severity';
  const title = titleOf(template, [alertNamed(name)]);
  assert.equal(
    title,
    `firing|${name} on node1|{constructor}|{__proto__}|{rule ${name.slice(0, 60)}}|$1|{severity`.slice(0, title.length),
  );
  assert.ok(title.includes(name), 'literally');
  for (const kind of CHANNEL_KINDS) {
    const built = openOf(kind).build(messageOf([alertNamed(name)]), NOW);
    const text = 'subject' in built ? built.text : built.map(({ body }) => body).join('');
    assert.doesNotMatch(text, /\b49\b/, kind);
  }
});

test('C5, C7: what each kind of channel sends for hostile names is what was looked at', async () => {
  const built = Object.fromEntries(
    CHANNEL_KINDS.map((kind) => [
      kind,
      HOSTILE_NAMES.slice(0, 13).map((name) => {
        const one = openOf(kind).build(messageOf([alertNamed(name)]), NOW);
        return 'subject' in one ? one : one.map((call) => ({ ...call, body: JSON.parse(call.body) }));
      }),
    ]),
  );
  const text = `${JSON.stringify(built, null, 1)}\n`;
  // Written anew only on purpose, to be read before it is committed.
  if (process.env['HV_WRITE_GOLDEN'] === '1') await writeFile(GOLDEN, text);
  const golden: unknown = JSON.parse(await readFile(GOLDEN, 'utf8'));
  assert.deepEqual(JSON.parse(text), golden);
});

const outsideOf = (allowPrivateHosts: readonly string[], resolve?: Resolve): Outside => ({
  fetcher: () =>
    createFetcher({
      allowPrivateHosts,
      allowKey: 'notifications.allowPrivateHosts',
      limits: { headersMs: 2000, idleMs: 2000, textMs: 3000 },
      ...(resolve === undefined ? {} : { resolve }),
    }),
  mail: (server, mail, signal) =>
    sendMail({ ...server, allowPrivateHosts, ...(resolve === undefined ? {} : { resolve }) }, mail, signal),
  nowMs: () => NOW,
  signal: AbortSignal.timeout(5000),
});

const PRIVATE = [
  '127.0.0.1',
  '[::1]',
  '0.0.0.0',
  '169.254.169.254',
  '10.0.0.1',
  '192.168.1.1',
  '[::ffff:127.0.0.1]',
  '2130706433',
];

test('C1: no channel of any kind reaches a private or local address, by literal or by name', async () => {
  const message = messageOf([alertNamed('web1')]);
  const refused = async (promise: Promise<unknown>, what: string) =>
    assert.rejects(promise, (error: unknown) => {
      assert.ok(error instanceof SendError, `${what}: ${error}`);
      assert.ok(error.isPermanent, what);
      assert.match(error.message, /leads to/, what);
      assert.match(error.message, /notifications\.allowPrivateHosts/, what);
      return true;
    });
  const toPrivate: Resolve = async () => ['10.1.2.3'];
  for (const kind of HTTP_KINDS) {
    for (const host of PRIVATE) {
      const { settings, secrets } = settingsOf(kind, `http://${host}:9`);
      await refused(CHANNEL_TYPES[kind].open(settings, secrets).send(message, outsideOf([])), `${kind} to ${host}`);
    }
    const { settings, secrets } = settingsOf(kind, 'https://innocent.example');
    const channel = CHANNEL_TYPES[kind].open(settings, secrets);
    await refused(channel.send(message, outsideOf([], toPrivate)), `${kind} by name`);
  }
  for (const smtp of ['127.0.0.1:25', '[::1]:25', '10.0.0.1:587', 'innocent.example:465']) {
    const channel = CHANNEL_TYPES.email.open({ ...mailSettings, smtp }, {});
    const outside = outsideOf([], smtp.startsWith('innocent') ? toPrivate : undefined);
    await refused(channel.send(message, outside), `mail to ${smtp}`);
  }
});

test('C1: every setting that names a server counts as where a channel sends to', () => {
  let found = 0;
  for (const kind of HTTP_KINDS)
    for (const [name, value] of Object.entries(settingsOf(kind, 'https://own.example').settings))
      if (String(value).includes('own.example')) {
        found += 1;
        assert.ok(DESTINATION_SETTINGS.includes(name), `${kind}: ${name}`);
      }
  assert.ok(found > 3);
});

test('C1, C2: redirects are not followed, to wherever they lead', async () => {
  const inner = await startMessageReceiver((_request, response) => response.end('inner'));
  const receiver = await startMessageReceiver((_request, response) =>
    response.writeHead(307, { location: `${inner.origin}/` }).end(),
  );
  try {
    for (const kind of HTTP_KINDS) {
      const { settings, secrets } = settingsOf(kind, receiver.origin);
      const channel = CHANNEL_TYPES[kind].open(settings, secrets);
      await assert.rejects(channel.send(messageOf([alertNamed('x')]), outsideOf(['127.0.0.1'])), { isPermanent: true });
    }
    assert.equal(inner.received.length, 0);
    assert.equal(receiver.received.length, HTTP_KINDS.length);
  } finally {
    await receiver.close();
    await inner.close();
  }
});

test('C4: endless, silent and oversized answers end in time, and are tried again', async () => {
  const timers: NodeJS.Timeout[] = [];
  for (const respond of [
    () => undefined,
    (response: ServerResponse) => {
      response.writeHead(500);
      timers.push(setInterval(() => response.write('x'), 200));
    },
    (response: ServerResponse) => response.writeHead(500).end('x'.repeat(1_000_000)),
    (response: ServerResponse) => response.destroy(),
  ]) {
    const receiver = await startMessageReceiver((_request, response) => void respond(response));
    const began = performance.now();
    try {
      const { settings, secrets } = settingsOf('webhook', receiver.origin);
      const channel = CHANNEL_TYPES.webhook.open(settings, secrets);
      await assert.rejects(channel.send(messageOf([alertNamed('x')]), outsideOf(['127.0.0.1'])), {
        isPermanent: false,
      });
      assert.ok(performance.now() - began < 6000);
    } finally {
      for (const timer of timers.splice(0)) clearInterval(timer);
      await receiver.close();
    }
  }
});

test('every kind is delivered to a service that checks what it gets', async () => {
  for (const kind of HTTP_KINDS) {
    const receiver = await startMessageReceiver((request, response) => {
      const problems = problemsOf(kind, request);
      const { status, body } = SERVICES[kind].answer;
      response.writeHead(problems.length === 0 ? status : 400).end(problems.length === 0 ? body : problems.join('; '));
    });
    try {
      const { settings, secrets } = settingsOf(kind, receiver.origin);
      const channel = CHANNEL_TYPES[kind].open(settings, secrets);
      await channel.send(messageOf([alertNamed('web1')]), outsideOf(['127.0.0.1']));
      const [request] = receiver.received;
      assert.equal(request?.headers['x-hyper-loop'], '1', kind);
      assert.equal(request?.headers['idempotency-key'], 'k'.repeat(32), kind);
    } finally {
      await receiver.close();
    }
  }
});

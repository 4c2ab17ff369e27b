/** Messages that really arrive: mail at a Postfix with TLS, alerts at an Alertmanager, test messages at every kind of service through a
 *  real hyperd and its command line; and secrets that are nowhere to be read. */

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ApiProblem, createApiClient } from '#contract/client.ts';
import { CHANNEL_KINDS } from '#contract/notifications.ts';
import { DEFAULT_RULES } from '#features/alerts/rules/default-rules.ts';
import type { Outside } from '#features/notifications/channels/channel.ts';
import { CHANNEL_TYPES } from '#features/notifications/channels/index.ts';
import { noticeOf, resolved, startOutbox } from '#features/notifications/fake-outside.ts';
import { isWorse, type Message, type ToldAlert, titleOf } from '#features/notifications/message.ts';
import { OUTRANKED_RULES } from '#features/notifications/routing/outranked-rules.ts';
import { createFetcher } from '#platform/fetch/index.ts';
import { sendMail } from '#platform/smtp.ts';
import { signInByLink } from '../support/browser-session.ts';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { freePort } from '../support/free-port.ts';
import { hvOn } from '../support/hv.ts';
import { type MailServer, missingForMail, startMailServer } from '../support/mail-server.ts';
import { problemsOf, SERVICES, settingsOf, startMessageReceiver } from '../support/message-services.ts';

const HTTP_KINDS = CHANNEL_KINDS.filter((kind) => kind !== 'email');
const ALERTMANAGER = '/usr/bin/prometheus-alertmanager';
const noMail = missingForMail() ?? false;
const noAlertmanager = existsSync(ALERTMANAGER) ? false : 'prometheus-alertmanager is not installed';

let folder: string;
let mail: MailServer | null = null;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hv-notify-'));
  if (noMail === false) mail = await startMailServer();
});
after(async () => {
  await mail?.close();
  await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
});

const theMail = (): MailServer => {
  assert.ok(mail);
  return mail;
};

const outsideOf = (): Outside => ({
  fetcher: (ca) => createFetcher({ allowPrivateHosts: ['127.0.0.1'], ...(ca === null ? {} : { ca }) }),
  mail: (server, one, signal) =>
    sendMail(
      {
        ...server,
        allowPrivateHosts: ['127.0.0.1', 'mail.example', 'other.example'],
        resolve: async () => ['127.0.0.1'],
      },
      one,
      signal,
    ),
  nowMs: Date.now,
  signal: AbortSignal.timeout(20_000),
});

let serial = 0;
function messageOf(alerts: readonly ToldAlert[]): Message {
  serial += 1;
  return {
    key: `key-${serial}-${process.pid}`,
    thread: 'rule-1|node1|',
    kind: 'alert',
    severity: 'critical',
    title: titleOf(null, alerts),
    text: '',
    alerts,
    atMs: Date.now(),
    host: 'node1',
    origin: 'https://node1.example',
  };
}
const firing = (name: string): ToldAlert => ({ kind: 'firing', notice: noticeOf({ entity: { kind: 'vm', name } }) });

async function until<Value>(
  what: string,
  ms: number,
  find: () => Promise<Value | null | false | undefined>,
): Promise<Value> {
  const end = performance.now() + ms;
  for (;;) {
    const found = await find();
    if (found) return found;
    assert.ok(performance.now() < end, `${what} within ${ms} ms`);
    await sleep(100);
  }
}

const ca = () => readFile(theMail().certificates.caFile, 'utf8');
const mailSettings = async (smtp: string, more: Record<string, unknown> = {}) => ({
  smtp,
  from: 'hyper@example.org',
  to: ['ops@example.org'],
  ca: await ca(),
  ...more,
});
const arrived = (text: string) =>
  until(`a mail with ${text}`, 15_000, async () => (await theMail().mails()).find((one) => one.includes(text)));

test('what outranks what names rules that come with the program, the graver one first', () => {
  const byName = new Map(DEFAULT_RULES.map((rule) => [rule.name, rule]));
  for (const [graver, lessers] of Object.entries(OUTRANKED_RULES))
    for (const lesser of lessers) {
      const [one, other] = [byName.get(graver), byName.get(lesser)];
      assert.ok(one && other, `${graver}, ${lesser}`);
      assert.ok(isWorse(one.severity, other.severity), `${graver}, ${lesser}`);
    }
});

test('mail arrives by TLS from the first byte and by STARTTLS, threaded, with a name that tries to add a recipient', {
  skip: noMail,
}, async () => {
  const { port, tlsPort } = theMail();
  for (const [smtp, tls] of [
    [`mail.example:${tlsPort}`, 'implicit'],
    [`mail.example:${port}`, 'starttls'],
  ] as const) {
    const channel = CHANNEL_TYPES.email.open(await mailSettings(smtp, { tls }), {});
    const name = `by-${tls}\r\nBcc: victim@example.org`;
    const message = messageOf([firing(name)]);
    assert.equal(await channel.send(message, outsideOf()), null);
    const text = await arrived(`by-${tls} Bcc: victim@example.org`);
    assert.match(text, /^Auto-Submitted: auto-generated$/m);
    assert.match(text, /^Message-ID: <[0-9a-f]{32}@example\.org>$/im);
    assert.match(text, /^References: <[0-9a-f]{32}\.thread@example\.org>$/im);
    assert.doesNotMatch(text, /^Bcc:/m);
    assert.match(text, /with (ESMTPS|UTF8SMTPS|ESMTP)/);
  }
  assert.match(await theMail().log(), /from=<hyper@example.org>/);
});

test('mail goes to no server whose certificate is of another name or authority, or that offers no TLS', {
  skip: noMail,
}, async () => {
  const { port, tlsPort, plainPort, certificates } = theMail();
  const foreign = await readFile(certificates.foreignCaFile, 'utf8');
  const before = (await theMail().mails()).length;
  const cases = [
    [await mailSettings(`other.example:${tlsPort}`, { tls: 'implicit' }), /certificate/],
    [await mailSettings(`other.example:${port}`, { tls: 'starttls' }), /certificate/],
    [await mailSettings(`mail.example:${tlsPort}`, { tls: 'implicit', ca: foreign }), /certificate/],
    [await mailSettings(`mail.example:${port}`, { tls: 'starttls', ca: foreign }), /certificate/],
    [await mailSettings(`mail.example:${plainPort}`, { tls: 'starttls' }), /offers no TLS/],
  ] as const;
  for (const [settings, reason] of cases)
    await assert.rejects(
      CHANNEL_TYPES.email.open(settings, {}).send(messageOf([firing('secret')]), outsideOf()),
      reason,
    );
  assert.throws(
    () => CHANNEL_TYPES.email.open({ ...cases[4][0], tls: 'none' }, {}),
    /only for a mail server on this machine/,
  );
  await sleep(1000);
  assert.equal((await theMail().mails()).length, before);
});

test('a recipient that the mail server does not know is a refusal for good; one of two is a remark', {
  skip: noMail,
}, async () => {
  const smtp = `mail.example:${theMail().port}`;
  const unknown = CHANNEL_TYPES.email.open(await mailSettings(smtp, { to: ['nobody@example.org'] }), {});
  await assert.rejects(unknown.send(messageOf([firing('x')]), outsideOf()), { isPermanent: true });
  const both = CHANNEL_TYPES.email.open(
    await mailSettings(smtp, { to: ['ops@example.org', 'nobody@example.org'] }),
    {},
  );
  assert.match(String(await both.send(messageOf([firing('half')]), outsideOf())), /nobody@example\.org/);
});

test('the document of alerts sends mail as it is written, and its test button tells the truth', {
  skip: noMail,
}, async () => {
  const { port, plainPort, certificates } = theMail();
  const document = (smtp: string, tls: boolean) => ({
    alerts: {
      enable: true,
      email: { enable: true, smtp, from: 'hyper@example.org', to: ['ops@example.org'], tls },
      webhooks: [],
      rules: [
        { name: 'vm-down', condition: 'vm_state != running', severity: 'critical', cooldown: '30m' },
        { name: 'disk-full', condition: 'disk_usage > 85%', severity: 'warning' },
        { name: 'cpu-high', condition: 'cpu_usage > 90% for 5m', severity: 'info', cooldown: '1h30m' },
      ],
    },
  });
  const env = { NODE_EXTRA_CA_CERTS: certificates.caFile };
  const daemon = await startDaemon({ waitFor: 'doors', env, config: document(`127.0.0.1:${port}`, true) });
  try {
    const tested = await hvOn(daemon, ['channel', 'test', 'email']);
    assert.equal(tested.code, 0, tested.stderr);
    const text = await arrived('Test message of');
    assert.match(text, /asked for this test/);
    await assert.rejects(daemon.admin('DELETE /channels/{id}', { params: { id: 'email' } }), /configuration/);
  } finally {
    await daemon.close();
  }
  // Without the authority nothing is sent, and the button says so.
  const other = await startDaemon({ waitFor: 'doors', config: document(`127.0.0.1:${port}`, true) });
  try {
    const tested = await hvOn(other, ['channel', 'test', 'email']);
    assert.equal(tested.code, 1);
    assert.match(tested.stderr, /certificate/);
  } finally {
    await other.close();
  }
  const plain = await startDaemon({ waitFor: 'doors', config: document(`127.0.0.1:${plainPort}`, false) });
  try {
    assert.equal((await hvOn(plain, ['channel', 'test', 'email'])).code, 0);
  } finally {
    await plain.close();
  }
});

/** All bytes below a folder that could hold a text. */
async function filesBelow(dir: string): Promise<string[]> {
  const names = await readdir(dir, { recursive: true });
  const files: string[] = [];
  for (const name of names) if ((await stat(join(dir, name))).isFile()) files.push(join(dir, name));
  return files;
}

test('every kind of service gets a test message by the command line; its secrets are in no file, answer, log or error', async () => {
  const configured = new Map<string, string>();
  const receivers = await Promise.all(
    HTTP_KINDS.map(async (kind) => {
      let isDown = false;
      const receiver = await startMessageReceiver((request, response) => {
        const problems = problemsOf(kind, request);
        const { status, body } = SERVICES[kind].answer;
        // A service that tells back what it was given.
        if (isDown) response.writeHead(403).end(`no: ${request.path} ${JSON.stringify(request.headers)}`);
        else
          response
            .writeHead(problems.length === 0 ? status : 400)
            .end(problems.length === 0 ? body : problems.join('; '));
      });
      const fail = () => {
        isDown = true;
      };
      return { kind, receiver, fail };
    }),
  );
  const daemon = await startDaemon({
    waitFor: 'doors',
    config: { notifications: { allowPrivateHosts: ['127.0.0.1'] } },
  });
  const secretsDir = join(folder, 'secrets');
  await mkdir(secretsDir, { recursive: true });
  const told: string[] = [];
  const hv = async (...args: string[]) => {
    const result = await hvOn(daemon, args);
    told.push(result.stdout, result.stderr);
    return result;
  };
  try {
    for (const { kind, receiver, fail } of receivers) {
      const { settings, secrets } = settingsOf(kind, receiver.origin);
      const options: string[] = Object.entries(settings).flatMap(([name, value]) => [
        '--set',
        `${name}=${String(value)}`,
      ]);
      for (const [name, value] of Object.entries(secrets)) {
        const file = join(secretsDir, `${kind}-${name}`);
        await writeFile(file, `${value}\n`, { mode: 0o600 });
        options.push('--secret', `${name}=${file}`);
        configured.set(`${kind} ${name}`, value.startsWith('http') ? new URL(value).pathname : value);
      }
      const added = await hv('channel', 'add', `my-${kind}`, '--kind', kind, ...options);
      assert.equal(added.code, 0, `${kind}: ${added.stderr}`);
      const good = await hv('channel', 'test', `my-${kind}`);
      assert.equal(good.code, 0, `${kind}: ${good.stderr}`);
      assert.equal(receiver.received.length, 1, kind);
      fail();
      const soon = await hv('channel', 'test', `my-${kind}`);
      assert.match(soon.stderr, /within the last 10 s/, kind);
      // Another one to the same place: a channel is tested once in ten seconds.
      assert.equal((await hv('channel', 'add', `bad-${kind}`, '--kind', kind, ...options)).code, 0, kind);
      const bad = await hv('channel', 'test', `bad-${kind}`, '--json');
      assert.equal(bad.code, 1, kind);
      assert.match(bad.stdout, /403/, kind);
      await hv('channel', 'show', `my-${kind}`, '--json');
    }
    await hv('channel', 'list', '--json');
    const listed = await hv('notice', 'list', '--state', 'dead', '--json');
    assert.equal(JSON.parse(listed.stdout).length, HTTP_KINDS.length);
    told.push(
      JSON.stringify(await daemon.admin('GET /audit', {})),
      JSON.stringify(await daemon.admin('GET /channel-kinds')),
    );

    const texts = new Map([
      ['the command line and API', told.join('\n')],
      ['the log', daemon.output()],
    ]);
    for (const file of await filesBelow(daemon.stateDir)) texts.set(file, (await readFile(file)).toString('latin1'));
    for (const [what, secret] of configured)
      for (const [where, text] of texts)
        if (secret.length >= 8) assert.ok(!text.includes(secret), `the secret of ${what} stands in ${where}`);
    assert.equal((await stat(join(daemon.stateDir, 'notifications', 'secrets.key'))).mode & 0o777, 0o600);
  } finally {
    await daemon.close();
    await Promise.all(receivers.map(({ receiver }) => receiver.close()));
  }
});

test('webhooks of the document are recognised by their host and stay after a restart', async () => {
  const secretFile = join(folder, 'webhook-ops');
  await writeFile(secretFile, 'https://hooks.slack.com/services/T0/B0/x\n', { mode: 0o600 });
  const config = {
    secrets: { 'webhook-ops': { file: secretFile } },
    alerts: {
      webhooks: [
        'https://discord.com/api/webhooks/1/abc',
        'https://ntfy.sh/my-topic',
        'https://prod-1.westeurope.logic.azure.com/workflows/x/triggers/manual/paths/invoke?sig=y',
        'https://api.telegram.org/bot123456:abcdefghijklmnopqrstuvwx/sendMessage?chat_id=-100',
        'http://alertmanager.example:9093/api/v2/alerts',
        'https://example.org/hook',
        'https://example.org/other-hook',
        'secret:webhook-ops',
      ],
    },
  };
  const daemon: TestDaemon = await startDaemon({ waitFor: 'doors', config });
  try {
    const { items } = await daemon.admin('GET /channels');
    assert.deepEqual(
      items.map(({ name, kind, origin }) => `${name} ${kind} ${origin}`),
      [
        'discord discord configuration',
        'ntfy ntfy configuration',
        'teams teams configuration',
        'telegram telegram configuration',
        'alertmanager alertmanager configuration',
        'webhook webhook configuration',
        'webhook-2 webhook configuration',
        'webhook-ops slack configuration',
      ],
    );
  } finally {
    await daemon.close();
  }
});

test('a channel stays while something sends through it, and a project sees nothing of those of the system', async () => {
  const receiver = await startMessageReceiver((_request, response) => response.writeHead(410).end('an inner word'));
  const daemon = await startDaemon({
    waitFor: 'doors',
    config: { notifications: { allowPrivateHosts: ['127.0.0.1'] } },
  });
  const { admin } = daemon;
  try {
    const project = await admin('POST /projects', { body: { name: 'shop' } });
    await admin('POST /users', { body: { name: 'carol' } });
    await admin('POST /grants', { body: { user: 'carol', role: 'project-admin', scope: `project:${project.id}` } });
    const secrets = { url: `${receiver.origin}/hook` };
    const add = (name: string, of?: string) =>
      admin('POST /channels', {
        body: { name, kind: 'webhook', secrets, ...(of === undefined ? {} : { project: of }) },
      });
    const channel = await add('ops');
    await add('shop-hook', 'shop');

    const rule = { name: 'own', condition: 'vm_state == crashed' };
    const refusedAs = (code: string, text: RegExp) => (error: unknown) => {
      assert.ok(error instanceof ApiProblem);
      assert.equal(error.problem.code, code);
      assert.match(JSON.stringify(error.problem), text);
      return true;
    };
    await assert.rejects(
      admin('POST /rules', { body: { ...rule, channels: ['opps'] } }),
      refusedAs('invalid_input', /no channel \\"opps\\"/),
    );
    const made = await admin('POST /rules', { body: { ...rule, channels: ['ops'] } });
    const params = { id: 'ops' };
    await assert.rejects(admin('DELETE /channels/{id}', { params }), refusedAs('channel_in_use', /the rule \\"own\\"/));
    await assert.rejects(
      admin('PATCH /channels/{id}', { params, body: { name: 'other' } }),
      refusedAs('channel_in_use', /the rule \\"own\\"/),
    );
    await assert.rejects(
      admin('PATCH /rules/{id}', { params: { id: made.id }, body: { channels: ['shop-hook', 'none'] } }),
      refusedAs('invalid_input', /\\"none\\"/),
    );

    // A test of the channel of the project is a message of the project; the one of the system is not.
    for (const id of ['ops', 'shop-hook']) await admin('POST /channels/{id}/test', { params: { id } });
    const { api } = await (async () => {
      const session = await signInByLink(daemon, 'carol');
      return {
        api: createApiClient(async ({ method, path, body }) => {
          const text = body === null ? undefined : JSON.parse(body);
          const answer = await session.call(method, path.slice('/api/v1'.length), text);
          return { status: answer.status, body: JSON.stringify(answer.json) };
        }),
      };
    })();
    const seen = (await api('GET /notices', { query: {} })).items;
    assert.deepEqual(
      seen.map((one) => one.channel),
      ['shop-hook'],
    );
    assert.deepEqual((await api('GET /notices', { query: { channel: 'ops' } })).items, []);

    await admin('PATCH /rules/{id}', { params: { id: made.id }, body: { channels: null } });
    await admin('DELETE /channels/{id}', { params: { id: channel.id } });
  } finally {
    await daemon.close();
    await receiver.close();
  }
});

async function startAlertmanager(): Promise<{
  origin: string;
  alerts(): Promise<{ labels: Record<string, string>; endsAt: string }[]>;
  stop(): Promise<void>;
}> {
  const port = await freePort();
  const cluster = await freePort();
  const file = join(folder, 'alertmanager.yml');
  await writeFile(file, 'route: { receiver: none }\nreceivers: [ { name: none } ]\n');
  const child: ChildProcess = spawn(
    ALERTMANAGER,
    [
      `--config.file=${file}`,
      `--storage.path=${join(folder, 'alertmanager')}`,
      `--web.listen-address=127.0.0.1:${port}`,
      `--cluster.listen-address=127.0.0.1:${cluster}`,
    ],
    { stdio: 'ignore' },
  );
  const ended = new Promise<void>((resolve) => child.on('exit', () => resolve()));
  const origin = `http://127.0.0.1:${port}`;
  await until('alertmanager answers', 20_000, async () =>
    fetch(`${origin}/-/ready`).then(
      ({ ok }) => ok,
      () => false,
    ),
  );
  return {
    origin,
    alerts: async () => (await fetch(`${origin}/api/v2/alerts`)).json(),
    async stop() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

test('an Alertmanager shows what fires, with its labels, and forgets what is over', {
  skip: noAlertmanager,
}, async () => {
  const alertmanager = await startAlertmanager();
  const outbox = await startOutbox(() => ({ status: 200 }), outsideOf());
  try {
    await outbox.channels.add({
      name: 'am',
      kind: 'alertmanager',
      project: null,
      settings: { server: alertmanager.origin },
    });
    const now = Date.now();
    const one = noticeOf({ startedAtMs: now - 60_000, labels: { vm: 'web1', 'odd-label': '🐧"\\' } });
    const two = noticeOf({
      fingerprint: 'fp-2',
      entity: { kind: 'vm', name: 'db1' },
      labels: { vm: 'db1' },
      startedAtMs: now - 60_000,
    });
    await outbox.announce(one, two);
    const { signal } = new AbortController();
    await outbox.loop.run(signal);
    const shown = await until('two alerts', 10_000, async () => {
      const all = await alertmanager.alerts();
      return all.length === 2 && all;
    });
    const web = shown.find(({ labels }) => labels['vm'] === 'web1');
    assert.deepEqual(web?.labels, {
      alertname: 'vm_down',
      host: 'node1',
      odd_label: '🐧"\\',
      severity: 'warning',
      vm: 'web1',
    });
    assert.ok(Date.parse(web?.endsAt ?? '') > now + 200_000);
    await outbox.announce({ ...resolved(one), endedAtMs: now });
    await outbox.loop.run(signal);
    await until(
      'one alert',
      10_000,
      async () => (await alertmanager.alerts()).map(({ labels }) => labels['vm']).join() === 'db1',
    );
    assert.equal(
      outbox.channels.get('am') &&
        (await outbox.channels.states()).get(outbox.channels.get('am')?.id ?? '')?.is_failing,
      0,
    );
  } finally {
    await outbox.close();
    await alertmanager.stop();
  }
});

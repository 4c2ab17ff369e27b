/** From a guest that misbehaves to the mail in somebody's mailbox, on real parts only: hyperd with the configuration of the document, libvirtd,
 *  guests (TCG), a Postfix with TLS, receivers of webhooks. What should be told is told, and what should not be is not. */

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { setPriority, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { MIB } from '#kernel/units.ts';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { helloDisk } from '../support/guest.ts';
import { type GuestShell, guestShell } from '../support/guest-shell.ts';
import { missingForLibvirtd, type PrivateLibvirtd, startPrivateLibvirtd } from '../support/libvirtd.ts';
import { type MailServer, missingForMail, startMailServer } from '../support/mail-server.ts';
import { type MessageReceiver, type Received, startMessageReceiver } from '../support/message-services.ts';

const skip = missingForLibvirtd() ?? missingForMail() ?? false;
/** These wait for minutes, and the engine's own tests tell the same in a clock of their own. */
const inFull = process.env['HV_TEST_FULL'] !== '1' && 'in a full run';
const SIGNING_SECRET = 'a-secret-of-this-test-0123456789';
const CHECK_MS = 250;

interface Told {
  readonly path: string;
  readonly key: string;
  readonly rule: string;
  readonly vm: string;
  readonly kind: string;
  readonly link: string;
}

describe('alerts from a guest to a mailbox', { skip }, () => {
  let libvirtd: PrivateLibvirtd;
  let mail: MailServer;
  let receiver: MessageReceiver;
  let folder: string;
  let daemon: TestDaemon;
  let shell: GuestShell;
  /** In the guest: what computes, and what lets it compute for two fifths of the time. Those who run beside us want a processor too. */
  let loadPids: readonly string[] = [];

  /** The user's document to the letter, but for the hosts. */
  const document = () => ({
    email: {
      enable: true,
      smtp: `127.0.0.1:${mail.port}`,
      from: 'hypervisor@example.org',
      to: ['ops@example.org'],
      tls: true,
    },
    webhooks: [`${receiver.origin}/document`],
    rules: [
      { name: 'vm-down', condition: 'vm_state != running', severity: 'critical', cooldown: '5m' },
      { name: 'disk-full', condition: 'disk_usage > 85%', severity: 'warning', cooldown: '30m' },
      { name: 'high-cpu', condition: 'cpu_usage > 90% for 5m', severity: 'warning', cooldown: '15m' },
    ],
  });
  // Outside of libvirtd's namespaces, where the mail server is.
  const start = () =>
    startDaemon({
      stateDir: join(folder, 'state'),
      env: { HV_LIBVIRT_URI: libvirtd.uri, NODE_EXTRA_CA_CERTS: mail.certificates.caFile },
      config: { alerts: document(), notifications: { allowPrivateHosts: ['127.0.0.1'] } },
    });

  const until = async <Value>(
    what: string,
    withinMs: number,
    find: () => Promise<Value | null | undefined | false> | Value | null | undefined | false,
  ): Promise<Value> => {
    const end = performance.now() + withinMs;
    for (;;) {
      const found = await find();
      if (found) return found;
      assert.ok(performance.now() < end, `${what} within ${withinMs} ms; told: ${JSON.stringify(toldOnes())}`);
      await sleep(CHECK_MS);
    }
  };

  const toldBy = ({ path, headers, text }: Received): Told[] =>
    JSON.parse(text).alerts.map((alert: Record<string, unknown> & { labels: Record<string, string> }) => ({
      path,
      key: String(headers['idempotency-key']),
      rule: alert.labels['alertname'] ?? '',
      vm: alert.labels['vm'] ?? '',
      kind: String(alert['kind']),
      link: String(alert['generatorURL']),
    }));
  const toldOnes = (path = '/signed') => receiver.received.flatMap(toldBy).filter((told) => told.path === path);
  const told = (rule: string, vm: string, kind: string, withinMs = 240_000) =>
    until(`${rule} of ${vm} ${kind}`, withinMs, () =>
      toldOnes().find((one) => one.rule === rule && one.vm === vm && one.kind === kind),
    );
  const toldOfVms = () =>
    toldOnes()
      .filter(({ vm }) => vm !== '')
      .map(({ rule, vm, kind }) => `${vm} ${rule} ${kind}`)
      .sort();

  const mailAbout = (...words: readonly string[]) =>
    until(`a mail about ${words.join(' ')}`, 60_000, async () =>
      (await mail.mails()).map(decoded).find((text) => words.every((word) => subjectOf(text).includes(word))),
    );

  const make = async (name: string, body: Readonly<Record<string, unknown>>) =>
    daemon.finish(
      await daemon.admin('POST /vms', {
        body: {
          name,
          vcpus: 1,
          accel: 'tcg',
          firmware: 'bios',
          graphics: false,
          nics: [],
          memoryBytes: 64 * MIB,
          ...body,
        },
      }),
    );
  const power = async (verb: 'start' | 'shutdown' | 'stop' | 'reset', name: string) =>
    daemon.finish(await daemon.admin(`POST /vms/{id}/${verb}`, { params: { id: name } }));
  const firing = async () =>
    (await daemon.admin('GET /alerts', { query: { limit: 200 } })).items.filter(({ state }) => state === 'firing');

  before(async () => {
    const disk = await helloDisk();
    [libvirtd, mail] = await Promise.all([startPrivateLibvirtd(), startMailServer()]);
    receiver = await startMessageReceiver((_request, response) => response.end('ok'));
    folder = await mkdtemp(join(tmpdir(), 'hv-alerting-'));
    daemon = await start();
    await daemon.admin('PUT /notification-routing', { body: { groupWait: '2s', groupInterval: '2s' } });
    await daemon.admin('POST /channels', {
      body: {
        name: 'signed',
        kind: 'webhook',
        secrets: { url: `${receiver.origin}/signed`, signingSecret: SIGNING_SECRET },
      },
    });
    // A crash shall last until somebody was told of it.
    await daemon.admin('PATCH /healing/actions/{id}', { params: { id: 'vm-restart' }, body: { mode: 'observe' } });
    await daemon.finish(await daemon.admin('POST /images/import', { body: { path: disk, name: 'hello' } }));
    const system = { disks: [{ imageId: 'hello' }], memoryBytes: 256 * MIB };
    for (const name of ['busy', 'quiet']) await make(name, system);
    for (const name of ['crash', 'again', 'stuck']) await make(name, { disks: [{ sizeBytes: 8 * MIB }] });
    [shell] = await Promise.all([guestShell(libvirtd, 'busy'), guestShell(libvirtd, 'quiet')]);
    putFirst(libvirtd.qemuPid('busy'));
    await daemon.admin('POST /rules', {
      body: {
        name: 'busy guest',
        condition: 'cpu_usage{vm="busy"} > 20% for 20s',
        severity: 'warning',
        keepFiring: '20s',
        description: 'Somebody computes.',
      },
    });
  });
  after(async () => {
    await daemon?.close();
    await receiver?.close();
    await mail?.close();
    await libvirtd?.close();
    if (folder) await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  });

  test('load, a crash and a monitor that hangs are told by mail and webhook; what their owners did is not', {
    timeout: 900_000,
  }, async () => {
    assert.deepEqual(toldOfVms(), [], 'nothing was told while everything was well');
    const begun = await shell.run(
      'exec 3>&1 >/dev/null 2>&1; (while :; do :; done) 3>&- & p=$!; ' +
        '(while sleep 0.4; do kill -STOP $p; sleep 0.6; kill -CONT $p; done) 3>&- & echo $p $! >&3',
    );
    loadPids = begun.text.trim().split(' ');
    assert.ok(loadPids.length === 2 && loadPids.every((pid) => Number(pid) > 1), begun.text);
    await power('shutdown', 'quiet');
    await power('reset', 'again');
    await power('stop', 'again');
    await power('start', 'again');
    process.kill(libvirtd.qemuPid('crash'), 'SIGKILL');
    process.kill(libvirtd.qemuPid('stuck'), 'SIGSTOP');

    const stoppedMs = Date.now();
    const busy = await told('busy guest', 'busy', 'firing');
    await told('vm-down', 'crash', 'firing');
    await until('the crash is told by the rule of the document', 240_000, async () =>
      (await firing()).find(({ rule, inhibitedBy }) => rule.name === 'vm_crashed' && inhibitedBy?.rule === 'vm-down'),
    );
    await told('vm_monitor_stuck', 'stuck', 'firing');

    const [range] = (
      await daemon.admin('GET /metrics/range', {
        query: { metric: 'cpu_usage', entity: 'vm:busy', from: new Date(stoppedMs).toISOString(), points: 500 },
      })
    ).series;
    const gapsMs = (range?.atMs ?? []).slice(1).map((atMs, n) => atMs - (range?.atMs[n] ?? 0));
    assert.ok(gapsMs.length > 3 && Math.max(...gapsMs) <= 30_000, `the others are measured on: ${gapsMs}`);

    for (const request of receiver.received.filter(({ path }) => path === '/signed')) {
      const timestamp = String(request.headers['x-hyper-timestamp']);
      const digest = createHmac('sha256', SIGNING_SECRET).update(`${timestamp}.${request.text}`).digest('hex');
      assert.equal(request.headers['x-hyper-signature'], `v1=${digest}`);
      assert.ok(Math.abs(Date.now() / 1000 - Number(timestamp)) < 300);
    }
    assert.deepEqual(
      toldOnes('/document')
        .map(({ rule, vm, kind }) => `${rule} ${vm} ${kind}`)
        .sort(),
      toldOnes()
        .map(({ rule, vm, kind }) => `${rule} ${vm} ${kind}`)
        .sort(),
      'the webhook of the document hears the same',
    );
    const text = await mailAbout('busy guest', 'busy');
    const [alert] = (await daemon.admin('GET /alerts', { query: { rule: 'busy guest' } })).items;
    assert.ok(alert);
    assert.match(text, /^To: ops@example\.org$/m);
    assert.match(text, /^From: hypervisor@example\.org$/m);
    assert.match(text, /\b(2[1-9]|[3-9]\d)(\.\d+)?\s?%/);
    assert.ok(text.includes('cpu_usage{vm="busy"} > 20% for 20s'));
    assert.ok(text.includes('Somebody computes.'));
    assert.ok(text.includes(`${daemon.origin}/alerts/${alert.id}`));
    assert.equal(busy.link, `${daemon.origin}/alerts/${alert.id}`);
    await mailAbout('vm-down', 'crash');

    await daemon.admin('POST /alerts/{id}/acknowledge', { params: { id: alert.id } });
    const [acknowledged] = (await daemon.admin('GET /alerts', { query: { rule: 'busy guest' } })).items;
    assert.ok(acknowledged?.acknowledged);
  });

  test('a restart of hyperd tells nothing anew and ends nothing', { skip: inFull, timeout: 300_000 }, async () => {
    const ofVms = async () => (await firing()).filter(({ vmId }) => vmId !== null);
    const before = (await ofVms()).map(({ id, episode }) => `${id} ${episode}`).sort();
    assert.ok(before.length >= 4, before.join());
    const messages = toldOfVms();
    await daemon.stop();
    daemon = await start();
    // Long enough for more than keepFiring and for several looks at everything.
    await sleep(80_000);
    assert.deepEqual(toldOfVms(), messages);
    assert.deepEqual((await ofVms()).map(({ id, episode }) => `${id} ${episode}`).sort(), before);
  });

  test('what is well again is told in the same thread, and once', { timeout: 600_000 }, async () => {
    process.kill(libvirtd.qemuPid('stuck'), 'SIGCONT');
    assert.equal((await shell.run(`kill -KILL ${loadPids.join(' ')}`)).code, 0);
    await power('start', 'crash');
    await told('busy guest', 'busy', 'resolved');
    await told('vm-down', 'crash', 'resolved');
    await told('vm_monitor_stuck', 'stuck', 'resolved');
    const first = await mailAbout('busy guest', 'firing');
    const last = await mailAbout('busy guest', 'resolved');
    const threadOf = (text: string) => /^References: (<[^>]+>)/im.exec(text)?.[1];
    assert.ok(threadOf(first));
    assert.equal(threadOf(last), threadOf(first));
    const once = toldOfVms();
    assert.deepEqual(
      once.filter((line) => /busy guest|^crash |monitor_stuck/.test(line)),
      [
        'busy busy guest firing',
        'busy busy guest resolved',
        'crash vm-down firing',
        'crash vm-down resolved',
        'stuck vm_monitor_stuck firing',
        'stuck vm_monitor_stuck resolved',
      ],
    );
    assert.deepEqual(
      once.filter((line) => /^(quiet|again) /.test(line)),
      [],
      'what their owners did to them is no news',
    );
    const keys = toldOnes().map(({ key, rule, vm }) => `${key} ${rule} ${vm}`);
    assert.equal(new Set(keys).size, keys.length, 'no message came twice');
  });

  test('while libvirt is away one alert says so, and none of its VMs', { skip: inFull, timeout: 600_000 }, async () => {
    const messages = toldOfVms();
    await libvirtd.kill();
    await told('libvirt_down', '', 'firing');
    await libvirtd.restart();
    await told('libvirt_down', '', 'resolved');
    assert.deepEqual(
      toldOfVms().filter((line) => !messages.includes(line) && !/vm_crashed resolved/.test(line)),
      [],
    );
    assert.equal(toldOnes().filter(({ rule }) => rule === 'libvirt_down').length, 2);
    const states = (await daemon.admin('GET /vms', { query: { limit: 100 } })).items;
    assert.deepEqual(states.map(({ name, state }) => `${name} ${state}`).sort(), [
      'again running',
      'busy running',
      'crash running',
      'quiet off',
      'stuck running',
    ]);
  });
});

/** On a loaded machine this process comes first, so that what its guest computes shows. */
function putFirst(pid: number): void {
  for (const thread of readdirSync(`/proc/${pid}/task`)) setPriority(Number(thread), -19);
  // With automatic groups of the scheduler only the group of a session counts.
  if (existsSync(`/proc/${pid}/autogroup`)) writeFileSync(`/proc/${pid}/autogroup`, '-19');
}

/** Quoted-printable as plain text, and folded headers in one line. */
const decoded = (text: string): string =>
  text
    .replace(/\r\n/g, '\n')
    .replace(/\n[ \t]+(?=\S)/g, ' ')
    .replace(/=\n/g, '')
    .replace(/(=[0-9A-F]{2})+/g, (run) => Buffer.from(run.replaceAll('=', ''), 'hex').toString('utf8'));

const subjectOf = (text: string): string => /^Subject: (.*)$/im.exec(text)?.[1] ?? '';

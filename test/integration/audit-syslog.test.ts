/** The audit mirror against a real rsyslog with GnuTLS: all records arrive, also after the receiver was killed and came back, and a
 *  receiver whose certificate a foreign authority signed gets nothing. */

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeCertificates, type TestCertificates } from '#test/support/certificates.ts';
import { startDaemon, type TestDaemon } from '#test/support/daemon.ts';
import { freePort } from '#test/support/free-port.ts';
import { hvOffline, hvOn } from '#test/support/hv.ts';

const skip =
  existsSync('/usr/sbin/rsyslogd') && existsSync('/usr/lib/x86_64-linux-gnu/rsyslog/lmnsd_gtls.so')
    ? false
    : 'rsyslog with rsyslog-gnutls is not installed';

let folder: string;
let certificates: TestCertificates;
let port: number;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hv-syslog-'));
  certificates = await makeCertificates(join(folder, 'tls'), 'logs.example');
  port = await freePort();
});
after(() => rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 }));

/** A receiver of its own, which writes each message as it came. */
async function startReceiver(): Promise<{ readonly child: ChildProcess; stop(): Promise<void> }> {
  const config = join(folder, 'rsyslog.conf');
  await writeFile(
    config,
    `global(workDirectory="${folder}" maxMessageSize="64k" DefaultNetstreamDriver="gtls"
  DefaultNetstreamDriverCAFile="${certificates.caFile}" DefaultNetstreamDriverCertFile="${certificates.hostCertFile}"
  DefaultNetstreamDriverKeyFile="${certificates.hostKeyFile}")
module(load="imtcp" StreamDriver.Name="gtls" StreamDriver.Mode="1" StreamDriver.AuthMode="anon")
template(name="raw" type="string" string="%rawmsg%\\n")
ruleset(name="audit") { action(type="omfile" file="${join(folder, 'received')}" template="raw" asyncWriting="off" flushOnTXEnd="on") }
input(type="imtcp" port="${port}" address="127.0.0.1" ruleset="audit")
`,
  );
  const child = spawn('/usr/sbin/rsyslogd', ['-n', '-f', config, '-i', join(folder, 'rsyslog.pid')], {
    stdio: 'ignore',
  });
  const ended = new Promise<void>((resolve) => child.on('exit', () => resolve()));
  return {
    child,
    async stop() {
      child.kill('SIGKILL');
      await ended;
      await rm(join(folder, 'rsyslog.pid'), { force: true });
    },
  };
}

const syslog = () => ({ host: '127.0.0.1', port, caFile: certificates.caFile });

async function changes(daemon: TestDaemon, count: number): Promise<void> {
  for (let n = 0; n < count; n += 1) await daemon.admin('POST /auth/links', { body: {} });
}

const mirrorOf = async (daemon: TestDaemon) => (await daemon.admin('GET /audit/status')).mirrors[0];

async function until(what: string, ms: number, isSo: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + ms;
  while (!(await isSo())) {
    assert.ok(performance.now() < end, `${what} within ${ms} ms`);
    await sleep(100);
  }
}

/** The JSON of the messages that were received, one a line. */
async function received(): Promise<string[]> {
  const text = await readFile(join(folder, 'received'), 'utf8').catch(() => '');
  return text.split('\n').flatMap((line) => {
    const json = /^<10[89]>1 \S+ \S+ hyperd \d+ audit - (\{.*\})$/.exec(line)?.[1];
    return json === undefined ? [] : [json];
  });
}

test('records arrive at a real receiver, also what was recorded while it was dead', { skip }, async () => {
  let receiver = await startReceiver();
  const daemon = await startDaemon({ waitFor: 'doors', config: { audit: { syslog: syslog() } } });
  try {
    await changes(daemon, 20);
    await until('all are sent', 15_000, async () => (await mirrorOf(daemon))?.behind === 0);
    await until('the first records arrive', 10_000, async () => (await received()).length >= 40);

    await receiver.stop();
    await changes(daemon, 30);
    await until('the failure is seen', 15_000, async () => (await mirrorOf(daemon))?.state === 'failing');
    const { problems } = await daemon.admin('GET /system/overview');
    assert.ok(problems.some(({ id }) => id === 'audit.mirror:syslog'));

    receiver = await startReceiver();
    await until('it is current again', 40_000, async () => (await mirrorOf(daemon))?.state === 'current');
    await until('nothing is behind', 20_000, async () => (await mirrorOf(daemon))?.behind === 0);
    const { head } = await daemon.admin('GET /audit/status');
    const last = `{"v":1,"seq":${head.seq},`;
    await until('the last record arrives', 10_000, async () =>
      (await received()).some((json) => json.startsWith(last)),
    );

    // What the receiver has is a mirror: without what came twice it is the chain.
    const copy = join(folder, 'copy.jsonl');
    await writeFile(copy, `${[...new Set(await received())].join('\n')}\n`);
    const whole = await hvOffline(['audit', 'verify', '--file', copy]);
    assert.equal(whole.code, 0, whole.stdout);
    const beside = await hvOn(daemon, ['audit', 'verify', '--mirror', copy]);
    assert.equal(beside.code, 0, beside.stdout);
  } finally {
    await daemon.close();
    await receiver.stop();
  }
});

test('a receiver of a foreign authority, or under another name, gets nothing; with requireMirror nothing is changed then', {
  skip,
}, async () => {
  await rm(join(folder, 'received'), { force: true });
  const receiver = await startReceiver();
  const wrong = [
    { ...syslog(), caFile: certificates.foreignCaFile },
    { ...syslog(), serverName: 'other.example' },
  ];
  try {
    for (const target of wrong) {
      const daemon = await startDaemon({
        waitFor: 'doors',
        config: { audit: { syslog: target, requireMirror: true } },
      });
      try {
        await until('the refusal is seen', 15_000, async () => (await mirrorOf(daemon))?.error !== null);
        assert.match((await mirrorOf(daemon))?.error ?? '', /certificate|altnames|issuer/i);
        await assert.rejects(changes(daemon, 1), /recorded/);
        assert.ok((await daemon.admin('GET /audit')).total !== undefined, 'reading goes on');
      } finally {
        await daemon.close();
      }
    }
    assert.deepEqual(await received(), []);
  } finally {
    await receiver.stop();
  }
});

test('with requireMirror changes go on while the receiver takes records', { skip }, async () => {
  const receiver = await startReceiver();
  const daemon = await startDaemon({ waitFor: 'doors', config: { audit: { syslog: syslog(), requireMirror: true } } });
  try {
    await until('it is connected', 15_000, async () => (await mirrorOf(daemon))?.error === null);
    await sleep(500);
    await changes(daemon, 50);
    await receiver.stop();
    await until('changes are refused', 20_000, async () =>
      changes(daemon, 1).then(
        () => false,
        () => true,
      ),
    );
  } finally {
    await daemon.close();
    await receiver.stop();
  }
});

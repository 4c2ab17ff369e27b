/** Health of this very machine by a real hyperd and its command line, and the file for those who help: with secrets planted everywhere, and
 *  none of them in it. */

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { healthCheckList } from '#features/health-checks/index.ts';
import { newSecret } from '#kernel/ids.ts';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { hvOn } from '../support/hv.ts';

const EXITS = { ok: 0, warn: 7, fail: 1, unknown: 1 } as const;

let folder: string;
let daemon: TestDaemon;
const secrets = {
  deadMan: newSecret(),
  webhook: newSecret(),
  signing: newSecret(),
  password: newSecret(),
  mailName: 'somebody-private',
  asked: newSecret(),
  key: Buffer.from(newSecret()).toString('base64'),
};

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hv-health-'));
  const secretFile = join(folder, 'smtp-password');
  await writeFile(secretFile, `${secrets.password}\n`, { mode: 0o600 });
  daemon = await startDaemon({
    waitFor: 'doors',
    config: {
      log: { level: 'debug' },
      health: { limits: { 'host.load': { warn: 1000 } } },
      notifications: { deadManUrl: `http://127.0.0.1:9/ping/${secrets.deadMan}` },
      access: { authorizedKeys: { admin: [`ssh-ed25519 ${secrets.key} ${secrets.mailName}@laptop`] } },
      alerts: {
        email: {
          enable: true,
          smtp: '127.0.0.1:9',
          from: `${secrets.mailName}@example.org`,
          to: [`${secrets.mailName}@example.org`],
        },
        webhooks: [`https://hooks.slack.com/services/${secrets.webhook}`],
      },
      secrets: { 'smtp-password': { file: secretFile } },
    },
  });
});
after(async () => {
  await daemon?.close();
  await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
});

test('all checks run on this machine within their time, and the command line says what they found', async () => {
  await daemon.finish(await daemon.admin('POST /health/run'));
  const health = await daemon.admin('GET /health');
  const ids = new Set(healthCheckList.map(({ id }) => id));
  assert.ok(health.results.length >= 8, `${health.results.length} results`);
  for (const result of health.results) {
    assert.ok(ids.has(result.id));
    if (result.status !== 'ok') assert.ok(result.hint, result.id);
  }
  // Without libvirt nothing is known of pools, and that is not well.
  assert.equal(health.results.find(({ id }) => id === 'pools.state')?.status, 'unknown');
  assert.equal(health.results.find(({ id }) => id === 'security.certificate')?.status, 'ok');

  const shown = await hvOn(daemon, ['health', '--json']);
  assert.equal(shown.code, EXITS[health.status]);
  const one = await hvOn(daemon, ['health', 'security.certificate']);
  assert.equal(one.code, 0, one.stderr);
  assert.match(one.stdout, /limit security\.certificate: .*warns 21, fails 7/);
  assert.equal((await hvOn(daemon, ['health', 'no.such'])).code, 4);
});

test('the file for those who help holds what they need and none of the secrets', async () => {
  const { admin } = daemon;
  await admin('POST /channels', {
    body: {
      name: 'own',
      kind: 'webhook',
      secrets: { url: `https://hooks.example.org/${secrets.asked}`, signingSecret: secrets.signing },
    },
  });
  const path = join(folder, 'support.tar.gz');
  const written = await hvOn(daemon, ['doctor', '--bundle', path]);
  assert.equal(written.code, 0, written.stderr);
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  assert.equal((await hvOn(daemon, ['doctor', '--bundle', path])).code, 2, 'nothing is overwritten');

  await promisify(execFile)('tar', ['-xzf', path, '-C', folder]);
  const names = (await readdir(folder)).filter((name) => /\.jsonl?$/.test(name)).sort();
  assert.deepEqual(names, [
    'config.json',
    'figures.json',
    'health.json',
    'log.jsonl',
    'operations.json',
    'preflight.json',
    'versions.json',
  ]);
  const texts = new Map(
    await Promise.all(names.map(async (name) => [name, await readFile(join(folder, name), 'utf8')] as const)),
  );
  const text = (name: string) => texts.get(name) ?? '';
  for (const [what, secret] of Object.entries(secrets))
    for (const [name, content] of texts) assert.ok(!content.includes(secret), `the secret ${what} stands in ${name}`);
  for (const name of ['ca/ca.key', 'notifications/secrets.key']) {
    const content = await readFile(join(daemon.stateDir, name), 'utf8');
    const line =
      content.split('\n').find((part) => part.length >= 20 && !part.startsWith('-----')) ?? assert.fail(name);
    for (const [where, all] of texts) assert.ok(!all.includes(line), `${name} stands in ${where}`);
  }
  assert.match(text('config.json'), /"smtp": "127\.0\.0\.1:9"/);
  assert.match(text('config.json'), /"host\.load": \{\s+"warn": 1000/);
  assert.match(text('operations.json'), /"kind": "health\.run"/);
  assert.match(text('versions.json'), /"kernel": "/);
  assert.ok(text('log.jsonl').split('\n').length > 3);
  assert.match(text('health.json'), /security\.certificate/);
});

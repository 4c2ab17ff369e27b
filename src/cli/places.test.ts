/** Places on the command line: a host key that is asked for in a real pseudo terminal, and where secrets come from. */

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type FakeDaemon, startFakeDaemon } from './fake-daemon.ts';

const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url));
const HOST_KEY = `SHA256:${'A'.repeat(43)}`;
const STATES = { place: 'sftp://backup@nas:22/srv', isEncrypted: false, points: [] };
const skip = spawnSync('script', ['--version']).status === 0 ? false : 'no `script` (util-linux) for a pseudo terminal';

/** Tells the key of the host as long as none is given. */
async function startHost(): Promise<FakeDaemon> {
  const daemon = await startFakeDaemon();
  daemon.onRaw('POST /system/restore/states', ({ body }) => {
    const { place } = JSON.parse(body.toString('utf8'));
    if (place.hostKey !== null) return { status: 200, body: JSON.stringify(STATES) };
    const problem = {
      ...{ type: 'urn:hyper-nixos:error:host_key_unknown', title: 'The key is not known', status: 409 },
      ...{ code: 'host_key_unknown', detail: `nas:22 shows the key ${HOST_KEY}.`, params: { hostKey: HOST_KEY } },
    };
    return { status: 409, body: JSON.stringify(problem) };
  });
  return daemon;
}
const keysAsked = ({ calls }: FakeDaemon) => calls.map(({ body }) => JSON.parse(body.toString('utf8')).place.hostKey);

for (const [answer, keys, code] of [
  ['yes', [null, HOST_KEY], 0],
  ['no', [null], 5],
] as const)
  test(`a person at a terminal is asked for the key of a host, and says ${answer}`, {
    skip,
    timeout: 60_000,
  }, async () => {
    const daemon = await startHost();
    const command = `'${process.execPath}' '${MAIN}' system backups sftp://backup@nas/srv`;
    const child = spawn('script', ['-qec', command, '/dev/null'], {
      env: { ...process.env, HV_RUNTIME_DIR: daemon.runtimeDir, NO_COLOR: '1', TERM: 'xterm' },
    });
    let shown = '';
    let isAnswered = false;
    // It may be gone before the last text is typed.
    child.stdin.on('error', () => undefined);
    child.stdout.on('data', (chunk: Buffer) => {
      shown += chunk.toString('utf8');
      if (isAnswered || !shown.includes('Type yes or no')) return;
      isAnswered = true;
      child.stdin.write(`${answer}\r`);
    });
    const [ended] = await once(child, 'close');
    await daemon.close();
    assert.equal(ended, code, shown);
    assert.ok(shown.includes(HOST_KEY), shown);
    assert.deepEqual(keysAsked(daemon), keys);
  });

test('without a terminal the key is told, and nothing is done', async () => {
  const daemon = await startHost();
  const { code, stderr } = await daemon.hv(['system', 'backups', 'sftp://backup@nas/srv']);
  await daemon.close();
  assert.notEqual(code, 0);
  assert.ok(stderr.includes(HOST_KEY), stderr);
  assert.deepEqual(keysAsked(daemon), [null]);
});

test('keys of S3 come from the environment or a file, and a place without them is refused', async () => {
  const daemon = await startFakeDaemon();
  daemon.on('POST /system/restore/states', () => STATES);
  const words = ['system', 'backups', 's3://copies/host1', '--endpoint', 'https://s3.example.org'];
  const env = { AWS_ACCESS_KEY_ID: 'AK', AWS_SECRET_ACCESS_KEY: 'of the environment' };
  assert.equal((await daemon.hv(words, { env })).code, 0);
  assert.equal((await daemon.hv([...words, '--secret-key-file', '-'], { env, input: 'of a file\n' })).code, 0);
  const missing = await daemon.hv(words);
  await daemon.close();
  assert.match(missing.stderr, /--access-key KEY or AWS_ACCESS_KEY_ID/);
  assert.deepEqual(
    daemon.calls.map(({ body }) => JSON.parse(body.toString('utf8')).secrets.secretKey),
    ['of the environment', 'of a file'],
  );
});

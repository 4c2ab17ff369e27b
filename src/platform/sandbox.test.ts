/** The sandbox: what a hostile program cannot see, reach or use up. */

import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { AppError } from '#kernel/errors.ts';
import { runSandboxed } from './sandbox.ts';

const limits = { timeoutMs: 20_000 };
let folder = '';
let given = '';
let hidden = '';

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hv-sandbox-'));
  given = join(folder, 'given');
  hidden = join(folder, 'hidden');
  await writeFile(given, 'given bytes', { mode: 0o600 });
  await writeFile(hidden, 'hidden bytes');
});

after(() => rm(folder, { recursive: true, force: true }));

test('a named file is readable, its neighbour and /etc do not exist', async () => {
  const result = await runSandboxed(['sh', '-c', 'cat "$1"; cat "$2" || true; cat /etc/passwd', 'sh', given, hidden], {
    ...limits,
    readOnly: [given],
  });
  assert.equal(result.stdout, 'given bytes');
  assert.match(result.stderr, /No such file/);
  assert.notEqual(result.code, 0);
});

test('a read-only file cannot be written', async () => {
  const result = await runSandboxed(['sh', '-c', 'echo x > "$1"', 'sh', given], { ...limits, readOnly: [given] });
  assert.notEqual(result.code, 0);
});

test('a writable folder takes files up to the limit', async () => {
  const fits = await runSandboxed(['dd', 'if=/dev/zero', `of=${folder}/out`, 'bs=1k', 'count=10'], {
    ...limits,
    readOnly: [],
    writable: [folder],
    fileSizeBytes: 20_000,
  });
  assert.equal(fits.code, 0, fits.stderr);
  const bursts = await runSandboxed(['dd', 'if=/dev/zero', `of=${folder}/out`, 'bs=1k', 'count=100'], {
    ...limits,
    readOnly: [],
    writable: [folder],
    fileSizeBytes: 20_000,
  });
  assert.notEqual(bursts.code, 0);
});

test('there is no network', async () => {
  const result = await runSandboxed(['cat', '/proc/net/dev'], {
    ...limits,
    readOnly: [],
  });
  const interfaces = result.stdout.split('\n').slice(2).filter(Boolean);
  assert.deepEqual(
    interfaces.map((line) => line.trim().split(':')[0]),
    ['lo'],
  );
});

test('a memory hog is stopped', async () => {
  const result = await runSandboxed(['dd', 'if=/dev/zero', 'of=/dev/null', 'bs=3G', 'count=1'], {
    ...limits,
    readOnly: [],
  });
  assert.notEqual(result.code, 0);
  assert.match(result.stderr, /memory exhausted/i);
});

test('a program that is not there is named', async () => {
  await assert.rejects(
    runSandboxed(['no-such-program'], { ...limits, readOnly: [] }),
    (error) => error instanceof AppError && error.code === 'program_missing',
  );
});

test('relative paths are a mistake of the caller', async () => {
  await assert.rejects(runSandboxed(['true'], { ...limits, readOnly: ['relative'] }), TypeError);
});

/** The format of repositories is what its page says: a reader written from that page alone, in another language, restores disks. */

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import {
  createRepository,
  newRecoveryKey,
  newRepositoryKey,
  type Repository,
  readRecoveryKey,
} from '#features/backups/store/index.ts';
import { MIB } from '#kernel/units.ts';
import { run } from '#platform/process.ts';

const READER = new URL('../support/backup-reader.py', import.meta.url).pathname;
// Debian's own: it is the one whose packages are installed for the tests.
const PYTHON = '/usr/bin/python3';
/** A page and a half, and an end within a chunk. */
const SIZE_BYTES = 6000 * MIB + 512;

let folder: string;
let missing: string | null = null;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hv-format-'));
  for (const [name, ...argv] of [
    ['zstd', 'zstd', '--version'],
    ['python3-cryptography', PYTHON, '-c', 'import cryptography'],
  ] as const) {
    const isThere = await run(argv, { timeoutMs: 60_000 }).then(
      ({ code }) => code === 0,
      () => false,
    );
    if (!isThere) missing = `${name} is not installed`;
  }
});
after(() => rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 }));

/** Random, compressible and empty chunks at both ends and around the border of the pages. */
const PLACES = new Map<number, Buffer>([
  [0, randomBytes(MIB)],
  [1, Buffer.alloc(MIB, 'all of this is alike ')],
  [4095, randomBytes(MIB)],
  [4096, Buffer.alloc(MIB, 7)],
  [5000, Buffer.alloc(MIB)],
  [5999, randomBytes(MIB)],
  [6000, randomBytes(512)],
]);

async function backUp(repository: Repository) {
  const writer = await repository.writer();
  try {
    const disk = await writer.disk({ target: 'vda', sizeBytes: SIZE_BYTES });
    for (const [chunk, bytes] of PLACES) await disk.write(chunk, Buffer.from(bytes));
    await disk.finish();
    const now = new Date().toISOString();
    return await writer.publish({
      vm: '00000000-0000-4000-8000-000000000001',
      project: 'default',
      host: 'host-1',
      op: 'op-1',
      startedAt: now,
      pointInTime: now,
      finishedAt: now,
      consistency: 'offline',
      frozenMs: null,
      checkpoint: null,
      disks: [{ target: 'vda', serial: null, format: 'raw', mode: 'full', parent: null, reason: null }],
      skipped: [],
      blobs: { domainXml: await writer.blob(Buffer.from('<domain/>')) },
      guest: { hostname: 'wéb1' },
      tool: {},
    });
  } finally {
    await writer.close();
  }
}

/** Compared where something lies, and by what the file takes where nothing should. */
async function assertRestored(path: string): Promise<void> {
  const file = await open(path);
  try {
    const { size, blocks } = await file.stat();
    assert.equal(size, SIZE_BYTES);
    assert.ok(blocks * 512 < 10 * MIB, 'there is nothing between');
    for (const [chunk, bytes] of PLACES) {
      const { buffer } = await file.read(Buffer.alloc(bytes.length), 0, bytes.length, chunk * MIB);
      assert.ok(buffer.equals(bytes), `chunk ${chunk}`);
    }
  } finally {
    await file.close();
  }
}

const readWith = (repository: string, point: string, out: string, ...key: readonly string[]) =>
  run([PYTHON, READER, repository, point, 'vda', out, ...key], { timeoutMs: 120_000 });

test('a disk of a repository without encryption', async (t) => {
  if (missing !== null) return t.skip(missing);
  const path = join(folder, 'plain');
  const { id } = await backUp(await createRepository(path, { compression: 'default', encryption: null }));
  const { code, stderr } = await readWith(path, id, join(folder, 'plain.raw'));
  assert.equal(code, 0, stderr);
  await assertRestored(join(folder, 'plain.raw'));
});

test('a disk of an encrypted one, by its key file and by its recovery key; not by another', async (t) => {
  if (missing !== null) return t.skip(missing);
  const path = join(folder, 'encrypted');
  const key = newRepositoryKey();
  const recoveryKey = newRecoveryKey();
  const { id } = await backUp(
    await createRepository(path, {
      compression: 'better',
      encryption: { key, recoveryKey: readRecoveryKey(recoveryKey) },
    }),
  );
  const keyFile = join(folder, 'key');
  await writeFile(keyFile, key, { mode: 0o600 });
  for (const [n, arguments_] of [
    ['--key-file', keyFile],
    ['--recovery-key', recoveryKey.toUpperCase()],
  ].entries()) {
    const out = join(folder, `encrypted-${n}.raw`);
    const { code, stderr } = await readWith(path, id, out, ...arguments_);
    assert.equal(code, 0, stderr);
    await assertRestored(out);
  }
  const { code } = await readWith(path, id, join(folder, 'no.raw'), '--recovery-key', newRecoveryKey());
  assert.notEqual(code, 0);
  // Nothing of the guest is readable in the files.
  const manifest = (
    await readFile(join(path, 'manifests/00000000-0000-4000-8000-000000000001', `0000000001-${id}.json`))
  ).toString();
  assert.ok(!manifest.includes('wéb1'));
});

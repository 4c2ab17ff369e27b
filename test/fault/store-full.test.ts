/** The file system of a repository fills up at many moments of a backup: a clear error, no half point, and all is well when there is room. */

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readdir, rm, statfs, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createRepository } from '#features/backups/store/index.ts';
import { MIB } from '#kernel/units.ts';
import { runChecked } from '#platform/process.ts';
import { bodyOf, readDisk, vmOf } from '../support/backup-points.ts';
import { randomOf } from '../support/worker-life.ts';

const seed = Number(process.env['HV_TEST_SEED'] ?? 1);
const ROUNDS = process.env['HV_TEST_FULL'] === '1' ? 100 : 10;
const CHUNK_BYTES = 64 * 1024;
const CHUNKS = 40;
const skip = process.getuid?.() === 0 ? false : 'needs root to mount a tmpfs';

test(`a repository that is full at ${ROUNDS} moments, in blocks and in inodes`, { skip }, async () => {
  const random = randomOf(seed);
  const folder = await mkdtemp(join(tmpdir(), 'hv-store-full-'));
  await runChecked(['mount', '-t', 'tmpfs', '-o', 'size=16m,nr_inodes=900', 'tmpfs', folder], { timeoutMs: 10_000 });
  try {
    const path = join(folder, 'repository');
    const repository = await createRepository(path, {
      compression: 'default',
      encryption: null,
      chunkSizeBytes: CHUNK_BYTES,
    });
    const sizeBytes = CHUNKS * CHUNK_BYTES;
    const backUp = async (bytes: Buffer) => {
      const writer = await repository.writer();
      try {
        const disk = await writer.disk({ target: 'vda', sizeBytes });
        for (let n = 0; n < CHUNKS; n += 1)
          await disk.write(n, Buffer.from(bytes.subarray(n * CHUNK_BYTES, (n + 1) * CHUNK_BYTES)));
        await disk.finish();
        return await writer.publish(bodyOf(vmOf(1)));
      } finally {
        await writer.close();
      }
    };
    const firstBytes = randomBytes(sizeBytes);
    const first = await backUp(firstBytes);
    const outcomes = { blocks: 0, inodes: 0 };
    let longestMs = 0;
    let storedBefore = 0;
    for (let round = 0; round < ROUNDS; round += 1) {
      const kind = round % 2 === 0 ? 'blocks' : 'inodes';
      const ballast = join(folder, 'ballast');
      await fill(ballast, kind, 1 + Math.floor(random() * 38));
      const where = `seed ${seed}, round ${round}: ${kind}`;
      const bytes = randomBytes(sizeBytes);
      const begunMs = performance.now();
      await assert.rejects(backUp(bytes), { code: 'no_space', status: 507 }, where);
      longestMs = Math.max(longestMs, performance.now() - begunMs);
      const entries = await Array.fromAsync(repository.points());
      assert.deepEqual(
        entries.map(({ pointId, problem }) => [pointId, problem]),
        [[first.id, null]],
        where,
      );
      assert.ok((await readDisk(repository, first.id)).equals(firstBytes), where);
      assert.deepEqual(await readdir(join(path, 'tmp')), [], where);
      // It can be checked and pruned while it is full, which is the way to room.
      assert.deepEqual((await repository.check({ isDataRead: true })).problems, [], where);
      if (round % 4 > 1) await repository.prune({ points: { remove: [] }, graceMs: 0 });
      await rm(ballast, { recursive: true, maxRetries: 20, retryDelay: 100 });
      outcomes[kind] += 1;

      // With room again the same data goes in, and what was stored already is not written twice.
      const { id, disks } = await backUp(bytes);
      const { duplicateBytes = 0, newBytes = 0 } = disks[0]?.stats ?? {};
      assert.equal(duplicateBytes + newBytes, sizeBytes);
      if (round % 4 > 1) assert.equal(duplicateBytes, 0, where);
      storedBefore += duplicateBytes;
      assert.ok((await readDisk(repository, id)).equals(bytes));
      await repository.prune({ points: { remove: [id] }, graceMs: 0 });
    }
    assert.ok(storedBefore > 0);
    assert.ok(longestMs < 10_000, `it took ${longestMs} ms to say so`);
    console.log(
      `# count: seed ${seed}: a repository was full ${outcomes.blocks} times in blocks and ${outcomes.inodes} times in inodes, each time refused with no_space, no half point`,
    );
  } finally {
    await runChecked(['umount', '--lazy', folder], { timeoutMs: 10_000 });
    await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }
});

/** Leaves room for so many chunks only. */
async function fill(ballast: string, kind: 'blocks' | 'inodes', chunksLeft: number): Promise<void> {
  await mkdir(ballast);
  const { bavail, bsize, ffree } = await statfs(ballast);
  if (kind === 'blocks') {
    const bytes = bavail * bsize - chunksLeft * CHUNK_BYTES;
    await writeFile(join(ballast, 'blocks'), Buffer.alloc(Math.max(0, Math.min(bytes, 16 * MIB))));
  } else for (let n = 0; n < ffree - 2 * chunksLeft; n += 1) await writeFile(join(ballast, String(n)), '');
}

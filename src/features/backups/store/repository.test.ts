import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { MIB } from '#kernel/units.ts';
import { openRepository } from './index.ts';
import {
  backUp,
  bodyOf,
  CHUNK,
  entriesOf,
  problemsOf,
  pruneAtOnce,
  restore,
  testRepository,
  VM,
} from './repository.test-data.ts';

for (const isEncrypted of [false, true]) {
  const kind = isEncrypted ? 'encrypted' : 'plain';

  test(`${kind}: a full point and an incremental one read back as they were`, async () => {
    await using made = await testRepository(isEncrypted);
    const { repository } = made;
    // Two pages, and a last chunk that is shorter than the others.
    const sizeBytes = 4097 * CHUNK + 512;
    const first = Buffer.alloc(sizeBytes);
    randomBytes(3 * CHUNK).copy(first, 5 * CHUNK);
    randomBytes(512).copy(first, 4097 * CHUNK);
    const changes = new Map([5, 6, 7, 4097].map((n) => [n, first.subarray(n * CHUNK, (n + 1) * CHUNK)]));
    const full = await backUp(repository, { sizeBytes, changes });
    assert.equal(full.seq, 1);
    assert.equal(full.prev, null);
    assert.ok((await restore(repository, full.id)).equals(first));

    const second = Buffer.from(first);
    randomBytes(CHUNK).copy(second, 6 * CHUNK);
    second.fill(0, 7 * CHUNK, 8 * CHUNK);
    const next = await backUp(repository, {
      sizeBytes,
      parent: full.id,
      changes: new Map([
        [6, second.subarray(6 * CHUNK, 7 * CHUNK)],
        [7, null],
      ]),
    });
    assert.equal(next.seq, 2);
    assert.match(next.prev ?? '', /^[0-9a-f]{64}$/);
    assert.equal(next.disks[0]?.pages[1], full.disks[0]?.pages[1], 'a page without a change is the same one');
    assert.ok((await restore(repository, next.id)).equals(second));
    assert.ok((await restore(repository, full.id)).equals(first));

    const report = await repository.check({ isDataRead: true });
    assert.deepEqual(problemsOf(report), []);
    assert.deepEqual([report.points, report.isComplete], [2, true]);
    assert.deepEqual(await readdir(join(made.folder, 'tmp')), []);
    assert.deepEqual(
      (await readdir(join(made.folder, 'locks'))).filter((name) => /^[0-9a-f]{16}\.json$/.test(name)),
      [],
    );
    assert.ok((await pruneAtOnce(repository, [full.id])).sweptObjects > 0);
    assert.deepEqual(
      (await entriesOf(repository)).map(({ pointId }) => pointId),
      [next.id],
    );
    const reopened = await openRepository(made.folder, made.key ? { key: made.key } : {});
    assert.ok((await restore(reopened, next.id)).equals(second));
  });

  test(`${kind}: documents come back, and equal chunks are stored once`, async () => {
    await using made = await testRepository(isEncrypted);
    const { repository } = made;
    const writer = await repository.writer();
    const blob = await writer.blob(Buffer.from('<domain/>'));
    const disk = await writer.disk({ target: 'vda', sizeBytes: 64 * CHUNK });
    const data = randomBytes(CHUNK);
    for (let n = 0; n < 64; n += 1) await disk.write(n, Buffer.from(data));
    const { stats } = await disk.finish();
    assert.deepEqual([stats.newBytes, stats.duplicateBytes], [CHUNK, 63 * CHUNK]);
    const manifest = await writer.publish(
      bodyOf([{ target: 'vda' }], { blobs: { domainXml: blob }, guest: { hostname: 'web1' } }),
    );
    await writer.close();
    assert.equal((await repository.readBlob(manifest.id, 'domainXml')).toString(), '<domain/>');
    if (isEncrypted) {
      assert.equal(manifest.guest, null);
      assert.equal((await repository.readBlob(manifest.id, 'guest')).toString(), '{"hostname":"web1"}');
    } else assert.deepEqual(manifest.guest, { hostname: 'web1' });
    assert.deepEqual(
      (await entriesOf(repository)).map(({ pointId, problem }) => [pointId, problem]),
      [[manifest.id, null]],
    );
  });
}

test('the last points of a VM are those that were made last, the newest first', async () => {
  await using made = await testRepository(false);
  const { repository } = made;
  const ids: string[] = [];
  for (let n = 0; n < 3; n += 1) ids.push((await backUp(repository, { sizeBytes: CHUNK, changes: new Map() })).id);
  const last = async (count: number) =>
    (await Array.fromAsync(repository.newestPoints(VM, count))).map(({ pointId }) => pointId);
  assert.deepEqual(await last(2), [ids[2], ids[1]]);
  assert.deepEqual(await last(9), ids.toReversed());
});

test('a lease whose writing was cut off belongs to nobody, and goes with the next one who works there', async () => {
  await using made = await testRepository(false);
  await (await made.repository.writer()).close();
  const torn = join(made.folder, 'locks', `${'0'.repeat(16)}.json`);
  await writeFile(torn, '{"token":"00000000');
  await (await made.repository.writer()).close();
  assert.ok(!(await readdir(join(made.folder, 'locks'))).includes(basename(torn)));
  // A spare still says who had it before: this process, which lives.
  const locks = join(made.folder, 'locks');
  const [used] = (await readdir(locks)).filter((name) => name.startsWith('spare-'));
  assert.match(await readFile(join(locks, used ?? ''), 'utf8'), /"token"/);
  await rename(join(locks, used ?? ''), torn);
  await (await made.repository.writer()).close();
  assert.ok(!(await readdir(locks)).includes(basename(torn)));
});

test('bytes that are out stay what they are, whoever else reads and gives back, and more is read than stays at hand', async () => {
  const CHUNKS = 7;
  await using made = await testRepository(false, 8 * MIB);
  const sizeBytes = CHUNKS * 8 * MIB;
  const changes = new Map(Array.from({ length: CHUNKS }, (_, n) => [n, Buffer.alloc(8 * MIB, n + 1)]));
  const { id } = await backUp(made.repository, { sizeBytes, changes });
  const disk = await made.repository.openDisk(id, 'vda');
  const read = (n: number) => disk.read(n * 8 * MIB + MIB, MIB);
  const isRight = (bytes: Buffer, n: number) => bytes.length === MIB && bytes.every((byte) => byte === n + 1);
  const early = await read(0);
  for (let round = 0; round < 3; round += 1) {
    const order = Array.from({ length: CHUNKS }, (_, n) => (n * 3 + round) % CHUNKS);
    await Promise.all(
      order.map(async (n) => {
        const [kept, given] = [await read(n), await read(n)];
        assert.ok(isRight(given, n));
        disk.release?.(given);
        assert.ok(isRight(kept, n));
        disk.release?.(kept);
      }),
    );
    assert.ok(isRight(early, 0));
  }
  disk.release?.(early);
  assert.equal(early.length, 0, 'memory of what is neither at hand nor out is given back');
  assert.ok(isRight(await read(0), 0));
  await disk.close();
});

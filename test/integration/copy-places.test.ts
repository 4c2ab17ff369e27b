/** Every kind of place keeps the same promises: files whole or not at all, listings, and copies of repositories that are read from there. */

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { sftpPlace } from '#features/backups/places/sftp-place.ts';
import {
  folderPlace,
  openRepositoryAt,
  type Place,
  type Repository,
  UnfitFile,
} from '#features/backups/store/index.ts';
import {
  backUp,
  CHUNK,
  type Changes,
  pruneAtOnce,
  restore,
  testRepository,
} from '#features/backups/store/repository.test-data.ts';
import { hasErrno } from '#kernel/errors.ts';
import { missingForSshd, type Sshd, startSshd } from '../support/sshd.ts';

const SIZE = 32 * CHUNK;
const CHUNKS = SIZE / CHUNK;

let sshd: Sshd | null = null;
let root: string;

interface Kind {
  readonly name: string;
  readonly skip: string | false;
  make(folder: string): Place;
}

const KINDS: readonly Kind[] = [
  { name: 'folder', skip: false, make: (folder) => folderPlace(folder) },
  {
    name: 'sftp',
    skip: missingForSshd() ?? false,
    make(folder) {
      assert.ok(sshd);
      const { port, user, privateKey, hostKey } = sshd;
      return sftpPlace({ host: '127.0.0.1', port, user, privateKey, hostKey, folder });
    },
  },
];

before(async () => {
  root = await mkdtemp(join(tmpdir(), 'hv-places-'));
  if (missingForSshd() === null) sshd = await startSshd();
});
after(async () => {
  await sshd?.close();
  await rm(root, { recursive: true, force: true });
});

const chunksOf = (bytes: Buffer): Changes =>
  new Map(Array.from({ length: CHUNKS }, (_, n) => [n, bytes.subarray(n * CHUNK, (n + 1) * CHUNK)]));

/** Three points of a disk, each with some other chunks. */
async function threePoints(repository: Repository): Promise<{ readonly id: string; readonly bytes: Buffer }[]> {
  const points: { id: string; bytes: Buffer }[] = [];
  let bytes = randomBytes(SIZE);
  let { id } = await backUp(repository, { sizeBytes: SIZE, changes: chunksOf(bytes) });
  points.push({ id, bytes });
  for (const n of [3, 17]) {
    bytes = Buffer.from(bytes);
    const changed = randomBytes(CHUNK);
    changed.copy(bytes, n * CHUNK);
    ({ id } = await backUp(repository, { sizeBytes: SIZE, changes: new Map([[n, changed]]), parent: id }));
    points.push({ id, bytes });
  }
  return points;
}

for (const { name, skip, make } of KINDS) {
  const placed = async (work: (place: Place, folder: string) => Promise<void>) => {
    const folder = await mkdtemp(join(root, `${name}-`));
    const place = make(folder);
    try {
      await work(place, folder);
    } finally {
      await place.close();
    }
  };

  test(`${name}: files are written whole, listed, read up to a bound, replaced and removed`, { skip }, () =>
    placed(async (place) => {
      const bytes = randomBytes(3 * 2 ** 20 + 17);
      assert.deepEqual(await place.names('a/b'), []);
      assert.equal(await place.sizeOf('a/b/one'), null);
      await assert.rejects(place.read('a/b/one', 10), (error) => hasErrno(error, 'ENOENT'));
      await place.write('a/b/one', bytes);
      await place.write('a/b/two', Buffer.alloc(0));
      assert.ok((await place.read('a/b/one', bytes.length)).equals(bytes));
      await assert.rejects(place.read('a/b/one', bytes.length - 1), UnfitFile);
      assert.equal(await place.sizeOf('a/b/one'), bytes.length);
      assert.equal((await place.read('a/b/two', 10)).length, 0);
      assert.deepEqual((await place.names('a/b')).sort(), ['one', 'two']);
      assert.deepEqual((await place.names('a')).sort(), ['b']);
      const [one] = (await place.entries('a/b')).filter(({ name: each }) => each === 'one');
      assert.equal(one?.sizeBytes, bytes.length);
      assert.ok(Math.abs((one?.modifiedMs ?? 0) - Date.now()) < 60_000, 'its time is that of now');
      assert.deepEqual(await place.entries('a'), [], 'folders are no files');
      const walked = await Array.fromAsync(place.walk('a'));
      assert.deepEqual(walked.map(({ path }) => path).sort(), ['a/b/one', 'a/b/two']);
      await place.write('a/b/one', Buffer.from('other'));
      assert.equal((await place.read('a/b/one', 10)).toString(), 'other');
      assert.equal(await place.remove('a/b/one'), 'removed');
      assert.equal(await place.remove('a/b/one'), 'removed', 'what is gone is removed');
      assert.equal(await place.sizeOf('a/b/one'), null);
    }),
  );

  for (const isEncrypted of [false, true])
    test(
      `${name}: a copy of ${isEncrypted ? 'an encrypted' : 'a plain'} repository restores byte for byte from there alone`,
      { skip },
      () =>
        placed(async (place) => {
          await using made = await testRepository(isEncrypted);
          const points = await threePoints(made.repository);
          const report = await made.repository.copyTo(place);
          assert.deepEqual(
            report.copied,
            points.map(({ id }) => id),
          );
          assert.deepEqual(report.damaged, []);
          // Each point anew sends what changed: a chunk, its page.
          assert.equal(report.sentObjects, CHUNKS + 1 + 2 * 2);

          const again = await made.repository.copyTo(place);
          assert.deepEqual([again.copied, again.sentObjects, again.there.length], [[], 0, 3]);

          await rm(made.folder, { recursive: true });
          const copy = await openRepositoryAt(place, made.key ? { key: made.key } : {});
          for (const { id, bytes } of points) assert.ok((await restore(copy, id)).equals(bytes));
          const checked = await copy.check({ isDataRead: true });
          assert.deepEqual([checked.problems, checked.points, checked.isComplete], [[], 3, true]);
          await assert.rejects(copy.writer(), { code: 'repository_elsewhere' });
        }),
    );

  test(`${name}: what rots over there is found, named with its point, and brought anew from here`, { skip }, () =>
    placed(async (place) => {
      await using made = await testRepository(false);
      const [, , last] = await threePoints(made.repository);
      await made.repository.copyTo(place);
      const copy = await openRepositoryAt(place);
      const manifest = await copy.point(last?.id ?? '');
      const [chunk] = (await Array.fromAsync(place.walk('chunks'))).filter(
        ({ path }) => !(manifest.disks[0]?.pages ?? []).some((page) => path.endsWith(page)),
      );
      assert.ok(chunk);
      const bytes = await place.read(chunk.path, 2 ** 20);
      bytes[40] = (bytes[40] ?? 0) ^ 1;
      await place.write(chunk.path, bytes);
      const told = await copy.checkThere(null, { isDataRead: true });
      assert.equal(told.problemCount, 1);
      assert.ok(told.damagedPoints.length >= 1);
      const healed = await copy.checkThere(made.repository, { isDataRead: true });
      assert.deepEqual([healed.healedObjects, healed.problemCount, healed.damagedPoints], [1, 0, []]);
      assert.ok((await restore(copy, last?.id ?? '')).equals(last?.bytes ?? Buffer.alloc(0)));
    }),
  );

  test(`${name}: a repository that lost things is repaired from its copy`, { skip }, () =>
    placed(async (place) => {
      await using made = await testRepository(false);
      const points = await threePoints(made.repository);
      await made.repository.copyTo(place);
      const [vm] = await readdir(join(made.folder, 'manifests'));
      const [manifest] = await readdir(join(made.folder, 'manifests', vm ?? ''));
      await writeFile(join(made.folder, 'manifests', vm ?? '', manifest ?? ''), '{}');
      const files = await readdir(join(made.folder, 'chunks'), { recursive: true, withFileTypes: true });
      const objects = files.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
      await rm(objects[0] ?? '');
      const rotten = await readFile(objects[1] ?? '');
      rotten[30] = (rotten[30] ?? 0) ^ 8;
      await writeFile(objects[1] ?? '', rotten);
      const report = await made.repository.repair(await openRepositoryAt(place));
      assert.deepEqual([report.repairedManifests, report.repairedObjects, report.after.problemCount], [1, 2, 0]);
      for (const { id, bytes } of points) assert.ok((await restore(made.repository, id)).equals(bytes));
    }),
  );

  test(`${name}: points that need not stay there go, with what only they need, and stay here`, { skip }, () =>
    placed(async (place) => {
      await using made = await testRepository(false);
      const points = await threePoints(made.repository);
      await made.repository.copyTo(place);
      const copy = await openRepositoryAt(place);
      const [first, , last] = points;
      const kept = await copy.pruneThere(made.repository, { remove: [first?.id ?? ''] });
      assert.deepEqual([kept.removedPoints, kept.sweptObjects], [[first?.id], 0], 'a day has not passed');
      const result = await copy.pruneThere(null, { remove: [], graceMs: -60_000 });
      assert.equal(result.sweptObjects, 2, 'a chunk and a page that the first point alone had');
      assert.deepEqual((await copy.check({ isDataRead: true })).problems, []);
      assert.ok((await restore(copy, last?.id ?? '')).equals(last?.bytes ?? Buffer.alloc(0)));
      // It is not copied again unless it is asked for.
      const again = await made.repository.copyTo(place, { wants: ({ pointId }) => pointId !== first?.id });
      assert.deepEqual(again.copied, []);
      assert.ok((await restore(made.repository, first?.id ?? '')).equals(first?.bytes ?? Buffer.alloc(0)));
    }),
  );

  test(`${name}: a place with other things in it, or another repository's copy, is refused`, { skip }, () =>
    placed(async (place) => {
      await using made = await testRepository(false);
      await using other = await testRepository(false);
      await place.write('holiday.jpg', Buffer.from('x'));
      await assert.rejects(made.repository.copyTo(place), { code: 'copy_not_empty' });
      await place.remove('holiday.jpg');
      await made.repository.copyTo(place);
      await assert.rejects(other.repository.copyTo(place), { code: 'copy_of_another' });
    }),
  );
}

test('a point that is damaged here is told, and the others are copied', async () => {
  await using made = await testRepository(false);
  const points = await threePoints(made.repository);
  const manifests = join(made.folder, 'manifests');
  const [vm] = await readdir(manifests);
  const names = (await readdir(join(manifests, vm ?? ''))).sort();
  await writeFile(join(manifests, vm ?? '', names[1] ?? ''), '{}');
  const report = await made.repository.copyTo(folderPlace(join(root, 'damaged')));
  assert.deepEqual(
    report.damaged.map(({ pointId }) => pointId),
    [points[1]?.id],
  );
  assert.deepEqual(report.copied, [points[0]?.id, points[2]?.id]);
  await pruneAtOnce(made.repository, [points[1]?.id ?? '']);
});

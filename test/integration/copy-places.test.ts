/** Every kind of place keeps the same promises: files whole or not at all, listings, and copies of repositories that are read from there. */

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { proveLock, s3Place } from '#features/backups/places/s3-place.ts';
import { createS3Requests, type S3Target } from '#features/backups/places/s3-requests.ts';
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
import { missingForRadosgw, type Radosgw, startRadosgw } from '../support/radosgw.ts';
import { missingForSshd, type Sshd, startSshd } from '../support/sshd.ts';

const SIZE = 32 * CHUNK;
const CHUNKS = SIZE / CHUNK;

let sshd: Sshd | null = null;
let s3: Radosgw | null = null;
let root: string;

/** A bucket and prefix of their own for each test. */
function s3Target(prefix: string, more: Partial<S3Target> = {}): S3Target {
  assert.ok(s3);
  return { endpoint: s3.endpoint, region: 'us-east-1', bucket: 'plain', prefix, ...s3.user, lockDays: null, ...more };
}

async function makeBucket(bucket: string, headers: Readonly<Record<string, string>> = {}): Promise<void> {
  const { ask, close } = createS3Requests(s3Target('', { bucket }));
  await ask({ method: 'PUT', key: '', headers });
  await close();
}

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
  {
    name: 's3',
    skip: missingForRadosgw() ?? false,
    make: (folder) => s3Place(s3Target(folder.slice(root.length + 1))),
  },
];

before(async () => {
  root = await mkdtemp(join(tmpdir(), 'hv-places-'));
  if (missingForSshd() === null) sshd = await startSshd();
  if (missingForRadosgw() !== null) return;
  s3 = await startRadosgw();
  await makeBucket('plain');
  await makeBucket('locked', { 'x-amz-bucket-object-lock-enabled': 'true' });
});
after(async () => {
  await sshd?.close();
  await s3?.close();
  await rm(root, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
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

          await rm(made.folder, { recursive: true, maxRetries: 20, retryDelay: 100 });
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

test('s3: what is locked stays until its time: deletions are refused, told as locked, and fail nothing', {
  skip: missingForRadosgw() ?? false,
}, async () => {
  const locked = s3Target('locked-copy', { bucket: 'locked', lockDays: 1 });
  await proveLock(locked);
  const place = s3Place(locked);
  await using made = await testRepository(false);
  const points = await threePoints(made.repository);
  await made.repository.copyTo(place);
  const copy = await openRepositoryAt(place);
  // Held anew when the time of what lies there is half over, and not before.
  let extended = 0;
  const watched: Place = {
    ...place,
    holds: place.holds && {
      ...place.holds,
      async extend(path) {
        await place.holds?.extend(path);
        extended += 1;
      },
    },
  };
  await made.repository.copyTo(watched);
  assert.equal(extended, 0);
  await place.write(
    'held.json',
    Buffer.from(JSON.stringify({ heldAt: new Date(Date.now() - 86_400_000).toISOString() })),
  );
  await made.repository.copyTo(watched);
  const lying = (await Array.fromAsync(place.walk(''))).filter(({ path }) => !/^(tmp|held)/.test(path));
  assert.equal(extended, lying.length, 'all that lies there');
  const result = await copy.pruneThere(null, { remove: points.map(({ id }) => id), graceMs: -60_000 });
  assert.deepEqual(
    [result.removedPoints, result.lockedPoints, result.sweptObjects],
    [[], points.map(({ id }) => id), 0],
  );
  for (const { id, bytes } of points) assert.ok((await restore(copy, id)).equals(bytes));
  await place.close();
});

test('s3: a bucket without lock is told from one with it', { skip: missingForRadosgw() ?? false }, async () => {
  await assert.rejects(proveLock(s3Target('x', { lockDays: 1 })), { code: 'object_lock_missing' });
});

test('s3: wrong credentials, a missing bucket and a service that is not there are told apart', {
  skip: missingForRadosgw() ?? false,
}, async () => {
  const asks = async (target: S3Target) => {
    const place = s3Place(target);
    try {
      return await place.names('');
    } finally {
      await place.close();
    }
  };
  await assert.rejects(asks(s3Target('', { secretKey: 'not this' })), { code: 'place_refused' });
  await assert.rejects(asks(s3Target('', { accessKey: 'nobody' })), { code: 'place_refused' });
  await assert.rejects(asks(s3Target('', { bucket: 'nowhere' })), { code: 'place_denied' });
  await assert.rejects(asks(s3Target('', { endpoint: 'http://127.0.0.1:9' })), { code: 'place_unreachable' });
});

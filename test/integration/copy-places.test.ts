/** Every kind of place keeps the same promises: files whole or not at all, listings, and copies of repositories that are read from there. */

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { proveLock, s3Place } from '#features/backups/places/s3-place.ts';
import { createS3Requests, type S3Target } from '#features/backups/places/s3-requests.ts';
import { sftpPlace } from '#features/backups/places/sftp-place.ts';
import {
  createRepository,
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
import { AppError, hasErrno } from '#kernel/errors.ts';
import { runChecked } from '#platform/process.ts';
import { bodyOf, readDisk, vmOf } from '../support/backup-points.ts';
import { missingForRadosgw, type Radosgw, startRadosgw } from '../support/radosgw.ts';
import { startSlowLine } from '../support/slow-line.ts';
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

/** Silence after which a server counts as gone. */
const SILENCE_MS = 3000;

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

/** Places on other machines, at the end of a line. @param port where the line begins */
const FAR: readonly (Omit<Kind, 'make'> & {
  port(): number;
  make(folder: string, port: number, signal?: AbortSignal): Place;
})[] = [
  {
    name: 'sftp',
    skip: missingForSshd() ?? false,
    port: () => sshd?.port ?? 0,
    make(folder, port, signal) {
      assert.ok(sshd);
      const { user, privateKey, hostKey } = sshd;
      const limits = { connectMs: 20_000, answerMs: SILENCE_MS };
      return sftpPlace({ host: '127.0.0.1', port, user, privateKey, hostKey, folder }, { limits, signal });
    },
  },
  {
    name: 's3',
    skip: missingForRadosgw() ?? false,
    port: () => Number(new URL(s3?.endpoint ?? '').port),
    make: (folder, port, signal) =>
      s3Place(s3Target(folder.slice(root.length + 1), { endpoint: `http://127.0.0.1:${port}` }), {
        idleMs: SILENCE_MS,
        signal,
      }),
  },
];

/** A repository with one point of so many random chunks. */
async function onePoint(chunks: number, chunkSizeBytes: number) {
  const folder = await mkdtemp(join(tmpdir(), 'hv-places-source-'));
  const repository = await createRepository(folder, { compression: 'default', encryption: null, chunkSizeBytes });
  const writer = await repository.writer();
  const disk = await writer.disk({ target: 'vda', sizeBytes: chunks * chunkSizeBytes });
  const bytes = randomBytes(chunks * chunkSizeBytes);
  for (let n = 0; n < chunks; n += 1)
    await disk.write(n, Buffer.from(bytes.subarray(n * chunkSizeBytes, (n + 1) * chunkSizeBytes)));
  await disk.finish();
  const { id } = await writer.publish(bodyOf(vmOf(1)));
  await writer.close();
  return {
    repository,
    /** Chunks, and the page that names them. */
    objects: chunks + 1,
    async assertWhole(place: Place) {
      const copy = await openRepositoryAt(place);
      assert.deepEqual((await copy.check({ isDataRead: true })).problems, []);
      assert.ok((await readDisk(copy, id)).equals(bytes));
    },
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 }),
  };
}

/** Nothing there counts as a restore point. */
async function assertNoPoint(place: Place): Promise<void> {
  for await (const { path } of place.walk('manifests')) assert.fail(`${path} is there`);
}

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

for (const { name, skip, port, make } of FAR) {
  test(`${name}: a line so slow that what is asked waits long behind other things is slow, and not silent`, {
    skip,
  }, async () => {
    await using made = await onePoint(8, 64 * 1024);
    const line = await startSlowLine({ to: port() });
    const place = make(await mkdtemp(join(root, `${name}-`)), line.port);
    try {
      // Eight chunks at once need four seconds, twice: there, and back to be compared.
      await line.limit(130_000);
      const report = await made.repository.copyTo(place);
      assert.deepEqual([report.copied.length, report.sentObjects], [1, made.objects]);
      await line.limit(null);
      await made.assertWhole(place);
    } finally {
      await place.close();
      await line.close();
    }
  });

  test(`${name}: a server that falls silent in the middle of a file is named, and the next copy sends the rest`, {
    skip,
  }, async () => {
    await using made = await onePoint(32, 16 * 1024);
    const line = await startSlowLine({ to: port() });
    const place = make(await mkdtemp(join(root, `${name}-`)), line.port);
    try {
      const { stalled } = await line.stallAfter(256 * 1024);
      const copying = made.repository.copyTo(place);
      copying.catch(() => undefined);
      await stalled;
      await assert.rejects(copying, (error) => {
        assert.ok(error instanceof AppError, String(error));
        assert.equal(error.code, 'place_stalled', String(error.message));
        assert.ok(error.message.includes(`127.0.0.1:${line.port}`), error.message);
        assert.match(error.hint, /goes on with what is missing/);
        return true;
      });
      await line.goOn();
      await assertNoPoint(place);
      const report = await made.repository.copyTo(place);
      assert.ok(report.foundObjects > 0, 'what came through is not sent again');
      assert.equal(report.sentObjects + report.foundObjects, made.objects);
      await made.assertWhole(place);
    } finally {
      await line.goOn();
      await place.close();
      await line.close();
    }
  });

  test(`${name}: who gives up does not wait for a server that is silent`, { skip }, async () => {
    await using made = await onePoint(32, 16 * 1024);
    const line = await startSlowLine({ to: port() });
    const [asked, reason] = [new AbortController(), new Error('somebody changed his mind')];
    const place = make(await mkdtemp(join(root, `${name}-`)), line.port, asked.signal);
    try {
      const { stalled } = await line.stallAfter(256 * 1024);
      const copying = made.repository.copyTo(place, { signal: asked.signal });
      copying.catch(() => undefined);
      await stalled;
      const askedMs = performance.now();
      asked.abort(reason);
      await assert.rejects(copying, (error) => error === reason);
      assert.ok(performance.now() - askedMs < SILENCE_MS, 'at once');
      await assert.rejects(place.names(''), (error) => error === reason, 'nor does it begin anew');
    } finally {
      await line.close();
    }
  });
}

for (const { name, skip, make } of KINDS.filter(({ name }) => name !== 's3'))
  test(`${name}: a full disk over there is named, and with room again the rest is sent`, {
    skip: skip || (process.getuid?.() === 0 ? false : 'needs root to mount a tmpfs'),
  }, async () => {
    await using made = await onePoint(16, 64 * 1024);
    const folder = await mkdtemp(join(root, `${name}-full-`));
    const mount = (...words: string[]) => runChecked(['mount', ...words, 'tmpfs', folder], { timeoutMs: 10_000 });
    for (const [few, many] of [
      ['size=512k', 'size=16m'],
      // Enough for the folders of all that is sent at once, and for some of it; too few for all of it.
      ['size=16m,nr_inodes=40', 'nr_inodes=200'],
    ] as const) {
      await mount('-t', 'tmpfs', '-o', few);
      const place = make(folder);
      try {
        await assert.rejects(made.repository.copyTo(place), (error) => {
          assert.ok(error instanceof AppError, String(error));
          assert.equal(error.code, 'no_space', `${few}: ${error.message}`);
          assert.ok(error.message.includes(place.title), error.message);
          assert.match(error.hint, /Free space there/);
          return true;
        });
        await assertNoPoint(place);
        assert.deepEqual(await readdir(join(folder, 'tmp')), [], 'no half file is left');
        await mount('-o', `remount,${many}`);
        const report = await made.repository.copyTo(place);
        assert.ok(report.foundObjects > 0, few);
        assert.equal(report.sentObjects + report.foundObjects, made.objects);
        await made.assertWhole(place);
      } finally {
        await place.close();
        await runChecked(['umount', '--lazy', folder], { timeoutMs: 10_000 });
      }
    }
  });

test('s3: a bucket that may not grow is named as full, and with room again the rest is sent', {
  skip: missingForRadosgw() ?? false,
}, async () => {
  assert.ok(s3);
  await using made = await onePoint(16, 64 * 1024);
  const user = { accessKey: 'AKSMALL', secretKey: 'another-secret-of-the-test' };
  const quota = (maxBytes: number) =>
    s3?.admin('quota', 'set', '--quota-scope=user', '--uid=small', `--max-size=${maxBytes}`);
  await s3.admin(
    'user',
    'create',
    '--uid=small',
    '--display-name=small',
    `--access-key=${user.accessKey}`,
    `--secret-key=${user.secretKey}`,
  );
  await quota(512 * 1024);
  await s3.admin('quota', 'enable', '--quota-scope=user', '--uid=small');
  const target = s3Target('full', { bucket: 'small', ...user });
  const requests = createS3Requests(target);
  await requests.ask({ method: 'PUT', key: '' });
  await requests.close();
  const place = s3Place(target);
  try {
    await assert.rejects(made.repository.copyTo(place), (error) => {
      assert.ok(error instanceof AppError, String(error));
      assert.equal(error.code, 'no_space', error.message);
      assert.match(error.message, /\/small is full/);
      return true;
    });
    await assertNoPoint(place);
    await quota(64 * 2 ** 20);
    const report = await made.repository.copyTo(place);
    assert.ok(report.foundObjects > 0);
    assert.equal(report.sentObjects + report.foundObjects, made.objects);
    await made.assertWhole(place);
  } finally {
    await place.close();
  }
});

test('halves of writes that were cut off are removed a day later', async () => {
  await using made = await onePoint(1, 64 * 1024);
  const folder = join(root, 'halves');
  const names = ['copy-old', 'copy-young', 'of-somebody-else'];
  await mkdir(join(folder, 'tmp'), { recursive: true });
  for (const name of names) await writeFile(join(folder, 'tmp', name), 'x');
  const yesterday = new Date(Date.now() - 25 * 3_600_000);
  for (const name of ['copy-old', 'of-somebody-else']) await utimes(join(folder, 'tmp', name), yesterday, yesterday);
  await made.repository.copyTo(folderPlace(folder));
  assert.deepEqual((await readdir(join(folder, 'tmp'))).sort(), ['copy-young', 'of-somebody-else']);
});

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

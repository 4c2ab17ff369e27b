import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdir, readFile, rm, stat, symlink, truncate, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { runChecked } from '#platform/process.ts';
import { createRepository, folderPlace, newRecoveryKey, openRepository, readRecoveryKey } from './index.ts';
import {
  backUp,
  bodyOf,
  CHUNK,
  entriesOf,
  problemsOf,
  pruneAtOnce,
  restore,
  type TestRepository,
  testRepository,
  writePoint,
} from './repository.test-data.ts';

const SIZE = 8 * CHUNK;
const full = (bytes: Buffer) =>
  new Map(Array.from({ length: 8 }, (_, n) => [n, bytes.subarray(n * CHUNK, (n + 1) * CHUNK)]));

async function objectFiles({ folder }: TestRepository): Promise<string[]> {
  const all = await readdir(join(folder, 'chunks'), { recursive: true, withFileTypes: true });
  return all.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

/** Changes a byte of some page, or of something else. */
async function damageSome(made: TestRepository, isPage: boolean): Promise<string> {
  for (const path of await objectFiles(made)) {
    if ((((await readFile(path))[3] ?? 0) & 4) !== (isPage ? 4 : 0)) continue;
    await damage(path);
    return path;
  }
  throw new Error('there is no such object');
}

async function damage(path: string): Promise<void> {
  const bytes = await readFile(path);
  const at = bytes.length - 1;
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  await writeFile(path, bytes);
}

test('a bad chunk is refused with its place, goes to quarantine, and the next backup of the same data heals it', async () => {
  await using made = await testRepository(false);
  const { repository } = made;
  const bytes = randomBytes(SIZE);
  const { id } = await backUp(repository, { sizeBytes: SIZE, changes: full(bytes) });
  const path = await damageSome(made, false);

  const refusal = await restore(repository, id).then(
    () => null,
    (error: unknown) => error,
  );
  assert.ok(refusal instanceof Error && 'code' in refusal && 'params' in refusal);
  assert.equal(refusal.code, 'point_damaged');
  const place = Object(refusal.params);
  assert.deepEqual([place.point, place.target], [id, 'vda']);
  assert.match(refusal.message, new RegExp(`disk vda of restore point ${id} at byte ${place.offsetBytes} is damaged`));

  const report = await repository.check({ isDataRead: true });
  assert.deepEqual(problemsOf(report), [`chunk ${path.slice(-64)}: its bytes do not have the digest of its header`]);
  assert.deepEqual(report.damagedPoints, [id]);
  assert.equal((await readdir(join(made.folder, 'quarantine'))).length, 1);
  const [entry] = await entriesOf(repository);
  assert.equal(entry?.problem?.code, 'point_damaged');
  assert.match(entry?.problem?.message ?? '', /1 damaged places .* the first in disk vda at byte \d+/);

  // Another VM with the same data: what was found there before is written anew, and both are whole.
  await backUp(repository, { vm: '00000000-0000-4000-8000-000000000002', sizeBytes: SIZE, changes: full(bytes) });
  assert.ok((await restore(repository, id)).equals(bytes));
  assert.deepEqual(
    (await entriesOf(repository)).map(({ problem }) => problem),
    [null, null],
  );
  assert.deepEqual(problemsOf(await repository.check({ isDataRead: true })), []);
});

test('what only a damaged page or manifest names, or nothing any more, is checked too, so that nobody counts on it', async () => {
  for (const hide of ['page', 'manifest', 'prune'] as const) {
    await using made = await testRepository(false);
    const { repository } = made;
    const bytes = randomBytes(SIZE);
    const { id, vm } = await backUp(repository, { sizeBytes: SIZE, changes: full(bytes) });
    const rotten = await damageSome(made, false);
    if (hide === 'page') await damageSome(made, true);
    else if (hide === 'manifest') await writeFile(join(made.folder, 'manifests', vm, `0000000001-${id}.json`), '{}');
    // Within the grace time the chunks stay, and the next backup may find them.
    else await repository.prune({ points: { remove: [id] } });

    const { problems } = await repository.check({ isDataRead: true });
    const told = problems.find(({ name }) => rotten.endsWith(name));
    assert.match(told?.reason ?? '', /^its bytes do not have the digest of its header; no restore point/, hide);
    const next = await backUp(repository, { sizeBytes: SIZE, changes: full(bytes) });
    assert.ok((await restore(repository, next.id)).equals(bytes), hide);
  }
});

test('an object that is cut short is no object, whether anything names it or not', async () => {
  await using made = await testRepository(false);
  const { repository } = made;
  const bytes = randomBytes(SIZE);
  const { id } = await backUp(repository, { sizeBytes: SIZE, changes: full(bytes) });
  await repository.prune({ points: { remove: [id] } });
  const [cut = ''] = await objectFiles(made);
  await truncate(cut, 10);
  const { problems, damagedPoints } = await repository.check();
  assert.deepEqual([problems.map(({ name }) => name), damagedPoints], [[cut.slice(-64)], []]);
  const next = await backUp(repository, { sizeBytes: SIZE, changes: full(bytes) });
  assert.ok((await restore(repository, next.id)).equals(bytes));
});

test('a check without data finds what is missing', async () => {
  await using made = await testRepository(true);
  const { id } = await backUp(made.repository, { sizeBytes: SIZE, changes: full(randomBytes(SIZE)) });
  const [some = ''] = (await objectFiles(made)).filter((path) => path.includes('chunks'));
  await rm(some);
  const report = await made.repository.check();
  assert.equal(report.isComplete, false);
  assert.equal(report.problemCount, 1);
  assert.deepEqual(report.damagedPoints, [id]);
});

test('prune: a dry run changes nothing; pinned points and young objects stay; a limit asks first', async () => {
  await using made = await testRepository(false);
  const { repository } = made;
  const old = await backUp(repository, { sizeBytes: SIZE, changes: full(randomBytes(SIZE)) });
  const kept = await backUp(repository, { sizeBytes: SIZE, changes: full(randomBytes(SIZE)) });
  const count = (await objectFiles(made)).length;

  const dry = await repository.prune({ points: { remove: [old.id] }, isDryRun: true, graceMs: 0 });
  assert.deepEqual([dry.removedPoints, dry.sweptObjects, dry.keptObjects], [[old.id], 9, 9]);
  await assert.rejects(repository.prune({ points: { remove: [old.id] }, graceMs: 0, maxSweepRatio: 0.3 }), {
    code: 'prune_too_much',
  });
  const pin = await repository.pin(old.id);
  assert.deepEqual((await pruneAtOnce(repository, [old.id])).pinnedPoints, [old.id]);
  await pin.release();
  assert.equal((await entriesOf(repository)).length, 2);

  // Within the grace time the point goes, and what it was made of stays until a later prune.
  assert.equal((await repository.prune({ points: { remove: [old.id] } })).sweptObjects, 0);
  assert.deepEqual(
    (await entriesOf(repository)).map(({ pointId }) => pointId),
    [kept.id],
  );
  assert.equal((await objectFiles(made)).length, count);
  assert.equal((await pruneAtOnce(repository, [])).sweptObjects, 9);
  await restore(repository, kept.id);
  await assert.rejects(repository.openDisk(old.id, 'vda'), { code: 'point_not_found' });
});

test('nothing is deleted when it cannot be told what is in use', async () => {
  await using made = await testRepository(false);
  const { repository } = made;
  const first = await backUp(repository, { sizeBytes: SIZE, changes: full(randomBytes(SIZE)) });
  const second = await backUp(repository, { sizeBytes: SIZE, changes: full(randomBytes(SIZE)) });
  await damageSome(made, true);
  const before = (await objectFiles(made)).sort();
  await assert.rejects(repository.prune({ points: { remove: [] }, graceMs: 0 }), { code: 'point_damaged' });
  assert.deepEqual((await objectFiles(made)).sort(), before);
  const manifest = join(made.folder, 'manifests', first.vm, `0000000001-${first.id}.json`);
  await writeFile(manifest, (await readFile(manifest, 'utf8')).replace('default', 'another'));
  await assert.rejects(pruneAtOnce(repository, [second.id]), { code: 'point_damaged' });
  assert.equal((await entriesOf(repository)).length, 2);
  assert.deepEqual((await objectFiles(made)).sort(), before);
});

test('what an open writer has stored or goes on from is not swept', async () => {
  await using made = await testRepository(false);
  const { repository } = made;
  const bytes = randomBytes(SIZE);
  const parent = await backUp(repository, { sizeBytes: SIZE, changes: full(bytes) });
  const writer = await repository.writer();
  const disk = await writer.disk({ target: 'vda', sizeBytes: SIZE, parent: { pointId: parent.id, target: 'vda' } });
  await disk.write(0, randomBytes(CHUNK));
  assert.deepEqual((await pruneAtOnce(repository, [parent.id])).pinnedPoints, [parent.id]);
  await disk.finish();
  await writer.close();
  // Closed without a point: now both go.
  assert.equal((await pruneAtOnce(repository, [parent.id])).keptObjects, 0);
});

test('leases: upkeep is alone, what the dead left is passed over, and who was taken for dead publishes nothing', async () => {
  await using made = await testRepository(false);
  const { repository, folder } = made;
  const locks = join(folder, 'locks');
  const facts = (name: string, pid: number) => ({
    token: name,
    work: 'prune',
    host: hostname(),
    process: { bootId: 'another boot', pidNamespace: 'pid:[1]', pid, startTicks: '1' },
    startedAtMs: Date.now(),
    pins: [],
  });
  // Of another boot, so nobody can tell but by its age.
  const theirs = join(locks, `${'a'.repeat(16)}.json`);
  await writeFile(theirs, JSON.stringify(facts('a'.repeat(16), 77)));
  await assert.rejects(repository.check(), { code: 'repository_locked', message: /prune of process 77 on / });
  const old = new Date(Date.now() - 121_000);
  await utimes(theirs, old, old);
  assert.equal((await repository.check()).points, 0);
  await assert.rejects(stat(theirs), { code: 'ENOENT' });

  const writer = await repository.writer();
  for (const name of await readdir(locks))
    if (/^[0-9a-f]{16}\.json$/.test(name)) await utimes(join(locks, name), old, old);
  await pruneAtOnce(repository, []);
  await assert.rejects(writePoint(writer, { sizeBytes: SIZE, changes: full(randomBytes(SIZE)) }), {
    code: 'backup_lease_lost',
  });
  await writer.close();
  assert.deepEqual(await entriesOf(repository), []);
});

test('an object that vanished while a backup counted on it fails the backup, not a later restore', async () => {
  await using made = await testRepository(false);
  const { repository } = made;
  const bytes = randomBytes(SIZE);
  await backUp(repository, { sizeBytes: SIZE, changes: full(bytes) });
  const writer = await repository.writer();
  const disk = await writer.disk({ target: 'vda', sizeBytes: SIZE });
  for (const [n, data] of full(bytes)) await disk.write(n, Buffer.from(data));
  const { stats } = await disk.finish();
  assert.equal(stats.duplicateBytes, SIZE);
  await rm(await damageSome(made, false));
  await assert.rejects(writer.publish(bodyOf([{ target: 'vda' }])), { code: 'backup_objects_lost' });
  await writer.close();
  assert.equal((await entriesOf(repository)).length, 1);
});

test('keys: either opens, others do not, and without one an encrypted repository is listed, checked and pruned only', async () => {
  await using made = await testRepository(true);
  const bytes = randomBytes(SIZE);
  const { id } = await backUp(made.repository, { sizeBytes: SIZE, changes: full(bytes) });
  const typed = (made.recoveryKey ?? '').toUpperCase().replaceAll('-', ' ');
  const recovered = await openRepository(made.folder, { key: readRecoveryKey(typed) });
  assert.ok((await restore(recovered, id)).equals(bytes));
  await assert.rejects(openRepository(made.folder, { key: readRecoveryKey(newRecoveryKey()) }), { code: 'key_wrong' });
  for (let n = 0; n < 36; n += 1) {
    const plain = newRecoveryKey().replaceAll('-', '');
    const wrong = plain.slice(0, n) + (plain[n] === '2' ? '3' : '2') + plain.slice(n + 1);
    assert.throws(() => readRecoveryKey(wrong), { code: 'key_wrong' });
  }
  const closed = await openRepository(made.folder);
  assert.equal(closed.hasKey, false);
  assert.deepEqual(
    (await entriesOf(closed)).map(({ pointId }) => pointId),
    [id],
  );
  for (const work of [() => closed.writer(), () => closed.openDisk(id, 'vda'), () => closed.readBlob(id, 'x')])
    await assert.rejects(work, { code: 'key_needed' });
  const report = await closed.check({ isDataRead: true });
  assert.deepEqual([report.problemCount, report.objects, report.isComplete], [0, 9, false]);
  assert.equal((await pruneAtOnce(closed, [id])).keptObjects, 0);
  // Neither bytes of the disk nor their plain digests are in the files.
  for (const path of await objectFiles(made)) assert.ok(!(await readFile(path)).includes(bytes.subarray(0, 64)));
});

test('settings: one copy is enough, none is told, a folder with something in it is not taken', async () => {
  await using made = await testRepository(false);
  await assert.rejects(createRepository(made.folder, { compression: 'default', encryption: null }), {
    code: 'repository_exists',
  });
  await writeFile(join(made.folder, 'repo.json'), '{}');
  const opened = await openRepository(made.folder);
  assert.equal(opened.id, made.repository.id);
  assert.deepEqual(problemsOf(await opened.check()), ['settings repo.json: it is not what it was when it was opened']);
  await opened.repair(opened);
  assert.deepEqual(problemsOf(await opened.check()), []);
  for (const name of ['repo.json', 'repo-copy.json']) await writeFile(join(made.folder, name), '{}');
  await assert.rejects(openRepository(made.folder), { code: 'repository_damaged' });
  await assert.rejects(openRepository(join(made.folder, 'chunks')), { code: 'repository_not_found' });
});

test('repair from a repository with other keys finds chunks by what they hold', async () => {
  await using ours = await testRepository(true);
  await using theirs = await testRepository(false);
  const bytes = randomBytes(SIZE);
  const { id } = await backUp(ours.repository, { sizeBytes: SIZE, changes: full(bytes) });
  await backUp(theirs.repository, { sizeBytes: SIZE, changes: full(bytes) });
  await damageSome(ours, false);
  const { repairedObjects, after } = await ours.repository.repair(theirs.repository);
  assert.deepEqual([repairedObjects, after.problemCount], [1, 0]);
  assert.ok((await restore(ours.repository, id)).equals(bytes));
});

test('what a stranger put in the place of files is not followed, waited for or read without end', async () => {
  await using made = await testRepository(false);
  const { repository, folder } = made;
  const { id, vm } = await backUp(repository, { sizeBytes: SIZE, changes: full(randomBytes(SIZE)) });
  const [link = '', pipe = '', large = ''] = await chunkFiles(made);
  const victim = join(folder, '..', 'victim');
  await writeFile(victim, 'as it was');
  await rm(link);
  await symlink(victim, link);
  await rm(pipe);
  await runChecked(['mkfifo', pipe], { timeoutMs: 10_000 });
  // Sparse: more than would fit into memory.
  await truncate(large, 2 ** 42);
  const manifest = join(folder, 'manifests', vm, '0000000002-rp-00000000000000000000000000.json');
  await symlink(join(folder, 'repo.json'), manifest);
  await rm(join(folder, 'locks', 'spare-0'));
  await symlink(victim, join(folder, 'locks', 'spare-0'));

  await assert.rejects(repository.check(), { code: 'ELOOP' });
  await rm(join(folder, 'locks', 'spare-0'), { force: true });
  const { problems } = await repository.check({ isDataRead: true });
  assert.deepEqual(problems.map(({ kind, reason }) => `${kind}: ${reason}`).sort(), [
    'chunk: it is longer than it can be',
    'chunk: it is not a plain file',
    'chunk: it is not a plain file',
    'manifest: The manifest of restore point rp-00000000000000000000000000 is damaged: it is not a plain file.',
  ]);
  await assert.rejects(restore(repository, id), { code: 'point_damaged' });
  assert.equal(await readFile(victim, 'utf8'), 'as it was');
});

async function chunkFiles(made: TestRepository): Promise<string[]> {
  const chunks: string[] = [];
  for (const path of await objectFiles(made)) if (((await readFile(path))[3] ?? 0) < 4) chunks.push(path);
  return chunks;
}

test('an empty repository becomes the copy of another one; one that holds points stays what it is', async () => {
  await using made = await testRepository(false);
  await using other = await testRepository(false);
  const bytes = randomBytes(SIZE);
  const { id } = await backUp(made.repository, { sizeBytes: SIZE, changes: full(bytes) });
  await assert.rejects(made.repository.copyTo(folderPlace(other.folder)), { code: 'copy_of_another' });
  await other.repository.becomeCopyOf(made.repository);
  await made.repository.copyTo(folderPlace(other.folder));
  const copy = await openRepository(other.folder);
  assert.equal(copy.id, made.repository.id);
  assert.ok((await restore(copy, id)).equals(bytes));

  await using third = await testRepository(false);
  await assert.rejects(made.repository.becomeCopyOf(third.repository), { code: 'copy_of_another' });
  assert.ok((await restore(await openRepository(made.folder), id)).equals(bytes));
});

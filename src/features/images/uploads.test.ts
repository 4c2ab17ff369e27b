import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import type { ApiEvents } from '#contract/events.ts';
import { imageErrors } from '#contract/images.ts';
import type { Operation } from '#contract/operations.ts';
import { TestClock } from '#kernel/clock.ts';
import { AppError, registerErrors } from '#kernel/errors.ts';
import { createEventBus } from '#kernel/event-bus.ts';
import { openDatabase } from '#platform/db/database.ts';
import { createSpaceLedger } from '#platform/disk-space.ts';
import { SYSTEM_IDENTITY } from '#platform/feature.ts';
import { runChecked } from '#platform/process.ts';
import { createImageFiles } from './image-files.ts';
import { createImageNames } from './image-names.ts';
import { createImageSpace } from './image-space.ts';
import { imageMigrations } from './migrations.ts';
import { createImageStore } from './store.ts';
import { createUploads } from './uploads.ts';

registerErrors(imageErrors);

async function stageOf(t: TestContext) {
  const root = await mkdtemp(join(tmpdir(), 'hv-uploads-'));
  const db = openDatabase(join(root, 'state.db'));
  t.after(async () => {
    await db.close();
    await rm(root, { recursive: true });
  });
  db.migrate('images', imageMigrations);
  const folders = ['ca', 'images', 'disks', 'scratch', 'trash', 'quarantine'].map(
    (name) => [name, join(root, name)] as const,
  );
  const state = {
    root,
    ca: '',
    images: '',
    disks: '',
    scratch: '',
    trash: '',
    quarantine: '',
    ...Object.fromEntries(folders),
  };
  const files = createImageFiles(state);
  await files.prepare();
  const store = createImageStore(db, { hold: async () => undefined });
  await store.load();
  const clock = new TestClock();
  const removed: string[] = [];
  const events = createEventBus<ApiEvents>((error) => {
    throw error;
  });
  events.on('upload.removed', ({ id }) => removed.push(id));
  const ledger = createSpaceLedger();
  const space = createImageSpace(ledger, files.folder);
  const names = createImageNames(store, () => false);
  const uploads = createUploads({ store, files, clock, events, maxBytes: 2 ** 30, names, space });
  return { store, files, ledger, space, clock, uploads, removed, images: state.images };
}

const never = async (): Promise<Operation> => {
  throw new Error('nothing is complete here');
};

test('an upload without bytes for a day is dropped with its bytes; one that goes on is not', async (t) => {
  const { uploads, clock, removed, images } = await stageOf(t);
  const idle = await uploads.begin({ project: 'default', name: 'idle', sizeBytes: 100 }, SYSTEM_IDENTITY);
  const alive = await uploads.begin({ project: 'default', name: 'alive', sizeBytes: 100 }, SYSTEM_IDENTITY);
  await uploads.append(idle.id, 0, null, Readable.from([Buffer.alloc(10)]), never);
  await clock.advance(23 * 3_600_000);
  await uploads.append(alive.id, 0, null, Readable.from([Buffer.alloc(10)]), never);
  await clock.advance(2 * 3_600_000);
  await uploads.sweep();
  assert.deepEqual(removed, [idle.id]);
  assert.equal(uploads.get(idle.id), null);
  assert.equal(uploads.get(alive.id)?.offset, 10);
  assert.deepEqual(await readdir(images), [`${alive.id}.part`]);
});

test('what unfinished uploads may still bring is promised to them until it is written or they end', async (t) => {
  const { uploads, ledger, space, store, files } = await stageOf(t);
  const room = await ledger.look(files.folder);
  const one = await uploads.begin({ project: 'default', name: 'one', sizeBytes: 1000 }, SYSTEM_IDENTITY);
  const two = await uploads.begin({ project: 'default', name: 'two', sizeBytes: 500 }, SYSTEM_IDENTITY);
  await uploads.append(one.id, 0, 400, Readable.from([Buffer.alloc(400)]), never);
  assert.equal(ledger.promisedBytes(room), 1100);
  await truncate(files.part(one.id), 100);
  await assert.rejects(uploads.append(one.id, 400, null, Readable.from([]), never), { code: 'upload_offset' });
  assert.equal(ledger.promisedBytes(room), 1400);
  await assert.rejects(space.take('other', 2 ** 60), { code: 'no_space', status: 507 });
  await uploads.cancel(two.id);
  assert.equal(ledger.promisedBytes(room), 900);

  // Nobody gets what is promised already, and one that got nothing holds nothing.
  ledger.expect(room, 'others', room.freeBytes);
  await assert.rejects(uploads.begin({ project: 'default', name: 'late', sizeBytes: 1 }, SYSTEM_IDENTITY), {
    code: 'no_space',
  });
  ledger.release('others');
  assert.equal(ledger.promisedBytes(room), 900);
  assert.equal(store.uploads().length, 1);
  ledger.release(one.id);
  await uploads.expectRest();
  assert.equal(ledger.promisedBytes(room), 900);
});

test('a sender that stops is let go with what it sent kept', { timeout: 20_000 }, async (t) => {
  const { uploads, clock } = await stageOf(t);
  const { id } = await uploads.begin({ project: 'default', name: 'slow', sizeBytes: 1000 }, SYSTEM_IDENTITY);
  const stream = new PassThrough();
  const ended = uploads.append(id, 0, null, stream, never);
  stream.write(Buffer.alloc(77));
  const ticking = setInterval(() => void clock.advance(20_000), 5);
  await assert.rejects(ended, { code: 'upload_stalled', status: 408 });
  clearInterval(ticking);
  assert.equal(uploads.get(id)?.offset, 77);
});

test('a complete upload that nobody publishes is found again', async (t) => {
  const { uploads } = await stageOf(t);
  const { id } = await uploads.begin({ project: 'default', name: 'done', sizeBytes: 3 }, SYSTEM_IDENTITY);
  await assert.rejects(uploads.append(id, 0, null, Readable.from([Buffer.from('abc')]), never));
  assert.deepEqual(
    uploads.unpublished().map((row) => row.id),
    [id],
  );
});

test('of many equal uploads begun at once one is begun; the others hear that the name is taken', async (t) => {
  const { uploads } = await stageOf(t);
  const ends = await Promise.allSettled(
    Array.from({ length: 20 }, () =>
      uploads.begin({ project: 'default', name: 'same', sizeBytes: 10 }, SYSTEM_IDENTITY),
    ),
  );
  const codes = ends.flatMap((end) => (end.status === 'rejected' ? [end.reason.code] : []));
  assert.deepEqual(
    codes,
    Array.from({ length: 19 }, () => 'already_exists'),
  );
});

test('a second row of one name is refused by the journal in our own words', async (t) => {
  const { store, uploads } = await stageOf(t);
  const { id } = await uploads.begin({ project: 'default', name: 'same', sizeBytes: 10 }, SYSTEM_IDENTITY);
  const row = store.upload(id);
  assert.ok(row);
  await assert.rejects(store.addUpload({ ...row, id: 'upl-other' }), { code: 'already_exists', status: 409 });
});

test('a complete upload waits for a name that is busy for a moment, and is kept when it stays so', {
  timeout: 20_000,
}, async (t) => {
  const { uploads, store, clock } = await stageOf(t);
  const busy = () => Promise.reject(new AppError('busy'));
  const { id } = await uploads.begin({ project: 'default', name: 'late', sizeBytes: 3 }, SYSTEM_IDENTITY);
  const ticking = setInterval(() => void clock.advance(1_000), 5);
  t.after(() => clearInterval(ticking));
  const sent = uploads.append(id, 0, null, Readable.from([Buffer.from('abc')]), busy);
  await assert.rejects(sent, { code: 'busy' });
  assert.deepEqual(
    uploads.unpublished().map((row) => row.id),
    [id],
  );
  let attempts = 0;
  const begin = async () => {
    attempts += 1;
    if (attempts === 1) return busy();
    await assert.rejects(uploads.cancel(id), { code: 'busy' });
    // Only the id is asked for.
    return { id: 'op-1' } as Operation;
  };
  const published = await uploads.append(id, 3, null, Readable.from([]), begin);
  assert.deepEqual([published.operationId, published.state, attempts], ['op-1', 'checking', 2]);
  assert.equal(store.upload(id)?.operation_id, 'op-1');
});

test('an upload whose bytes were lost goes on from those that are left, never over zeros', async (t) => {
  const { uploads, store, files } = await stageOf(t);
  const bytes = Buffer.from('0123456789');
  const { id } = await uploads.begin({ project: 'default', name: 'lost', sizeBytes: bytes.length }, SYSTEM_IDENTITY);
  const send = (offset: number, end = bytes.length) =>
    uploads.append(id, offset, null, Readable.from([bytes.subarray(offset, end)]), never);
  await send(0, 8);
  await truncate(files.part(id), 5);
  await assert.rejects(send(8), { code: 'upload_offset', status: 409, params: { offset: 5 } });
  assert.equal(store.upload(id)?.offset_bytes, 5);
  await send(5, 9);
  await rm(files.part(id));
  await assert.rejects(send(9), { code: 'upload_offset', params: { offset: 0 } });
  await assert.rejects(send(0), /nothing is complete here/);
  assert.deepEqual(await readFile(files.part(id)), bytes);

  // Complete, and lost before anybody published it.
  await truncate(files.part(id), 2);
  const [row] = uploads.unpublished();
  assert.ok(row);
  await assert.rejects(uploads.publish(row, never), { code: 'upload_offset', params: { offset: 2 } });
  assert.equal(store.upload(id)?.offset_bytes, 2);
  assert.deepEqual(uploads.unpublished(), []);
});

test('a link, a pipe or a folder in the place of the bytes is refused and not touched', {
  timeout: 20_000,
}, async (t) => {
  const { uploads, files, images } = await stageOf(t);
  const { id } = await uploads.begin({ project: 'default', name: 'odd', sizeBytes: 10 }, SYSTEM_IDENTITY);
  const part = files.part(id);
  const other = join(images, 'other');
  await writeFile(other, 'untouched');
  for (const put of [
    () => symlink(other, part),
    () => symlink(join(images, 'nowhere'), part),
    () => mkdir(part),
    () => runChecked(['mkfifo', part], { timeoutMs: 5_000 }),
  ]) {
    await put();
    await assert.rejects(uploads.append(id, 0, null, Readable.from([Buffer.alloc(10)]), never), {
      code: 'foreign_file',
      status: 409,
    });
    await rm(part, { recursive: true });
  }
  assert.deepEqual(await readdir(images), ['other']);
  await mkdir(part);
  await uploads.cancel(id);
  assert.equal(uploads.get(id), null);
  assert.deepEqual((await readdir(images)).sort(), ['other', `${id}.part`].sort());
  assert.equal(await readFile(other, 'utf8'), 'untouched');
});

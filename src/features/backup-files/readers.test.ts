import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { backupFileErrors } from '#contract/backup-files.ts';
import { AppError, registerErrors } from '#kernel/errors.ts';
import type { Reader } from './reader.ts';
import { createReaders, type ReaderLimits } from './readers.ts';

registerErrors(backupFileErrors);

const NEVER = new AbortController().signal;

/** Readers that read nothing, and what became of each. */
function world(limits: Partial<ReaderLimits> = {}) {
  const made: string[] = [];
  const closed: string[] = [];
  const die = new Map<string, (reason: Error) => void>();
  const readers = createReaders({
    parallel: 2,
    idleMs: 5,
    waitMs: 5000,
    requireMemory: () => undefined,
    async make(pointId) {
      made.push(pointId);
      const { promise: ended, resolve } = Promise.withResolvers<Error>();
      die.set(pointId, resolve);
      const reader: Reader = {
        volumes: () => [],
        list: async () => ({ entries: [], isCut: false }),
        async *send() {
          yield { kind: 'file_end' };
        },
        ended,
        async close() {
          closed.push(pointId);
          resolve(new Error('closed'));
        },
      };
      return reader;
    },
    ...limits,
  });
  return { readers, made, closed, die };
}

const until = async (isSo: () => boolean) => {
  for (const deadline = performance.now() + 5000; !isSo(); await sleep(2)) assert.ok(performance.now() < deadline);
};

test('one reader serves all who ask for the same point at once, and ends when nobody asks any more', async () => {
  const { readers, made, closed } = world();
  await Promise.all([1, 2, 3].map(() => readers.use('a', NEVER, async () => undefined)));
  assert.deepEqual(made, ['a']);
  await until(() => closed.length > 0);
  assert.deepEqual(closed, ['a']);
});

test('one that is in use does not end', async () => {
  const { readers, closed } = world();
  const { release } = await readers.hold('a', NEVER);
  await sleep(30);
  assert.deepEqual(closed, []);
  release();
  await until(() => closed.length === 1);
});

test('one that is idle makes room, one that is in use does not', async () => {
  const { readers, made, closed } = world({ parallel: 1, idleMs: 60_000 });
  await readers.use('a', NEVER, async () => undefined);
  const { release } = await readers.hold('b', NEVER);
  assert.deepEqual([made, closed], [['a', 'b'], ['a']]);
  const waited = readers.use('c', NEVER, async () => undefined);
  release();
  await waited;
  await readers.close();
  assert.deepEqual(closed, ['a', 'b', 'c']);
});

test('who waits too long for one is told so', async () => {
  const { readers, made } = world({ parallel: 1, waitMs: 20 });
  const { release } = await readers.hold('a', NEVER);
  await assert.rejects(readers.hold('b', NEVER), { code: 'file_reader_busy' });
  release();
  await readers.close();
  assert.deepEqual(made, ['a']);
});

test('one that dies is made anew, and one that cannot be made is tried again', async () => {
  const { readers, made, die } = world({ idleMs: 60_000 });
  await readers.use('a', NEVER, async () => undefined);
  die.get('a')?.(new Error('QEMU is gone'));
  await sleep(1);
  await readers.use('a', NEVER, async () => undefined);
  assert.deepEqual(made, ['a', 'a']);
  await readers.close();

  let tries = 0;
  const other = world({
    async make() {
      tries += 1;
      throw new AppError('file_reader_failed');
    },
  });
  for (let n = 0; n < 2; n += 1)
    await assert.rejects(
      other.readers.use('a', NEVER, async () => undefined),
      { code: 'file_reader_failed' },
    );
  assert.equal(tries, 2);
});

test('without memory none is made', async () => {
  const { readers, made } = world({
    requireMemory() {
      throw new AppError('file_reader_no_memory');
    },
  });
  await assert.rejects(readers.hold('a', NEVER), { code: 'file_reader_no_memory' });
  assert.deepEqual(made, []);
});

test('who leaves while it starts does not end it for the others', async () => {
  const started = Promise.withResolvers<void>();
  const { readers, made } = world();
  const slow = world({
    async make(pointId) {
      await started.promise;
      return (await world().readers.hold(pointId, NEVER)).reader;
    },
  });
  const leaver = new AbortController();
  const left = slow.readers.hold('a', leaver.signal);
  const stayed = slow.readers.hold('a', NEVER);
  leaver.abort(new Error('gone'));
  await assert.rejects(left, /gone/);
  started.resolve();
  (await stayed).release();
  await slow.readers.close();
  await readers.close();
  assert.deepEqual(made, []);
});

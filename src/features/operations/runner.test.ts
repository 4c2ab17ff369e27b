import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { z } from 'zod';
import type { ApiEvents } from '#contract/events.ts';
import { type Operation, operationErrors } from '#contract/operations.ts';
import type { Permission } from '#contract/permissions.ts';
import { type Clock, systemClock, TestClock } from '#kernel/clock.ts';
import { AppError, registerErrors } from '#kernel/errors.ts';
import { createEventBus } from '#kernel/event-bus.ts';
import { silentLogger } from '#kernel/logger.ts';
import { LibvirtError } from '#libvirt/index.ts';
import { type Database, openDatabase, type Transaction } from '#platform/db/database.ts';
import type { Identity } from '#platform/feature.ts';
import { auditMigrations, createAuditStore } from '../audit/store.ts';
import { defineOperation, type Step } from './definition.ts';
import { operationMigrations } from './migrations.ts';
import { createRunner, type StartRequest } from './runner.ts';
import { createOperationStore } from './store.ts';

registerErrors(operationErrors);

const admin: Identity = {
  userId: 'usr-ada',
  user: 'ada',
  via: 'admin_socket',
  method: 'socket',
  sessionId: null,
  tokenId: null,
  address: null,
};
const request = (key: string | null = null, hash = 'h'): StartRequest => ({
  identity: admin,
  project: null,
  requestId: 'req-1',
  idempotencyKey: key,
  requestHash: hash,
  action: 'POST /things',
});

interface World {
  /** The file system of the journal is full. */
  isFull: boolean;
  /** Quotas have no room. */
  hasNoRoom: boolean;
  /** Projects that are being deleted. */
  readonly leaving: Set<string>;
  readonly made: Set<string>;
  readonly log: string[];
}

/** A daemon's worth of journal over a file; `restart` is what happens after a crash. */
async function withJournal(
  steps: (world: World) => readonly Step[],
  work: (journal: {
    world: World;
    start: (name?: string, request?: StartRequest) => Promise<Operation>;
    /** Starts an operation that those which make a thing give way to. */
    takeOver: (name: string) => Promise<Operation>;
    /** Starts an operation that only reads this thing. */
    read: (name: string) => Promise<Operation>;
    /** Starts one in the project `from` that also works in another. */
    move: (to: string) => Promise<Operation>;
    end: (id: string) => Promise<Operation>;
    /** What was entered into the books of quotas. */
    books: () => Promise<string[]>;
    api: ReturnType<typeof createRunner>['api'];
    audit: ReturnType<typeof createAuditStore>;
    /** @param allow whether everything is allowed from now on, or what is */
    restart: (
      allow?: boolean | ((permission: Permission, project: string | null, vmId?: string) => boolean),
    ) => Promise<void>;
    stop: () => Promise<void>;
  }) => Promise<void>,
  instead: Partial<Clock> = {},
): Promise<void> {
  const clock: Clock = { ...systemClock, ...instead };
  const dir = await mkdtemp(join(tmpdir(), 'hv-journal-'));
  const world: World = { isFull: false, hasNoRoom: false, leaving: new Set(), made: new Set(), log: [] };
  const file = openDatabase(join(dir, 'state.db'));
  const whenWritable = <Result>(work: () => Result): Result => {
    if (world.isFull) throw new AppError('unavailable');
    return work();
  };
  const db: Database = {
    ...file,
    tables: <Tables>() => whenWritable(() => file.tables<Tables>()),
    transaction: async (work) => whenWritable(() => file.transaction(work)),
  };
  db.migrate('operations', operationMigrations);
  db.migrate('audit', auditMigrations);
  db.migrate('books', [{ id: '001-books', statements: ['CREATE TABLE book(line TEXT NOT NULL) STRICT'] }]);
  const events = createEventBus<ApiEvents>((error) => {
    throw error;
  });
  const audit = createAuditStore({ db, clock: systemClock, events });
  const boot = (allow: boolean | ((permission: Permission, project: string | null, vmId?: string) => boolean)) => {
    const runner = createRunner({
      store: createOperationStore(db),
      db,
      audit,
      decide: (_who, permission, { project, vmId }) => ({
        allow: typeof allow === 'boolean' ? allow : allow(permission, project, vmId),
        visible: true,
        grant: null,
      }),
      isProjectOpen: (id) => !world.leaving.has(id),
      events,
      clock,
      calendar: { leap: () => null },
      log: silentLogger,
      killPoint: null,
    });
    const enter = (tx: Transaction, line: string) =>
      tx.tables<{ book: { line: string } }>().insertInto('book').values({ line }).execute();
    runner.api.chargeTo({
      async reserve(tx, { owner }, charges) {
        for (const { objectId, amount } of charges) await enter(tx, `${owner} reserves ${amount} for ${objectId}`);
        if (world.hasNoRoom) throw new AppError('unavailable', { detail: 'no room' });
      },
      settle: async (tx, _operationId, isDone) => void (await enter(tx, isDone ? 'charged' : 'released')),
    });
    const kind = runner.api.register(
      defineOperation({
        kind: 'thing.make',
        permission: 'vm.create',
        input: z.object({ name: z.string() }),
        title: ({ name }) => `Make ${name}`,
        object: ({ name }) => ({ type: 'thing', id: name, name }),
        locks: ({ name }) => [`thing:${name}`],
        charges: ({ name }) => [{ project: 'p', resource: 'vms', objectId: name, amount: 1 }],
        steps: () => steps(world),
        result: async ({ name }) => ({ name }),
      }),
    );
    const reader = runner.api.register(
      defineOperation({
        kind: 'thing.read',
        permission: 'vm.create',
        input: z.object({ name: z.string() }),
        title: ({ name }) => `Read ${name}`,
        object: () => null,
        locks: () => [],
        shares: ({ name }) => [`thing:${name}`],
        vm: ({ name }) => name,
        steps: () => steps(world),
      }),
    );
    const taker = runner.api.register(
      defineOperation({
        kind: 'thing.end',
        permission: 'vm.create',
        input: z.object({ name: z.string() }),
        title: ({ name }) => `End ${name}`,
        object: () => null,
        locks: ({ name }) => [`thing:${name}`],
        takesOver: ['thing.make'],
        steps: () => [],
      }),
    );
    const mover = runner.api.register(
      defineOperation({
        kind: 'thing.move',
        permission: 'vm.delete',
        alsoNeeds: ({ to }) => [{ project: to, permission: 'vm.create' }],
        input: z.object({ to: z.string() }),
        title: () => 'Move it',
        object: () => null,
        locks: () => [],
        steps: () => steps(world),
      }),
    );
    return { runner, kind, reader, taker, mover };
  };
  let current = boot(true);
  await current.runner.start(new AbortController().signal);
  try {
    await work({
      world,
      start: (name = 'one', how = request()) => current.runner.api.start(current.kind, { name }, how),
      takeOver: (name) => current.runner.api.start(current.taker, { name }, request()),
      read: (name) => current.runner.api.start(current.reader, { name }, request()),
      move: (to) => current.runner.api.start(current.mover, { to }, { ...request(), project: 'from' }),
      end: (id) => current.runner.api.waitFor(id, 20_000),
      books: async () =>
        (await file.tables<{ book: { line: string } }>().selectFrom('book').select('line').execute()).map(
          ({ line }) => line,
        ),
      get api() {
        return current.runner.api;
      },
      audit,
      restart: async (allow = true) => {
        current = boot(allow);
        await current.runner.start(new AbortController().signal);
      },
      stop: () => current.runner.stop(),
    });
  } finally {
    await current.runner.stop();
    await db.close();
    await rm(dir, { recursive: true });
  }
}

const makes = (world: World, name: string, more: Partial<Step> = {}): Step => ({
  name,
  title: `Make ${name}`,
  check: async () => world.made.has(name),
  act: async () => {
    world.log.push(`make ${name}`);
    world.made.add(name);
  },
  compensate: async () => {
    world.log.push(`undo ${name}`);
    world.made.delete(name);
  },
  ...more,
});

const fails = (world: World, name: string, error: Error): Step => ({
  ...makes(world, name),
  act: async () => {
    world.log.push(`fail ${name}`);
    throw error;
  },
});

test('an operation runs its steps in order and ends with its result', () =>
  withJournal(
    (world) => [makes(world, 'a'), makes(world, 'b')],
    async ({ world, start, end }) => {
      const accepted = await start();
      assert.equal(accepted.state, 'pending');
      const ended = await end(accepted.id);
      assert.equal(ended.state, 'done');
      assert.deepEqual(ended.result, { name: 'one' });
      assert.deepEqual(world.log, ['make a', 'make b']);
      assert.deepEqual(
        ended.steps.map((step) => step.state),
        ['done', 'done'],
      );
    },
  ));

test('a step that the world shows as done is not done again', () =>
  withJournal(
    (world) => [makes(world, 'a'), makes(world, 'b')],
    async ({ world, start, end }) => {
      world.made.add('a');
      const ended = await end((await start()).id);
      assert.deepEqual(world.log, ['make b']);
      assert.equal(ended.steps[0]?.state, 'skipped');
    },
  ));

test('a failing step undoes everything before it, itself included, backwards', () =>
  withJournal(
    (world) => [makes(world, 'a'), makes(world, 'b'), fails(world, 'c', new AppError('no_space')), makes(world, 'd')],
    async ({ world, start, end, audit }) => {
      const ended = await end((await start()).id);
      assert.equal(ended.state, 'failed');
      assert.equal(ended.error?.code, 'no_space');
      assert.deepEqual(world.log, ['make a', 'make b', 'fail c', 'undo c', 'undo b', 'undo a']);
      assert.equal(world.made.size, 0);
      const records = await audit.list({ limit: 10 });
      assert.deepEqual(
        records.items.map((record) => [record.phase, record.outcome, record.code]),
        [
          ['outcome', 'failed', 'no_space'],
          ['intent', null, null],
        ],
      );
    },
  ));

test('a part that does not answer for a moment is tried again', () => {
  let failures = 2;
  return withJournal(
    (world) => [
      makes(world, 'a', {
        act: async () => {
          failures -= 1;
          if (failures >= 0) throw new AppError('unavailable');
          world.made.add('a');
        },
      }),
    ],
    async ({ start, end }) => {
      assert.equal((await end((await start()).id)).state, 'done');
    },
  );
});

test('two operations on one object: the second is refused and told which one works on it', () => {
  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  return withJournal(
    (world) => [makes(world, 'a', { act: () => held })],
    async ({ start, end }) => {
      const first = await start();
      await assert.rejects(
        start(),
        (error: unknown) =>
          error instanceof AppError && error.code === 'busy' && error.params['operationId'] === first.id,
      );
      release();
      await end(first.id);
      assert.equal((await end((await start()).id)).state, 'done');
    },
  );
});

test('readers of one thing run side by side, and none beside who changes it', () => {
  const { promise, resolve: release } = Promise.withResolvers<void>();
  return withJournal(
    (world) => [makes(world, 'a', { check: async () => false, act: () => promise })],
    async ({ start, read, end }) => {
      const isBusy = (holder: Operation) => (error: unknown) =>
        error instanceof AppError && error.code === 'busy' && error.params['operationId'] === holder.id;
      const writer = await start('other');
      await assert.rejects(read('other'), isBusy(writer));
      const readers = [await read('one'), await read('one')];
      await assert.rejects(start('one'), (error: unknown) => readers.some((reader) => isBusy(reader)(error)));
      release();
      for (const { id } of [writer, ...readers]) assert.equal((await end(id)).state, 'done');
      assert.equal((await end((await start('one')).id)).state, 'done');
    },
  );
});

test('what an operation holds alone is told at once, after a restart too, and until it is over', () => {
  const { promise, resolve: release } = Promise.withResolvers<void>();
  return withJournal(
    (world) => [
      makes(world, 'a', {
        check: async () => false,
        isCancellable: true,
        act: ({ signal }) => untilEither(promise, signal),
      }),
    ],
    async (journal) => {
      const isLocked = () => journal.api.isLocked('thing:one');
      assert.equal(isLocked(), false);
      await journal.read('one');
      assert.equal(isLocked(), false);
      await journal.stop();
      await journal.restart();
      const other = await journal.start('two');
      assert.deepEqual([isLocked(), journal.api.isLocked('thing:two')], [false, true]);
      await journal.stop();
      await journal.restart();
      assert.equal(journal.api.isLocked('thing:two'), true);
      release();
      await journal.end(other.id);
      assert.equal(journal.api.isLocked('thing:two'), false);
    },
  );
});

/** Ends with the work, or fails with the signal. */
const untilEither = (work: Promise<void>, signal: AbortSignal): Promise<void> =>
  new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason));
    work.then(resolve, reject);
  });

test('of fifty equal starts at once exactly one is accepted', () =>
  withJournal(
    (world) => [makes(world, 'a', { act: () => systemClock.sleep(200) })],
    async ({ start }) => {
      const answers = await Promise.allSettled(Array.from({ length: 50 }, () => start()));
      assert.equal(answers.filter((answer) => answer.status === 'fulfilled').length, 1);
    },
  ));

test('a repeated idempotency key answers the same operation; with another body it is refused', () =>
  withJournal(
    (world) => [makes(world, 'a')],
    async ({ start, end, world }) => {
      const first = await start('one', request('k', 'h1'));
      await end(first.id);
      const again = await start('one', request('k', 'h1'));
      assert.equal(again.id, first.id);
      assert.deepEqual(world.log, ['make a']);
      await assert.rejects(
        start('one', request('k', 'h2')),
        (error: unknown) => error instanceof AppError && error.code === 'idempotency_key_reused',
      );
    },
  ));

test('an idempotency key that has expired makes something new, also while the daemon runs on', () => {
  const clock = new TestClock();
  return withJournal(
    (world) => [makes(world, 'a', { check: async () => false })],
    async ({ start, end }) => {
      const first = await start('one', request('k', 'h1'));
      await end(first.id);
      clock.jumpWall(25 * 3_600_000);
      const second = await start('one', request('k', 'h2'));
      assert.notEqual(second.id, first.id);
      assert.equal((await end(second.id)).state, 'done');
    },
    { now: () => clock.now() },
  );
});

/** The pauses before another try take no time. */
const hasty: Partial<Clock> = {
  sleep: (ms, signal) => systemClock.sleep(ms <= 8_000 ? 0 : ms, signal),
};

/** Fails so many times with what `error` makes. */
const failing = (times: number, error: () => Error) => {
  let left = times;
  return async () => {
    left -= 1;
    if (left >= 0) throw error();
  };
};
const silence = () => new LibvirtError('libvirt_unavailable', { procedure: 'DOMAIN_CREATE' });

test('while the host is silent an operation waits, forwards and backwards, instead of guessing', () =>
  withJournal(
    (world) => [
      makes(world, 'a', { check: async () => false, act: failing(8, silence), compensate: failing(8, silence) }),
      { ...fails(world, 'b', new Error('b is broken')), check: async () => world.made.has('good') },
    ],
    async ({ start, end, world }) => {
      const failed = await end((await start()).id);
      assert.deepEqual([failed.state, failed.error?.code], ['failed', 'internal_error']);
      world.made.add('good');
      assert.equal((await end((await start('two')).id)).state, 'done');
    },
    hasty,
  ));

test('what could not be undone says so, blocks with a way out, and is undone when it is tried again', () => {
  let isBroken = true;
  return withJournal(
    (world) => [
      makes(world, 'a', {
        compensate: async () => {
          if (isBroken) throw new Error('still broken');
          world.made.delete('a');
        },
      }),
      fails(world, 'b', new Error('b is broken')),
    ],
    async ({ start, end, api, world }) => {
      const { id } = await start();
      const stuck = await end(id);
      assert.equal(stuck.state, 'attention');
      assert.match(stuck.error?.detail ?? '', /\. Undoing it failed too: .*\.$/);
      assert.deepEqual(api.counts(), { open: 0, attention: 1 });
      await assert.rejects(start(), (error: unknown) => error instanceof AppError && /hv op retry/.test(error.hint));
      isBroken = false;
      await api.cancel(id);
      assert.equal((await end(id)).state, 'failed');
      assert.deepEqual([api.counts().attention, world.made.size], [0, 0]);
      await assert.rejects(
        api.retry(id),
        (error: unknown) => error instanceof AppError && error.code === 'operation_not_waiting',
      );
      assert.equal((await end((await start()).id)).state, 'failed');
    },
    hasty,
  );
});

test('cancelling undoes what was done and says cancelled', () =>
  withJournal(
    (world) => [
      makes(world, 'a'),
      makes(world, 'b', { isCancellable: true, act: ({ signal }) => systemClock.sleep(60_000, signal) }),
    ],
    async ({ start, end, api, world }) => {
      const accepted = await start();
      await systemClock.sleep(100);
      await api.cancel(accepted.id);
      const ended = await end(accepted.id);
      assert.equal(ended.state, 'cancelled');
      assert.equal(world.made.size, 0);
      await assert.rejects(
        api.cancel(accepted.id),
        (error: unknown) => error instanceof AppError && error.code === 'operation_over',
      );
    },
  ));

test('what was cancelled within a step that goes to its end does not begin the next', () => {
  const [began, mayEnd] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let undone = 0;
  return withJournal(
    (world) => [
      makes(world, 'a', {
        act: async () => {
          began.resolve();
          await mayEnd.promise;
          world.made.add('a');
        },
      }),
      makes(world, 'b', {
        compensate: async () => {
          undone += 1;
        },
      }),
    ],
    async ({ start, end, api, world }) => {
      const accepted = await start();
      await began.promise;
      await api.cancel(accepted.id);
      mayEnd.resolve();
      const ended = await end(accepted.id);
      assert.equal(ended.state, 'cancelled');
      assert.deepEqual(
        ended.steps.map(({ state }) => state),
        ['undone', 'pending'],
      );
      assert.equal(undone, 0);
      assert.equal(world.made.size, 0);
    },
  );
});

test('one that takes over cancels the other, which is undone first; both are in the audit', () =>
  withJournal(
    (world) => [
      makes(world, 'a'),
      makes(world, 'b', { isCancellable: true, act: ({ signal }) => systemClock.sleep(60_000, signal) }),
    ],
    async ({ start, takeOver, read, end, audit, world }) => {
      const waiting = await start();
      const taking = await takeOver('one');
      const cancelled = await end(waiting.id);
      assert.equal(cancelled.state, 'cancelled');
      assert.equal(cancelled.error?.detail, '"End one" took over.');
      assert.equal(world.made.size, 0);
      assert.equal((await end(taking.id)).state, 'done');
      assert.deepEqual(
        (await audit.list({ limit: 10 })).items.map((record) => [record.operationId, record.phase, record.outcome]),
        [
          [taking.id, 'outcome', 'done'],
          [taking.id, 'intent', null],
          [waiting.id, 'outcome', 'cancelled'],
          [waiting.id, 'intent', null],
        ],
      );
      await read('two');
      await assert.rejects(takeOver('two'), (error: unknown) => error instanceof AppError && error.code === 'busy');
    },
  ));

test('an operation that a stop interrupted goes on after the restart, from its step, with what it remembered', () => {
  let isBlocked = true;
  return withJournal(
    (world) => [
      makes(world, 'a', {
        act: async (context) => {
          world.log.push('make a');
          world.made.add('a');
          await context.remember('uuid', 'u-1');
          context.rememberAtEnd('size', 5);
        },
      }),
      makes(world, 'b', {
        isCancellable: true,
        act: async (context) => {
          if (isBlocked) await systemClock.sleep(60_000, context.signal);
          world.log.push(`make b with ${String(context.recall('uuid'))} of ${String(context.recall('size'))}`);
          world.made.add('b');
        },
      }),
    ],
    async ({ start, end, stop, restart, world }) => {
      const accepted = await start();
      await systemClock.sleep(100);
      await stop();
      isBlocked = false;
      await restart();
      assert.equal((await end(accepted.id)).state, 'done');
      assert.deepEqual(world.log, ['make a', 'make b with u-1 of 5']);
    },
  );
});

test('an interrupted operation whose actor lost the right is undone', () => {
  return withJournal(
    (world) => [
      makes(world, 'a'),
      makes(world, 'b', { isCancellable: true, act: ({ signal }) => systemClock.sleep(60_000, signal) }),
    ],
    async ({ start, end, stop, restart, world }) => {
      const accepted = await start();
      await systemClock.sleep(100);
      await stop();
      await restart(false);
      const ended = await end(accepted.id);
      assert.equal(ended.state, 'failed');
      assert.equal(ended.error?.code, 'no_longer_allowed');
      assert.equal(world.made.size, 0);
    },
  );
});

test('an operation waits out a journal that cannot be written, and then ends as it should', () =>
  withJournal(
    (world) => [
      makes(world, 'a', {
        act: async () => {
          world.made.add('a');
          world.isFull = true;
        },
      }),
      makes(world, 'b'),
    ],
    async ({ world, start, end }) => {
      const accepted = await start();
      await systemClock.sleep(1000);
      world.isFull = false;
      assert.equal((await end(accepted.id)).state, 'done');
      assert.deepEqual([...world.made], ['a', 'b']);
    },
  ));

test('what an operation holds is reserved with it, and charged or released with its end', () =>
  withJournal(
    (world) => [
      makes(world, 'a', {
        act: async (context) => {
          await context.charge([{ project: 'p', resource: 'images', objectId: 'found', amount: 7 }]);
          if (world.log.includes('fail')) throw new AppError('wrong_state');
        },
      }),
    ],
    async ({ world, start, end, books }) => {
      await end((await start('one')).id);
      world.log.push('fail');
      assert.equal((await end((await start('two')).id)).state, 'failed');
      assert.deepEqual(await books(), [
        'usr-ada reserves 1 for one',
        'usr-ada reserves 7 for found',
        'charged',
        'usr-ada reserves 1 for two',
        'usr-ada reserves 7 for found',
        'released',
      ]);
    },
  ));

test('an operation without room in its quota leaves no trace: no row, no lock, no intent, no entry', () =>
  withJournal(
    (world) => [makes(world, 'a')],
    async ({ world, start, end, api, audit, books }) => {
      world.hasNoRoom = true;
      await assert.rejects(start(), /no room/);
      assert.deepEqual([await api.newest(10, null), await books()], [[], []]);
      assert.equal((await audit.list({ limit: 10 })).items.length, 0);
      world.hasNoRoom = false;
      assert.equal((await end((await start()).id)).state, 'done');
    },
  ));

test('a project in which an operation works is known as busy until it is over, and one that is being deleted takes none', async () => {
  const go = Promise.withResolvers<void>();
  await withJournal(
    (world) => [makes(world, 'it', { act: () => go.promise })],
    async ({ world, move, end, api }) => {
      const begun = move('to');
      // Before the first word of it is written: a deletion that asks now must not go on.
      assert.deepEqual([api.countIn('from'), api.countIn('to'), api.countIn('other')], [1, 1, 0]);
      const { id } = await begun;
      assert.equal(api.countIn('to'), 1);
      go.resolve();
      assert.equal((await end(id)).state, 'done');
      assert.deepEqual([api.countIn('from'), api.countIn('to')], [0, 0]);
      for (const gone of ['from', 'to']) {
        world.leaving.clear();
        world.leaving.add(gone);
        await assert.rejects(
          move('to'),
          (error: unknown) => error instanceof AppError && error.code === 'not_found',
          gone,
        );
        assert.equal(api.countIn('from'), 0);
      }
    },
  );
});

test('a right that an operation needs in another project is asked for there, before each step', async () => {
  await withJournal(
    (world) => [makes(world, 'it')],
    async ({ stop, restart, move, end }) => {
      await stop();
      await restart((permission, project) => permission === 'vm.delete' || project === 'mine');
      assert.equal((await end((await move('mine')).id)).state, 'done');
      const refused = await end((await move('theirs')).id);
      assert.deepEqual([refused.state, refused.error?.code], ['failed', 'no_longer_allowed']);
    },
  );
});

test('who may not see the operation that is in the way hears that there is one, and nothing of it', async () => {
  const go = Promise.withResolvers<void>();
  await withJournal(
    (world) => [makes(world, 'it', { act: () => go.promise })],
    async ({ stop, restart, start, end }) => {
      await stop();
      await restart((permission) => permission !== 'operation.read');
      const first = await start('secret');
      await assert.rejects(start('secret'), (error: unknown) => {
        assert.ok(error instanceof AppError && error.code === 'busy');
        assert.doesNotMatch(
          JSON.stringify([error.message, error.hint, error.params]),
          new RegExp(`secret|${first.id}`),
        );
        return true;
      });
      go.resolve();
      await end(first.id);
    },
  );
});

test('a grant on a VM reaches what works on its remains', async () => {
  await withJournal(
    (world) => [makes(world, 'it')],
    async ({ stop, restart, read, end }) => {
      await stop();
      await restart((_permission, _project, vmId) => vmId === 'mine');
      assert.equal((await end((await read('mine')).id)).state, 'done');
      assert.equal((await end((await read('theirs')).id)).error?.code, 'no_longer_allowed');
    },
  );
});

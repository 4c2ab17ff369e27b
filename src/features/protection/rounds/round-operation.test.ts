import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fakeVm } from '#contract/fake-vm.ts';
import { type Operation, operationErrors } from '#contract/operations.ts';
import { protectionErrors } from '#contract/protection.ts';
import type { Vm } from '#contract/vms.ts';
import type { StepContext } from '#features/operations/index.ts';
import { TestClock } from '#kernel/clock.ts';
import { AppError, registerErrors } from '#kernel/errors.ts';
import { silentLogger } from '#kernel/logger.ts';
import { openDatabase } from '#platform/db/database.ts';
import { protectionMigrations } from '../migrations.ts';
import { runCalendar } from '../run-calendar.ts';
import type { Schedule } from '../schedules/schedule-store.ts';
import { roundOperation } from './round-operation.ts';
import { createRoundStore, reportView } from './round-store.ts';
import { createTurns } from './turns.ts';

registerErrors(operationErrors);
registerErrors(protectionErrors);

const ROUND = 'op-round';
const HOUR_MS = 3_600_000;

const SCHEDULE: Schedule = {
  id: 'sched-1',
  name: 'nightly',
  isEnabled: true,
  calendar: '0 2 * * *',
  timeZone: 'UTC',
  targets: { kind: 'all', except: [] },
  repository: null,
  retention: { last: 0, hourly: 0, daily: 0, weekly: 0, monthly: 0, yearly: 0 },
  proof: 'never',
  priority: 5,
  jitterMinutes: 0,
  scrubDays: null,
  catchUp: true,
  windowHours: null,
  nextMs: null,
  createdAt: '2026-01-01T00:00:00.000Z',
  runs: runCalendar('0 2 * * *', 'UTC'),
};

const operation = (id: string, vm: Vm, parts: Partial<Operation>): Operation => ({
  id,
  kind: 'backup.run',
  title: `Back up ${vm.name}`,
  state: 'running',
  actor: 'system',
  objectType: 'vm',
  objectId: vm.id,
  objectName: vm.name,
  vmId: vm.id,
  project: vm.project,
  steps: [],
  progress: null,
  canCancel: true,
  isDismissed: false,
  error: null,
  result: null,
  createdAt: '2026-01-01T02:00:00.000Z',
  finishedAt: null,
  requestId: null,
  ...parts,
});

type Outcome = 'done' | 'failed' | 'busy' | 'refused' | 'hangs' | 'interrupted' | 'interrupted once';

/** A run over these VMs, and how the backup of each ends. Its steps are run as the journal runs them. */
async function withRound(
  outcomes: Readonly<Record<string, Outcome>>,
  work: (round: {
    clock: TestClock;
    vms: Vm[];
    /** How often the backup of a VM was begun. */
    begun: Map<string, number>;
    cancelled: string[];
    /** Most that ran side by side. */
    atOnce: () => number;
    outcome(name: string, next: Outcome): void;
    finish(name: string, state: Operation['state']): void;
    /** Runs the steps from this one on. @throws what the operation ends with */
    run(from?: string, signal?: AbortSignal): Promise<void>;
    undo(): Promise<void>;
    states(): Promise<Record<string, string>>;
    report(): Promise<ReturnType<typeof reportView>>;
    afterwards: string[];
  }) => Promise<void>,
  { schedule = {}, parallel = 1 }: { schedule?: Partial<Schedule>; parallel?: number } = {},
): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'hv-round-'));
  const db = openDatabase(join(dir, 'state.db'));
  db.migrate('protection', protectionMigrations);
  const clock = new TestClock(new Date('2026-01-01T02:00:00Z'));
  const rounds = createRoundStore(db);
  const plan = { ...outcomes };
  const vms = Object.keys(outcomes).map((name, n) =>
    fakeVm(name, { id: `00000000-0000-4000-8000-${String(n).padStart(12, '0')}` }),
  );
  const operations = new Map<string, Operation>();
  const begun = new Map<string, number>();
  const cancelled: string[] = [];
  const afterwards: string[] = [];
  let running = 0;
  let most = 0;
  const end = (id: string, state: Operation['state'], code = 'x') => {
    const one = operations.get(id);
    if (one?.state !== 'running') return;
    running -= 1;
    operations.set(id, {
      ...one,
      state,
      finishedAt: clock.now().toISOString(),
      error: state === 'failed' ? { code, title: 'It failed', detail: 'The disk is gone.', hint: 'Mend it.' } : null,
    });
  };
  const definition = roundOperation({
    rounds,
    clock,
    turns: createTurns(parallel),
    parallel,
    schedule: () => ({ ...SCHEDULE, ...schedule }),
    vms: () => vms,
    async backUp(vmId, _schedule, _roundId, isAgain) {
      const vm = vms.find(({ id }) => id === vmId);
      assert.ok(vm);
      const outcome = plan[vm.name];
      if (outcome === 'busy') throw new AppError('busy', { detail: 'It is being moved.' });
      if (outcome === 'refused') throw new AppError('no_space', { detail: 'There is no room.' });
      begun.set(vm.name, (begun.get(vm.name) ?? 0) + 1);
      const id = `op-${vm.name}${isAgain ? '-again' : ''}`;
      const known = operations.get(id);
      if (known) return known;
      const one = operation(id, vm, {});
      operations.set(one.id, one);
      running += 1;
      most = Math.max(most, running);
      return one;
    },
    operation: async (id) => operations.get(id) ?? null,
    async waitFor(id) {
      await clock.advance(60_000);
      const outcome = plan[operations.get(id)?.objectName ?? ''];
      if (outcome === 'done' || outcome === 'failed') end(id, outcome);
      if (outcome === 'interrupted once' && id.endsWith('-again')) end(id, 'done');
      if (outcome?.startsWith('interrupted')) end(id, 'failed', 'backup_interrupted');
      const one = operations.get(id);
      assert.ok(one);
      return one;
    },
    async cancel(id) {
      cancelled.push(id);
      end(id, 'cancelled');
    },
    pointOf: (id) => `point-of-${operations.get(id)?.objectName}`,
    async afterwards(_schedule, done) {
      afterwards.push(...done.map(({ pointId }) => pointId ?? ''));
    },
    changed: () => undefined,
  });
  const input = { scheduleId: SCHEDULE.id, scheduleName: SCHEDULE.name, dueAt: '2026-01-01T02:00:00.000Z' };
  const steps = definition.steps(input);
  const contextOf = (signal: AbortSignal): StepContext => ({
    operationId: ROUND,
    actor: 'system',
    signal,
    log: silentLogger,
    progress: () => undefined,
    charge: async () => undefined,
    remember: async () => undefined,
    rememberAtEnd: () => undefined,
    recall: () => undefined,
  });
  const reportNow = async () => {
    const row = await rounds.row(ROUND);
    assert.ok(row);
    return reportView(row, await rounds.vms(ROUND));
  };
  try {
    await work({
      clock,
      vms,
      begun,
      cancelled,
      afterwards,
      atOnce: () => most,
      outcome(name, next) {
        plan[name] = next;
      },
      finish: (name, state) => end(`op-${name}`, state),
      async run(from = 'list', signal = new AbortController().signal) {
        for (const step of steps.slice(steps.findIndex(({ name }) => name === from))) await step.act(contextOf(signal));
      },
      async undo() {
        for (const step of steps.toReversed()) await step.compensate?.(contextOf(new AbortController().signal));
      },
      states: async () => Object.fromEntries((await reportNow()).vms.map(({ vmName, state }) => [vmName, state])),
      report: reportNow,
    });
  } finally {
    await db.close();
    await rm(dir, { recursive: true });
  }
}

test('the second of five fails: four are backed up, and report and error name exactly that one', () =>
  withRound({ a: 'done', b: 'failed', c: 'done', d: 'done', e: 'done' }, async (round) => {
    await assert.rejects(round.run(), { code: 'vms_not_backed_up', message: /^1 of 5: b: The disk is gone\.$/ });
    const report = await round.report();
    assert.deepEqual(await round.states(), { a: 'done', b: 'failed', c: 'done', d: 'done', e: 'done' });
    assert.deepEqual(report.counts, { all: 5, done: 4, failed: 1, notReached: 0, open: 0 });
    assert.equal(report.state, 'failed');
    assert.deepEqual(round.afterwards, ['point-of-a', 'point-of-c', 'point-of-d', 'point-of-e']);
    await round.undo();
    assert.equal((await round.report()).state, 'failed', 'undoing takes nothing back of what was done');
    assert.equal(round.atOnce(), 1);
  }));

test('one that cannot even be begun is told with its reason and mend', () =>
  withRound({ a: 'refused', b: 'done' }, async (round) => {
    await assert.rejects(round.run(), { code: 'vms_not_backed_up' });
    assert.match((await round.report()).vms[0]?.detail ?? '', /^There is no room\. \S/);
    assert.deepEqual(await round.states(), { a: 'failed', b: 'done' });
  }));

test('as many run side by side as may, and no more', () =>
  withRound(
    { a: 'done', b: 'done', c: 'done', d: 'done', e: 'done' },
    async (round) => {
      await round.run();
      assert.equal(round.atOnce(), 2);
      assert.equal((await round.report()).state, 'done');
    },
    { parallel: 2 },
  ));

test('a VM that something else works on is waited for; after half an hour the others go on without it', () =>
  withRound({ a: 'busy', b: 'done' }, async (round) => {
    const work = assert.rejects(round.run(), { code: 'vms_not_backed_up', message: /a: It is being moved/ });
    let isOver = false;
    const watched = work.finally(() => {
      isOver = true;
    });
    while (!isOver) await round.clock.advance(60_000);
    await watched;
    assert.ok(round.clock.monotonicMs() >= 30 * 60_000);
    assert.deepEqual(await round.states(), { a: 'failed', b: 'done' });
  }));

test('a run that died is taken up where it was: no VM is begun twice, and what went on meanwhile is written down', () =>
  withRound({ a: 'done', b: 'hangs', c: 'done' }, async (round) => {
    const died = new AbortController();
    const work = assert.rejects(round.run('list', died.signal), /killed/);
    while (!round.begun.has('b')) await round.clock.advance(1000);
    died.abort(new Error('killed'));
    await work;
    assert.deepEqual(await round.states(), { a: 'done', b: 'running', c: 'waiting' });
    round.finish('b', 'done');
    await round.run('list');
    assert.deepEqual(await round.states(), { a: 'done', b: 'done', c: 'done' });
    assert.deepEqual(Object.fromEntries(round.begun), { a: 1, b: 1, c: 1 });
  }));

test('one that is cancelled ends what runs, and tells who was not reached', () =>
  withRound({ a: 'done', b: 'hangs', c: 'done' }, async (round) => {
    const stopped = new AbortController();
    const work = assert.rejects(round.run('list', stopped.signal), { code: 'cancelled' });
    while (!round.begun.has('b')) await round.clock.advance(1000);
    stopped.abort(new AppError('cancelled'));
    await work;
    await round.undo();
    assert.deepEqual(round.cancelled, ['op-b']);
    assert.deepEqual(await round.states(), { a: 'done', b: 'failed', c: 'not_reached' });
    const report = await round.report();
    assert.equal(report.state, 'cancelled');
    assert.equal(report.vms[1]?.detail, 'Its backup was cancelled.');
  }));

test('when the window is over the rest is not reached, and the run says so', () =>
  withRound(
    { a: 'done', b: 'done', c: 'done' },
    async (round) => {
      const slow = round.clock.advance.bind(round.clock);
      let waits = 0;
      round.clock.advance = (ms) => slow(ms === 60_000 && waits++ === 0 ? 2 * HOUR_MS : ms);
      await assert.rejects(round.run(), { code: 'vms_not_backed_up', message: /^2 of 3/ });
      assert.deepEqual(await round.states(), { a: 'done', b: 'not_reached', c: 'not_reached' });
    },
    { schedule: { windowHours: 1 } },
  ));

test('a run that covers nothing is a failure, never green', () =>
  withRound({}, async (round) => {
    await assert.rejects(round.run(), { code: 'nothing_covered' });
    assert.equal((await round.report()).state, 'failed');
  }));

test('a VM that was deleted after the list was made is no failure', () =>
  withRound({ a: 'hangs', b: 'done' }, async (round) => {
    const work = round.run();
    while (!round.begun.has('a')) await round.clock.advance(1000);
    round.vms.splice(1, 1);
    round.finish('a', 'done');
    await work;
    assert.deepEqual(await round.states(), { a: 'done', b: 'gone' });
  }));

test('of those that wait the higher priority goes first, and a turn is given back once', async () => {
  const turns = createTurns(1);
  const { signal } = new AbortController();
  const order: string[] = [];
  const first = await turns.take(1, signal);
  const others = [
    ['low', 1],
    ['high', 9],
    ['high too', 9],
  ].map(async ([name, priority]) => {
    const giveBack = await turns.take(Number(priority), signal);
    order.push(String(name));
    giveBack();
    giveBack();
  });
  const gone = new AbortController();
  const left = assert.rejects(turns.take(9, gone.signal), /left/);
  gone.abort(new Error('left'));
  await left;
  first();
  await Promise.all(others);
  assert.deepEqual(order, ['high', 'high too', 'low']);
  (await turns.take(1, signal))();
});

test('a backup that is interrupted is made once more, and not a third time', async () => {
  await withRound({ off: 'interrupted', other: 'done' }, async ({ run, begun, report, states }) => {
    await assert.rejects(run(), { code: 'vms_not_backed_up' });
    assert.deepEqual(Object.fromEntries(begun), { off: 2, other: 1 });
    assert.deepEqual(await states(), { off: 'failed', other: 'done' });
    assert.equal((await report()).vms.find(({ vmName }) => vmName === 'off')?.operationId, 'op-off-again');
  });
  await withRound({ off: 'interrupted once' }, async ({ run, begun, states }) => {
    await run();
    assert.deepEqual([begun.get('off'), await states()], [2, { off: 'done' }]);
  });
});

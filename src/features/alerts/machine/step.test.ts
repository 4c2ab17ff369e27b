import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { AlertPhase } from '#contract/alerts.ts';
import { type Machine, type Mask, newMachine, type Observation, type Policy, TICK_MS } from './machine.ts';
import { reference, type Seen } from './reference.test-data.ts';
import { step } from './step.ts';

const WALL = Date.parse('2026-01-01T00:00:00Z');
const isFull = process.env['HV_TEST_FULL'] === '1';
const seed = Number(process.env['HV_TEST_SEED'] ?? 1);

const policy = (more: Partial<Policy> = {}): Policy => ({
  severity: 'warning',
  forMs: 0,
  keepFiringMs: 60_000,
  noData: 'keep',
  periodMs: TICK_MS,
  isAtOnce: false,
  ...more,
});
const observation = (more: Partial<Observation> = {}): Observation => ({
  truth: false,
  isClear: true,
  value: 1,
  mask: null,
  isFrozen: false,
  canResolve: true,
  closing: null,
  ...more,
});
const BAD = observation({ truth: true, isClear: false });
const GOOD = observation();
const UNKNOWN = observation({ truth: null, isClear: null, value: null });
const MASK: Mask = { operationId: 'op-1', title: 'Back web1 up', fromAtMs: WALL };

interface Run {
  readonly machine: Machine;
  readonly phases: AlertPhase[];
  /** `INDEX kind EPISODE`. */
  readonly notices: string[];
}

/** Runs a machine over evaluations; `wallOf` says what the wall clock showed. */
function runOver(history: readonly Seen[], of: Policy, wallOf = (seen: Seen) => WALL + seen.atMs): Run {
  let machine = newMachine(of.severity, { monotonicMs: history[0]?.atMs ?? 0, wallMs: WALL });
  const phases: AlertPhase[] = [];
  const notices: string[] = [];
  for (const [index, seen] of history.entries()) {
    const taken = step(machine, seen.observation, of, { monotonicMs: seen.atMs, wallMs: wallOf(seen) });
    machine = taken.machine;
    phases.push(machine.phase);
    for (const effect of taken.effects)
      if (effect.type === 'notice') notices.push(`${index} ${effect.kind} ${effect.episode}`);
  }
  return { machine, phases, notices };
}

/** One evaluation each tick. */
const ticks = (observations: readonly Observation[], everyMs = TICK_MS): Seen[] =>
  observations.map((one, index) => ({ atMs: index * everyMs, observation: one }));
const times = <Item>(count: number, item: Item): Item[] => Array.from({ length: count }, () => item);

test('without `for` it fires at the second evaluation that agrees, and at the first when its figures are events', () => {
  assert.deepEqual(runOver(ticks([BAD, GOOD, BAD, BAD]), policy()).phases, ['pending', 'ok', 'pending', 'firing']);
  assert.deepEqual(runOver(ticks([BAD]), policy({ isAtOnce: true })).phases, ['firing']);
});

test('with `for` it fires when the condition held so long, and a single good evaluation begins anew', () => {
  const of = policy({ forMs: 30_000 });
  assert.deepEqual(runOver(ticks([BAD, BAD, BAD, BAD]), of).phases, ['pending', 'pending', 'pending', 'firing']);
  assert.equal(runOver(ticks([BAD, BAD, BAD, GOOD, BAD, BAD, BAD]), of).machine.phase, 'pending');
});

test('it ends once the clear condition held for a minute; a relapse meanwhile tells nobody', () => {
  const run = runOver(ticks([BAD, BAD, ...times(4, GOOD), BAD, ...times(7, GOOD)]), policy());
  assert.deepEqual(run.notices, ['1 firing 1', '13 resolved 1']);
  assert.equal(run.machine.phase, 'ok');
});

test('between trigger and clear condition it goes on firing', () => {
  const between = observation({ truth: false, isClear: false });
  assert.equal(runOver(ticks([BAD, BAD, ...times(30, between)]), policy()).machine.phase, 'firing');
});

test('a short hole stops the timers, a longer one begins the waiting anew', () => {
  const of = policy({ forMs: 60_000 });
  // 20 s held, two unknown, then on: the 30 s between the known evaluations are a hole of more than two periods.
  const long = runOver(ticks([BAD, BAD, BAD, UNKNOWN, UNKNOWN, ...times(6, BAD)]), of);
  assert.equal(long.machine.phase, 'pending');
  const short = runOver(ticks([BAD, BAD, BAD, UNKNOWN, ...times(5, BAD)]), of);
  assert.equal(short.machine.phase, 'firing');
  assert.equal(runOver(ticks([BAD, BAD, BAD, UNKNOWN, ...times(4, BAD)]), of).machine.phase, 'pending');
});

test('without data it stays as it is, fires or ends, as its rule says', () => {
  const gone = [BAD, BAD, ...times(20, UNKNOWN)];
  const keep = runOver(ticks(gone), policy());
  assert.ok(keep.machine.phase === 'firing' && keep.machine.isNoData);
  assert.equal(runOver(ticks(gone), policy({ noData: 'ok' })).machine.phase, 'ok');
  const silent = times(6, UNKNOWN);
  assert.equal(runOver(ticks([GOOD, ...silent]), policy({ noData: 'alert' })).machine.phase, 'firing');
  assert.equal(runOver(ticks([GOOD, ...silent]), policy()).machine.phase, 'ok');
});

test('while its source is lost everything stays, and no time counts', () => {
  const frozen = observation({ truth: false, isClear: true, isFrozen: true });
  const run = runOver(ticks([BAD, BAD, ...times(400, frozen)]), policy({ noData: 'ok' }));
  assert.ok(run.machine.phase === 'firing' && !run.machine.isNoData);
  assert.deepEqual(run.notices, ['1 firing 1']);
});

test('an operation keeps it quiet; what still holds afterwards fires with its first time', () => {
  const masked = { ...BAD, mask: MASK };
  const over = runOver(ticks([masked, masked, masked, GOOD, GOOD]), policy());
  assert.deepEqual(over.phases, ['pending', 'suppressed', 'suppressed', 'ok', 'ok']);
  assert.deepEqual(over.notices, []);
  const stays = runOver(ticks([masked, masked, masked, BAD]), policy());
  assert.deepEqual(stays.notices, ['3 firing 1']);
  assert.equal(stays.machine.startedAtMs, WALL);
  assert.equal(stays.machine.mask?.title, 'Back web1 up');
});

test('an operation that begins while it fires does not hide its end', () => {
  const run = runOver(ticks([BAD, BAD, ...times(8, { ...GOOD, mask: MASK })]), policy());
  assert.deepEqual(run.notices, ['1 firing 1', '8 resolved 1']);
});

test('a rise of severity is told at once and takes the acknowledgement away; a fall is not told', () => {
  const firing: Machine = {
    ...runOver(ticks([BAD, BAD]), policy()).machine,
    acknowledged: { by: 'ann', atMs: WALL, note: null },
  };
  const now = { monotonicMs: 20_000, wallMs: WALL };
  const worse = step(firing, BAD, policy({ severity: 'critical' }), now);
  assert.ok(worse.effects.some((effect) => effect.type === 'notice' && effect.kind === 'severity_raised'));
  assert.equal(worse.machine.acknowledged, null);
  const better = step(firing, BAD, policy({ severity: 'info' }), now);
  assert.deepEqual(better.effects, []);
  assert.equal(better.machine.acknowledged?.by, 'ann');
});

test('what comes and goes too often is told once as flapping, and its end when it is quiet again', () => {
  const of = policy({ isAtOnce: true, keepFiringMs: 10_000 });
  const flaps = times(6, [BAD, GOOD, GOOD]).flat();
  const run = runOver(ticks([...flaps, ...times(100, GOOD)]), of);
  const kinds = run.notices.map((line) => line.split(' ')[1]);
  assert.deepEqual(kinds, ['firing', 'resolved', 'firing', 'resolved', 'firing', 'flapping', 'resolved']);
  assert.equal(run.machine.toldEpisode, null);
});

test('a rule that is deleted or switched off while its alert flaps leaves nobody with a beginning', () => {
  const of = policy({ isAtOnce: true, keepFiringMs: 10_000 });
  for (const closing of ['rule_removed', 'rule_disabled'] as const) {
    const last = observation({ closing });
    for (const flaps of [times(6, [BAD, GOOD, GOOD]).flat(), [...times(6, [BAD, GOOD, GOOD]).flat(), BAD]]) {
      const run = runOver(ticks([...flaps, last]), of);
      assert.match(run.notices.at(-2) ?? '', /flapping/);
      assert.match(run.notices.at(-1) ?? '', /resolved/);
      assert.equal(run.machine.toldEpisode, null);
    }
  }
});

test('a VM that is deleted or stopped by its owner ends its alerts with the reason', () => {
  const firing = runOver(ticks([BAD, BAD]), policy()).machine;
  const taken = step(firing, { ...UNKNOWN, closing: 'removed' }, policy(), { monotonicMs: 20_000, wallMs: WALL });
  assert.equal(taken.machine.phase, 'ok');
  assert.ok(taken.effects.some((effect) => effect.type === 'notice' && effect.reason === 'removed'));
});

test('after a start nothing ends until figures can be trusted', () => {
  const early = { ...GOOD, canResolve: false };
  const run = runOver(ticks([BAD, BAD, ...times(30, early)]), policy());
  assert.equal(run.machine.phase, 'clearing');
  const closing = { ...UNKNOWN, canResolve: false, closing: 'removed' as const };
  assert.equal(runOver(ticks([BAD, BAD, closing]), policy()).machine.phase, 'firing');
});

const CLOSINGS = ['stopped', 'rule_disabled', 'rule_removed'] as const;

const observations: fc.Arbitrary<Observation> = fc
  .record({
    kind: fc.oneof(
      { weight: 6, arbitrary: fc.constant('bad' as const) },
      { weight: 6, arbitrary: fc.constant('good' as const) },
      { weight: 2, arbitrary: fc.constant('between' as const) },
      { weight: 2, arbitrary: fc.constant('unknown' as const) },
      { weight: 1, arbitrary: fc.constant('half' as const) },
    ),
    isMasked: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
    isFrozen: fc.integer({ min: 0, max: 19 }).map((n) => n === 0),
    canResolve: fc.integer({ min: 0, max: 19 }).map((n) => n !== 0),
    closing: fc.integer({ min: 0, max: 39 }).map((n) => CLOSINGS[n] ?? null),
  })
  .map(({ kind, isMasked, ...more }) => ({
    ...{ bad: BAD, good: GOOD, between: { ...BAD, truth: false }, unknown: UNKNOWN, half: { ...BAD, isClear: null } }[
      kind
    ],
    mask: isMasked ? MASK : null,
    ...more,
  }));

/** Stretches of the same, as the world has them, at ticks that are a little late, missing now and then. */
const histories: fc.Arbitrary<Seen[]> = fc
  .array(
    fc.tuple(
      observations,
      fc.integer({ min: 1, max: 12 }),
      fc.constantFrom(0, 0, 0, 0, 10_000, 20_000, 50_000, 600_000, 5 * 3_600_000),
      fc.integer({ min: -2000, max: 2000 }),
    ),
    { minLength: 1, maxLength: 40 },
  )
  .map((stretches) => {
    const history: Seen[] = [];
    let tick = 0;
    for (const [one, count, holeMs, jitterMs] of stretches) {
      tick += holeMs / TICK_MS;
      for (let n = 0; n < count; n += 1) {
        history.push({ atMs: tick * TICK_MS + (n % 3 === 0 ? jitterMs : 0) + 10_000, observation: one });
        tick += 1;
      }
    }
    return history;
  });
const policies: fc.Arbitrary<Policy> = fc.record({
  severity: fc.constant('warning' as const),
  forMs: fc.constantFrom(0, 0, 20_000, 60_000, 300_000),
  keepFiringMs: fc.constantFrom(0, 20_000, 60_000),
  noData: fc.constantFrom('keep', 'alert', 'ok'),
  periodMs: fc.constantFrom(10_000, 60_000),
  isAtOnce: fc.boolean(),
});

test('it does what a slow model does that reads the whole past at each evaluation, whatever the wall clock shows', () => {
  const numRuns = isFull ? 20_000 : 2000;
  const counts = { evaluations: 0, notices: 0 };
  fc.assert(
    fc.property(
      histories,
      policies,
      fc.array(fc.integer({ min: -3_600_000, max: 3_600_000 })),
      (history, of, steps) => {
        const real = runOver(history, of);
        const expected = reference(history, of);
        assert.deepEqual(real.phases, expected.phases);
        assert.deepEqual(real.notices, expected.notices);
        const stepped = runOver(
          history,
          of,
          (seen) => WALL + seen.atMs + (steps[seen.atMs % (steps.length || 1)] ?? 0),
        );
        assert.deepEqual(stepped.phases, real.phases);
        assert.deepEqual(stepped.notices, real.notices);
        counts.evaluations += history.length;
        counts.notices += real.notices.length;
      },
    ),
    { numRuns, seed },
  );
  console.log(
    `# count: seed ${seed}: ${numRuns} histories, ${counts.evaluations} evaluations, ${counts.notices} notices, each as the slow model says`,
  );
});

test('nobody hears of an end without a beginning, nor of two beginnings without an end between', () => {
  fc.assert(
    fc.property(histories, policies, (history, of) => {
      let isTold = false;
      for (const line of runOver(history, of).notices) {
        const kind = line.split(' ')[1];
        if (kind === 'firing') assert.ok(!isTold, line);
        if (kind === 'resolved') assert.ok(isTold, line);
        isTold = kind !== 'resolved';
      }
    }),
    { numRuns: isFull ? 20_000 : 2000, seed },
  );
});

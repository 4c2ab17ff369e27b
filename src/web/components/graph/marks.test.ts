import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TimelineItem } from '#contract/operations.ts';
import type { GraphMark } from './graph-data.ts';
import { GROUP_PX, groupMarks, markOfAlert, markOfOperation } from './marks.ts';

const RANGE = { fromMs: 1_000_000, toMs: 4_600_000 };
/** Ten seconds of the hour are a pixel. */
const WIDTH_PX = 360;

const mark = (fromS: number, toS: number | null = fromS, change: Partial<GraphMark> = {}): GraphMark => ({
  id: `op-${fromS}`,
  kind: 'operation',
  label: `at ${fromS}`,
  fromMs: RANGE.fromMs + fromS * 1000,
  toMs: toS === null ? null : RANGE.fromMs + toS * 1000,
  outcome: 'good',
  href: `/operations/op-${fromS}`,
  ...change,
});
const places = (marks: readonly GraphMark[]) =>
  groupMarks(marks, RANGE, WIDTH_PX).map(({ xPx, marks: of }) => [Math.round(xPx), of.length]);

test('marks that lie apart stand alone, in the order of time', () => {
  assert.deepEqual(places([mark(3000), mark(0), mark(1200)]), [
    [0, 1],
    [120, 1],
    [300, 1],
  ]);
});

test('marks on the same few pixels are gathered where the first of them began', () => {
  assert.deepEqual(places([mark(100), mark(100), mark(330), mark(340)]), [
    [10, 3],
    [34, 1],
  ]);
});

test('a long row of close marks becomes several groups, none nearer to the next than can be hit', () => {
  const groups = groupMarks(
    Array.from({ length: 600 }, (_, n) => mark(n * 6)),
    RANGE,
    WIDTH_PX,
  );
  assert.ok(groups.length > 10, String(groups.length));
  assert.equal(
    groups.reduce((sum, { marks }) => sum + marks.length, 0),
    600,
  );
  for (const [n, { xPx }] of groups.entries())
    if (n > 0) assert.ok(xPx - (groups[n - 1]?.xPx ?? 0) >= GROUP_PX, `${n}: ${xPx}`);
});

test('what began before is marked at the edge while it lasts, and what was over before or comes later is not', () => {
  assert.deepEqual(places([mark(-600, -300), mark(-600, 300), mark(3601)]), [[0, 1]]);
  assert.deepEqual(places([mark(-600, null)]), [[0, 1]]);
  assert.deepEqual(groupMarks([], RANGE, WIDTH_PX), []);
});

const item = (change: Partial<TimelineItem>): TimelineItem => ({
  id: 'op-1',
  kind: 'vm.start',
  title: 'Start web1',
  state: 'done',
  actor: 'ada',
  objectType: 'vm',
  objectId: 'v1',
  vmId: 'v1',
  project: 'default',
  createdAt: '2026-01-01T00:00:00.000Z',
  finishedAt: '2026-01-01T00:01:00.000Z',
  verdict: null,
  ...change,
});

test('backups, restores, proofs, moves, restarts and healing are told from other operations', () => {
  const kindOf = (change: Partial<TimelineItem>) => markOfOperation(item(change)).kind;
  assert.equal(kindOf({}), 'operation');
  assert.equal(kindOf({ kind: 'backup.run' }), 'backup');
  assert.equal(kindOf({ kind: 'backup.restore-instant' }), 'restore');
  assert.equal(kindOf({ kind: 'backup.verify' }), 'proof');
  assert.equal(kindOf({ kind: 'vm.migrated' }), 'migration');
  assert.equal(kindOf({ kind: 'vm.reset' }), 'restart');
  // The same kind of operation as a person's start.
  assert.equal(kindOf({ actor: 'system:healing' }), 'healing');
});

test('a mark tells from when to when, and how it ended', () => {
  const done = markOfOperation(item({ kind: 'backup.run' }));
  assert.equal((done.toMs ?? 0) - done.fromMs, 60_000);
  assert.equal(done.outcome, 'good');
  assert.equal(markOfOperation(item({ state: 'failed' })).outcome, 'bad');
  assert.equal(markOfOperation(item({ state: 'attention', finishedAt: null })).outcome, 'bad');
  assert.equal(markOfOperation(item({ state: 'cancelled' })).outcome, 'cancelled');
  const open = markOfOperation(item({ state: 'running', finishedAt: null }));
  assert.deepEqual([open.outcome, open.toMs], ['open', null]);
});

test('a proof that found that nothing restores is no good one, although its operation is done', () => {
  assert.equal(markOfOperation(item({ kind: 'backup.verify', verdict: 'pass' })).outcome, 'good');
  assert.equal(markOfOperation(item({ kind: 'backup.verify', verdict: 'fail' })).outcome, 'bad');
  assert.equal(markOfOperation(item({ kind: 'backup.verify', verdict: 'inconclusive' })).outcome, 'bad');
});

test('an alert is marked where it began to fire, with what it is about', () => {
  const { label, kind, href, toMs, fromMs } = markOfAlert({
    id: 7,
    alertId: 'alt-1',
    episode: 1,
    at: '2026-01-01T00:00:00.000Z',
    kind: 'firing',
    severity: 'critical',
    rule: { id: 'r1', name: 'VM crashed' },
    entity: { kind: 'vm', name: 'web1' },
    project: 'default',
    vmId: 'v1',
    value: 1,
    valueText: '',
    limitText: '',
    reason: null,
    note: null,
  });
  assert.deepEqual([label, kind, href], ['VM crashed: web1 (critical)', 'alert', '/alerts/alt-1']);
  assert.equal(fromMs, toMs);
});

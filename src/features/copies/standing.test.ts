import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestClock } from '#kernel/clock.ts';
import { type CopyStanding, copyCollector, copyMetrics, longestWaitSeconds } from './standing.ts';

const HOUR_MS = 3_600_000;
const NOW_MS = Date.parse('2026-11-26T10:00:00Z');

const copy = (name: string, more: Partial<CopyStanding> = {}): CopyStanding => ({
  repositoryId: `repo-${name}`,
  name,
  isEnabled: true,
  missing: 0,
  waitingSinceMs: null,
  succeededAtMs: NOW_MS - HOUR_MS,
  problem: null,
  ...more,
});
const late = { missing: 2, waitingSinceMs: NOW_MS - 30 * HOUR_MS };

test('the point that waits longest counts; copies that are made by hand, and points of a wrong date, do not', () => {
  const waits = (...copies: CopyStanding[]) => longestWaitSeconds(copies, NOW_MS);
  assert.equal(waits(), null);
  assert.equal(waits(copy('a', { ...late, isEnabled: false })), null);
  assert.equal(waits(copy('a')), 0);
  assert.equal(waits(copy('a'), copy('b', late)), 30 * 3600);
  assert.equal(waits(copy('a', { missing: 1, waitingSinceMs: NOW_MS + HOUR_MS })), 0);
});

test('figures are put once a minute, and none where there is no copy', async () => {
  const put: [string, number | null][] = [];
  const sink = {
    put: (_owner: unknown, _kind: unknown, _sub: unknown, metric: string, value: number | null) =>
      void put.push([metric, value]),
  };
  const clock = new TestClock();
  let copies: readonly CopyStanding[] = [];
  const collector = copyCollector({ type: 'host', id: 'local' }, clock, () => copies);
  const collect = async () => {
    put.splice(0);
    await collector.collect(sink, new AbortController().signal);
    return Object.fromEntries(put);
  };
  assert.deepEqual(await collect(), { backup_copy_wait: null, backup_copies_failed: null });
  copies = [copy('a', { problem: 'full' }), copy('b')];
  assert.deepEqual(await collect(), {});
  await clock.advance(60_000);
  assert.deepEqual(await collect(), { backup_copy_wait: 0, backup_copies_failed: 1 });
});

test('other systems see each copy by its name', () => {
  const families = copyMetrics([copy('a', { ...late, problem: 'full' }), copy('b', { succeededAtMs: null })], NOW_MS);
  assert.deepEqual(
    families.map(({ name, samples }) => [
      name.replace('hyper_backup_copy_', ''),
      samples.map(({ labels, value }) => [labels?.['repository'], value]),
    ]),
    [
      [
        'missing_points',
        [
          ['a', 2],
          ['b', 0],
        ],
      ],
      [
        'wait_seconds',
        [
          ['a', 30 * 3600],
          ['b', 0],
        ],
      ],
      ['last_success_timestamp_seconds', [['a', NOW_MS / 1000 - 3600]]],
      [
        'failed',
        [
          ['a', 1],
          ['b', 0],
        ],
      ],
    ],
  );
});

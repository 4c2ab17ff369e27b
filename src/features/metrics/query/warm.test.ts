import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MetricName } from '#contract/metric-catalogue.ts';
import { silentLogger } from '#kernel/logger.ts';
import type { OwnerBook } from '../store/book.ts';
import type { ReadRequest } from './read.ts';
import { warmUp } from './warm.ts';

const HOUR_MS = 3_600_000;

const ownerOf = (id: string, ...metrics: MetricName[]) =>
  ({ owner: { type: 'vm', id }, number: 1, entries: metrics.map((metric) => ({ metric })) }) as unknown as OwnerBook;

const historyOf = (owners: readonly OwnerBook[], hours: { first: number; last: number } | null) => ({
  book: { owners: () => owners.values() },
  rawHours: () => hours,
});

const notAsked = () => assert.fail('it was asked');

test('the last day of each figure of whoever has most are asked for, each figure once', async () => {
  const asked: ReadRequest[] = [];
  const many = ownerOf('b', 'cpu_usage', 'disk_read', 'disk_read', 'mem_used');
  const history = historyOf([ownerOf('a', 'cpu_usage'), many, ownerOf('c')], { first: 10, last: 100 });
  await warmUp(history, async (request) => void asked.push(request), silentLogger);
  assert.deepEqual(
    asked.map(({ metric }) => metric),
    ['cpu_usage', 'disk_read', 'mem_used'],
  );
  for (const { owners, fromMs, toMs } of asked)
    assert.deepEqual([owners, fromMs, toMs], [[many], 76 * HOUR_MS, 100 * HOUR_MS]);
});

test('an empty history is not asked, and one that cannot be read hinders nobody', async () => {
  await warmUp(historyOf([], null), notAsked, silentLogger);
  await warmUp(historyOf([ownerOf('a', 'cpu_usage')], null), notAsked, silentLogger);
  const broken = { ...historyOf([ownerOf('a', 'cpu_usage')], null), rawHours: () => assert.fail('the disk is gone') };
  await warmUp(broken, notAsked, silentLogger);
  await warmUp(historyOf([ownerOf('a', 'cpu_usage')], { first: 1, last: 2 }), async () => assert.fail(), silentLogger);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { drawnFigures, questionOf, subjectOf } from './condition.ts';

const figures = (condition: string, clear: string | null = null) => drawnFigures(condition, clear, true);

test('a threshold is drawn where the figure itself is compared, and where it ends', () => {
  assert.deepEqual(
    figures('cpu_usage{kind=vm} > 90% for 5m').map(({ metric, threshold }) => [metric, threshold]),
    [['cpu_usage', 0.9]],
  );
  const [given] = figures('cpu_usage > 90%', '80%');
  assert.equal(given?.clear, 0.8);
  const [average] = figures('avg(cpu_steal, 15m) > 30%');
  assert.equal(average?.threshold, 0.3);
});

test('a growth, a sum and a prediction have no threshold in the unit of the figure', () => {
  for (const condition of ['increase(vm_crash_total, 10m) >= 1', 'predict(disk_free, 7d) < 0 B'])
    assert.deepEqual(
      figures(condition).map(({ threshold }) => threshold),
      [null],
    );
});

test('each figure comes once, at most three; a text with mistakes has none', () => {
  assert.deepEqual(
    figures('cpu_usage > 90% and mem_usage > 90% or cpu_usage > 99%').map(({ metric }) => metric),
    ['cpu_usage', 'mem_usage'],
  );
  assert.deepEqual(figures('cpu_usge > 90%'), []);
});

test('figures are asked for of the thing itself, or of what contains it', () => {
  const disk = subjectOf('vdisk', { vm: 'web1', uuid: 'u1', disk: 'vda' }, 'u1');
  const [latency] = figures('disk_latency{kind=vdisk} > 50 ms');
  const [cpu] = figures('cpu_usage{kind=vm} > 90%');
  assert.ok(latency && cpu);
  assert.deepEqual(questionOf(latency, disk), { metric: 'disk_latency', entity: 'vm:u1', kind: 'vdisk', sub: 'vda' });
  assert.deepEqual(questionOf(cpu, disk), { metric: 'cpu_usage', entity: 'vm:u1', kind: 'vm' });
  const [load] = figures('load15_per_core > 2');
  assert.ok(load);
  assert.deepEqual(questionOf(load, disk), { metric: 'load15_per_core', entity: 'host', kind: 'host' });
});

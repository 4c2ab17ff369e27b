import assert from 'node:assert/strict';
import { test } from 'node:test';
import { METRICS } from '#contract/metric-catalogue.ts';
import { graphOf, HOST_GRAPHS, type Measured, VM_GRAPHS } from './graph-sets.ts';

const times = [0, 10_000, 20_000];
const one = (metric: Measured['metric'], kind: Measured['kind'], sub: string, values: (number | null)[]): Measured => ({
  metric,
  kind,
  sub,
  name: sub,
  min: values,
  avg: values,
  max: values,
});
const setOf = (id: string) => {
  const found = VM_GRAPHS.find((set) => set.id === id);
  assert.ok(found);
  return found;
};

test('the lines of a graph have one dimension, and the entity of the graph has these figures', () => {
  for (const set of [...VM_GRAPHS, ...HOST_GRAPHS]) {
    const dimensions = new Set(set.lines.map(({ metric }) => METRICS[metric].dimension));
    assert.equal(dimensions.size, 1, set.id);
    for (const { metric } of set.lines) {
      const kinds: readonly string[] = METRICS[metric].kinds;
      assert.ok(kinds.includes(set.kind), `${set.id}: ${metric} of ${set.kind}`);
    }
  }
});

test('each disk has its lines, with a colour of its own; a single one needs no name', () => {
  const two = graphOf(
    setOf('vdisk-bytes'),
    times,
    [one('disk_read', 'vdisk', 'vdb', [1, 2, 3]), one('disk_read', 'vdisk', 'vda', [1, 2, 3])],
    false,
  );
  assert.deepEqual(
    two?.lines.map(({ label, colour }) => [label, colour]),
    [
      ['vda read', 3],
      ['vdb read', 4],
    ],
  );
  const single = graphOf(setOf('vdisk-bytes'), times, [one('disk_read', 'vdisk', 'vda', [1, null, 3])], true);
  assert.deepEqual(
    single?.lines.map(({ label, values, band }) => [label, values, band?.max]),
    [['read', [1, null, 3], [1, null, 3]]],
  );
  const latency = graphOf(setOf('vdisk-latency'), times, [one('disk_latency', 'vdisk', 'vda', [1, 2, 3])], false);
  assert.deepEqual(
    latency?.lines.map(({ label }) => label),
    ['vda'],
  );
});

test('what was never measured makes no line, and an optional graph of it is left out', () => {
  const nothing = [
    one('net_errors', 'vnic', 'aa', [null, null, null]),
    one('net_rx', 'vnic', 'aa', [null, null, null]),
  ];
  assert.equal(graphOf(setOf('vnic-lost'), times, nothing, false), null);
  assert.deepEqual(graphOf(setOf('vnic-bytes'), times, nothing, false)?.lines, []);
});

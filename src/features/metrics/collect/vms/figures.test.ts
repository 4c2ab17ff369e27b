import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createCounterMemory } from '../counter-memory.ts';
import { createRecordingSink } from '../recording-sink.test-data.ts';
import { putDisks, putMemory, putNetwork, putProcessors } from './figures.ts';
import { blocksOf, numberOf, type Values } from './stat-values.ts';
import { countersWith } from './vms.test-data.ts';

const MAC = '52:54:00:00:00:01';
const STAMP_MS = 1_767_225_600_000;

/** Two looks ten seconds apart. */
function figures(before: Values, after: Values, macs: readonly string[] = [MAC], wallMs = STAMP_MS + 5_000) {
  const counters = createCounterMemory().of('vm');
  const sink = createRecordingSink();
  for (const [values, atMs] of [
    [before, 0],
    [after, 10_000],
  ] as const) {
    sink.clear();
    const look = { uuid: 'web1', values, atMs, periodMs: 10_000, counters };
    putProcessors(sink, look, false);
    putMemory(sink, look, wallMs, false);
    putNetwork(sink, look, macs);
    putDisks(sink, look, true);
  }
  return sink.values;
}

test('counters of a VM as figures', () => {
  const values = figures(
    countersWith(),
    countersWith({
      'cpu.time': 115_000_000_000,
      'vcpu.0.delay': 2_000_000_000,
      'vcpu.3.delay': 3_000_000_000,
      'balloon.swap_out': 1_010,
      'net.0.rx.bytes': 11_000,
      'net.0.tx.drop': 4,
      'block.0.rd.reqs': 110,
      'block.0.rd.bytes': 1_040_960,
      'block.0.rd.times': 60_000_000,
      'block.0.wr.reqs': 20,
      'block.0.wr.times': 70_000_000,
    }),
  );
  const at = (key: string) => values.get(`web1:${key}`);
  assert.equal(at('cpu_usage'), 0.75);
  assert.equal(at('cpu_steal'), 0.1);
  assert.equal(at('mem_usage'), 0.75);
  assert.equal(at('mem_used'), 750_000 * 1024);
  assert.equal(at('mem_available'), 250_000 * 1024);
  assert.equal(at('mem_rss'), 300_000 * 1024);
  assert.equal(at('swap_out'), 1024);
  assert.equal(at(`net_rx/${MAC}`), 1_000);
  assert.equal(at(`net_drops/${MAC}`), 0.4);
  assert.equal(at('disk_read/vda'), 4_096);
  assert.equal(at('disk_read_ops/vda'), 1);
  assert.equal(at('disk_latency/vda'), 0.002);
  assert.equal(at('disk_allocated/vda'), 700_000);
  assert.equal(at('disk_capacity/vda'), 10_737_418_240);
});

test('a guest without the driver, or with one that fell silent, has no memory figures', () => {
  for (const values of [
    figures(countersWith(), countersWith({ 'balloon.last-update': 0 })),
    figures(countersWith(), countersWith(), [MAC], STAMP_MS + 31_000),
    figures(countersWith(), countersWith(), [MAC], STAMP_MS - 3_600_000),
  ]) {
    for (const metric of ['mem_usage', 'mem_used', 'mem_available', 'swap_out'])
      assert.equal(values.has(`web1:${metric}`), false, metric);
    assert.equal(values.get('web1:mem_balloon'), 2 ** 30);
  }
});

test('a VM that began anew makes a gap, not a spike', () => {
  const values = figures(countersWith(), countersWith({ 'cpu.time': 1, 'block.0.rd.bytes': 5, 'net.0.rx.bytes': 6 }));
  for (const key of ['cpu_usage', 'disk_read/vda', `net_rx/${MAC}`])
    assert.equal(values.has(`web1:${key}`), false, key);
  assert.equal(values.get('web1:disk_write/vda'), 0);
});

test('missing fields are missing figures', () => {
  const bare = new Map<string, number>([['vcpu.current', 1]]);
  assert.deepEqual([...figures(bare, bare)], []);
});

test('a card without figures leaves the others their addresses', () => {
  const counters = { 'net.count': 2, 'net.1.name': 'vnet8', 'net.1.rx.bytes': 100 };
  const strip = (values: Values) => new Map([...values].filter(([name]) => !name.startsWith('net.0.')));
  const values = figures(strip(countersWith(counters)), strip(countersWith({ ...counters, 'net.1.rx.bytes': 1_100 })), [
    '52:54:00:00:00:0a',
    '52:54:00:00:00:0b',
  ]);
  assert.equal(values.get('web1:net_rx/52:54:00:00:00:0b'), 100);
  assert.equal(
    [...values.keys()].some((key) => key.includes('00:0a')),
    false,
  );
});

test('a card that the definition does not have yet goes by its name on the host', () => {
  const values = figures(countersWith(), countersWith({ 'net.0.rx.bytes': 2_000 }), [MAC, '52:54:00:00:00:02']);
  assert.equal(values.get('web1:net_rx/vnet7'), 100);
});

test('files that a disk lies on are not disks, and numbers that are not exact are none', () => {
  const chain = countersWith({ 'block.count': 2, 'block.1.name': 'vda', 'block.1.backingIndex': 1 });
  assert.deepEqual([...blocksOf(chain)], [['vda', 'block.0.']]);
  assert.equal(numberOf(new Map([['x', 2n ** 60n]]), 'x'), null);
  assert.equal(numberOf(new Map([['x', 5n]]), 'x'), 5);
});

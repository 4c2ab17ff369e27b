import assert from 'node:assert/strict';
import { test } from 'node:test';
import { labelOf } from './names.ts';
import { type RawSource, readFamilies } from './raw-families.ts';
import { createRecordingSink } from './recording-sink.test-data.ts';
import { createTickSink, enumNumber } from './sinks.ts';

const HOST = { type: 'host', id: 'local' } as const;
const WEB1 = { type: 'vm', id: 'web1' } as const;

test('samples are rounded as the catalogue says; what is no number is no sample', () => {
  const recorded = createRecordingSink();
  const sink = createTickSink(recorded, assert.fail);
  sink.put(HOST, 'host', '', 'cpu_usage', 0.123456);
  sink.put(HOST, 'host', '', 'mem_used', 10.7);
  sink.put(HOST, 'host', '', 'mem_usage', Number.NaN);
  sink.put(HOST, 'host', '', 'swap_usage', Number.POSITIVE_INFINITY);
  sink.put(HOST, 'host', '', 'load15_per_core', null);
  assert.deepEqual(
    [...recorded.values],
    [
      ['cpu_usage', 0.1235],
      ['mem_used', 11],
    ],
  );
});

test('numbers that are not exact are refused, and a VM has two hundred series at most', () => {
  const recorded = createRecordingSink();
  let rejected = 0;
  const sink = createTickSink(recorded, () => {
    rejected += 1;
  });
  sink.put(HOST, 'host', '', 'mem_used', 2 ** 60);
  assert.equal(rejected, 1);
  for (let n = 0; n < 300; n += 1) sink.put(WEB1, 'guestfs', `/${n}`, 'disk_used', n);
  assert.equal(recorded.values.size, 200);
  assert.equal(rejected, 101);
});

test('of two entities whose names were cut to the same one the first is kept', () => {
  const recorded = createRecordingSink();
  let rejected = 0;
  const sink = createTickSink(recorded, () => {
    rejected += 1;
  });
  for (const value of [1, 2]) sink.put(HOST, 'fs', labelOf(`/${'x'.repeat(80)}${value}`), 'disk_used', value);
  assert.deepEqual([...recorded.values.values()], [1]);
  assert.equal(rejected, 1);
});

test('enums are numbers by their place', () => {
  assert.equal(enumNumber('pool_state', 'faulted'), 3);
  assert.equal(enumNumber('vm_state', 'running'), 0);
});

test('names of strangers become short labels without what cannot be shown', () => {
  assert.equal(labelOf('/mnt/data'), '/mnt/data');
  assert.equal(labelOf('a\nb\u0000c\u202Ed\u2028'), 'a\uFFFDb\uFFFDc\uFFFDd\uFFFD');
  assert.equal([...labelOf('💾'.repeat(100))].length, 64);
  assert.equal(labelOf('\uD800x'), '\uFFFDx');
});

test('families come in a fixed order, whole, and only with samples', () => {
  const disks: RawSource = (sink) => sink.add('hyper_host_disk_read_bytes_total', { device: 'sda' }, 5);
  const more: RawSource = (sink) => {
    sink.add('hyper_host_disk_read_bytes_total', { device: 'sdb' }, 6);
    sink.add('hyper_host_load15', {}, 1.5);
    sink.add('hyper_host_cpus', {}, null);
  };
  assert.deepEqual(
    readFamilies([disks, more]).map(({ name, type, unit, samples }) => [name, type, unit, samples.length]),
    [
      ['hyper_host_load15', 'gauge', null, 1],
      ['hyper_host_disk_read_bytes_total', 'counter', 'bytes', 2],
    ],
  );
});

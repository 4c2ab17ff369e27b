import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MetricFamily } from '#platform/feature.ts';
import { formatFor, renderFamilies } from './text.ts';

const FAMILIES: readonly MetricFamily[] = [
  {
    name: 'hyper_vm_info',
    type: 'info',
    unit: null,
    help: 'The VM.',
    samples: [{ labels: { host: 'node1', vm: 'a"b\\c\nd' }, value: 1 }],
  },
  {
    name: 'hyper_vm_state',
    type: 'state_set',
    unit: null,
    help: 'State of the VM.',
    samples: [
      { labels: { host: 'node1', state: 'running' }, value: 1 },
      { labels: { host: 'node1', state: 'off' }, value: 0 },
    ],
  },
  {
    name: 'hyper_vm_cpu_seconds_total',
    type: 'counter',
    unit: 'seconds',
    help: 'Time, with \\ and "quotes".\nSecond line.',
    samples: [{ labels: { host: 'node1' }, value: 1.5 }],
  },
  { name: 'hyper_operations_open', type: 'gauge', help: 'Open.', samples: [{ value: 3 }] },
  { name: 'hyper_pool_capacity_bytes', type: 'gauge', unit: 'bytes', help: 'Size.', samples: [] },
];

test('plain text has HELP and TYPE once for a family, escapes, and the host where it is missing', () => {
  assert.equal(
    renderFamilies(FAMILIES, 'prometheus', 'node1'),
    String.raw`# HELP hyper_vm_info The VM.
# TYPE hyper_vm_info gauge
hyper_vm_info{host="node1",vm="a\"b\\c\nd"} 1
# HELP hyper_vm_state State of the VM.
# TYPE hyper_vm_state gauge
hyper_vm_state{host="node1",state="running"} 1
hyper_vm_state{host="node1",state="off"} 0
# HELP hyper_vm_cpu_seconds_total Time, with \\ and "quotes".\nSecond line.
# TYPE hyper_vm_cpu_seconds_total counter
hyper_vm_cpu_seconds_total{host="node1"} 1.5
# HELP hyper_operations_open Open.
# TYPE hyper_operations_open gauge
hyper_operations_open{host="node1"} 3
`,
  );
});

test('OpenMetrics names families without the ends of their samples, with units', () => {
  assert.equal(
    renderFamilies(FAMILIES, 'openmetrics', 'node1'),
    String.raw`# TYPE hyper_vm info
# HELP hyper_vm The VM.
hyper_vm_info{host="node1",vm="a\"b\\c\nd"} 1
# TYPE hyper_vm_state gauge
# HELP hyper_vm_state State of the VM.
hyper_vm_state{host="node1",state="running"} 1
hyper_vm_state{host="node1",state="off"} 0
# TYPE hyper_vm_cpu_seconds counter
# UNIT hyper_vm_cpu_seconds seconds
# HELP hyper_vm_cpu_seconds Time, with \\ and \"quotes\".\nSecond line.
hyper_vm_cpu_seconds_total{host="node1"} 1.5
# TYPE hyper_operations_open gauge
# HELP hyper_operations_open Open.
hyper_operations_open{host="node1"} 3
`,
  );
});

test('two samples with the same labels would spoil the page: the first counts', () => {
  const samples = [
    { labels: { pool: 'long' }, value: 1 },
    { labels: { pool: 'long' }, value: 2 },
  ];
  const text = renderFamilies([{ name: 'x', type: 'gauge', help: '', samples }], 'prometheus', null);
  assert.equal(text, '# HELP x \n# TYPE x gauge\nx{pool="long"} 1\n');
});

test('OpenMetrics comes to those who name it and like it no less', () => {
  const prometheus = 'application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75';
  assert.equal(formatFor(`${prometheus},text/plain;version=0.0.4;q=0.5,*/*;q=0.1`), 'openmetrics');
  assert.equal(formatFor('application/openmetrics-text; q=0.3, text/plain; q=0.5'), 'prometheus');
  assert.equal(formatFor('application/openmetrics-text;q=0'), 'prometheus');
  for (const accept of [null, '', '*/*', 'text/plain', 'text/html,application/xhtml+xml', ',;q=x'])
    assert.equal(formatFor(accept), 'prometheus', String(accept));
});

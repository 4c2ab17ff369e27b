/** What the page of the bench shows: as many graphs as a wall can have, a figure in each. */

import { definitionOf, type MetricName } from '#contract/metric-catalogue.ts';
import type { GraphSet } from '#web/components/graph/graph-sets.ts';

export const POINTS = 1500;

/** As `test/bench/metrics/load.ts` makes it. */
export const VM_OF_BENCH = '00000000-0000-4000-8000-000000000000';
export const entityOfBench = `vm:${VM_OF_BENCH}`;

const METRICS: readonly MetricName[] = [
  'cpu_usage',
  'cpu_steal',
  'cpu_psi_some',
  'mem_psi_some',
  'mem_psi_full',
  'io_psi_some',
  'io_psi_full',
  'mem_usage',
  'mem_available',
  'mem_used',
  'mem_rss',
  'swap_out',
  'disk_read',
  'disk_write',
  'disk_read_ops',
  'disk_write_ops',
  'net_rx',
  'net_tx',
  'net_rx_packets',
  'net_tx_packets',
];

export const setsOfBench: readonly GraphSet[] = METRICS.map((metric) => ({
  id: metric,
  title: metric,
  kind: definitionOf(metric).kinds.find((kind) => ['vm', 'vdisk', 'vnic'].includes(kind)) ?? 'vm',
  lines: [{ metric, colour: 1 }],
}));
export const GRAPHS = METRICS.length;

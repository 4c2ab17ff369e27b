/** Figures of this process, under the names that programs usually have for them. */

import type { MetricFamily } from '#platform/feature.ts';

export function processMetrics(version: string, startedAt: Date): readonly MetricFamily[] {
  const { user, system } = process.cpuUsage();
  return [
    {
      name: 'hyper_build_info',
      type: 'info',
      help: 'Version of hyperd.',
      samples: [{ labels: { version, node: process.version }, value: 1 }],
    },
    {
      name: 'process_cpu_seconds_total',
      type: 'counter',
      unit: 'seconds',
      help: 'CPU time of hyperd.',
      samples: [{ value: (user + system) / 1e6 }],
    },
    {
      name: 'process_resident_memory_bytes',
      type: 'gauge',
      unit: 'bytes',
      help: 'Resident memory of hyperd.',
      samples: [{ value: process.memoryUsage.rss() }],
    },
    {
      name: 'process_start_time_seconds',
      type: 'gauge',
      unit: 'seconds',
      help: 'Start of hyperd, Unix time.',
      samples: [{ value: Math.round(startedAt.getTime() / 1000) }],
    },
  ];
}

/** `/metrics` in the Prometheus text format, version 0.0.4. */

import type { MetricFamily } from '#platform/feature.ts';

const escapeLabel = (value: string): string =>
  value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');

export function renderMetrics(families: readonly MetricFamily[]): string {
  return families
    .map(({ name, type, help, samples }) => {
      const lines = samples.map(({ labels = {}, value }) => {
        const inner = Object.entries(labels)
          .map(([key, text]) => `${key}="${escapeLabel(text)}"`)
          .join(',');
        return `${name}${inner ? `{${inner}}` : ''} ${value}\n`;
      });
      return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join('')}`;
    })
    .join('');
}

/** Figures of this process. */
export function processMetrics(version: string, startedAt: Date): readonly MetricFamily[] {
  const { user, system } = process.cpuUsage();
  return [
    {
      name: 'hyper_build_info',
      type: 'gauge',
      help: 'Version of hyperd.',
      samples: [{ labels: { version, node: process.version }, value: 1 }],
    },
    {
      name: 'process_cpu_seconds_total',
      type: 'counter',
      help: 'CPU time of hyperd.',
      samples: [{ value: (user + system) / 1e6 }],
    },
    {
      name: 'process_resident_memory_bytes',
      type: 'gauge',
      help: 'Resident memory of hyperd.',
      samples: [{ value: process.memoryUsage.rss() }],
    },
    {
      name: 'process_start_time_seconds',
      type: 'gauge',
      help: 'Start of hyperd, Unix time.',
      samples: [{ value: Math.round(startedAt.getTime() / 1000) }],
    },
  ];
}

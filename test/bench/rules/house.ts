/** Samples of a host with 200 VMs, held as a collector's memory holds them, and 50 rules about them, each also as Prometheus writes it. */

import type { MetricName } from '#contract/metric-catalogue.ts';
import type { SampleView, ViewedSeries, Window } from '#features/alerts/expressions/view.ts';

export const VMS = 200;
const SAMPLES = 60;
const PERIOD_MS = 10_000;

const METRICS_OF_VM = [
  'cpu_usage',
  'cpu_steal',
  'mem_usage',
  'mem_rss',
  'io_psi_full',
  'vm_state',
  'vm_state_desired',
  'vm_job',
] as const;

/** Value of sample `n` of VM `vm`: most are calm. */
export function valueAt(metric: (typeof METRICS_OF_VM)[number], vm: number, n: number): number {
  const wave = ((vm * 7919 + n * 104_729) % 1000) / 1000;
  switch (metric) {
    case 'mem_rss':
      return Math.round(wave * 8e9);
    case 'vm_state':
      return vm % 50 === 0 ? 4 : 0;
    case 'vm_state_desired':
      return vm % 100 === 0 ? 1 : 0;
    case 'vm_job':
      return vm % 20 === 0 ? 1 : 0;
    default:
      return wave;
  }
}

export { METRICS_OF_VM };

export function houseView(): SampleView {
  const byMetric = new Map<MetricName, ViewedSeries[]>();
  const windows: Window[] = [];
  const nowMs = 1_700_000_000_000;
  for (const metric of METRICS_OF_VM) {
    const all: ViewedSeries[] = [];
    for (let vm = 0; vm < VMS; vm += 1) {
      const name = `vm${vm}`;
      const labels = { host: 'h1', vm: name, uuid: `id-${vm}`, project: `p${vm % 10}`, tags: 'bench', kind: 'vm' };
      all.push({
        series: windows.length,
        entity: { owner: { type: 'vm', id: `id-${vm}` }, kind: 'vm', sub: '' },
        labels,
      });
      windows.push({
        atMs: Array.from({ length: SAMPLES }, (_, n) => nowMs - (SAMPLES - 1 - n) * PERIOD_MS),
        values: Array.from({ length: SAMPLES }, (_, n) => valueAt(metric, vm, n)),
      });
    }
    byMetric.set(metric, all);
  }
  const host: ViewedSeries['entity'] = { owner: { type: 'host', id: 'h1' }, kind: 'host', sub: '' };
  return {
    nowMs,
    entities: (metric) => byMetric.get(metric) ?? [],
    latest: (series) => ({ value: windows[series]?.values.at(-1) ?? 0, ageMs: 0 }),
    periodMs: () => PERIOD_MS,
    window(series, ms) {
      const { atMs = [], values = [] } = windows[series] ?? {};
      const from = Math.max(0, atMs.length - Math.floor(ms / PERIOD_MS));
      return { atMs: atMs.slice(from), values: values.slice(from) };
    },
    existing: (kind) => (kind === 'host' ? [{ entity: host, labels: { host: 'h1', kind: 'host' }, sinceMs: 0 }] : []),
    forecast: () => null,
  };
}

/** Ours and the same as Prometheus evaluates it. The names of states are numbers there. */
export const RULES: readonly (readonly [string, string])[] = [
  ...[50, 60, 70, 80, 90].flatMap((percent): (readonly [string, string])[] => [
    [`cpu_usage{kind=vm} > ${percent}%`, `cpu_usage > 0.${percent}`],
    [`mem_usage{kind=vm} > ${percent}%`, `mem_usage > 0.${percent}`],
    [`cpu_steal > ${percent}%`, `cpu_steal > 0.${percent}`],
    [`cpu_usage{kind=vm, vm=~"vm1*"} > ${percent}%`, `cpu_usage{vm=~"vm1.*"} > 0.${percent}`],
    [`cpu_usage > ${percent}% unless vm_job == backup`, `(cpu_usage > 0.${percent}) unless (vm_job == 1)`],
    [
      `cpu_usage{kind=vm} > ${percent}% and mem_usage{kind=vm} > ${percent}%`,
      `(cpu_usage > 0.${percent}) and (mem_usage > 0.${percent})`,
    ],
    [`avg(cpu_usage{kind=vm}, 5m) > ${percent}%`, `avg_over_time(cpu_usage[5m]) > 0.${percent}`],
    [`mem_rss > ${percent} GB`, `mem_rss > ${percent}e9`],
    [
      `count(cpu_usage{kind=vm} > ${percent}% by host) > ${percent}`,
      `count by (host) (cpu_usage > 0.${percent}) > ${percent}`,
    ],
    [
      `vm_state != running or io_psi_full{kind=vm} > ${percent}%`,
      `((vm_state != 0) and (vm_state_desired == 0)) or (io_psi_full > 0.${percent})`,
    ],
  ]),
];

/** Pressure stall information: how long work waited for a resource. Format: the kernel's Documentation/accounting/psi.rst; the same for
 *  the whole machine and for a cgroup. The averages in the file are not used: totals tell the true time between two looks. */

import type { MetricName } from '#contract/metric-catalogue.ts';
import type { OwnCounters } from '../counter-memory.ts';
import type { Owner, SampleSink } from '../measuring.ts';

export type PressureResource = 'cpu' | 'memory' | 'io';
export const PRESSURE_RESOURCES: readonly PressureResource[] = ['cpu', 'memory', 'io'];

/** Microseconds since boot, or since the group was made. */
export interface Pressure {
  readonly some: number | null;
  readonly full: number | null;
}

export function pressureOf(text: string | null): Pressure {
  const total = (kind: string) => {
    const micros = new RegExp(`^${kind} .*\\btotal=(\\d+)$`, 'm').exec(text ?? '')?.[1];
    return micros === undefined ? null : Number(micros);
  };
  return { some: total('some'), full: total('full') };
}

const METRICS_OF: readonly (readonly [PressureResource, keyof Pressure, MetricName])[] = [
  ['cpu', 'some', 'cpu_psi_some'],
  ['memory', 'some', 'mem_psi_some'],
  ['memory', 'full', 'mem_psi_full'],
  ['io', 'some', 'io_psi_some'],
  ['io', 'full', 'io_psi_full'],
];

export function putPressure(
  sink: SampleSink,
  owner: Owner,
  pressures: ReadonlyMap<PressureResource, Pressure>,
  counters: OwnCounters,
  look: { readonly atMs: number; readonly periodMs: number },
): void {
  for (const [resource, kind, metric] of METRICS_OF) {
    const micros = pressures.get(resource)?.[kind] ?? null;
    const perSecond = counters.rate(`psi/${resource}/${kind}`, micros, look.atMs, look.periodMs);
    sink.put(owner, owner.type, '', metric, perSecond === null ? null : Math.min(1, perSecond / 1e6));
  }
}

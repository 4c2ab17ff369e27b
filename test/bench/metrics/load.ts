/** Figures of many VMs as they look in life: most of them idle, some at work, a few hard at it; rates that wander and burst, memory that
 *  moves a little, states and sizes that hardly ever change. Forty series of each VM. */

import type { EntityKind, MetricName } from '#contract/metric-catalogue.ts';
import { definitionOf } from '#contract/metric-catalogue.ts';
import type { Owner } from '#features/metrics/sample.ts';

export interface LoadSeries {
  readonly owner: Owner;
  readonly kind: EntityKind;
  readonly sub: string;
  readonly metric: MetricName;
  /** The next value, rounded to the digits of the catalogue; null = not measured. */
  next(): number | null;
}

export const SERIES_PER_VM = 40;

export function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const normal = (random: () => number) => Math.sqrt(-2 * Math.log(random() || 1e-9)) * Math.cos(2 * Math.PI * random());

export function loadOf(vms: number, seed: number): LoadSeries[] {
  const random = randomOf(seed);
  return Array.from({ length: vms }, (_, n) => {
    const owner: Owner = { type: 'vm', id: `00000000-0000-4000-8000-${String(n).padStart(12, '0')}` };
    const dice = random();
    return vmLoad(owner, dice < 0.6 ? 'idle' : dice < 0.9 ? 'working' : 'busy', random);
  }).flat();
}

function vmLoad(owner: Owner, mood: 'idle' | 'working' | 'busy', random: () => number): LoadSeries[] {
  const level = { idle: 0.01, working: 0.2, busy: 0.7 }[mood];
  const isLive = () => random() < { idle: 0.03, working: 0.5, busy: 0.98 }[mood];
  const series = (kind: EntityKind, sub: string, metric: MetricName, raw: () => number | null): LoadSeries => {
    const factor = 10 ** definitionOf(metric).decimals;
    return {
      owner,
      kind,
      sub,
      metric,
      next: () => {
        const value = raw();
        return value === null ? null : Math.round(value * factor) / factor;
      },
    };
  };
  /** Wanders around its level. */
  const wander = (mean: number, spread: number) => {
    let value = mean;
    return () => {
      value += (mean - value) * 0.1 + normal(random) * spread * 0.3;
      return Math.max(0, value);
    };
  };
  /** Nothing for most of the time where little happens. */
  const bursts = (mean: number) => {
    const busy = wander(mean, mean * 0.5);
    return () => (isLive() ? busy() : 0);
  };
  const constant = (value: number) => () => value;
  /** Moves now and then, in pages. */
  const memory = (mean: number) => {
    let pages = Math.round(mean / 4096);
    return () => {
      if (random() < { idle: 0.1, working: 0.4, busy: 0.9 }[mood])
        pages += Math.round(normal(random) * 200 * (1 + level * 10));
      return pages * 4096;
    };
  };
  const size = (4 + Math.floor(random() * 12)) * 2 ** 30;
  const vm = (metric: MetricName, raw: () => number | null) => series('vm', '', metric, raw);
  const disk = (sub: string, share: number): LoadSeries[] => [
    series('vdisk', sub, 'disk_read', bursts(4e6 * level * share)),
    series('vdisk', sub, 'disk_write', bursts(8e6 * level * share)),
    series('vdisk', sub, 'disk_read_ops', bursts(300 * level * share)),
    series('vdisk', sub, 'disk_write_ops', bursts(500 * level * share)),
    series('vdisk', sub, 'disk_latency', () => (isLive() ? 0.0004 + Math.abs(normal(random)) * 0.0006 : null)),
  ];
  const used = memory(size * 0.6);
  return [
    vm('cpu_usage', wander(level, level * 0.4)),
    vm('cpu_steal', wander(level * 0.01, level * 0.01)),
    vm('cpu_psi_some', wander(level * 0.02, level * 0.02)),
    vm('mem_psi_some', constant(0)),
    vm('mem_psi_full', constant(0)),
    vm('io_psi_some', bursts(level * 0.05)),
    vm('io_psi_full', bursts(level * 0.02)),
    vm('mem_usage', () => used() / size),
    vm('mem_available', memory(size * 0.4)),
    vm('mem_used', memory(size * 0.6)),
    vm('mem_balloon', constant(size)),
    vm('mem_rss', memory(size * 0.9)),
    vm('swap_out', constant(0)),
    vm('vm_state', constant(0)),
    vm('vm_state_desired', constant(0)),
    vm('vm_job', constant(0)),
    vm('vm_pause_reason', constant(0)),
    vm('vm_monitor_stuck', constant(0)),
    vm('vm_agent_up', constant(1)),
    vm('snapshot_chain', constant(1)),
    vm('snapshot_age', constant(86_400)),
    ...disk('vda', 1),
    ...disk('vdb', 0.3),
    series('vnic', '52:54:00:00:00:01', 'net_rx', bursts(2e6 * level)),
    series('vnic', '52:54:00:00:00:01', 'net_tx', bursts(1e6 * level)),
    series('vnic', '52:54:00:00:00:01', 'net_rx_packets', bursts(2e3 * level)),
    series('vnic', '52:54:00:00:00:01', 'net_tx_packets', bursts(1e3 * level)),
    series('vnic', '52:54:00:00:00:01', 'net_errors', constant(0)),
    series('vnic', '52:54:00:00:00:01', 'net_drops', constant(0)),
    series('guestfs', '/', 'disk_usage', constant(0.41)),
    series('guestfs', '/', 'disk_used', constant(41 * 2 ** 28)),
    series('guestfs', '/', 'disk_size', constant(100 * 2 ** 28)),
  ];
}

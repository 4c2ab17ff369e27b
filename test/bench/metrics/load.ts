/** Figures of many VMs, forty series of each, in two kinds. Calm, as hosts mostly are: most VMs idle, rates that are 0 for long, memory
 *  that moves a little. Hard, as no host is: each VM at work at every moment, so that every rate has other low digits each time, and only
 *  states and sizes stand still, a quarter of all. */

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

export type LoadKind = 'calm' | 'hard';
type Mood = 'idle' | 'working' | 'busy';

/** How often something happens at all. */
const LIVE_SHARE = { calm: { idle: 0.03, working: 0.5, busy: 0.98 }, hard: { idle: 1, working: 1, busy: 1 } };
/** How many VMs have which mood, added up. */
const MOODS = { calm: { idle: 0.6, working: 0.9 }, hard: { idle: 0.1, working: 0.6 } };

export function loadOf(vms: number, seed: number, kind: LoadKind): LoadSeries[] {
  const random = randomOf(seed);
  return Array.from({ length: vms }, (_, n) => {
    const owner: Owner = { type: 'vm', id: `00000000-0000-4000-8000-${String(n).padStart(12, '0')}` };
    const dice = random();
    const mood = dice < MOODS[kind].idle ? 'idle' : dice < MOODS[kind].working ? 'working' : 'busy';
    return vmLoad(owner, kind, mood, random);
  }).flat();
}

function vmLoad(owner: Owner, load: LoadKind, mood: Mood, random: () => number): LoadSeries[] {
  const level = { idle: 0.01, working: 0.2, busy: 0.7 }[mood];
  const share = LIVE_SHARE[load][mood];
  const isLive = () => random() < share;
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
  /** What stands still on a calm host. */
  const quiet = (value: number, hard: () => number) => (load === 'calm' ? constant(value) : hard);
  /** Moves now and then, in pages. */
  const memory = (mean: number) => {
    let pages = Math.round(mean / 4096);
    return () => {
      if (random() < Math.max(share, { idle: 0.1, working: 0.4, busy: 0.9 }[mood]))
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
  const filled = memory(41 * 2 ** 28);
  let age = 86_400;
  return [
    vm('cpu_usage', wander(level, level * 0.4)),
    vm('cpu_steal', wander(level * 0.01, level * 0.01)),
    vm('cpu_psi_some', wander(level * 0.02, level * 0.02)),
    vm('mem_psi_some', quiet(0, bursts(level * 0.02))),
    vm('mem_psi_full', quiet(0, bursts(level * 0.01))),
    vm('io_psi_some', bursts(level * 0.05)),
    vm('io_psi_full', bursts(level * 0.02)),
    vm('mem_usage', () => used() / size),
    vm('mem_available', memory(size * 0.4)),
    vm('mem_used', memory(size * 0.6)),
    vm('mem_balloon', constant(size)),
    vm('mem_rss', memory(size * 0.9)),
    vm('swap_out', quiet(0, bursts(4e5 * level))),
    vm('vm_state', constant(0)),
    vm('vm_state_desired', constant(0)),
    vm('vm_job', constant(0)),
    vm('vm_pause_reason', constant(0)),
    vm('vm_monitor_stuck', constant(0)),
    vm('vm_agent_up', constant(1)),
    vm('snapshot_chain', constant(1)),
    vm(
      'snapshot_age',
      quiet(86_400, () => (age += 10)),
    ),
    ...disk('vda', 1),
    ...disk('vdb', 0.3),
    series('vnic', '52:54:00:00:00:01', 'net_rx', bursts(2e6 * level)),
    series('vnic', '52:54:00:00:00:01', 'net_tx', bursts(1e6 * level)),
    series('vnic', '52:54:00:00:00:01', 'net_rx_packets', bursts(2e3 * level)),
    series('vnic', '52:54:00:00:00:01', 'net_tx_packets', bursts(1e3 * level)),
    series('vnic', '52:54:00:00:00:01', 'net_errors', constant(0)),
    series('vnic', '52:54:00:00:00:01', 'net_drops', constant(0)),
    series('guestfs', '/', 'disk_usage', quiet(0.41, wander(0.41, 0.01))),
    series('guestfs', '/', 'disk_used', quiet(41 * 2 ** 28, filled)),
    series('guestfs', '/', 'disk_size', constant(100 * 2 ** 28)),
  ];
}

/** Which figures an operation on a VM makes meaningless while it runs, and for how long it may. Alerts over them wait; all others go on. */

import type { MetricName } from '#contract/metric-catalogue.ts';

const MINUTE_MS = 60_000;

interface MaskKind {
  readonly metrics: ReadonlySet<MetricName>;
  /** Longest time without a sign of progress. */
  readonly capMs: number;
}

const mask = (capMinutes: number, ...metrics: readonly MetricName[]): MaskKind => ({
  metrics: new Set(metrics),
  capMs: capMinutes * MINUTE_MS,
});

/** The guest begins, ends or is begun anew: its state changes, and the first minutes of a guest are busy ones. */
const POWER = mask(
  5,
  'vm_state',
  'vm_agent_up',
  'vm_restart_total',
  'cpu_usage',
  'cpu_steal',
  'cpu_psi_some',
  'disk_latency',
  'io_psi_some',
  'io_psi_full',
);
/** The guest goes on; its disks are read beside it. */
const DISKS_READ = mask(30, 'disk_latency', 'io_psi_some', 'io_psi_full', 'net_tx');

const MIGRATION = mask(
  30,
  'vm_state',
  'vm_agent_up',
  'cpu_usage',
  'cpu_steal',
  'disk_latency',
  'io_psi_some',
  'io_psi_full',
  'net_tx',
  'net_rx',
  'dirty_rate',
);

/** By the kind of the operation; what is not here hides nothing. */
const KINDS: Readonly<Record<string, MaskKind>> = {
  'vm.start': POWER,
  'vm.shutdown': POWER,
  'vm.stop': POWER,
  'vm.reboot': POWER,
  'vm.reset': POWER,
  'vm.pause': POWER,
  'vm.resume': POWER,
  'vm.create': POWER,
  'vm.restore': POWER,
  'vm.delete': POWER,
  'vm.edit': mask(30, 'vm_state', 'vm_agent_up', 'disk_latency', 'io_psi_some', 'io_psi_full'),
  'vm.snapshot': mask(15, 'vm_state', 'vm_agent_up', 'disk_latency', 'io_psi_some', 'io_psi_full'),
  'vm.migrate': MIGRATION,
  // Another program did it; what follows is the same.
  'vm.migrated': MIGRATION,
  'backup.run': DISKS_READ,
  'backup.verify': DISKS_READ,
  'backup.run-stopped': mask(30, 'vm_state', 'vm_agent_up', 'disk_latency', 'io_psi_some', 'io_psi_full', 'net_tx'),
};

/** After the end of an operation figures need a while to be as ever. */
export const GRACE_MS = 2 * MINUTE_MS;
/** However much progress it makes. */
export const ABSOLUTE_CAP_MS = 4 * 60 * MINUTE_MS;

/** What nothing may hide: a rule that looks at one of these waits for no operation. */
const NEVER_MASKED: ReadonlySet<MetricName> = new Set([
  'vm_pause_reason',
  'vm_monitor_stuck',
  'vm_crash_total',
  'vm_io_error_total',
  'disk_usage',
  'disk_free',
  'thin_data_usage',
  'thin_meta_usage',
  'pool_state',
  'raid_state',
  'smart_state',
  'auth_failures_total',
  'backup_last_success',
  'backup_last_verified',
  'backup_state',
  'backup_points_bad',
  'backup_proofs_unsure',
  'backup_copy_wait',
  'backup_copies_failed',
]);

export const capOf = (operationKind: string): number | null => KINDS[operationKind]?.capMs ?? null;

/** Whether an operation of this kind hides a rule over these figures. */
export function masks(operationKind: string, metrics: readonly MetricName[]): boolean {
  const hidden = KINDS[operationKind]?.metrics;
  if (hidden === undefined || metrics.some((metric) => NEVER_MASKED.has(metric))) return false;
  return metrics.some((metric) => hidden.has(metric));
}

/** Figures of a guest that runs. Once its owner has stopped it, alerts over them are over. */
const OF_RUNNING_GUESTS: ReadonlySet<MetricName> = new Set([
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
  'mem_balloon',
  'mem_rss',
  'swap_out',
  'dirty_rate',
  'disk_usage',
  'disk_used',
  'disk_free',
  'disk_read',
  'disk_write',
  'disk_read_ops',
  'disk_write_ops',
  'disk_latency',
  'net_rx',
  'net_tx',
  'net_rx_packets',
  'net_tx_packets',
  'net_errors',
  'net_drops',
  'vm_state',
  'vm_agent_up',
  'vm_monitor_stuck',
  'vm_pause_reason',
]);

export const isOverWhenStopped = (metrics: readonly MetricName[]): boolean =>
  metrics.some((metric) => OF_RUNNING_GUESTS.has(metric));

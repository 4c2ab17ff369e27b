/** Every figure that is kept, graphed, exported and may stand in an alert rule: one table, from which the rule language, the graphs,
 *  the exports and the reference are made. A figure that could not be measured has no sample; it is never 0. */

/** What a sample belongs to. A VM contains its disks (`vdisk`), network cards (`vnic`) and the file systems that its agent tells of
 *  (`guestfs`); the host contains its VMs and its own file systems, pools, disks, network cards and sensors. */
export const ENTITY_KINDS = ['host', 'vm', 'vdisk', 'vnic', 'guestfs', 'fs', 'pool', 'disk', 'nic', 'sensor'] as const;
export type EntityKind = (typeof ENTITY_KINDS)[number];

/** Label that names the entity inside its owner, by kind; `host` and `vm` are owners themselves. */
export const SUB_LABELS = {
  vdisk: 'disk',
  vnic: 'nic',
  guestfs: 'mount',
  fs: 'mount',
  pool: 'pool',
  disk: 'device',
  nic: 'nic',
  sensor: 'sensor',
} as const satisfies Partial<Record<EntityKind, string>>;

/** Kinds whose samples belong to a VM; all others belong to the host. */
export const VM_KINDS: readonly EntityKind[] = ['vm', 'vdisk', 'vnic', 'guestfs'];

/** What a number means. Ratios are 0 to 1; timestamps are seconds since 1970; `count` only grows, while the entity lives; enums are the index into `values`. */
export type Dimension =
  | 'ratio'
  | 'bytes'
  | 'bytes_per_second'
  | 'per_second'
  | 'seconds'
  | 'number'
  | 'count'
  | 'bool'
  | 'enum'
  | 'timestamp'
  | 'celsius';

/** From one measurement of everything to the next. */
export const TICK_MS = 10_000;

export interface MetricDefinition {
  readonly dimension: Dimension;
  readonly kinds: readonly EntityKind[];
  /** How often it is measured when nothing hinders, seconds; 0 = written when it changes, and it holds until then. */
  readonly periodSeconds: number;
  /** Digits kept behind the point. */
  readonly decimals: number;
  readonly help: string;
  /** Names of the numbers of an enum: append-only, since history holds the numbers. */
  readonly values?: readonly string[];
}

const ratio = (kinds: readonly EntityKind[], periodSeconds: number, help: string) =>
  ({ dimension: 'ratio', kinds, periodSeconds, decimals: 4, help }) as const;
const bytes = (kinds: readonly EntityKind[], periodSeconds: number, help: string) =>
  ({ dimension: 'bytes', kinds, periodSeconds, decimals: 0, help }) as const;
const bytesPerSecond = (kinds: readonly EntityKind[], help: string) =>
  ({ dimension: 'bytes_per_second', kinds, periodSeconds: 10, decimals: 0, help }) as const;
const perSecond = (kinds: readonly EntityKind[], help: string) =>
  ({ dimension: 'per_second', kinds, periodSeconds: 10, decimals: 2, help }) as const;
const seconds = (kinds: readonly EntityKind[], periodSeconds: number, decimals: number, help: string) =>
  ({ dimension: 'seconds', kinds, periodSeconds, decimals, help }) as const;
const number = (kinds: readonly EntityKind[], periodSeconds: number, decimals: number, help: string) =>
  ({ dimension: 'number', kinds, periodSeconds, decimals, help }) as const;
const count = (kinds: readonly EntityKind[], periodSeconds: number, help: string) =>
  ({ dimension: 'count', kinds, periodSeconds, decimals: 0, help }) as const;
const bool = (kinds: readonly EntityKind[], periodSeconds: number, help: string) =>
  ({ dimension: 'bool', kinds, periodSeconds, decimals: 0, help }) as const;
const timestamp = (kinds: readonly EntityKind[], periodSeconds: number, help: string) =>
  ({ dimension: 'timestamp', kinds, periodSeconds, decimals: 0, help }) as const;
const oneOf = <const Values extends readonly string[]>(
  kinds: readonly EntityKind[],
  periodSeconds: number,
  values: Values,
  help: string,
) => ({ dimension: 'enum', kinds, periodSeconds, decimals: 0, values, help }) as const;

export const METRICS = {
  cpu_usage: ratio(
    ['host', 'vm'],
    10,
    'Processors in use. Of a VM: of its vCPUs, with what QEMU itself needs, so it may pass 1.',
  ),
  cpu_steal: ratio(['vm'], 10, 'Time that vCPUs were ready and had to wait for a processor of the host.'),
  cpu_iowait: ratio(['host'], 10, 'Time that processors were idle while something waited for a disk.'),
  load15_per_core: number(['host'], 10, 2, 'Load average of 15 minutes by processor.'),
  cpu_psi_some: ratio(['host', 'vm'], 10, 'Time that something waited for a processor.'),
  mem_psi_some: ratio(['host', 'vm'], 10, 'Time that something waited for memory.'),
  mem_psi_full: ratio(['host', 'vm'], 10, 'Time that everything waited for memory.'),
  io_psi_some: ratio(['host', 'vm'], 10, 'Time that something waited for input or output.'),
  io_psi_full: ratio(['host', 'vm'], 10, 'Time that everything waited for input or output.'),
  mem_usage: ratio(['host', 'vm'], 10, 'Memory in use. Of a VM: as the guest sees it, unknown without its driver.'),
  mem_available: bytes(['host', 'vm'], 10, 'Memory that programs can still get without swapping.'),
  mem_used: bytes(['host', 'vm'], 10, 'Memory in use. Of a VM: as the guest sees it.'),
  mem_balloon: bytes(['vm'], 10, 'Memory that the VM has now.'),
  mem_rss: bytes(['vm'], 10, 'Memory of the host that the QEMU process holds.'),
  mem_committed: ratio(['host'], 10, 'Memory promised to running VMs, of the memory of the host.'),
  swap_usage: ratio(['host'], 10, 'Swap space in use.'),
  ksm_saved: bytes(['host'], 10, 'Memory that is saved because equal pages are kept once (KSM).'),
  hugepage_usage: ratio(['host'], 10, 'Huge pages in use or promised, of those that are set aside.'),
  hugepage_size: bytes(['host'], 10, 'Memory that is set aside as huge pages; of the memory in use it is a part.'),
  hugepage_free: bytes(['host'], 10, 'Huge pages that are neither in use nor promised.'),
  mem_huge: bytes(['host'], 10, 'Memory of programs and VMs that the kernel made huge pages of by itself.'),
  swap_out: bytesPerSecond(['host', 'vm'], 'Memory written to swap. Of a VM: as the guest tells.'),
  dirty_rate: {
    dimension: 'bytes_per_second',
    kinds: ['vm'],
    periodSeconds: 900,
    decimals: 0,
    help: 'Memory that the guest changes, by a sample of its pages.',
  },
  disk_usage: ratio(['fs', 'pool', 'guestfs'], 60, 'Space in use, of what programs may use.'),
  disk_used: bytes(['fs', 'pool', 'guestfs'], 60, 'Space in use.'),
  disk_free: bytes(['fs', 'pool', 'guestfs'], 60, 'Space left for programs.'),
  disk_size: bytes(['fs', 'pool', 'guestfs'], 60, 'Size.'),
  inode_usage: ratio(['fs'], 60, 'Files that exist, of the files that there can be.'),
  disk_allocated: bytes(['vdisk'], 60, 'Space that the disk of the VM takes of its pool.'),
  disk_capacity: bytes(['vdisk'], 60, 'Size of the disk as the guest sees it.'),
  thin_data_usage: ratio(['pool'], 60, 'Data space of a thin pool in use.'),
  thin_meta_usage: ratio(['pool'], 60, 'Space for the tables of a thin pool in use.'),
  overcommit: ratio(['pool'], 60, 'Sizes promised to disks, of the size of the pool; may pass 1.'),
  disk_read: bytesPerSecond(['vdisk', 'disk'], 'Bytes read.'),
  disk_write: bytesPerSecond(['vdisk', 'disk'], 'Bytes written.'),
  disk_read_ops: perSecond(['vdisk', 'disk'], 'Reads.'),
  disk_write_ops: perSecond(['vdisk', 'disk'], 'Writes.'),
  disk_latency: seconds(['vdisk', 'disk'], 10, 6, 'Time of one request on average; no requests, no sample.'),
  net_rx: bytesPerSecond(['vnic', 'nic'], 'Bytes received. Of a VM: by the guest.'),
  net_tx: bytesPerSecond(['vnic', 'nic'], 'Bytes sent. Of a VM: by the guest.'),
  net_rx_packets: perSecond(['vnic', 'nic'], 'Packets received.'),
  net_tx_packets: perSecond(['vnic', 'nic'], 'Packets sent.'),
  net_errors: perSecond(['vnic', 'nic'], 'Packets lost to errors.'),
  net_drops: perSecond(['vnic', 'nic'], 'Packets dropped.'),
  nic_up: bool(['nic'], 10, '1 while the network card has a link.'),
  nic_speed: bytesPerSecond(['nic'], 'Speed of the link.'),
  bond_cards: number(['nic'], 10, 0, 'Cards of the bond.'),
  bond_cards_down: number(['nic'], 10, 0, 'Cards of the bond that have no link.'),
  conntrack_usage: ratio(['host'], 10, 'Tracked connections, of those that the kernel can keep.'),
  vm_state: oneOf(
    ['vm'],
    10,
    ['running', 'idle', 'paused', 'shutting_down', 'off', 'crashed', 'suspended', 'unknown'],
    'State of the VM.',
  ),
  vm_state_desired: oneOf(['vm'], 10, ['running', 'off', 'paused'], 'State that its owner wants.'),
  vm_job: oneOf(
    ['vm'],
    10,
    ['none', 'backup', 'snapshot', 'migration', 'verify', 'clone', 'start', 'stop', 'edit'],
    'What an operation does with the VM now.',
  ),
  vm_libvirt_job: oneOf(
    ['vm'],
    10,
    [
      'none',
      'start',
      'save',
      'restore',
      'migration_in',
      'migration_out',
      'snapshot',
      'snapshot_revert',
      'dump',
      'backup',
      'snapshot_delete',
      'other',
    ],
    'What libvirt itself does with the VM now, whoever asked for it.',
  ),
  vm_job_progress: ratio(['vm'], 10, 'How far the job of libvirt is; only while one runs that says so.'),
  vm_job_remaining: bytes(['vm'], 10, 'What the job of libvirt still has to copy; only while one runs that says so.'),
  vm_job_elapsed: seconds(['vm'], 10, 1, 'How long the job of libvirt has run.'),
  vm_pause_reason: oneOf(
    ['vm'],
    10,
    ['none', 'user', 'io_error', 'enospc', 'watchdog', 'migration', 'snapshot', 'crashed', 'other'],
    'Why the VM is paused.',
  ),
  vm_agent_up: bool(['vm'], 60, '1 while the guest agent answers; only of VMs that have its channel.'),
  vm_monitor_stuck: seconds(['vm'], 10, 0, 'How long the QEMU process has not answered libvirt; 0 while it answers.'),
  vm_crash_total: count(['vm'], 0, 'Crashes of the VM.'),
  vm_restart_total: count(['vm'], 0, 'Restarts of the guest by itself, and of the VM after a crash.'),
  vm_io_error_total: count(['vm'], 0, 'Errors of its disks that QEMU told of.'),
  vm_watchdog_total: count(['vm'], 0, 'Times that its watchdog ran out.'),
  snapshot_chain: number(['vm'], 60, 0, 'Files in the longest chain of its disks.'),
  snapshot_age: seconds(['vm'], 60, 0, 'Age of its oldest snapshot.'),
  backup_last_success: timestamp(['vm'], 0, 'When the last restore point was made.'),
  backup_last_verified: timestamp(['vm'], 0, 'When a restore point was last proven.'),
  backup_state: oneOf(['vm'], 0, ['none', 'ok', 'running', 'failed', 'missed'], 'How the last backup went.'),
  backup_verify_level: number(['vm'], 0, 0, 'Level of the last proof.'),
  backup_points_bad: number(['vm'], 0, 0, 'Restore points in which a check found damage.'),
  backup_proofs_unsure: number(
    ['vm'],
    0,
    0,
    'Proofs of it in a row that showed neither that it restores nor that it does not.',
  ),
  backup_copy_wait: seconds(
    ['host'],
    0,
    0,
    'How long the restore point that waits longest for its second copy has waited; only where copies are made by themselves.',
  ),
  backup_copies_failed: number(['host'], 0, 0, 'Second copies of repositories whose last run failed.'),
  host_state: oneOf(
    ['host'],
    10,
    ['online', 'degraded', 'offline', 'maintenance', 'unknown'],
    'State of the host: degraded while libvirt does not answer.',
  ),
  libvirt_up: bool(['host'], 10, '1 while libvirt answers.'),
  libvirt_latency: seconds(['host'], 10, 3, 'Time of the last call that asked for figures of VMs.'),
  oom_kill_total: count(['host'], 10, 'Programs that the kernel ended because memory ran out.'),
  ecc_correctable_total: count(['host'], 60, 'Memory errors that the hardware repaired.'),
  ecc_uncorrectable_total: count(['host'], 60, 'Memory errors that it could not repair.'),
  auth_failures_total: count(['host'], 10, 'Refused sign-ins.'),
  temperature: {
    dimension: 'celsius',
    kinds: ['sensor', 'disk'],
    periodSeconds: 30,
    decimals: 1,
    help: 'Temperature.',
  },
  smart_state: oneOf(['disk'], 1800, ['passed', 'warning', 'failed', 'unknown'], 'What the disk says of itself.'),
  wear: ratio(['disk'], 1800, 'Used part of the life of a flash disk.'),
  smart_spare: ratio(['disk'], 1800, 'Spare cells that an NVMe disk has left.'),
  smart_reallocated_total: count(['disk'], 1800, 'Sectors that the disk replaced by spare ones.'),
  smart_pending: number(['disk'], 1800, 0, 'Sectors that could not be read and wait to be replaced.'),
  smart_uncorrectable: number(['disk'], 1800, 0, 'Sectors that the disk could not read when it looked by itself.'),
  smart_media_errors_total: count(['disk'], 1800, 'Reads and writes that failed for good.'),
  smart_timeouts_total: count(['disk'], 1800, 'Commands that the disk did not finish in time.'),
  smart_link_errors_total: count(['disk'], 1800, 'Errors between disk and controller, mostly of cables.'),
  smart_start_stops_total: count(['disk'], 1800, 'Starts of the motor.'),
  smart_power_cycles_total: count(['disk'], 1800, 'Times that the disk was switched on.'),
  smart_unsafe_shutdowns_total: count(['disk'], 1800, 'Times that power went before the disk was ready for it.'),
  smart_power_on: seconds(['disk'], 1800, 0, 'How long the disk was on in its life.'),
  smart_self_test: oneOf(
    ['disk'],
    1800,
    ['none', 'passed', 'running', 'aborted', 'failed'],
    'How the newest self-test of the disk ended; failed = it found what cannot be read or does not work.',
  ),
  ups_charge: ratio(['host'], 30, 'Charge of the battery of the UPS.'),
  ups_state: oneOf(['host'], 30, ['online', 'on_battery', 'low_battery', 'unknown'], 'State of the UPS.'),
  pool_state: oneOf(
    ['pool'],
    60,
    ['active', 'inactive', 'degraded', 'faulted', 'unknown'],
    'State of the storage pool.',
  ),
  raid_state: oneOf(
    ['disk'],
    60,
    ['clean', 'rebuilding', 'degraded', 'failed', 'unknown'],
    'State of a software RAID.',
  ),
  service_state: oneOf(['host'], 60, ['ok', 'failed', 'unknown'], 'failed while a unit of systemd has failed.'),
  time_offset: seconds(['host'], 60, 6, 'Difference of the clock from its time source.'),
  cert_expiry: timestamp(['host'], 3600, 'When the certificate of the dashboard ends.'),
  collector_missed_total: count(['host'], 10, 'Measurements that were left out, because the one before took too long.'),
  outbox_oldest: seconds(['host'], 10, 0, 'Age of the oldest notice that could not be sent.'),
  dead_letters: number(['host'], 10, 0, 'Notices that were given up.'),
  metrics_db_size: bytes(['host'], 60, 'Size of the history on disk.'),
} as const satisfies Readonly<Record<string, MetricDefinition>>;

export type MetricName = keyof typeof METRICS;

/** All names, in the order of the table. The number that the history stores for a metric is kept in the history itself. */
export const METRIC_NAMES: readonly MetricName[] = Object.keys(METRICS).filter((name): name is MetricName =>
  isMetric(name),
);

export function isMetric(name: string): name is MetricName {
  return Object.hasOwn(METRICS, name);
}

export function definitionOf(name: MetricName): MetricDefinition {
  return METRICS[name];
}

/** From where on a health check warns and fails: one table, from which the configuration, the guide and the checks are made. */

/** What the numbers of a limit are, for people; ratios are 0 to 1. */
export type LimitUnit =
  | 'ratio'
  | 'bytes'
  | 'bytes_per_second'
  | 'per_second'
  | 'seconds'
  | 'hours'
  | 'days'
  | 'celsius'
  | 'number';

export interface HealthLimit {
  readonly unit: LimitUnit;
  /** From here on; null = never. */
  readonly warn: number | null;
  readonly fail: number | null;
  /** What lies beyond: `above` warns from the number upwards, `below` from it downwards. */
  readonly side: 'above' | 'below';
  readonly of: string;
}

const above = (unit: LimitUnit, warn: number | null, fail: number | null, of: string) =>
  ({ unit, warn, fail, side: 'above', of }) as const;
const below = (unit: LimitUnit, warn: number | null, fail: number | null, of: string) =>
  ({ unit, warn, fail, side: 'below', of }) as const;

export const HEALTH_LIMITS = {
  'host.cpu': above('ratio', 0.85, 0.95, 'processors in use, mean of ten minutes'),
  'host.cpu-pressure': above('ratio', 0.4, 0.8, 'time that something waits for a processor, mean of a minute'),
  'host.memory-pressure': above('ratio', 0.01, 0.1, 'time that everything waits for memory, mean of a minute'),
  'host.io-pressure': above('ratio', 0.1, 0.4, 'time that everything waits for disks, mean of a minute'),
  'host.iowait': above('ratio', 0.4, null, 'time of idle processors that wait for a disk, mean of ten minutes'),
  'host.memory': below('ratio', 0.1, 0.05, 'memory that programs can still get'),
  'host.swap': above('ratio', 0.8, 0.9, 'swap space in use'),
  'host.swap-out': above('bytes_per_second', 2 ** 20, null, 'written to swap, mean of ten minutes'),
  'host.load': above('number', 2, null, 'load of 15 minutes by processor'),
  'space.file-systems': above('ratio', 0.85, 0.95, 'space in use of file systems of the host'),
  'space.free': below('bytes', 5 * 2 ** 30, null, 'space left on file systems of the host larger than 20 GiB'),
  'space.inodes': above('ratio', 0.9, 0.98, 'files that exist, of those that there can be'),
  'space.time-to-full': below('hours', 48, 8, 'until a file system or pool is full, as it grew in the last hour'),
  'space.forecast': above('ratio', 0.95, null, 'space in use in seven days, as the last thirty days say'),
  'zfs.capacity': above('ratio', 0.85, 0.92, 'space in use of ZFS pools'),
  'zfs.scrub': above('days', 35, 60, 'since the last scrub'),
  'pools.thin-data': above('ratio', 0.85, 0.95, 'data space in use of thin pools'),
  'pools.thin-tables': above('ratio', 0.8, 0.9, 'metadata space in use of thin pools'),
  'pools.overcommit': above('ratio', 1.5, null, 'sizes promised to disks, of the size of the pool'),
  'disks.raid-mismatch': above('number', 1024, null, 'mismatched sectors that the last check of an array found'),
  'disks.wear': above('ratio', 0.9, 1, 'used part of the life of flash disks'),
  'hardware.temperature-nvme': above('celsius', 70, 80, 'NVMe disks'),
  'hardware.temperature-disk': above('celsius', 55, 60, 'other disks'),
  'hardware.temperature-host': above('celsius', 80, 95, 'processors and boards'),
  'hardware.ups-charge': below('ratio', 0.75, 0.4, 'charge of the UPS'),
  'network.errors': above('per_second', 0.1, null, 'packets lost to errors, mean of ten minutes'),
  'network.speed': below('bytes_per_second', 125_000_000, null, 'speed of a link (125 MB/s is 1 Gbit/s)'),
  'network.connections': above('ratio', 0.85, 0.95, 'tracked connections, of those that the kernel can keep'),
  'system.time': above('seconds', null, 1, 'difference of the clock from its source'),
  'system.boot-space': below(
    'bytes',
    200 * 2 ** 20,
    null,
    'space left where kernels lie, when that is a file system of its own',
  ),
  'system.age': above('days', 90, null, 'age of the running system generation'),
  'libvirt.latency': above('seconds', 2, 10, 'time of the last call for figures of VMs'),
  'vms.monitor': above('seconds', 30, 300, 'that a QEMU process does not answer libvirt'),
  'vms.crashes': above('number', 1, 3, 'crashes of one VM in an hour'),
  'vms.file-systems': above('ratio', 0.85, 0.95, 'space in use of file systems in guests'),
  'vms.steal': above('ratio', 0.1, 0.3, 'time that vCPUs wait for a processor, mean of ten minutes'),
  'vms.snapshot-chain': above('number', 6, 16, 'files in the chain of a disk'),
  'vms.snapshot-age': above('days', 30, null, 'age of the oldest snapshot'),
  'backups.age': above('hours', 36, 72, 'since the last restore point'),
  'backups.copies': above('hours', 24, 72, 'that a restore point has waited for its second copy'),
  'backups.state': above('hours', 48, 168, 'since the state of this host was written into a repository'),
  'security.certificate': below('days', 21, 7, 'until the certificate of the dashboard ends'),
  'security.sign-ins': above('number', 10, 50, 'refused sign-ins in ten minutes'),
  'self.outbox': above('seconds', null, 600, 'age of the oldest message that could not be sent'),
} as const satisfies Readonly<Record<string, HealthLimit>>;

export type LimitName = keyof typeof HEALTH_LIMITS;

export const LIMIT_NAMES: readonly LimitName[] = Object.keys(HEALTH_LIMITS).filter((name): name is LimitName =>
  Object.hasOwn(HEALTH_LIMITS, name),
);

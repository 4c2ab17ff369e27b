/** What the disks of the machine did. Format of /proc/diskstats: the kernel's Documentation/admin-guide/iostats.rst. */

import type { Clock } from '#kernel/clock.ts';
import type { CounterMemory } from '../counter-memory.ts';
import type { KernelFiles } from '../kernel-files.ts';
import { type Collector, type Owner, TICK_MS } from '../measuring.ts';
import { labelOf } from '../names.ts';
import type { RawSource } from '../raw-families.ts';

/** The kernel counts in these, whatever the disk's own sectors are. */
const SECTOR_BYTES = 512;
const MAX_DISKS = 128;
/** What lies on other disks, has no medium of its own, or is a part of one. */
const NO_DISK = /^(loop|ram|zram|sr|fd|dm-|nbd|zd|drbd)/;

export interface DiskCounters {
  readonly reads: number;
  readonly readBytes: number;
  readonly writes: number;
  readonly writeBytes: number;
  /** Of reads, writes, and flushes where the kernel counts them. */
  readonly requests: number;
  readonly requestMs: number;
}

export function diskCounters(diskstats: string): ReadonlyMap<string, DiskCounters> {
  const disks = new Map<string, DiskCounters>();
  for (const line of diskstats.split('\n')) {
    const [, , name, ...texts] = line.trim().split(/\s+/);
    const fields = texts.map(Number);
    if (name === undefined || fields.length < 11 || fields.some(Number.isNaN)) continue;
    const [reads = 0, , readSectors = 0, readMs = 0, writes = 0, , writtenSectors = 0, writeMs = 0] = fields;
    const [flushes = 0, flushMs = 0] = fields.slice(15);
    disks.set(name, {
      reads,
      readBytes: readSectors * SECTOR_BYTES,
      writes,
      writeBytes: writtenSectors * SECTOR_BYTES,
      requests: reads + writes + flushes,
      requestMs: readMs + writeMs + flushMs,
    });
  }
  return disks;
}

/** Names of whole disks, as `sda`; partitions and devices that only stand for others are left out. */
export async function wholeDisks(files: KernelFiles): Promise<readonly string[]> {
  return (await files.list('/sys/block')).filter((name) => !NO_DISK.test(name)).slice(0, MAX_DISKS);
}

export interface HostDisksOptions {
  readonly host: Owner;
  readonly files: KernelFiles;
  readonly clock: Clock;
  readonly memory: CounterMemory;
}

export function createHostDisks({
  host,
  files,
  clock,
  memory,
}: HostDisksOptions): Collector & { readonly raw: RawSource } {
  let latest: ReadonlyMap<string, DiskCounters> = new Map();

  return {
    name: 'host-disks',
    async collect(sink) {
      const text = await files.read('/proc/diskstats');
      const atMs = clock.monotonicMs();
      const all = diskCounters(text ?? '');
      const whole = new Set(await wholeDisks(files));
      latest = new Map([...all].filter(([name]) => whole.has(name)));
      const counters = memory.of('host');
      for (const [name, disk] of latest) {
        const rate = (key: keyof DiskCounters) => counters.rate(`disk/${name}/${key}`, disk[key], atMs, TICK_MS);
        const sub = labelOf(name);
        sink.put(host, 'disk', sub, 'disk_read', rate('readBytes'));
        sink.put(host, 'disk', sub, 'disk_write', rate('writeBytes'));
        sink.put(host, 'disk', sub, 'disk_read_ops', rate('reads'));
        sink.put(host, 'disk', sub, 'disk_write_ops', rate('writes'));
        const requests = rate('requests');
        const busyMs = rate('requestMs');
        sink.put(host, 'disk', sub, 'disk_latency', requests && busyMs !== null ? busyMs / requests / 1000 : null);
      }
    },
    raw(sink) {
      for (const [name, disk] of latest) {
        const labels = { device: labelOf(name) };
        sink.add('hyper_host_disk_read_bytes_total', labels, disk.readBytes);
        sink.add('hyper_host_disk_write_bytes_total', labels, disk.writeBytes);
        sink.add('hyper_host_disk_read_requests_total', labels, disk.reads);
        sink.add('hyper_host_disk_write_requests_total', labels, disk.writes);
        sink.add('hyper_host_disk_seconds_total', labels, disk.requestMs / 1000);
      }
    },
  };
}

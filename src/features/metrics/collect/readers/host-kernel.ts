/** Processors, memory, pressure and connections of the machine, from /proc. */

import { cpuRatio, type KernelReading } from '#features/hosts/index.ts';
import type { Clock } from '#kernel/clock.ts';
import type { CounterMemory } from '../counter-memory.ts';
import { type KernelFiles, keyedNumbers, numberIn, type PageSize } from '../kernel-files.ts';
import { type Collector, type Owner, TICK_MS } from '../measuring.ts';
import type { RawSource } from '../raw-families.ts';
import { PRESSURE_RESOURCES, type Pressure, type PressureResource, pressureOf, putPressure } from './pressure.ts';

const MAX_GAP_MS = 3 * TICK_MS;
/** Of the kernel's processor times in /proc, on every Linux of today. */
const TICKS_PER_SECOND = 100;

export interface HostKernelOptions {
  readonly host: Owner;
  readonly files: KernelFiles;
  readonly clock: Clock;
  readonly memory: CounterMemory;
  readonly pageSize: PageSize;
  reading(): Promise<KernelReading>;
  processors(): number;
  /** Memory promised to running VMs; null = not known. */
  committedBytes(): number | null;
}

export function createHostKernel(options: HostKernelOptions): Collector & { readonly raw: RawSource } {
  const { host, files, clock, memory } = options;
  let before: KernelReading | null = null;
  let latest: KernelReading | null = null;
  let pressures: ReadonlyMap<PressureResource, Pressure> = new Map();
  let vmstat: ReadonlyMap<string, number> = new Map();
  let conntrack: number | null = null;
  let pageBytes: number | null = null;

  const swapOutBytes = () => {
    const pages = vmstat.get('pswpout');
    return pages === undefined || pageBytes === null ? null : pages * pageBytes;
  };

  return {
    name: 'host-kernel',
    async collect(sink) {
      const put = (metric: Parameters<typeof sink.put>[3], value: number | null) =>
        sink.put(host, 'host', '', metric, value);
      const reading = await options.reading();
      latest = reading;
      const cpu = reading.cpu;
      const from = before?.cpu && reading.atMs - before.atMs <= MAX_GAP_MS ? before.cpu : null;
      if (cpu && from) {
        put('cpu_usage', cpuRatio(from, cpu));
        const waited = cpu.iowait - from.iowait;
        // The kernel says itself that this counter may go back.
        put(
          'cpu_iowait',
          cpu.total > from.total && waited >= 0 ? Math.min(1, waited / (cpu.total - from.total)) : null,
        );
      }
      before = reading;
      const processors = options.processors();
      put('load15_per_core', reading.load && processors > 0 ? reading.load.load15 / processors : null);
      if (reading.memory) {
        const { totalBytes, usedBytes, availableBytes, swapTotalBytes, swapUsedBytes } = reading.memory;
        const committedBytes = options.committedBytes();
        put('mem_usage', usedBytes / totalBytes);
        put('mem_used', usedBytes);
        put('mem_available', availableBytes);
        put('mem_committed', committedBytes === null ? null : committedBytes / totalBytes);
        put('swap_usage', swapTotalBytes === 0 ? null : swapUsedBytes / swapTotalBytes);
      }
      const atMs = clock.monotonicMs();
      const counters = memory.of('host');
      vmstat = keyedNumbers(await files.read('/proc/vmstat'));
      pageBytes = await options.pageSize();
      put('swap_out', counters.rate('swap-out', swapOutBytes(), atMs, TICK_MS));
      put('oom_kill_total', vmstat.get('oom_kill') ?? null);
      pressures = await readPressures(files, '/proc/pressure/');
      putPressure(sink, host, pressures, counters, { atMs, periodMs: TICK_MS });
      conntrack = numberIn(await files.read('/proc/sys/net/netfilter/nf_conntrack_count'));
      const limit = numberIn(await files.read('/proc/sys/net/netfilter/nf_conntrack_max'));
      put('conntrack_usage', conntrack === null || !limit ? null : conntrack / limit);
    },
    raw(sink) {
      for (const [resource, pressure] of pressures)
        for (const kind of ['some', 'full'] as const) {
          const micros = pressure[kind];
          sink.add(
            'hyper_host_pressure_seconds_total',
            { resource, type: kind },
            micros === null ? null : micros / 1e6,
          );
        }
      const cpu = latest?.cpu;
      if (cpu) {
        const seconds = { busy: cpu.busy, iowait: cpu.iowait, idle: cpu.total - cpu.busy - cpu.iowait };
        for (const [mode, ticks] of Object.entries(seconds))
          sink.add('hyper_host_cpu_seconds_total', { mode }, ticks / TICKS_PER_SECOND);
      }
      sink.add('hyper_host_cpus', {}, options.processors());
      sink.add('hyper_host_load15', {}, latest?.load?.load15 ?? null);
      sink.add('hyper_host_memory_size_bytes', {}, latest?.memory?.totalBytes ?? null);
      sink.add('hyper_host_memory_used_bytes', {}, latest?.memory?.usedBytes ?? null);
      sink.add('hyper_host_memory_available_bytes', {}, latest?.memory?.availableBytes ?? null);
      sink.add('hyper_host_swap_used_bytes', {}, latest?.memory?.swapUsedBytes ?? null);
      sink.add('hyper_host_swap_out_bytes_total', {}, swapOutBytes());
      sink.add('hyper_host_oom_kills_total', {}, vmstat.get('oom_kill') ?? null);
      sink.add('hyper_host_conntrack_entries', {}, conntrack);
    },
  };
}

/** @param prefix what stands before the resource's name, as `/proc/pressure/` */
export async function readPressures(
  files: KernelFiles,
  prefix: string,
  suffix = '',
): Promise<ReadonlyMap<PressureResource, Pressure>> {
  const texts = await Promise.all(
    PRESSURE_RESOURCES.map(async (resource) => [resource, await files.read(`${prefix}${resource}${suffix}`)] as const),
  );
  return new Map(texts.map(([resource, text]) => [resource, pressureOf(text)]));
}

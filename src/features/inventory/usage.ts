/** Turns libvirt's counters into rates. Two looks at the same counters make a rate; a counter that went back (the VM was restarted) makes none. */

import type { Vm } from '#contract/vms.ts';

/** libvirt's statistics of one VM, by name, as `cpu.time`. Missing = not known. */
export type Counters = ReadonlyMap<string, unknown>;

interface Sample {
  readonly atMs: number;
  readonly cpuNs: number | null;
  readonly diskRead: number | null;
  readonly diskWrite: number | null;
  readonly netReceive: number | null;
  readonly netTransmit: number | null;
}

export interface UsageMeter {
  /** Takes a look at the counters; groups that were not asked for are simply absent and keep their last figure.
   *  @param atMs monotonic
   *  @param measuredAt wall time for display */
  add(counters: Counters, atMs: number, measuredAt: Date): void;
  current(): Vm['usage'];
  reset(): void;
}

export function createUsageMeter(): UsageMeter {
  let slow: Sample | null = null;
  let fast: Sample | null = null;
  let usage: Vm['usage'] = null;

  return {
    add(counters, atMs, measuredAt) {
      const sample = sampleOf(counters, atMs);
      const before = usage ?? emptyUsage(measuredAt);
      const next = { ...before, measuredAt: measuredAt.toISOString() };
      if (sample.cpuNs !== null) {
        const vcpus = numberOf(counters, 'vcpu.current') ?? 1;
        const cpuRate = rate(slow?.cpuNs ?? null, sample.cpuNs, slow, sample);
        next.cpuRatio = cpuRate === null ? null : Math.min(1, cpuRate / 1e9 / Math.max(1, vcpus));
        next.memoryUsedBytes = memoryUsed(counters);
        next.diskReadBytesPerSecond = rate(slow?.diskRead ?? null, sample.diskRead, slow, sample);
        next.diskWriteBytesPerSecond = rate(slow?.diskWrite ?? null, sample.diskWrite, slow, sample);
        slow = sample;
      }
      if (sample.netReceive !== null) {
        next.netReceiveBytesPerSecond = rate(fast?.netReceive ?? null, sample.netReceive, fast, sample);
        next.netTransmitBytesPerSecond = rate(fast?.netTransmit ?? null, sample.netTransmit, fast, sample);
        fast = sample;
      }
      usage = next;
    },
    current: () => usage,
    reset() {
      slow = null;
      fast = null;
      usage = null;
    },
  };
}

function emptyUsage(measuredAt: Date): NonNullable<Vm['usage']> {
  return {
    cpuRatio: null,
    memoryUsedBytes: null,
    diskReadBytesPerSecond: null,
    diskWriteBytesPerSecond: null,
    netReceiveBytesPerSecond: null,
    netTransmitBytesPerSecond: null,
    measuredAt: measuredAt.toISOString(),
  };
}

function sampleOf(counters: Counters, atMs: number): Sample {
  return {
    atMs,
    cpuNs: numberOf(counters, 'cpu.time'),
    diskRead: sumOf(counters, 'block', 'rd.bytes'),
    diskWrite: sumOf(counters, 'block', 'wr.bytes'),
    netReceive: sumOf(counters, 'net', 'rx.bytes'),
    netTransmit: sumOf(counters, 'net', 'tx.bytes'),
  };
}

function rate(before: number | null, after: number | null, from: Sample | null, to: Sample): number | null {
  if (before === null || after === null || from === null || after < before) return null;
  const seconds = (to.atMs - from.atMs) / 1000;
  return seconds > 0 ? Math.round(((after - before) / seconds) * 100) / 100 : null;
}

/** What the guest itself says it uses; libvirt gives KiB. */
function memoryUsed(counters: Counters): number | null {
  const available = numberOf(counters, 'balloon.available');
  const free = numberOf(counters, 'balloon.usable') ?? numberOf(counters, 'balloon.unused');
  return available === null || free === null ? null : Math.max(0, available - free) * 1024;
}

function sumOf(counters: Counters, group: 'block' | 'net', field: string): number | null {
  const count = numberOf(counters, `${group}.count`);
  if (count === null) return null;
  let sum: number | null = null;
  for (let n = 0; n < Math.min(count, 256); n += 1) {
    const value = numberOf(counters, `${group}.${n}.${field}`);
    if (value !== null) sum = (sum ?? 0) + value;
  }
  return sum;
}

function numberOf(counters: Counters, name: string): number | null {
  const value = counters.get(name);
  if (typeof value === 'number') return value;
  return typeof value === 'bigint' ? Number(value) : null;
}

/** Reads the kernel's own figures of the machine. Formats: proc(5). */

import { KIB } from '#kernel/units.ts';

/** Ticks since boot, all processors together. */
export interface CpuTicks {
  readonly busy: number;
  /** Idle while something waited for a disk. */
  readonly iowait: number;
  readonly total: number;
}

/** The first line of /proc/stat; null when it is not there. Guest time is already part of user time. */
export function cpuTicks(stat: string): CpuTicks | null {
  const fields = /^cpu\s+(.+)$/m.exec(stat)?.[1]?.trim().split(/\s+/).map(Number);
  if (fields === undefined || fields.length < 5 || fields.some(Number.isNaN)) return null;
  const [user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0, steal = 0] = fields;
  const busy = user + nice + system + irq + softirq + steal;
  return { busy, iowait, total: busy + idle + iowait };
}

/** Share of the processors in use between two readings, 0 to 1; null when nothing passed or a counter went back. */
export function cpuRatio(before: CpuTicks, after: CpuTicks): number | null {
  const total = after.total - before.total;
  const busy = after.busy - before.busy;
  if (total <= 0 || busy < 0) return null;
  return Math.min(1, busy / total);
}

export interface MemoryFigures {
  readonly totalBytes: number;
  /** What programs and guests hold and the kernel could not give back. */
  readonly usedBytes: number;
  /** What programs can still get without swapping. */
  readonly availableBytes: number;
  /** 0 on a machine without swap. */
  readonly swapTotalBytes: number;
  readonly swapUsedBytes: number;
}

export function memoryFigures(meminfo: string): MemoryFigures | null {
  const totalBytes = bytesOf(meminfo, 'MemTotal');
  const availableBytes = bytesOf(meminfo, 'MemAvailable');
  if (totalBytes === null || availableBytes === null) return null;
  const swapTotalBytes = bytesOf(meminfo, 'SwapTotal') ?? 0;
  const swapUsedBytes = swapTotalBytes - (bytesOf(meminfo, 'SwapFree') ?? swapTotalBytes);
  return { totalBytes, usedBytes: totalBytes - availableBytes, availableBytes, swapTotalBytes, swapUsedBytes };
}

function bytesOf(meminfo: string, key: string): number | null {
  const kib = new RegExp(`^${key}:\\s+(\\d+) kB$`, 'm').exec(meminfo)?.[1];
  return kib === undefined ? null : Number(kib) * KIB;
}

export interface LoadAverages {
  readonly load1: number;
  readonly load15: number;
}

export function loadAverages(loadavg: string): LoadAverages | null {
  const [load1 = Number.NaN, , load15 = Number.NaN] = loadavg.trim().split(/\s+/).map(Number.parseFloat);
  return Number.isNaN(load1) || Number.isNaN(load15) ? null : { load1, load15 };
}

export function uptimeSeconds(uptime: string): number | null {
  const value = Number.parseFloat(uptime);
  return Number.isNaN(value) ? null : Math.floor(value);
}

/** Name and number of the processors; some machines do not tell the name. */
export function processors(cpuinfo: string): { readonly model: string | null; readonly count: number } {
  const model = /^(?:model name|Model|cpu model)\s*:\s*(.+)$/m.exec(cpuinfo)?.[1]?.trim() ?? null;
  return { model, count: cpuinfo.match(/^processor\s*:/gm)?.length ?? 0 };
}

/** The mount point under which a path lies. Source: proc(5), /proc/self/mountinfo: the fifth field, with octal escapes. */
export function mountOf(mountinfo: string, path: string): string {
  let best = '/';
  for (const line of mountinfo.split('\n')) {
    const mount = line
      .split(' ')[4]
      ?.replace(/\\([0-7]{3})/g, (_all, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
    if (mount === undefined || mount.length <= best.length) continue;
    if (path === mount || path.startsWith(`${mount}/`)) best = mount;
  }
  return best;
}

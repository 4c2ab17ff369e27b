/** What the kernel knows of the QEMU processes on this machine: their memory and, with control groups of version 2, processor time and
 *  pressure. Goes on when libvirt hangs. Nothing is told of a VM whose group is not its own, and nothing on version 1. */

import type { Clock } from '#kernel/clock.ts';
import type { CounterMemory } from '../counter-memory.ts';
import { type KernelFiles, keyedNumbers } from '../kernel-files.ts';
import { type SampleSink, TICK_MS } from '../measuring.ts';
import { readPressures } from '../readers/host-kernel.ts';
import { type Pressure, type PressureResource, putPressure } from '../readers/pressure.ts';

const SCAN_EVERY_MS = 60_000;
const CGROUPS = '/sys/fs/cgroup';

export interface QemuFigures {
  readonly rssBytes: number | null;
  /** null without a group of its own. */
  readonly group: {
    readonly cpuMicros: number | null;
    readonly throttledPeriods: number | null;
    readonly oomKills: number | null;
    readonly pressures: ReadonlyMap<PressureResource, Pressure>;
  } | null;
}

export interface QemuProcesses {
  /** Puts what is known of these VMs. @returns by VM */
  collect(sink: SampleSink, vms: readonly RunningVm[]): Promise<ReadonlyMap<string, QemuFigures>>;
  latest(): ReadonlyMap<string, QemuFigures>;
}

export interface RunningVm {
  readonly id: string;
  readonly vcpus: number;
}

export interface QemuProcessesOptions {
  readonly files: KernelFiles;
  readonly clock: Clock;
  readonly memory: CounterMemory;
  /** Process ids of the QEMUs on this machine by UUID. */
  processes(): Promise<ReadonlyMap<string, number>>;
}

export function createQemuProcesses({ files, clock, memory, processes }: QemuProcessesOptions): QemuProcesses {
  let pids: ReadonlyMap<string, number> = new Map();
  let scannedMs: number | null = null;
  let isScanWanted = true;
  let latest: ReadonlyMap<string, QemuFigures> = new Map();

  const scan = async (vms: readonly RunningVm[]) => {
    const isOld = scannedMs === null || clock.monotonicMs() - scannedMs >= SCAN_EVERY_MS;
    // A VM without a process may run elsewhere: it is not looked for at each tick.
    if (!isOld && !isScanWanted && vms.every(({ id }) => pids.has(id) || latest.has(id))) return;
    scannedMs = clock.monotonicMs();
    isScanWanted = false;
    pids = await processes();
  };

  return {
    async collect(sink, vms) {
      await scan(vms);
      const isVersion2 = (await files.read(`${CGROUPS}/cgroup.controllers`)) !== null;
      const found = new Map<string, QemuFigures>();
      for (const { id, vcpus } of vms) {
        const pid = pids.get(id);
        const figures = pid === undefined ? NOTHING : await readFigures(files, pid, isVersion2);
        if (pid !== undefined && figures.rssBytes === null) isScanWanted = true;
        found.set(id, figures);
        const owner = { type: 'vm', id } as const;
        sink.put(owner, 'vm', '', 'mem_rss', figures.rssBytes);
        if (figures.group === null) continue;
        const atMs = clock.monotonicMs();
        // The process id tells one run from the next: groups of the next begin at 0.
        const counters = memory.of(`qemu/${id}`, pid ?? null);
        const busy = counters.rate('cpu', figures.group.cpuMicros, atMs, TICK_MS);
        sink.put(owner, 'vm', '', 'cpu_usage', busy === null || vcpus < 1 ? null : busy / 1e6 / vcpus);
        putPressure(sink, owner, figures.group.pressures, counters, { atMs, periodMs: TICK_MS });
      }
      latest = found;
      return found;
    },
    latest: () => latest,
  };
}

const NOTHING: QemuFigures = { rssBytes: null, group: null };

async function readFigures(files: KernelFiles, pid: number, isVersion2: boolean): Promise<QemuFigures> {
  const status = await files.read(`/proc/${pid}/status`);
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(status ?? '')?.[1];
  const path = isVersion2 ? groupOf((await files.read(`/proc/${pid}/cgroup`)) ?? '') : null;
  return {
    rssBytes: kib === undefined ? null : Number(kib) * 1024,
    group: path === null ? null : await readGroup(files, `${CGROUPS}${path}`),
  };
}

async function readGroup(files: KernelFiles, folder: string): Promise<QemuFigures['group']> {
  const cpu = keyedNumbers(await files.read(`${folder}/cpu.stat`));
  const memoryEvents = keyedNumbers(await files.read(`${folder}/memory.events`));
  return {
    cpuMicros: cpu.get('usage_usec') ?? null,
    throttledPeriods: cpu.get('nr_throttled') ?? null,
    oomKills: memoryEvents.get('oom_kill') ?? null,
    pressures: await readPressures(files, `${folder}/`, '.pressure'),
  };
}

/** The group of the whole VM, from the one that its QEMU process lies in. libvirt makes groups below it (`libvirt/emulator`). Format:
 *  cgroups(7), one line `0::PATH`. null when the path is not that of one VM, as when libvirt makes no groups. */
export function groupOf(cgroup: string): string | null {
  const path = /^0::(\/\S*)$/m.exec(cgroup)?.[1];
  if (path === undefined) return null;
  const parts = path.split('/');
  // As machine-qemu\x2d1\x2dweb.scope with systemd, and qemu-1-web.libvirt-qemu without.
  const at = parts.findIndex(
    (part) => /^machine-qemu.*\.scope$/.test(part) || /^qemu-\d+-.*\.libvirt-qemu$/.test(part),
  );
  return at < 0 || parts.includes('..') ? null : parts.slice(0, at + 1).join('/');
}

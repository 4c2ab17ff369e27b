/** Measures this machine every five seconds and keeps ten minutes of it. Costs two small reads per step, watched or not,
 *  so that the first page has a past to show. */

import { readFile } from 'node:fs/promises';
import type { Host } from '#contract/system.ts';
import { withDeadline } from '#kernel/async.ts';
import type { Clock } from '#kernel/clock.ts';
import { hasErrno } from '#kernel/errors.ts';
import type { Logger } from '#kernel/logger.ts';
import { fileSystemOf } from '#platform/file-system.ts';
import {
  type CpuTicks,
  cpuRatio,
  cpuTicks,
  type LoadAverages,
  loadAverages,
  type MemoryFigures,
  memoryFigures,
  mountOf,
} from './figures.ts';
import { createHistory, STEP_SECONDS } from './history.ts';

type Usage = NonNullable<Host['usage']>;

/** A folder whose file system is watched, and what lies in it. */
export interface WatchedFolder {
  readonly path: string;
  readonly purpose: string;
}

/** The kernel's figures at one moment. */
export interface KernelReading {
  /** Monotonic. */
  readonly atMs: number;
  readonly cpu: CpuTicks | null;
  readonly memory: MemoryFigures | null;
  readonly load: LoadAverages | null;
}

export interface Sampler {
  /** What was read within the last second, or read now: one reader for all who need it. */
  reading(): Promise<KernelReading>;
  /** Null before the first measurement. */
  usage(): Usage | null;
  /** Measures once. */
  measure(): Promise<void>;
}

export interface SamplerOptions {
  readonly clock: Clock;
  readonly log: Logger;
  /** Asked at each look at the file systems: pools come and go. */
  folders(): readonly WatchedFolder[];
  /** Text of a file below /proc; a port for tests. */
  readonly readProc?: (name: string) => Promise<string>;
}

/** A file system is looked at each sixth step: it changes slowly, and a network one may hang. */
const STEPS_PER_FILESYSTEM_LOOK = 6;
const FILESYSTEM_DEADLINE_MS = 2_000;
const YOUNG_MS = 1_000;

const fromProc = (name: string) => readFile(`/proc/${name}`, 'utf8');

export function createSampler({ clock, log, folders, readProc = fromProc }: SamplerOptions): Sampler {
  const history = createHistory();
  let before: CpuTicks | null = null;
  let newest: KernelReading | null = null;
  let latest: Omit<Usage, 'history' | 'filesystems'> | null = null;
  let filesystems: Usage['filesystems'] = [];
  let stepsUntilLook = 0;
  let looking: Promise<void> | null = null;

  const look = async (): Promise<void> => {
    // A look that hangs is not followed by a second one: each would hold a thread of the process.
    if (looking !== null) return;
    const mine = filesystemsOf(folders(), readProc).then((found) => {
      filesystems = found;
    });
    looking = mine;
    const forget = () => {
      looking = null;
    };
    mine.then(forget, forget);
    try {
      await withDeadline('looking at the file systems', FILESYSTEM_DEADLINE_MS, () => mine);
    } catch (error) {
      // What was seen last stays; the next look comes in half a minute.
      log.warn({ err: error }, 'the file systems could not be measured');
    }
  };

  const read = async (): Promise<KernelReading> => {
    const [stat, meminfo, loadavg] = await Promise.all([readProc('stat'), readProc('meminfo'), readProc('loadavg')]);
    newest = {
      atMs: clock.monotonicMs(),
      cpu: cpuTicks(stat),
      memory: memoryFigures(meminfo),
      load: loadAverages(loadavg),
    };
    return newest;
  };

  return {
    async reading() {
      return newest !== null && clock.monotonicMs() - newest.atMs < YOUNG_MS ? newest : await read();
    },
    usage() {
      if (latest === null) return null;
      return {
        ...latest,
        history: { stepSeconds: STEP_SECONDS, ...history.read(clock.monotonicMs()) },
        filesystems: [...filesystems],
      };
    },
    async measure() {
      const { cpu, memory, load } = await read();
      const ratio = before === null || cpu === null ? null : cpuRatio(before, cpu);
      before = cpu;
      latest = { cpuRatio: ratio, memoryUsedBytes: memory?.usedBytes ?? null, load1: load?.load1 ?? null };
      history.add(clock.monotonicMs(), {
        cpuRatio: ratio,
        memoryRatio: memory === null ? null : memory.usedBytes / memory.totalBytes,
      });
      if (stepsUntilLook === 0) await look();
      stepsUntilLook = (stepsUntilLook + 1) % STEPS_PER_FILESYSTEM_LOOK;
    },
  };
}

/** One line per file system, though several folders may lie on it. */
async function filesystemsOf(
  folders: readonly WatchedFolder[],
  readProc: (name: string) => Promise<string>,
): Promise<Usage['filesystems']> {
  const mountinfo = await readProc('self/mountinfo').catch((error: unknown) => {
    // Without a /proc of our own, as in foreign namespaces, a folder stands for its file system.
    if (hasErrno(error, 'ENOENT')) return null;
    throw error;
  });
  const found = new Map<number, Usage['filesystems'][number]>();
  for (const { path, purpose } of folders) {
    try {
      const { device, sizeBytes, availableBytes } = await fileSystemOf(path);
      const known = found.get(device);
      if (known !== undefined) {
        found.set(device, { ...known, purpose: `${known.purpose}, ${purpose}` });
        continue;
      }
      found.set(device, {
        mount: mountinfo === null ? path : mountOf(mountinfo, path),
        purpose,
        sizeBytes,
        // As df counts it: what only root may use is not free, so that "full" means full for everybody.
        usedBytes: sizeBytes - availableBytes,
      });
    } catch (error) {
      // A pool's folder may be gone; libvirt's own state of the pool tells that.
      if (!hasErrno(error, 'ENOENT', 'ENOTDIR', 'EACCES')) throw error;
    }
  }
  return [...found.values()];
}

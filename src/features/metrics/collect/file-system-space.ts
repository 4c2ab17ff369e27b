/** Asks how full file systems are, so that a dead one cannot block the others: at most one look at each is under way, those of a network
 *  are asked by a program of their own, and of the local ones at most two hold a thread of ours: the others get a program then. */

import { statfs } from 'node:fs/promises';
import type { Programs } from './programs.ts';

export interface Space {
  readonly sizeBytes: number;
  /** What files hold. */
  readonly usedBytes: number;
  /** What programs may still write; less than the rest, where some is kept for root. */
  readonly freeBytes: number;
  readonly files: number;
  readonly freeFiles: number;
}

export interface FileSystemSpace {
  /** @param path folder on the file system
   *  @param isLocal whether its disk is in this machine
   *  @returns null when it cannot be told: it is gone, does not answer in 2 s, or did not answer the look before yet */
  look(path: string, isLocal: boolean): Promise<Space | null>;
}

const DEADLINE_MS = 2_000;
/** There are few threads for files; a disk that hangs keeps those that look at it. */
const MAX_HELD_THREADS = 2;
const STAT_FORMAT = '%S %b %f %a %c %d';

interface Ports {
  readonly programs: Programs;
  /** A port for tests. */
  readonly statfs?: (path: string) => Promise<{
    readonly bsize: number;
    readonly blocks: number;
    readonly bfree: number;
    readonly bavail: number;
    readonly files: number;
    readonly ffree: number;
  }>;
  readonly deadlineMs?: number;
}

export function createFileSystemSpace({ programs, ...ports }: Ports): FileSystemSpace {
  const underWay = new Map<string, { readonly holdsThread: boolean }>();
  const ask = ports.statfs ?? ((path: string) => statfs(path));

  const lookLocally = async (path: string): Promise<Space> => {
    const { bsize, blocks, bfree, bavail, files, ffree } = await ask(path);
    return spaceOf(bsize, blocks, bfree, bavail, files, ffree);
  };

  const lookByProgram = async (path: string): Promise<Space | null> => {
    const result = await programs.ask(['stat', '--file-system', `--format=${STAT_FORMAT}`, '--', path]);
    const fields = result?.stdout.trim().split(' ').map(Number) ?? [];
    if (result?.code !== 0 || fields.length !== 6 || fields.some(Number.isNaN)) return null;
    const [bsize = 0, blocks = 0, bfree = 0, bavail = 0, files = 0, ffree = 0] = fields;
    return spaceOf(bsize, blocks, bfree, bavail, files, ffree);
  };

  return {
    async look(path, isLocal) {
      if (underWay.has(path)) return null;
      const held = [...underWay.values()].filter((look) => look.holdsThread).length;
      // When others hang there is no thread for this one, but a program of its own holds none.
      const holdsThread = isLocal && held < MAX_HELD_THREADS;
      underWay.set(path, { holdsThread });
      const looking = (holdsThread ? lookLocally(path) : lookByProgram(path))
        // It is gone, or broken: either way nothing can be said.
        .catch(() => null)
        .finally(() => underWay.delete(path));
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<null>((resolve) => {
        timer = setTimeout(() => resolve(null), ports.deadlineMs ?? DEADLINE_MS);
      });
      try {
        return await Promise.race([looking, late]);
      } finally {
        clearTimeout(timer);
      }
    },
  };
}

function spaceOf(
  blockBytes: number,
  blocks: number,
  free: number,
  available: number,
  files: number,
  freeFiles: number,
): Space {
  return {
    sizeBytes: blocks * blockBytes,
    usedBytes: (blocks - free) * blockBytes,
    freeBytes: available * blockBytes,
    files,
    freeFiles,
  };
}

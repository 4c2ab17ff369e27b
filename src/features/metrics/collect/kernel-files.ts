/** Small files that the kernel makes when they are read, below /proc and /sys. */

import { readdir, readFile } from 'node:fs/promises';
import { hasErrno } from '#kernel/errors.ts';

export interface KernelFiles {
  /** Text of a file; null when it is not there, is not for us, or its device does not answer. */
  read(path: string): Promise<string | null>;
  /** Names in a folder, sorted; none when it is not there. */
  list(path: string): Promise<readonly string[]>;
}

/** Drivers answer with these for what a device does not have or cannot tell now. */
const NOTHING = ['ENOENT', 'ENOTDIR', 'ESRCH', 'EACCES', 'EPERM', 'EINVAL', 'EIO', 'ENODATA', 'ENODEV', 'ENXIO'];
const MORE_NOTHING = ['EAGAIN', 'EBUSY', 'EOPNOTSUPP', 'ETIMEDOUT', 'EREMOTEIO', 'EISDIR'];

/** @param root folder that stands for `/`; for recordings in tests */
export function createKernelFiles(root = ''): KernelFiles {
  const orNothing = async <Value>(work: Promise<Value>, nothing: Value): Promise<Value> => {
    try {
      return await work;
    } catch (error) {
      if (hasErrno(error, ...NOTHING, ...MORE_NOTHING)) return nothing;
      throw error;
    }
  };
  return {
    read: (path) => orNothing<string | null>(readFile(`${root}${path}`, 'utf8'), null),
    list: async (path) => (await orNothing<string[]>(readdir(`${root}${path}`), [])).sort(),
  };
}

/** The number in a text that holds nothing else. */
export function numberIn(text: string | null): number | null {
  if (text === null || !/^-?\d+(\.\d+)?$/.test(text.trim())) return null;
  return Number(text.trim());
}

/** Lines of `key value`, as vmstat and memory.events have them. */
export function keyedNumbers(text: string | null): ReadonlyMap<string, number> {
  const numbers = new Map<string, number>();
  for (const line of (text ?? '').split('\n')) {
    const [, key, value] = /^(\S+)\s+(\d+)\s*$/.exec(line) ?? [];
    if (key !== undefined && value !== undefined) numbers.set(key, Number(value));
  }
  return numbers;
}

/** Bytes of a page of memory; null where the kernel does not tell. */
export type PageSize = () => Promise<number | null>;

/** The kernel's own name for the size of its pages stands in the map of any process. */
const PAGE_SIZE = /^KernelPageSize:\s+(\d+) kB$/m;

/** Looks once. */
export function createPageSize(files: KernelFiles): PageSize {
  let looking: Promise<number | null> | null = null;
  const look = async () => {
    const kib = PAGE_SIZE.exec((await files.read('/proc/self/smaps')) ?? '')?.[1];
    return kib === undefined ? null : Number(kib) * 1024;
  };
  return () => {
    looking ??= look();
    return looking;
  };
}

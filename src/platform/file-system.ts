/** What a file system says of itself. One that hangs (a share whose server is gone) holds each thread that asks it until it answers, and a
 *  process has few of them for all of its files: so it is asked once, however many want to know and however often. */

import { stat, statfs } from 'node:fs/promises';

export interface FileSystem {
  /** Of the file or folder that was asked for. */
  readonly device: number;
  readonly isFile: boolean;
  readonly sizeBytes: number;
  /** What nobody has, and what others than root can still have. */
  readonly freeBytes: number;
  readonly availableBytes: number;
}

const asking = new Map<string, Promise<FileSystem>>();

/** @param ask a port for tests @throws system errors */
export function fileSystemOf(path: string, ask: typeof askSystem = askSystem): Promise<FileSystem> {
  const pending = asking.get(path) ?? ask(path).finally(() => asking.delete(path));
  asking.set(path, pending);
  return pending;
}

async function askSystem(path: string): Promise<FileSystem> {
  // One after the other: two questions would hold two threads.
  const found = await stat(path);
  const { bsize, blocks, bfree, bavail } = await statfs(path);
  return {
    device: found.dev,
    isFile: found.isFile(),
    sizeBytes: blocks * bsize,
    freeBytes: bfree * bsize,
    availableBytes: bavail * bsize,
  };
}

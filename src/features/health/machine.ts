/** What the checks may ask of the machine: files, devices, space and programs. The only door of this slice to the outside,
 *  so that every outcome of every check can be played without the hardware for it. */

import { constants, open, readdir, readFile, readlink, stat } from 'node:fs/promises';
import { hostname, networkInterfaces, release } from 'node:os';
import { hasErrno } from '#kernel/errors.ts';
import { fileSystemOf } from '#platform/file-system.ts';
import { type RunOptions, type RunResult, run } from '#platform/process.ts';
import { runSandboxed } from '#platform/sandbox.ts';

export interface PathFacts {
  readonly kind: 'file' | 'folder' | 'device' | 'other';
  /** Permission bits only, as 0o755. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

export interface Machine {
  /** Text of a file, or null when there is none. */
  readText(path: string): Promise<string | null>;
  /** Facts of what a path leads to, or null when there is nothing. */
  facts(path: string): Promise<PathFacts | null>;
  /** Names in a folder, sorted; null when there is no such folder. */
  list(path: string): Promise<readonly string[] | null>;
  /** Where a link points, or null when it is none. */
  linkTarget(path: string): Promise<string | null>;
  /** Size and free bytes of the file system that holds the path. */
  space(path: string): Promise<{ readonly sizeBytes: number; readonly freeBytes: number }>;
  /** Opens a device for reading and writing and closes it again. */
  tryOpen(path: string): Promise<'opened' | 'missing' | 'denied'>;
  /** As `run` of the platform. @throws program_missing, timeout */
  run(argv: readonly string[], options: RunOptions): Promise<RunResult>;
  /** Runs a program that does nothing in the sandbox for untrusted files. @throws sandbox_unavailable, program_missing */
  trySandbox(signal: AbortSignal): Promise<void>;
  hostName(): string;
  kernelRelease(): string;
  /** IPv4 networks that the machine's interfaces are in. */
  ipv4Networks(): readonly { readonly name: string; readonly cidr: string }[];
  userId(): number;
}

async function orNull<Value>(work: Promise<Value>): Promise<Value | null> {
  try {
    return await work;
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'ENOTDIR', 'EINVAL')) return null;
    throw error;
  }
}

/** The machine that this process runs on. */
export const thisMachine: Machine = {
  readText: (path) => orNull(readFile(path, 'utf8')),
  async facts(path) {
    const found = await orNull(stat(path));
    if (found === null) return null;
    const kind = found.isDirectory()
      ? 'folder'
      : found.isFile()
        ? 'file'
        : found.isCharacterDevice() || found.isBlockDevice()
          ? 'device'
          : 'other';
    return { kind, mode: found.mode & 0o7777, uid: found.uid, gid: found.gid };
  },
  async list(path) {
    const names = await orNull(readdir(path));
    return names === null ? null : names.sort();
  },
  linkTarget: (path) => orNull(readlink(path)),
  async space(path) {
    const { sizeBytes, availableBytes } = await fileSystemOf(path);
    return { sizeBytes, freeBytes: availableBytes };
  },
  async tryOpen(path) {
    try {
      const handle = await open(path, constants.O_RDWR);
      await handle.close();
      return 'opened';
    } catch (error) {
      // ENXIO and ENODEV: the node is there, but no driver behind it.
      if (hasErrno(error, 'ENOENT', 'ENXIO', 'ENODEV')) return 'missing';
      if (hasErrno(error, 'EACCES', 'EPERM')) return 'denied';
      throw error;
    }
  },
  run,
  async trySandbox(signal) {
    await runSandboxed(['true'], { readOnly: [], timeoutMs: 10_000, signal });
  },
  hostName: hostname,
  kernelRelease: release,
  ipv4Networks: () =>
    Object.entries(networkInterfaces()).flatMap(([name, addresses]) =>
      (addresses ?? []).flatMap(({ family, cidr }) => (family === 'IPv4' && cidr !== null ? [{ name, cidr }] : [])),
    ),
  userId: () => process.getuid?.() ?? -1,
};

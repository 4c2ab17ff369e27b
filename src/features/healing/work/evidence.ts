/** What the kernel tells of a QEMU process without disturbing it: state, where each thread waits, what it holds. No memory, no arguments
 *  of other programs, nothing of the guest. */

import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { hasErrno, messageOf } from '#kernel/errors.ts';
import { isUuid } from '#kernel/ids.ts';
import type { VmInput } from '../allowed-work.ts';

const MAX_THREADS = 256;
const MAX_FILE_BYTES = 16_384;
/** The oldest go first. */
const KEPT_FILES = 20;

interface Dependencies {
  /** Where the files go; only ours lie there. */
  readonly folder: string;
  /** Process id of the VM's QEMU; null when it has none. */
  pidOf(vmId: string): Promise<number | null>;
  /** What libvirt says of its control of the VM. */
  control(vmId: string): Promise<unknown>;
  now(): Date;
  readonly proc?: string;
}

export function createEvidence({ folder, pidOf, control, now, proc = '/proc' }: Dependencies) {
  /** What cannot be read is told in its place: that, too, is evidence. */
  const read = async (...path: readonly string[]): Promise<string> => {
    try {
      return (await readFile(join(proc, ...path), 'utf8')).slice(0, MAX_FILE_BYTES);
    } catch (error) {
      return `not readable: ${messageOf(error)}`;
    }
  };
  const threadsOf = async (pid: string): Promise<readonly string[]> => {
    try {
      return (await readdir(join(proc, pid, 'task'))).slice(0, MAX_THREADS);
    } catch (error) {
      // It ended in this moment.
      if (hasErrno(error, 'ENOENT', 'ESRCH')) return [];
      throw error;
    }
  };
  const thread = async (pid: string, tid: string) => ({
    tid: Number(tid),
    name: (await read(pid, 'task', tid, 'comm')).trim(),
    waitsIn: (await read(pid, 'task', tid, 'wchan')).trim(),
    stat: (await read(pid, 'task', tid, 'stat')).trim(),
    stack: await read(pid, 'task', tid, 'stack'),
  });

  /** @returns the path of the file, readable by hyperd's user alone */
  return async ({ vmId, name }: VmInput, operationId: string): Promise<string> => {
    if (!isUuid(vmId)) throw new TypeError('a VM is named by its UUID');
    const id = await pidOf(vmId);
    const pid = id === null ? null : String(id);
    const threads = [];
    for (const tid of pid === null ? [] : await threadsOf(pid)) threads.push(await thread(String(pid), tid));
    const facts = {
      vm: { id: vmId, name },
      at: now().toISOString(),
      pid: id,
      libvirt: await control(vmId).catch((error: unknown) => `not known: ${messageOf(error)}`),
      status: pid === null ? null : await read(pid, 'status'),
      io: pid === null ? null : await read(pid, 'io'),
      pressure: { io: await read('pressure', 'io'), memory: await read('pressure', 'memory') },
      threads,
    };
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const path = join(folder, `${operationId}-${vmId}.json`);
    await writeFile(`${path}.part`, `${JSON.stringify(facts, null, 1)}\n`, { mode: 0o600 });
    await rename(`${path}.part`, path);
    const all = (await readdir(folder)).filter((file) => /^op-[0-9a-z]{26}-[0-9a-f-]{36}\.json$/.test(file)).sort();
    for (const old of all.slice(0, -KEPT_FILES)) await rm(join(folder, old), { force: true });
    return path;
  };
}

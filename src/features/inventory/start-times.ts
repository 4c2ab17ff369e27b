/** When running guests were started, from the processes of this machine: libvirt does not tell, and a restart of the daemon must not
 *  forget it. Empty for guests of another machine. */

import { readdir, readFile } from 'node:fs/promises';
import { hasErrno } from '#kernel/errors.ts';

/** Linux counts process start times in these, whatever the kernel's own clock rate is. */
const TICKS_PER_SECOND = 100;

/** Start time of each QEMU process by the UUID of its guest. Reads /proc once: some milliseconds. */
export async function qemuStartTimes(proc = '/proc'): Promise<Map<string, Date>> {
  const bootSeconds = Number(/^btime (\d+)$/m.exec(await readFile(`${proc}/stat`, 'utf8'))?.[1] ?? Number.NaN);
  if (Number.isNaN(bootSeconds)) return new Map();
  return new Map([...(await qemuRuns(proc))].map(([uuid, ms]) => [uuid, new Date(bootSeconds * 1000 + ms)]));
}

/** The same in milliseconds since the host booted, which no step of the clock changes: tells one run of a guest from the next. */
export async function qemuRuns(proc = '/proc'): Promise<Map<string, number>> {
  return new Map([...(await qemuProcesses(proc))].map(([uuid, { startedMs }]) => [uuid, startedMs]));
}

/** A QEMU process of this machine. */
export interface QemuProcess {
  readonly pid: number;
  /** Since the host booted. */
  readonly startedMs: number;
}

/** By the UUID of its guest. */
export async function qemuProcesses(proc = '/proc'): Promise<Map<string, QemuProcess>> {
  const found = new Map<string, QemuProcess>();
  for (const pid of await readdir(proc)) {
    if (!/^\d+$/.test(pid)) continue;
    try {
      const comm = await readFile(`${proc}/${pid}/comm`, 'utf8');
      if (!comm.startsWith('qemu')) continue;
      const argv = (await readFile(`${proc}/${pid}/cmdline`, 'utf8')).split('\0');
      const uuid = argv[argv.indexOf('-uuid') + 1];
      const stat = await readFile(`${proc}/${pid}/stat`, 'utf8');
      // The second field is the name in parentheses and may hold spaces; counted from its end, the 20th is the start time.
      const ticks = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]);
      if (argv.includes('-uuid') && uuid && Number.isFinite(ticks))
        found.set(uuid, { pid: Number(pid), startedMs: (ticks / TICKS_PER_SECOND) * 1000 });
    } catch (error) {
      // The process ended while we looked.
      if (!hasErrno(error, 'ENOENT', 'ESRCH')) throw error;
    }
  }
  return found;
}

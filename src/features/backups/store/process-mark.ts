/** What tells one process from every other: a process id alone comes again. */

import { readFileSync, readlinkSync } from 'node:fs';
import { z } from 'zod';
import { hasErrno } from '#kernel/errors.ts';

export const processMarkSchema = z.object({
  bootId: z.string(),
  pidNamespace: z.string(),
  pid: z.int(),
  startTicks: z.string().describe('field 22 of /proc/PID/stat'),
});
export type ProcessMark = z.infer<typeof processMarkSchema>;

export function ownProcessMark(): ProcessMark {
  return { ...here(), pid: process.pid, startTicks: startTicksOf('self') ?? '' };
}

/** True only when it is certain: it ran since this boot, among processes that we see, and is not there any more. */
export function isSurelyGone(mark: ProcessMark): boolean {
  const { bootId, pidNamespace } = here();
  if (mark.bootId !== bootId || mark.pidNamespace !== pidNamespace) return false;
  return startTicksOf(String(mark.pid)) !== mark.startTicks;
}

/** True only when it is certain that it runs: since this boot, among processes that we see. */
export function isSurelyThere(mark: ProcessMark): boolean {
  const { bootId, pidNamespace } = here();
  return (
    mark.bootId === bootId && mark.pidNamespace === pidNamespace && startTicksOf(String(mark.pid)) === mark.startTicks
  );
}

const here = () => ({
  bootId: readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim(),
  pidNamespace: readlinkSync('/proc/self/ns/pid'),
});

function startTicksOf(pid: string): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The command in brackets may hold blanks and brackets; what follows the last one are fields from the third on.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // A process that nobody waited for yet has ended all the same.
    return fields[0] === 'Z' || fields[0] === 'X' ? null : (fields[19] ?? null);
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'ESRCH')) return null;
    throw error;
  }
}

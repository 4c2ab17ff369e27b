/** The one way past "no record, no change": root at the machine may force a VM off although nothing can be recorded. Off unless configured;
 *  written to the kernel's log and the daemon's, and to the chain as soon as that works again. */

import { writeFile } from 'node:fs/promises';
import { messageOf } from '#kernel/errors.ts';
import type { Logger } from '#kernel/logger.ts';
import type { AuditEntry, Writer } from './writer.ts';

const ACTIONS: readonly string[] = ['POST /vms/{id}/stop'];
const MAX_LINE = 900;

export interface BreakGlass {
  /** True when this act may go on without a record; it is then written to the logs, and to the chain later. */
  allow(entry: AuditEntry): Promise<boolean>;
  /** The same for how it ended. */
  ended(entry: AuditEntry): void;
}

export function createBreakGlass({
  isOn,
  writer,
  log,
  kernelLog = '/dev/kmsg',
}: {
  isOn: boolean;
  writer: Pick<Writer, 'later' | 'canRecord'>;
  log: Logger;
  kernelLog?: string;
}): BreakGlass {
  return {
    async allow(entry) {
      if (!isOn || entry.via !== 'admin_socket' || !ACTIONS.includes(entry.action)) return false;
      // The refusal may have had another reason.
      if (await writer.canRecord()) return false;
      const { actor, action, objectId, objectName } = entry;
      const marked = { ...entry, params: { breakGlass: true, asked: entry.params ?? null } };
      log.error({ actor, action, objectId, objectName }, 'break-glass: done although it could not be recorded');
      // Priority "alert" of facility "authpriv"; one line, whatever the name holds.
      const line = JSON.stringify({ actor, action, objectId, objectName }).slice(0, MAX_LINE);
      try {
        await writeFile(kernelLog, `<81>hyperd: break-glass ${line}\n`, { flag: 'a' });
      } catch (error) {
        // In a container there is none; the daemon's own log has it.
        log.warn({ err: error }, `the kernel's log could not be written: ${messageOf(error)}`);
      }
      writer.later(marked);
      return true;
    },
    ended: (entry) => writer.later({ ...entry, params: { breakGlass: true } }),
  };
}

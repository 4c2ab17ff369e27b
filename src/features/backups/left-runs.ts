/** What backups leave that nobody takes up again, because their operation is over or was never written down: folders, and jobs of QEMU that
 *  serve disks into them. Looked at once, at the start. */

import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { FINAL_STATES, type Operation } from '#contract/operations.ts';
import type { Logger } from '#kernel/logger.ts';
import type { RunFolders } from './names.ts';
import { runsWithFolder } from './run-folder.ts';
import type { VmSide } from './vm-side.ts';

export interface LeftRunsDependencies {
  readonly folders: RunFolders;
  readonly vmSide: Pick<VmSide, 'runningSocket' | 'end'>;
  runningVms(): readonly string[];
  operation(id: string): Promise<Operation | null>;
  readonly log: Logger;
}

/** Names begin with the id of their operation. */
const ID = /^op-[0-9a-z]{26}/;

export async function clearLeftRuns({
  folders,
  vmSide,
  runningVms,
  operation,
  log,
}: LeftRunsDependencies): Promise<void> {
  const left: string[] = [];
  for (const name of await runsWithFolder(folders.root)) {
    const id = ID.exec(name)?.[0];
    const owner = id === undefined ? null : await operation(id);
    if (id !== undefined && (owner === null || FINAL_STATES.includes(owner.state))) left.push(name);
  }
  if (left.length === 0) return;
  const sockets = new Set(left.map((name) => folders.of(name).socketPath));
  for (const vmId of runningVms()) {
    const socket = await vmSide.runningSocket(vmId);
    if (socket === null || !sockets.has(socket)) continue;
    log.warn({ vm: vmId }, 'a backup that nobody works on is ended');
    await vmSide.end(vmId, socket);
  }
  for (const name of left) await rm(join(folders.root, name), { recursive: true, force: true });
  log.info({ left: left.length }, 'leftovers of backups were removed');
}

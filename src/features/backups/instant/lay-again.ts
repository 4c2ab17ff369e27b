/** Puts a disk that is not whole back on its restore point: after a QEMU that died when it had taken the restore point out of the disk's
 *  header, and not written all of its tables yet. What the guest was told is safe is in the tables, and stays. */

import { readDomain } from '#libvirt/index.ts';
import { layOver } from '#platform/qemu-access.ts';
import type { Exporters } from '../exporter/exporters.ts';
import { attachedDisks } from './attached.ts';
import { disksOf, type InstantRow } from './tables.ts';

/** Only while the VM is off. @param xml its definition */
export async function layAgain(
  row: InstantRow,
  xml: string,
  exporters: Pick<Exporters, 'folder'>,
  signal: AbortSignal,
): Promise<void> {
  const { socketPath } = exporters.folder(row.operation_id);
  const attached = await attachedDisks(xml, { socketPath, disks: disksOf(row) });
  const sources = new Map(readDomain(xml).disks.map(({ target, source }) => [target, source]));
  for (const { target, isWhole } of disksOf(row)) {
    const path = sources.get(target) ?? null;
    if (isWhole || path === null || attached.includes(target)) continue;
    await layOver(path, { socketPath, exportName: target }, signal);
  }
}

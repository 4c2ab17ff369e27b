/** A restore point as its repository tells it, as a row of ours. */

import { z } from 'zod';
import { messageOf } from '#kernel/errors.ts';
import { vmMetaSchema } from './blobs.ts';
import { missedChangesSchema } from './missed-changes.ts';
import type { Manifest, Repository } from './store/index.ts';
import type { PointDetail, PointRow } from './tables.ts';

/** The blob `meta`. */
export const metaBlobSchema = z.object({
  vm: vmMetaSchema,
  warnings: z.array(z.string()).readonly(),
  missed: z.array(missedChangesSchema).readonly().default([]),
});
export type MetaBlob = z.infer<typeof metaBlobSchema>;

export function rowOf(repositoryId: string, manifest: Manifest, meta: MetaBlob | null): PointRow {
  const sum = (name: 'receivedBytes' | 'newBytes' | 'storedBytes') =>
    manifest.disks.reduce((total, { stats }) => total + stats[name], 0);
  const detail: PointDetail = {
    disks: manifest.disks.map((disk) => ({
      target: disk.target,
      serial: disk.serial,
      format: disk.format,
      sizeBytes: disk.sizeBytes,
      mode: disk.mode,
      reason: disk.reason,
      readBytes: disk.stats.receivedBytes,
      storedBytes: disk.stats.storedBytes,
    })),
    skipped: [...manifest.skipped],
    warnings: [...(meta?.warnings ?? [])],
  };
  return {
    id: manifest.id,
    repository_id: repositoryId,
    vm_id: manifest.vm,
    vm_name: meta?.vm.name ?? manifest.vm,
    project: manifest.project,
    seq: manifest.seq,
    operation_id: manifest.op,
    checkpoint: manifest.checkpoint,
    point_in_time: manifest.pointInTime,
    finished_at: manifest.finishedAt,
    consistency: manifest.consistency,
    frozen_ms: manifest.frozenMs,
    size_bytes: manifest.disks.reduce((total, { sizeBytes }) => total + sizeBytes, 0),
    read_bytes: sum('receivedBytes'),
    stored_bytes: sum('storedBytes'),
    new_bytes: sum('newBytes'),
    detail: JSON.stringify(detail),
    state: 'good',
    problem: null,
  };
}

/** What a restore point tells of its VM. */
export async function readMeta(
  repository: Pick<Repository, 'readBlob'>,
  pointId: string,
): Promise<{ readonly meta: MetaBlob | null; readonly problem: string | null }> {
  try {
    const bytes = await repository.readBlob(pointId, 'meta');
    return { meta: metaBlobSchema.parse(JSON.parse(bytes.toString('utf8'))), problem: null };
  } catch (error) {
    return { meta: null, problem: `What was known of the VM cannot be read: ${messageOf(error)}.` };
  }
}

/** Turns a restore point into an order in which nothing is left to choose, and says what will not be as it was. */

import { stat } from 'node:fs/promises';
import { z } from 'zod';
import type { RestorePlan } from '#contract/backups.ts';
import type { InventoryApi } from '#features/inventory/index.ts';
import { factsOf } from '#features/inventory/index.ts';
import { newMac } from '#kernel/ids.ts';
import { vmMetaSchema } from './blobs.ts';
import { readMeta } from './manifest-row.ts';
import type { OpenRepository } from './repositories.ts';
import { dataBytes } from './write-disk.ts';

export const restoreOrderSchema = z.object({
  pointId: z.string(),
  repositoryId: z.string(),
  vmId: z.string(),
  name: z.string(),
  /** In libvirt. */
  domainName: z.string(),
  /** Id of the project that it belongs to afterwards. */
  project: z.string(),
  vcpus: z.number(),
  memoryBytes: z.number(),
  disks: z.array(z.object({ target: z.string(), format: z.enum(['qcow2', 'raw']), sizeBytes: z.number() })),
  macs: z.record(z.string(), z.string()),
  media: z.record(z.string(), z.string()),
  blobs: z.array(z.string()),
  hasNvram: z.boolean(),
  meta: vmMetaSchema.nullable(),
  isStarted: z.boolean(),
  mayOpenNics: z.boolean(),
  /** It runs from the restore point before its data is copied. */
  isInstant: z.boolean().default(false),
});
export type RestoreOrder = z.infer<typeof restoreOrderSchema>;

export interface RestoreWish {
  readonly pointId: string;
  readonly repositoryId: string;
  readonly vmId: string;
  readonly name: string;
  readonly domainName: string;
  readonly project: string;
  readonly isStarted: boolean;
  readonly mayOpenNics: boolean;
  readonly isInstant: boolean;
  /** It is another VM than the one that was backed up. */
  readonly isNew: boolean;
}

export interface ResolvedRestore {
  readonly order: RestoreOrder;
  readonly plan: Omit<RestorePlan, 'needs'> & { readonly needs: { readonly diskBytes: number } };
}

/** @throws point_damaged, point_not_found, invalid_definition */
export async function resolveRestore(
  wish: RestoreWish,
  repository: OpenRepository,
  known: Pick<InventoryApi, 'describeFile' | 'networks'>,
): Promise<ResolvedRestore> {
  const manifest = await repository.point(wish.pointId);
  const facts = factsOf((await repository.readBlob(wish.pointId, 'domainXml')).toString('utf8'));
  const { meta } = await readMeta(repository, wish.pointId);
  const changes: string[] = [];
  const warnings: string[] = [];

  const disks: RestoreOrder['disks'] = [];
  let diskBytes = 0;
  for (const { target, format, sizeBytes } of manifest.disks) {
    const disk = await repository.openDisk(wish.pointId, target);
    try {
      diskBytes += await dataBytes(disk);
    } finally {
      await disk.close();
    }
    // What is copied in behind the guest goes into a file that builds upon another one meanwhile.
    if (wish.isInstant && format !== 'qcow2') changes.push(`${target} becomes qcow2`);
    disks.push({ target, sizeBytes, format: format === 'qcow2' || wish.isInstant ? 'qcow2' : 'raw' });
  }
  for (const { target, reason } of manifest.skipped)
    if (!['cdrom', 'floppy'].includes(reason))
      changes.push(`${target} is not in the restore point (${reason}) and is left out`);

  const media: Record<string, string> = {};
  for (const { target, device, path } of facts.disks) {
    if (device !== 'cdrom' || path === null) continue;
    const isThere = known.describeFile(path).imageId !== null && (await isFile(path));
    if (isThere) media[target] = path;
    else changes.push(`the drive ${target} is empty: what was in it is not in the image library`);
  }
  const macs: Record<string, string> = {};
  if (wish.isNew) {
    for (const { mac } of facts.nics) macs[mac] = newMac();
    changes.push('it has a UUID of its own, and does not start with the host');
    if (facts.nics.length > 0) changes.push('its network cards have addresses of their own');
  }
  const networks = new Set(known.networks().map(({ name }) => name));
  for (const { sourceType, source } of facts.nics)
    if (sourceType === 'network' && source !== null && !networks.has(source))
      warnings.push(`The network "${source}" is not here: without it the VM does not start.`);
  if (manifest.consistency === 'crash') warnings.push('Its disks are as after a power cut.');
  if (meta === null)
    warnings.push('What was known of the VM beside its definition is not readable: tags and protection are lost.');

  const order: RestoreOrder = {
    pointId: wish.pointId,
    repositoryId: wish.repositoryId,
    vmId: wish.vmId,
    name: wish.name,
    domainName: wish.domainName,
    project: wish.project,
    vcpus: facts.maxVcpus,
    memoryBytes: facts.maxMemoryBytes,
    disks,
    macs,
    media,
    blobs: Object.keys(manifest.blobs),
    hasNvram: facts.nvramPath !== null,
    meta: meta?.vm ?? null,
    isStarted: wish.isStarted,
    mayOpenNics: wish.mayOpenNics,
    isInstant: wish.isInstant,
  };
  const plan = {
    name: wish.name,
    vmId: wish.isNew ? null : wish.vmId,
    vcpus: order.vcpus,
    memoryBytes: order.memoryBytes,
    disks,
    changes,
    warnings,
    needs: { diskBytes },
  };
  return { order, plan };
}

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (facts) => facts.isFile(),
    () => false,
  );
}

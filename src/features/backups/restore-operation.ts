/** Makes a new VM of a restore point. Disks are written beside their place, every chunk compared with its id, and take their names when
 *  they are whole; the definition passes the same look as that of a new VM. */

import { chmod, chown, mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { type Charge, defineOperation, type OperationDefinition, type Step } from '#features/operations/index.ts';
import { exists, publishFile, quarantineFile, type VmParts } from '#features/vms/index.ts';
import { AppError } from '#kernel/errors.ts';
import { restoredDomain } from '#libvirt/index.ts';
import { filesSchema, tpmFolder } from './blobs.ts';
import type { Repositories } from './repositories.ts';
import { type RestoreOrder, restoreOrderSchema } from './restore-order.ts';
import { writeDisk } from './write-disk.ts';

export interface RestoreServices {
  readonly repositories: Pick<Repositories, 'open'>;
  readonly parts: VmParts;
  now(): Date;
}

const DEFINE_MS = 60_000;

/** An operation that reads a point keeps it from being deleted. */
export const pointLock = (pointId: string): string => `restore-point:${pointId}`;

export function restoreOperation(services: RestoreServices): OperationDefinition<RestoreOrder> {
  return defineOperation({
    kind: 'backup.restore',
    permission: 'backup.restore',
    input: restoreOrderSchema,
    title: ({ name }) => `Restore ${name}`,
    object: ({ vmId, name }) => ({ type: 'vm', id: vmId, name }),
    locks: ({ vmId, domainName, macs }) => [
      `vm:${vmId}`,
      `vm-name:${domainName}`,
      ...Object.values(macs).map((mac) => `mac:${mac}`),
    ],
    shares: ({ pointId, repositoryId }) => [pointLock(pointId), `repository:${repositoryId}`],
    charges: restoreCharges,
    steps: (order) => restoreSteps(order, services, [disksStep(order, services)]),
    result: async ({ vmId, name }) => ({ vmId, name }),
  });
}

export function restoreCharges({ project, vmId, vcpus, memoryBytes, disks }: RestoreOrder): readonly Charge[] {
  const held = (resource: Charge['resource'], amount: number): Charge => ({
    project,
    resource,
    objectId: vmId,
    amount,
  });
  return [
    held('vms', 1),
    held('vcpus', vcpus),
    held('memory', memoryBytes),
    held(
      'disk',
      disks.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    ),
  ];
}

/** @param disks what makes the disks of the order */
export function restoreSteps(order: RestoreOrder, services: RestoreServices, disks: readonly Step[]): Step[] {
  const { parts } = services;
  const { access, files } = parts;

  const prepare: Step = {
    name: 'prepare',
    title: 'Check the name and prepare the storage',
    async act(context) {
      const holder = await access.holderOfName(order.domainName);
      if (holder !== null && holder !== order.vmId)
        throw new AppError('already_exists', { detail: `There is a VM "${order.name}" already.` });
      await parts.prepareStorage(context.signal);
    },
  };
  const blobs: Step = {
    name: 'blobs',
    title: 'Put back firmware variables and TPM',
    async act() {
      const repository = await services.repositories.open(order.repositoryId);
      const read = (name: string) => repository.readBlob(order.pointId, name);
      if (order.blobs.includes('nvram') && order.hasNvram) {
        const path = files.nvram(order.vmId);
        await mkdir(dirname(path), { recursive: true, mode: 0o711 });
        await writeFile(path, await read('nvram'), { mode: 0o600 });
      }
      if (order.blobs.includes('tpm')) await writeTpm(order.vmId, await read('tpm'), await parts.tpmUser());
    },
    async compensate() {
      // A UUID that was made for this: nothing else can have files under it.
      if (await access.isDefined(order.vmId)) return;
      await rm(files.nvram(order.vmId), { force: true });
      if (order.blobs.includes('tpm')) await rm(tpmFolder(order.vmId), { recursive: true, force: true });
    },
  };
  const define: Step = {
    name: 'define',
    title: 'Define the VM',
    check: () => access.isDefined(order.vmId),
    async act({ operationId }) {
      const repository = await services.repositories.open(order.repositoryId);
      const xml = (await repository.readBlob(order.pointId, 'domainXml')).toString('utf8');
      await parts.rows.put({
        uuid: order.vmId,
        desired: order.isStarted ? 'running' : 'off',
        isProtected: order.meta?.isProtected ?? false,
        tags: order.meta?.tags ?? [],
        managed: true,
        createdAt: services.now().toISOString(),
        operationId,
        moved: null,
      });
      await parts.definer.define(restoredXml(order, xml, operationId, services), {
        vmId: order.vmId,
        project: order.project,
        before: null,
        mayOpenNics: order.mayOpenNics,
        deadlineMs: DEFINE_MS,
      });
    },
    async compensate({ operationId }) {
      await parts.undefineMade(order.vmId, operationId);
    },
  };
  const start: Step = {
    name: 'start',
    title: 'Start the VM',
    check: () => access.isOn(order.vmId),
    async act(context) {
      await parts.prepareStart(order.vmId, context.signal);
      await access.start(order.vmId);
    },
    async compensate() {
      if (await access.isDefined(order.vmId)) await access.stop(order.vmId);
    },
  };
  const publish: Step = {
    name: 'publish',
    title: 'Show the VM',
    act: () => parts.show(order.vmId),
  };
  return [prepare, ...disks, blobs, define, ...(order.isStarted ? [start] : []), publish];
}

/** The definition with the files and the identity of this order. */
export function restoredXml(
  order: RestoreOrder,
  xml: string,
  operationId: string,
  { parts }: Pick<RestoreServices, 'parts'>,
): string {
  const { files } = parts;
  return restoredDomain(xml, {
    uuid: order.vmId,
    name: order.domainName,
    operationId,
    disks: Object.fromEntries(
      order.disks.map(({ target, format }, n) => [
        target,
        { path: files.disk(operationId, n, format), format, stopsOnError: order.isInstant },
      ]),
    ),
    media: order.media,
    macs: order.macs,
    nvramPath: order.hasNvram ? files.nvram(order.vmId) : null,
    serialLogPath: files.serialLog(order.vmId),
  });
}

/** Writes the disks of an order into files of their own. */
export function disksStep(
  order: Pick<RestoreOrder, 'pointId' | 'repositoryId' | 'disks'>,
  { repositories, parts }: RestoreServices,
): Step {
  const { files } = parts;
  const pathsOf = (operationId: string) => order.disks.map(({ format }, n) => files.disk(operationId, n, format));
  return {
    name: 'disks',
    title: order.disks.length === 1 ? 'Write the disk' : 'Write the disks',
    timeoutMs: null,
    isCancellable: true,
    check: async ({ operationId }) => (await Promise.all(pathsOf(operationId).map(exists))).every((isThere) => isThere),
    async act(context) {
      const { operationId, signal } = context;
      const repository = await repositories.open(order.repositoryId);
      for (const [n, path] of pathsOf(operationId).entries()) {
        const disk = order.disks[n];
        if (!disk || (await exists(path))) continue;
        await writeDisk({
          repository,
          pointId: order.pointId,
          target: disk.target,
          outPath: `${path}.part`,
          format: disk.format,
          signal,
          onProgress: (ratio) => context.progress({ ratio: (n + ratio) / order.disks.length, note: disk.target }),
        });
        await publishFile(`${path}.part`, path);
      }
    },
    async compensate({ operationId }) {
      for (const path of pathsOf(operationId)) {
        await rm(`${path}.part`, { force: true });
        await quarantineFile(path, files.quarantine(operationId));
      }
    },
  };
}

async function writeTpm(
  vmId: string,
  blob: Buffer,
  user: { readonly uid: number; readonly gid: number } | null,
): Promise<void> {
  const root = tpmFolder(vmId);
  const own = async (path: string) => {
    if (user !== null && process.getuid?.() === 0) await chown(path, user.uid, user.gid);
  };
  for (const { path, mode, data } of filesSchema.parse(JSON.parse(blob.toString('utf8'))).files) {
    const file = resolve(root, path);
    // What the repository says is not believed: names stay inside.
    if (!file.startsWith(`${root}/`))
      throw new AppError('point_damaged', { detail: 'A file of the TPM has no proper name.' });
    await mkdir(dirname(file), { recursive: true, mode: 0o700 });
    await writeFile(file, Buffer.from(data, 'base64'), { mode: mode & 0o700 });
    await chmod(file, mode & 0o700);
    for (let folder = dirname(file); folder.startsWith(root); folder = join(folder, '..')) await own(folder);
    await own(file);
  }
}

/** The routes of single restore points: restore, overwrite, export, delete. */

import { createReadStream } from 'node:fs';
import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import type { InventoryApi } from '#features/inventory/index.ts';
import { isOnState } from '#features/inventory/index.ts';
import type { OperationsApi, RegisteredKind } from '#features/operations/index.ts';
import { type ProjectsApi, projectObject } from '#features/projects/index.ts';
import type { QuotasApi } from '#features/quotas/index.ts';
import { vmObject } from '#features/vms/index.ts';
import { AppError } from '#kernel/errors.ts';
import { newId, newUuid } from '#kernel/ids.ts';
import { MIB } from '#kernel/units.ts';
import type { SpaceLedger } from '#platform/disk-space.ts';
import { type ApiRequest, type Handlers, SYSTEM } from '#platform/feature.ts';
import { makePassable } from '#platform/qemu-access.ts';
import type { Catalogue } from './catalogue.ts';
import type { DeleteOrder } from './delete-operation.ts';
import type { DiskOrder } from './disk-operation.ts';
import type { Instant } from './instant/instant.ts';
import type { RunFolders } from './names.ts';
import type { Repositories } from './repositories.ts';
import { restoreCharges } from './restore-operation.ts';
import { type ResolvedRestore, type RestoreOrder, resolveRestore } from './restore-order.ts';
import { pointObject, repositoryObject, startRequest } from './routes.ts';
import type { DiskImage } from './store/index.ts';
import { type PointRow, pointDetailSchema } from './tables.ts';
import { dataBytes, writeDisk } from './write-disk.ts';

export interface PointRouteDependencies {
  readonly operations: OperationsApi;
  readonly known: InventoryApi;
  readonly projects: Pick<ProjectsApi, 'get' | 'domainName'>;
  readonly quotas: Pick<QuotasApi, 'requireRoom'>;
  readonly catalogue: Catalogue;
  readonly repositories: Repositories;
  readonly folders: RunFolders;
  readonly space: SpaceLedger;
  readonly disksFolder: string;
  /** Nobody may delete it. */
  isKept(pointId: string): boolean;
  readonly instant: Pick<Instant, 'kind' | 'requireUnused'>;
  readonly kinds: {
    readonly restore: RegisteredKind<RestoreOrder>;
    readonly overwrite: RegisteredKind<RestoreOrder>;
    readonly disk: RegisteredKind<DiskOrder>;
    readonly delete: RegisteredKind<DeleteOrder>;
  };
}

type RestoreRequest =
  | ApiRequest<'POST /restore-points/{id}/restore'>
  | ApiRequest<'POST /restore-points/{id}/restore/plan'>;

export function createPointRoutes(dependencies: PointRouteDependencies): Handlers {
  const { operations, known, projects, quotas, catalogue, repositories, folders, space, disksFolder, instant, kinds } =
    dependencies;

  const findPoint = async (id: string): Promise<PointRow> => {
    const row = await catalogue.point(id);
    if (!row) throw new AppError('not_found', { detail: `There is no restore point "${id.slice(0, 80)}".` });
    return row;
  };

  /** Where a restore point is read from: its repository, or one that is named. */
  const readFrom = (request: Pick<RestoreRequest, 'require'>, row: PointRow, from: string | undefined): string => {
    if (from === undefined) return row.repository_id;
    const repository = repositories.get(from);
    request.require('backup.read', repositoryObject(repository));
    return repository.id;
  };

  const newVm = async (request: RestoreRequest): Promise<ResolvedRestore> => {
    const { body, may, params } = request;
    const row = await findPoint(params.id);
    const repositoryId = readFrom(request, row, body.from);
    const repository = await repositories.open(repositoryId);
    if (body.mode === 'instant' && repository.placed !== null)
      throw new AppError('repository_elsewhere', {
        detail: 'A guest runs at once only from a repository on a file system of this host.',
        hint: 'Restore it without --instant.',
      });
    const asked = body.project ?? row.project;
    const project = projects.get(asked);
    if (!project) throw new AppError('not_found', { detail: `There is no project "${asked.slice(0, 80)}".` });
    if (project.id !== row.project) request.require('backup.restore', { ...projectObject(project), name: asked });
    if (known.named(body.name).some((vm) => vm.project === project.id))
      throw new AppError('already_exists', { detail: `There is a VM "${body.name}" in the project already.` });
    return resolveRestore(
      {
        pointId: row.id,
        repositoryId,
        vmId: newUuid(),
        name: body.name,
        domainName: projects.domainName(project.id, body.name),
        project: project.id,
        isStarted: body.start || body.mode === 'instant',
        mayOpenNics: may('network.configure', SYSTEM),
        isInstant: body.mode === 'instant',
        isNew: true,
      },
      repository,
      known,
    );
  };

  const takeSpace = async (owner: string, bytes: number) => {
    const room = await space.look(disksFolder);
    space.take(room, { owner, bytes, place: 'disks', hint: 'Free space there.', canWait: true });
  };

  /** Begins it with room for its disks; what it does not write is given back at its end. */
  const begin = async (
    resolved: ResolvedRestore,
    kind: RegisteredKind<RestoreOrder>,
    request: Parameters<typeof startRequest>[0],
    action: string,
  ) => {
    const { order, plan } = resolved;
    await takeSpace(order.vmId, plan.needs.diskBytes);
    try {
      return await operations.start(kind, order, { ...startRequest(request), project: order.project, action });
    } catch (error) {
      space.release(order.vmId);
      throw error;
    }
  };

  return {
    'POST /restore-points/{id}/restore/plan': async (request) => {
      const { plan, order } = await newVm(request);
      await quotas.requireRoom(restoreCharges(order));
      return { ...plan, needs: { ...plan.needs, freeDiskBytes: (await space.look(disksFolder)).freeBytes } };
    },
    'POST /restore-points/{id}/restore': async (request) => {
      const before = await operations.repeated(request);
      if (before) return before;
      const resolved = await newVm(request);
      const kind = resolved.order.isInstant ? instant.kind : kinds.restore;
      return begin(resolved, kind, request, 'POST /restore-points/{id}/restore');
    },
    'POST /restore-points/{id}/overwrite': async (request) => {
      const before = await operations.repeated(request);
      if (before) return before;
      const row = await findPoint(request.params.id);
      const repositoryId = readFrom(request, row, request.body.from);
      const vm = known.vm(row.vm_id);
      if (!vm)
        throw new AppError('wrong_state', {
          detail: 'The VM of this restore point is not there any more.',
          hint: 'Restore it as a new VM.',
        });
      // The VM may be another project's by now.
      request.require('backup.overwrite', { type: 'vm', id: vm.id, name: vm.name, project: vm.project, vmId: vm.id });
      if (request.body.confirm !== vm.name)
        throw new AppError('invalid_input', {
          detail: 'The name of the VM was not given.',
          fields: [{ path: 'confirm', problem: 'it is not the name of the VM', mend: 'give its name as it is listed' }],
        });
      if (isOnState(vm.state) || vm.state === 'unknown')
        throw new AppError('wrong_state', {
          detail: `"${vm.name}" is on.`,
          hint: 'Shut it down first: its disks are exchanged.',
        });
      if (vm.isProtected)
        throw new AppError('vm_protected', { detail: `"${vm.name}" is protected, so its disks are not exchanged.` });
      instant.requireUnused({ vmId: vm.id });
      const resolved = await resolveRestore(
        {
          pointId: row.id,
          repositoryId,
          vmId: vm.id,
          name: vm.name,
          domainName: projects.domainName(vm.project, vm.name),
          project: vm.project,
          isStarted: false,
          mayOpenNics: request.may('network.configure', SYSTEM),
          isInstant: false,
          isNew: false,
        },
        await repositories.open(repositoryId),
        known,
      );
      return begin(resolved, kinds.overwrite, request, 'POST /restore-points/{id}/overwrite');
    },
    'POST /restore-points/{id}/disk': async (request) => {
      const before = await operations.repeated(request);
      if (before) return before;
      const { target, vm: vmId } = request.body;
      const row = await findPoint(request.params.id);
      const vm = known.vm(vmId);
      if (!vm) throw new AppError('not_found', { detail: `There is no vm "${vmId}".` });
      request.require('vm.configure', vmObject(vm));
      const repository = await repositories.open(row.repository_id);
      const disk = (await repository.point(row.id)).disks.find((each) => each.target === target);
      if (!disk)
        throw new AppError('restore_point_without_disk', { detail: `The restore point has no disk ${target}.` });
      const image = await repository.openDisk(row.id, target);
      const bytes = await dataBytes(image).finally(() => image.close());
      const own = vm.disks.filter(({ device }) => device === 'disk').map(({ sizeBytes }) => sizeBytes);
      const sizes = own.flatMap((sizeBytes) => (sizeBytes === null ? [] : sizeBytes));
      const order: DiskOrder = {
        pointId: row.id,
        repositoryId: row.repository_id,
        vmId: vm.id,
        vmName: vm.name,
        project: vm.project,
        disks: [{ target, format: disk.format === 'qcow2' ? 'qcow2' : 'raw', sizeBytes: disk.sizeBytes }],
        holdsBytes: sizes.length < own.length ? null : sizes.reduce((sum, size) => sum + size, disk.sizeBytes),
      };
      await takeSpace(vm.id, bytes);
      try {
        const asked = { ...startRequest(request), project: vm.project, action: 'POST /restore-points/{id}/disk' };
        return await operations.start(kinds.disk, order, asked);
      } catch (error) {
        space.release(vm.id);
        throw error;
      }
    },
    'DELETE /restore-points/{id}': async (request) => {
      const before = await operations.repeated(request);
      if (before) return before;
      const row = await findPoint(request.params.id);
      instant.requireUnused({ pointId: row.id });
      if (dependencies.isKept(row.id))
        throw new AppError('point_is_protected', { detail: `The restore point ${row.id} is protected.` });
      return operations.start(
        kinds.delete,
        {
          pointId: row.id,
          repositoryId: row.repository_id,
          vmId: row.vm_id,
          project: row.project,
          madeBy: row.operation_id,
          title: pointObject(row).name,
        },
        { ...startRequest(request), action: 'DELETE /restore-points/{id}' },
      );
    },
    'GET /restore-points/{id}/disk': async (request) => {
      const { params, query, signal } = request;
      const row = await findPoint(params.id);
      const { target } = query;
      if (!pointDetailSchema.parse(JSON.parse(row.detail)).disks.some((disk) => disk.target === target))
        throw new AppError('restore_point_without_disk', { detail: `The restore point has no disk ${target}.` });
      const repository = await repositories.open(readFrom(request, row, query.from));
      const headers = { 'content-disposition': `attachment; filename="${row.id}-${target}.${query.format}"` };
      if (query.format === 'raw') {
        const disk = await repository.openDisk(row.id, target);
        return {
          contentType: 'application/octet-stream',
          bytes: Readable.from(bytesOf(disk)),
          headers: { ...headers, 'content-length': String(disk.sizeBytes) },
        };
      }
      // qcow2 begins with tables that are known last, so it is made before it is sent.
      const name = newId('op');
      await makePassable(folders.root);
      const path = join(folders.root, `${name}.export`);
      try {
        await writeDisk({
          repository,
          pointId: row.id,
          target,
          outPath: path,
          format: 'qcow2',
          isReadNext: true,
          signal,
          onProgress: () => undefined,
        });
        const { size } = await stat(path);
        const stream = createReadStream(path);
        stream.once('close', () => void rm(path, { force: true }));
        return {
          contentType: 'application/octet-stream',
          bytes: stream,
          headers: { ...headers, 'content-length': String(size) },
        };
      } catch (error) {
        await rm(path, { force: true });
        throw error;
      }
    },
  };
}

async function* bytesOf(disk: DiskImage): AsyncGenerator<Buffer> {
  try {
    for (let at = 0; at < disk.sizeBytes; at += MIB) yield await disk.read(at, Math.min(MIB, disk.sizeBytes - at));
  } finally {
    await disk.close();
  }
}

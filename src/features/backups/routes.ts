/** The routes of backups: checks what the schema cannot know, then starts an operation. */

import type { BackupRepository } from '#contract/backups.ts';
import type { Operation } from '#contract/operations.ts';
import type { InventoryApi } from '#features/inventory/index.ts';
import type { OperationsApi, RegisteredKind } from '#features/operations/index.ts';
import { AppError } from '#kernel/errors.ts';
import { page } from '#kernel/page.ts';
import { type FoundObject, type Handlers, type Identity, SYSTEM } from '#platform/feature.ts';
import type { BeginRun } from './begin-run.ts';
import { type Catalogue, pointView } from './catalogue.ts';
import type { Instant } from './instant/instant.ts';
import type { Repositories } from './repositories.ts';
import type { CheckOrder, RepairOrder, ScanOrder } from './repository-operations.ts';
import type { PointRow } from './tables.ts';

export interface BackupRouteDependencies {
  readonly operations: OperationsApi;
  readonly known: InventoryApi;
  readonly catalogue: Catalogue;
  readonly repositories: Repositories;
  readonly instant: Pick<Instant, 'requireUnused'>;
  readonly beginRun: BeginRun;
  /** Takes the restore points of a repository out of the lists, but those that a copy holds too. */
  leave(repositoryId: string): Promise<void>;
  /** Ids of the restore points that lie in a repository because it is a copy. */
  copiedTo(repositoryId: string): string[];
  /** Names of the copies that hold a restore point too. */
  copiesOf(pointId: string): string[];
  readonly kinds: {
    readonly scan: RegisteredKind<ScanOrder>;
    readonly check: RegisteredKind<CheckOrder>;
    readonly repair: RegisteredKind<RepairOrder>;
  };
}

interface Asked {
  readonly identity: Identity;
  readonly project: string | null;
  readonly requestId: string;
  readonly idempotencyKey: string | null;
  readonly requestHash: string;
}

export const startRequest = ({ identity, project, requestId, idempotencyKey, requestHash }: Asked) => ({
  identity,
  project,
  requestId,
  idempotencyKey,
  requestHash,
});

export const repositoryObject = ({ id, name }: { readonly id: string; readonly name: string }): FoundObject => ({
  type: 'repository',
  id,
  name,
  project: null,
  sharedWith: 'all',
});

export const pointObject = (
  point: Pick<PointRow, 'id' | 'vm_name' | 'project' | 'vm_id' | 'point_in_time'>,
): FoundObject => ({
  type: 'restore-point',
  id: point.id,
  name: `${point.vm_name} ${point.point_in_time}`,
  project: point.project,
  vmId: point.vm_id,
});

export function createBackupRoutes(dependencies: BackupRouteDependencies): Handlers {
  const { operations, known, catalogue, repositories, instant, leave, kinds } = dependencies;

  const seen = async (
    id: string,
    may: (permission: 'backup.configure', object: typeof SYSTEM) => boolean,
  ): Promise<BackupRepository> => repositories.view(repositories.get(id), may('backup.configure', SYSTEM));

  const view = (row: PointRow) =>
    pointView(row, {
      repositoryName: repositories.find(row.repository_id)?.name ?? '',
      isVmThere: known.vm(row.vm_id) !== null,
      copies: dependencies.copiesOf(row.id),
    });

  const findPoint = async (id: string): Promise<PointRow> => {
    const row = await catalogue.point(id);
    if (!row) throw new AppError('not_found', { detail: `There is no restore point "${id.slice(0, 80)}".` });
    return row;
  };

  /** UUIDs that a name stands for, also of VMs that are gone. */
  const vmIdsOf = (idOrName: string): readonly string[] => {
    const there = known.vm(idOrName);
    if (there) return [there.id];
    const named = known.named(idOrName).map(({ id }) => id);
    const formerly = catalogue
      .known()
      .filter(({ vmId, vmName }) => vmId === idOrName || vmName === idOrName)
      .map(({ vmId }) => vmId);
    return [...new Set([...named, ...formerly])];
  };

  return {
    'GET /repositories': async ({ may, query }) => {
      const mayConfigure = may('backup.configure', SYSTEM);
      const seen = repositories.list().filter((row) => may('backup.read', repositoryObject(row)));
      const { items, ...rest } = page(seen, query, (row) => repositories.view(row, mayConfigure));
      return { items: await Promise.all(items), ...rest };
    },
    'POST /repositories': async ({ body }) => {
      const { folder, place, secrets = {}, ...rest } = body;
      if (place !== undefined && folder === undefined) {
        const placed = await repositories.createPlaced({ ...rest, place, secrets });
        return { repository: await repositories.view(placed, true), recoveryKey: null };
      }
      if (folder === undefined || place !== undefined)
        throw new AppError('invalid_input', {
          detail: 'A repository lies in a folder of this host or at a place on another machine.',
          fields: [{ path: 'folder', problem: 'give one of folder and place', mend: 'leave the other one out' }],
        });
      const { row, recoveryKey } = await repositories.create({ ...rest, folder });
      return { repository: await repositories.view(row, true), recoveryKey };
    },
    'GET /repositories/{id}': ({ params, may }) => seen(params.id, may),
    'PATCH /repositories/{id}': async ({ params, body, may }) => {
      await repositories.changePlace(repositories.get(params.id), body);
      return seen(params.id, may);
    },
    'POST /repositories/{id}/repair': async (request) => {
      const { id, name } = repositories.get(request.params.id);
      const from = repositories.get(request.body.from);
      request.require('backup.configure', repositoryObject(from));
      return operations.start(
        kinds.repair,
        { repositoryId: id, name, fromId: from.id, fromName: from.name },
        { ...startRequest(request), action: 'POST /repositories/{id}/repair' },
      );
    },
    'DELETE /repositories/{id}': async ({ params }) => {
      const row = repositories.get(params.id);
      const { id, name } = row;
      instant.requireUnused({ repositoryId: id });
      if (operations.isLocked(`repository:${id}`))
        throw new AppError('busy', { detail: `An operation works on the repository "${name}".` });
      // First, so that what a copy holds is listed there; with the repository all that is listed in it goes.
      await leave(id);
      await repositories.forget(row);
    },
    'POST /repositories/{id}/confirm': async ({ params, body, may }) => {
      await repositories.confirm(repositories.get(params.id), body.recoveryKey);
      return seen(params.id, may);
    },
    'POST /repositories/{id}/scan': async (request) => {
      const { id, name } = repositories.get(request.params.id);
      return operations.start(
        kinds.scan,
        { repositoryId: id, name },
        { ...startRequest(request), action: 'POST /repositories/{id}/scan' },
      );
    },
    'POST /repositories/{id}/check': async (request) => {
      const { id, name } = repositories.get(request.params.id);
      return operations.start(
        kinds.check,
        { repositoryId: id, name, isDataRead: request.body.readData },
        { ...startRequest(request), action: 'POST /repositories/{id}/check' },
      );
    },
    'POST /vms/{id}/backup': async (request): Promise<Operation> => {
      const { repository: asked, full } = request.body;
      // One that is named has to be one that the asker may know of.
      if (asked !== undefined) request.require('backup.read', repositoryObject(repositories.get(asked)));
      return dependencies.beginRun(
        { vm: request.params.id, repository: asked ?? null, isFull: full, scrubDays: null },
        { ...startRequest(request), action: 'POST /vms/{id}/backup' },
      );
    },
    'GET /restore-points': async ({ query, reach }) => {
      const offset = query.cursor === undefined ? 0 : Number.parseInt(query.cursor, 10) || 0;
      const repositoryId = query.repository === undefined ? undefined : repositories.get(query.repository).id;
      const vmIds = query.vm === undefined ? undefined : vmIdsOf(query.vm);
      const copied = repositoryId === undefined ? [] : dependencies.copiedTo(repositoryId);
      const asked = { vmIds, repositoryId, copied, of: reach('backup.read') };
      const [rows, total] = [await catalogue.list(asked, { offset, limit: query.limit }), await catalogue.count(asked)];
      const next = offset + rows.length < total ? String(offset + rows.length) : null;
      return { items: rows.map(view), next, total };
    },
    'GET /restore-points/{id}': async ({ params }) => view(await findPoint(params.id)),
  };
}

/** The routes of VMs that run from restore points. */

import type { InstantRestore } from '#contract/backups.ts';
import type { InventoryApi } from '#features/inventory/index.ts';
import type { OperationsApi } from '#features/operations/index.ts';
import { AppError } from '#kernel/errors.ts';
import { page } from '#kernel/page.ts';
import type { Handlers, ObjectRef } from '#platform/feature.ts';
import type { Repositories } from '../repositories.ts';
import { startRequest } from '../routes.ts';
import type { Instant } from './instant.ts';
import type { InstantRow } from './tables.ts';

export function createInstantRoutes({
  instant,
  operations,
  known,
  repositories,
}: {
  readonly instant: Instant;
  readonly operations: OperationsApi;
  readonly known: InventoryApi;
  readonly repositories: Repositories;
}): Handlers {
  const objectOf = (row: InstantRow): ObjectRef => ({
    type: 'vm',
    id: row.vm_id,
    project: known.vm(row.vm_id)?.project ?? row.project,
    vmId: row.vm_id,
  });
  const view = (row: InstantRow): InstantRestore => {
    const vm = known.vm(row.vm_id);
    const trouble = instant.trouble(row.vm_id);
    return {
      vmId: row.vm_id,
      vmName: vm?.name ?? row.name,
      project: vm?.project ?? row.project,
      pointId: row.point_id,
      repositoryId: row.repository_id,
      repositoryName: repositories.find(row.repository_id)?.name ?? '',
      state: stateOf(row, trouble !== null || vm === null || vm.state === 'off' || vm.state === 'crashed'),
      copiedRatio: instant.copiedRatio(row.vm_id),
      problem: row.problem ?? trouble,
      operationId: instant.copying(row.vm_id),
      startedAt: row.started_at,
    };
  };

  return {
    'GET /instant-restores': async ({ query, may }) =>
      page(
        instant
          .list()
          .filter((row) => may('backup.read', objectOf(row)))
          .map((row) => ({ id: row.vm_id, row })),
        query,
        ({ row }) => view(row),
      ),
    'POST /vms/{id}/copy-behind': async (request) => {
      const before = await operations.repeated(request);
      if (before) return before;
      const vm = known.vm(request.params.id);
      if (!vm) throw new AppError('not_found', { detail: `There is no VM "${request.params.id.slice(0, 80)}".` });
      return instant.goOn(vm.id, { ...startRequest(request), action: 'POST /vms/{id}/copy-behind' });
    },
  };
}

function stateOf({ state }: InstantRow, isWaiting: boolean): InstantRestore['state'] {
  if (state === 'making') return 'starting';
  if (state === 'held') return 'held';
  return isWaiting ? 'waiting' : 'copying';
}

/** Instant restore, put together: VMs that run from a restore point while their data is copied behind their guests. */

import { join } from 'node:path';
import type { ApiEvents } from '#contract/events.ts';
import { FINAL_STATES, type Operation } from '#contract/operations.ts';
import { qemuUserOf } from '#features/health/index.ts';
import type { InventoryApi } from '#features/inventory/index.ts';
import type { OperationsApi, RegisteredKind, StartRequest } from '#features/operations/index.ts';
import type { VmsApi } from '#features/vms/index.ts';
import type { Clock } from '#kernel/clock.ts';
import { AppError } from '#kernel/errors.ts';
import type { EventBus } from '#kernel/event-bus.ts';
import type { Logger } from '#kernel/logger.ts';
import type { LibvirtHost } from '#libvirt/index.ts';
import { systemBootClock } from '#platform/boot-clock.ts';
import type { Config } from '#platform/config.ts';
import type { Database } from '#platform/db/database.ts';
import type { SpaceLedger } from '#platform/disk-space.ts';
import { SYSTEM_IDENTITY } from '#platform/feature.ts';
import { createExporters } from '../exporter/exporters.ts';
import type { ExportOrder } from '../exporter/files.ts';
import type { Repositories } from '../repositories.ts';
import type { RestoreServices } from '../restore-operation.ts';
import type { RestoreOrder } from '../restore-order.ts';
import { COPY_BEHIND, type CopyOrder, copyBehindOperation, copyLock } from './copy-operation.ts';
import { createKeeper } from './keeper.ts';
import { layAgain } from './lay-again.ts';
import { INSTANT_RESTORE, restoreInstantOperation } from './restore-instant-operation.ts';
import { createInstantRows } from './rows.ts';
import { disksOf, type InstantRow } from './tables.ts';

export interface Instant {
  readonly kind: RegisteredKind<RestoreOrder>;
  list(): readonly InstantRow[];
  of(vmId: string): InstantRow | null;
  /** 0 to 1. */
  copiedRatio(vmId: string): number;
  /** Why it cannot be read from now; null = it can. */
  trouble(vmId: string): string | null;
  /** The operation that copies it. */
  copying(vmId: string): string | null;
  /** Begins to copy again. @throws not_found, busy */
  goOn(vmId: string, request: Omit<StartRequest, 'project'>): Promise<Operation>;
  /** Restore points that VMs run from. */
  pointsInUse(): ReadonlySet<string>;
  /** @throws restore_not_finished naming the VM that does */
  requireUnused(by: { readonly pointId: string } | { readonly repositoryId: string } | { readonly vmId: string }): void;
  load(): Promise<void>;
  run(signal: AbortSignal): Promise<void>;
  /** Told of each operation that is over. */
  operationEnded(operation: Operation): void;
}

export interface InstantDependencies extends Omit<RestoreServices, 'repositories'> {
  readonly config: Config;
  readonly db: Database;
  readonly events: EventBus<ApiEvents>;
  readonly libvirt: LibvirtHost;
  readonly clock: Clock;
  readonly log: Logger;
  readonly space: SpaceLedger;
  readonly repositories: Repositories;
  readonly operations: OperationsApi;
  readonly known: InventoryApi;
  readonly machines: Pick<VmsApi, 'trash' | 'kinds'>;
}

export function createInstant(dependencies: InstantDependencies): Instant {
  const { config, db, events, libvirt, clock, log, space, repositories, operations, known, machines, parts } =
    dependencies;
  const rows = createInstantRows(db, events);
  const exporters = createExporters(join(config.state.root, 'instant'), { clock, log });
  const ratios = new Map<string, number>();
  const hindrances = new Map<string, string>();
  const copies = new Map<string, string>();

  const qemuGid = async () => qemuUserOf(await libvirt.node.capabilities())?.gid ?? null;
  const exportOrder = async ({
    point_id,
    repository_id,
    disks,
  }: Pick<InstantRow, 'point_id' | 'repository_id' | 'disks'>): Promise<ExportOrder> => {
    const { folder, keyPath } = repositories.place(repository_id);
    return {
      pointId: point_id,
      repositoryFolder: folder,
      keyPath,
      targets: disksOf({ disks }).map(({ target }) => target),
      socketGid: await qemuGid(),
    };
  };
  const ended = async (row: InstantRow) => {
    // The row first: without one the keeper starts no exporter, and ends what is there.
    await rows.remove(row.vm_id);
    await exporters.end(row.operation_id);
    space.release(row.vm_id);
    ratios.delete(row.vm_id);
    hindrances.delete(row.vm_id);
  };
  const projectOf = (vmId: string) => known.vm(vmId)?.project ?? null;
  const begin = async (row: InstantRow, request: Omit<StartRequest, 'project'>) => {
    const project = projectOf(row.vm_id) ?? row.project;
    const operation = await operations.start(
      copyKind,
      {
        vmId: row.vm_id,
        name: known.vm(row.vm_id)?.name ?? row.name,
        project,
        pointId: row.point_id,
        repositoryId: row.repository_id,
      } satisfies CopyOrder,
      { ...request, project },
    );
    copies.set(row.vm_id, operation.id);
    return operation;
  };
  const own = (row: InstantRow, action: string) => ({
    identity: SYSTEM_IDENTITY,
    requestId: null,
    idempotencyKey: null,
    requestHash: row.operation_id,
    action,
  });

  const keeper = createKeeper({
    rows,
    exporters,
    libvirt,
    bootClock: systemBootClock,
    clock,
    log,
    exportOrder,
    resume: parts.access.resume,
    isWanted: (vmId) => parts.rows.get(vmId)?.desired === 'running',
    async start(row) {
      await operations.start(
        machines.kinds.power.start,
        { vmId: row.vm_id, name: known.vm(row.vm_id)?.name ?? row.name },
        { ...own(row, 'job instant-restore.start'), project: projectOf(row.vm_id) ?? row.project },
      );
    },
    isInTrash: (vmId) => machines.trash().some((item) => item.vmId === vmId) || operations.isLocked(`vm:${vmId}`),
    async copy(row) {
      if (!operations.isLocked(copyLock(row.vm_id))) await begin(row, own(row, 'job instant-restore.copy'));
    },
    ended,
  });
  const kind = operations.register(
    restoreInstantOperation({
      ...dependencies,
      rows,
      exporters,
      bootClock: systemBootClock,
      exportOrder,
      qemuGid,
      running: keeper.wake,
    }),
  );
  const copyKind = operations.register(
    copyBehindOperation({
      rows,
      exporters,
      parts,
      libvirt,
      clock,
      maxBytesPerSecond: config.backups.maxBytesPerSecond,
      async openDisk({ repository_id, point_id }, target) {
        return (await repositories.open(repository_id)).openDisk(point_id, target);
      },
      projectOf,
      isPauseWanted: (vmId) => parts.rows.get(vmId)?.desired === 'paused',
      isBusy: (vmId) => operations.isLocked(`vm:${vmId}`),
      copied: (vmId, ratio) => void ratios.set(vmId, ratio),
      hindered(vmId, reason) {
        if (reason === null) hindrances.delete(vmId);
        else hindrances.set(vmId, reason);
      },
      ended,
    }),
  );
  parts.beforeStart(async (vmId, signal) => {
    const row = rows.of(vmId);
    if (row === null || row.state === 'making') return;
    await exporters.ensure(row.operation_id, await exportOrder(row));
    if (!(await parts.access.isOn(vmId)))
      await layAgain(row, await libvirt.domains.xml(vmId, { inactive: true }), exporters, signal);
  });

  return {
    kind,
    list: rows.list,
    of: rows.of,
    copiedRatio: (vmId) => ratios.get(vmId) ?? 0,
    trouble: (vmId) => keeper.trouble(vmId) ?? hindrances.get(vmId) ?? null,
    copying: (vmId) => (operations.isLocked(copyLock(vmId)) ? (copies.get(vmId) ?? null) : null),
    async goOn(vmId, request) {
      const row = rows.of(vmId);
      if (row === null)
        throw new AppError('wrong_state', {
          detail: 'The VM does not run from a restore point.',
          hint: '`hv backup instant list` names those that do.',
        });
      const operation = await begin(row, request);
      await rows.change(vmId, { state: 'copying', problem: null });
      return operation;
    },
    pointsInUse: () => new Set(rows.list().map(({ point_id }) => point_id)),
    requireUnused(by) {
      const user = rows
        .list()
        .find(
          (row) =>
            ('pointId' in by && row.point_id === by.pointId) ||
            ('repositoryId' in by && row.repository_id === by.repositoryId) ||
            ('vmId' in by && row.vm_id === by.vmId),
        );
      if (user === undefined) return;
      throw new AppError('restore_not_finished', {
        detail: `"${known.vm(user.vm_id)?.name ?? user.name}" still runs from the restore point ${user.point_id}.`,
        params: { vmId: user.vm_id, pointId: user.point_id },
      });
    },
    load: rows.load,
    run: keeper.run,
    operationEnded({ id, kind: ended_kind, state, objectId }) {
      if (!FINAL_STATES.includes(state)) return;
      if (ended_kind === INSTANT_RESTORE && objectId !== null && rows.of(objectId) === null) space.release(objectId);
      if (ended_kind === COPY_BEHIND)
        for (const [vmId, operationId] of copies) if (operationId === id) copies.delete(vmId);
    },
  };
}

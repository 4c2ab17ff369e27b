/** Backups: restore points of VMs in repositories, each whole in itself.
 *  Tables: repository, restore_point, backup_disk, instant_restore. Events in: operation.changed. Events out: backup.changed, repository.changed.
 *  Permissions: backup.read, backup.run, backup.restore, backup.overwrite, backup.export, backup.delete, backup.configure, backup.verify.
 *  Guide: docs/guides/backups.md */

import { hostname } from 'node:os';
import { join } from 'node:path';
import { backupStoreErrors } from '#contract/backup-store.ts';
import { backupErrors } from '#contract/backups.ts';
import { FINAL_STATES, type Operation } from '#contract/operations.ts';
import { inventory, isOnState } from '#features/inventory/index.ts';
import { notifications } from '#features/notifications/index.ts';
import { type OperationsApi, operations } from '#features/operations/index.ts';
import { projects } from '#features/projects/index.ts';
import { quotas } from '#features/quotas/index.ts';
import { vms } from '#features/vms/index.ts';
import { defineFeature } from '#platform/feature.ts';
import { createSecretSeal } from '#platform/sealed-secrets.ts';
import { type BeginRun, createBeginRun } from './begin-run.ts';
import { type Catalogue, createCatalogue } from './catalogue.ts';
import { deleteOperation } from './delete-operation.ts';
import { ADD_DISK, diskOperation } from './disk-operation.ts';
import { createInstant } from './instant/instant.ts';
import { createInstantRoutes } from './instant/instant-routes.ts';
import { instantMigrations } from './instant/tables.ts';
import { clearLeftRuns } from './left-runs.ts';
import { runFolders } from './names.ts';
import { overwriteOperation } from './overwrite-operation.ts';
import { createPace } from './pace.ts';
import { createPointRoutes } from './point-routes.ts';
import { createRepositories, type Repositories } from './repositories.ts';
import { checkOperation, repairOperation, scanOperation } from './repository-operations.ts';
import { restoreOperation } from './restore-operation.ts';
import { createBackupRoutes, pointObject, repositoryObject } from './routes.ts';
import { RUN, RUN_STOPPED, runOperation } from './run-operation.ts';
import { createRunServices } from './run-services.ts';
import { createSessions } from './run-session.ts';
import { backupMigrations, type PointRow } from './tables.ts';
import { createTurns } from './turns.ts';

export interface BackupsApi {
  readonly catalogue: Catalogue;
  readonly repositories: Repositories;
  readonly beginRun: BeginRun;
  /** Reads the restore points of a repository anew. */
  beginScan(repositoryId: string, request: Parameters<OperationsApi['start']>[2]): Promise<Operation>;
  /** Kinds of the operations that back one VM up. */
  readonly runKinds: readonly string[];
  /** Restore points that VMs run from at this moment. */
  pointsInUse(): ReadonlySet<string>;
  /** VMs that run from a restore point while their data is copied. */
  instantRestores(): readonly InstantState[];
  /** Whoever knows which restore points nobody may delete; during set-up only. */
  keptBy(isKept: (pointId: string) => boolean): void;
  /** Names of the copies that hold a point. */
  copiesOf(pointId: string): readonly string[];
  /** Whoever keeps copies of repositories; during set-up only. */
  copiesKnownTo(holding: CopyHolding): void;
}

/** What is known of copies. Nothing here waits. */
export interface CopyHolding {
  /** A copy, other than this repository, that holds a restore point. */
  holder(pointId: string, repositoryId: string): string | null;
  /** The repository that another one is the copy of. */
  sourceOf(repositoryId: string): string | null;
  /** Ids of the restore points that a copy holds; none when it is no copy. */
  pointsIn(repositoryId: string): string[];
  /** Names of all copies that hold a restore point, or a state. */
  namesOf(pointId: string): string[];
}

export type { KnownPoint } from './catalogue.ts';
export { createPace } from './pace.ts';
export { placeOf } from './places/index.ts';
export { requireAnswer } from './places/mount.ts';
export type { Repositories } from './repositories.ts';
export { repositoryObject } from './routes.ts';
export {
  createRepository,
  folderPlace,
  type Manifest,
  newRecoveryKey,
  newRepositoryKey,
  openEnvelope,
  openRepository,
  openRepositoryAt,
  type PointDocuments,
  type Repository,
  readRecoveryKey,
  sealEnvelope,
} from './store/index.ts';

export interface InstantState {
  readonly vmId: string;
  readonly name: string;
  readonly isHeld: boolean;
  /** Why its restore point cannot be read, or why it is not copied. */
  readonly problem: string | null;
  readonly startedAt: string;
}

export const backups = defineFeature<BackupsApi>({
  name: 'backups',
  needs: ['projects', 'operations', 'inventory', 'vms', 'quotas', 'health', 'notifications'],
  migrations: [...backupMigrations, ...instantMigrations],
  errors: { ...backupStoreErrors, ...backupErrors },
  setup({ config, db, libvirt, clock, events, log, space, use }) {
    const journal = use(operations);
    const known = use(inventory);
    const machines = use(vms);
    const registry = use(projects);
    const ledger = use(quotas);
    const messages = use(notifications);
    let copyHolding: CopyHolding | null = null;
    const catalogue = createCatalogue(
      db,
      (pointId, repositoryId) => copyHolding?.holder(pointId, repositoryId) ?? null,
    );
    const pointsOf = (matches: (project: string, repositoryId: string) => boolean) =>
      catalogue.known().filter(({ project, repositoryId }) => matches(project, repositoryId)).length;
    const repositories = createRepositories({
      db,
      events,
      clock,
      space,
      stateFolder: config.state.root,
      seal: createSecretSeal(join(config.state.root, 'keys', 'places.key')),
      pointsIn: (id) => pointsOf((_project, repositoryId) => repositoryId === id),
    });
    const turns = createTurns(config.backups.parallel);
    const sessions = createSessions(createPace(config.backups.maxBytesPerSecond, clock), clock.sleep, hostname());
    const folders = runFolders(config);
    const told = (rows: readonly Pick<PointRow, 'id' | 'project' | 'vm_id'>[]) => {
      for (const { id, project, vm_id } of rows) events.emit('backup.changed', { id, project, vmId: vm_id });
    };

    const services = createRunServices({
      ...{ config, db, libvirt, clock, log, space, known, machines, messages },
      ...{ repositories, catalogue, turns, sessions, folders, told },
    });
    const restoring = { repositories, parts: machines.parts, now: clock.now };
    const look = {
      db,
      repositories,
      catalogue,
      told,
      sourceOf: (id: string) => copyHolding?.sourceOf(id) ?? null,
    };
    const kinds = {
      run: journal.register(runOperation(RUN, services)),
      runStopped: journal.register(runOperation(RUN_STOPPED, services)),
      scan: journal.register(scanOperation(look)),
      check: journal.register(checkOperation(look)),
      repair: journal.register(repairOperation(look)),
      restore: journal.register(restoreOperation(restoring)),
      overwrite: journal.register(overwriteOperation(restoring)),
      disk: journal.register(diskOperation(restoring)),
      delete: journal.register(deleteOperation(look)),
    };

    const instant = createInstant({
      ...restoring,
      config,
      db,
      events,
      libvirt,
      clock,
      log,
      space,
      operations: journal,
      known,
      machines,
    });
    const beginRun = createBeginRun({ operations: journal, known, repositories, instant, kinds });

    registry.contains('restore points', {
      count: (id) => pointsOf((project) => project === id),
      remaining(id) {
        const there = pointsOf((project) => project === id);
        return there === 0 ? null : `${there} restore points`;
      },
    });
    ledger.existsBy({
      resources: ['backups'],
      list: () =>
        catalogue
          .known()
          // What only a copy holds takes no room of the project any more.
          .filter(({ repositoryId }) => repositories.find(repositoryId)?.is_copy !== 1)
          .map(({ project, operationId, newBytes }) => ({
            project,
            resource: 'backups',
            objectId: operationId,
            amount: newBytes,
            owner: null,
          })),
    });

    let isKept: (pointId: string) => boolean = () => false;
    let endListening: () => void = () => undefined;
    const stopping = new AbortController();
    let keeping: Promise<void> = Promise.resolve();
    return {
      api: {
        catalogue,
        repositories,
        beginRun,
        beginScan: (repositoryId, request) =>
          journal.start(kinds.scan, { repositoryId, name: repositories.get(repositoryId).name }, request),
        runKinds: [RUN, RUN_STOPPED],
        pointsInUse: instant.pointsInUse,
        instantRestores: () =>
          instant.list().map(({ vm_id, name, state, problem, started_at }) => ({
            vmId: vm_id,
            name: known.vm(vm_id)?.name ?? name,
            isHeld: state === 'held',
            problem: problem ?? instant.trouble(vm_id),
            startedAt: started_at,
          })),
        keptBy(ask) {
          isKept = ask;
        },
        copiesOf: (pointId) => copyHolding?.namesOf(pointId) ?? [],
        copiesKnownTo(holding) {
          copyHolding = holding;
        },
      },
      handlers: {
        ...createBackupRoutes({
          operations: journal,
          known,
          catalogue,
          repositories,
          instant,
          beginRun,
          kinds,
          async leave(repositoryId) {
            const listed = catalogue.known().filter((point) => point.repositoryId === repositoryId);
            await db.transaction((tx) =>
              catalogue.remove(
                tx,
                listed.map(({ id }) => id),
              ),
            );
            told(listed.map(({ id, project, vmId }) => ({ id, project, vm_id: vmId })));
          },
          copiesOf: (pointId) => copyHolding?.namesOf(pointId) ?? [],
          copiedTo: (repositoryId) => copyHolding?.pointsIn(repositoryId) ?? [],
        }),
        ...createInstantRoutes({ instant, operations: journal, known, repositories }),
        ...createPointRoutes({
          operations: journal,
          known,
          projects: registry,
          quotas: ledger,
          catalogue,
          repositories,
          folders,
          space,
          disksFolder: config.state.disks,
          isKept: (pointId) => isKept(pointId),
          instant,
          kinds,
        }),
      },
      resolvers: {
        repository(idOrName) {
          const row = repositories.find(idOrName);
          return row === null ? null : repositoryObject(row);
        },
        async 'restore-point'(id) {
          const row = await catalogue.point(id);
          return row === null ? null : pointObject(row);
        },
      },
      async start() {
        await repositories.load();
        await catalogue.load();
        await instant.load();
        endListening = events.on('operation.changed', (operation) => {
          const { id, kind, state, objectId } = operation;
          instant.operationEnded(operation);
          if (!FINAL_STATES.includes(state)) return;
          if (kind === RUN || kind === RUN_STOPPED) turns.release(id);
          // Room for its disks was promised under its id.
          if (['backup.restore', 'backup.overwrite', ADD_DISK].includes(kind) && objectId !== null)
            space.release(objectId);
        });
      },
      async resume(signal) {
        keeping = instant.run(AbortSignal.any([signal, stopping.signal]));
        try {
          await clearLeftRuns({
            folders,
            vmSide: services.vmSide,
            runningVms: () =>
              known
                .vms()
                .filter(({ state }) => isOnState(state))
                .map(({ id }) => id),
            operation: journal.get,
            log,
          });
        } catch (error) {
          // Nothing waits for it: it is looked at again at the next start.
          log.warn({ err: error }, 'leftovers of backups could not be removed');
        }
      },
      async stop() {
        endListening();
        stopping.abort(new Error('the daemon stops'));
        await keeping;
        await sessions.closeAll();
      },
    };
  },
});

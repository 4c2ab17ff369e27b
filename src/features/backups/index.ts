/** Backups: restore points of VMs in repositories, each whole in itself.
 *  Tables: repository, restore_point, backup_disk, instant_restore. Events in: operation.changed. Events out: backup.changed, repository.changed.
 *  Permissions: backup.read, backup.run, backup.restore, backup.overwrite, backup.export, backup.delete, backup.configure, backup.verify.
 *  Guide: docs/guides/backups.md */

import { hostname } from 'node:os';
import { join } from 'node:path';
import { backupStoreErrors } from '#contract/backup-store.ts';
import { backupErrors } from '#contract/backups.ts';
import { FINAL_STATES, type Operation } from '#contract/operations.ts';
import { qemuUserOf } from '#features/health/index.ts';
import { inventory, isOnState } from '#features/inventory/index.ts';
import { notifications } from '#features/notifications/index.ts';
import { type OperationsApi, operations } from '#features/operations/index.ts';
import { projects } from '#features/projects/index.ts';
import { quotas } from '#features/quotas/index.ts';
import { vms } from '#features/vms/index.ts';
import { readDomain, withoutPasswords } from '#libvirt/index.ts';
import { defineFeature } from '#platform/feature.ts';
import { readGuestIdentity } from '#platform/guest-identity.ts';
import { createSecretSeal } from '#platform/sealed-secrets.ts';
import { VERSION } from '#platform/version.ts';
import { type BeginRun, createBeginRun } from './begin-run.ts';
import { type Catalogue, createCatalogue } from './catalogue.ts';
import { deleteOperation } from './delete-operation.ts';
import { ADD_DISK, diskOperation } from './disk-operation.ts';
import { createFreezer } from './freeze.ts';
import { createInstant } from './instant/instant.ts';
import { createInstantRoutes } from './instant/instant-routes.ts';
import { instantMigrations } from './instant/tables.ts';
import { clearLeftRuns } from './left-runs.ts';
import { rowOf } from './manifest-row.ts';
import { missedText } from './missed-changes.ts';
import { runFolders } from './names.ts';
import { overwriteOperation } from './overwrite-operation.ts';
import { createPace } from './pace.ts';
import { createPointRoutes } from './point-routes.ts';
import { createRepositories, type Repositories } from './repositories.ts';
import { checkOperation, repairOperation, scanOperation } from './repository-operations.ts';
import { restoreOperation } from './restore-operation.ts';
import { createBackupRoutes, pointObject, repositoryObject } from './routes.ts';
import type { RunServices } from './run-begin.ts';
import { RUN, RUN_STOPPED, runOperation } from './run-operation.ts';
import { createSessions } from './run-session.ts';
import { backupMigrations, type DiskRow, type PointRow } from './tables.ts';
import { createTurns } from './turns.ts';
import { createVmSide } from './vm-side.ts';

/** A guest has so long to say who it is, and for each answer. */
const IDENTITY_MS = 10_000;
const AGENT_SECONDS = 3;

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
    const freezer = createFreezer(libvirt, clock, log);
    const folders = runFolders(config);
    const told = (rows: readonly Pick<PointRow, 'id' | 'project' | 'vm_id'>[]) => {
      for (const { id, project, vm_id } of rows) events.emit('backup.changed', { id, project, vmId: vm_id });
    };

    const services: RunServices = {
      catalogue,
      turns,
      sessions,
      freezer,
      folders,
      space,
      clock,
      stateFolder: config.state.root,
      scrubDays: config.backups.scrubDays,
      guestSlowMs: config.backups.guestSlowMs,
      hostId: hostname(),
      vmSide: createVmSide(libvirt, (ms) => clock.sleep(ms)),
      now: clock.now,
      open: repositories.open,
      hasSavedMemory: (vmId) => libvirt.domains.hasManagedSave(vmId),
      async publishedBy(repositoryId, vmId, operationId) {
        for await (const { manifest } of (await repositories.open(repositoryId)).points(vmId))
          if (manifest?.op === operationId) return manifest;
        return null;
      },
      async record(order, manifest, { plan }, meta) {
        const row = rowOf(order.repositoryId, manifest, meta);
        const before = await catalogue.disks(order.vmId, order.repositoryId);
        const missed = new Set(meta.missed.map(({ target }) => target));
        const disks = plan.disks.map((disk): DiskRow => {
          const former = before.find(({ target }) => target === disk.target);
          const isWhole = manifest.disks.find(({ target }) => target === disk.target)?.mode === 'full';
          return {
            vm_id: order.vmId,
            repository_id: order.repositoryId,
            target: disk.target,
            point_id: manifest.id,
            source: disk.source,
            full_read_at: isWhole || !former ? manifest.pointInTime : former.full_read_at,
            is_damaged: isWhole ? 0 : (former?.is_damaged ?? 0),
            is_suspect: missed.has(disk.target) ? 1 : isWhole ? 0 : (former?.is_suspect ?? 0),
            image: null,
          };
        });
        await db.transaction(async (tx) => {
          await catalogue.put(tx, [row]);
          await catalogue.putDisks(tx, order.vmId, order.repositoryId, disks);
          for (const each of meta.missed)
            await messages.announceEvent(tx, {
              key: `backup-missed:${manifest.id}:${each.target}`,
              severity: 'critical',
              title: `Backups of ${order.name} may lack changes`,
              text: `${missedText(each)} The next backup reads the disk as a whole again.`,
              project: order.project,
              labels: { category: 'backups', vm: order.name },
            });
          tx.afterCommit(() => told([row]));
        });
      },
      async isAgentConnected(vmId) {
        // A paused guest writes nothing, and answers nothing.
        if ((await libvirt.domains.state(vmId)).state === 'paused') return false;
        return readDomain(await libvirt.domains.xml(vmId)).isAgentConnected === true;
      },
      async guestIdentity(vmId, signal) {
        if (!(await services.isAgentConnected(vmId))) return null;
        const deadline = AbortSignal.any([signal, AbortSignal.timeout(IDENTITY_MS)]);
        try {
          return await readGuestIdentity((json) =>
            libvirt.agent.command(vmId, json, { timeoutSeconds: AGENT_SECONDS, signal: deadline }),
          );
        } catch (error) {
          if (signal.aborted) throw error;
          // A backup does not fail because its guest says nothing of itself.
          log.info({ vm: vmId, err: error }, 'the guest does not say who it is');
          return null;
        }
      },
      qemuUser: async () => qemuUserOf(await libvirt.node.capabilities()),
      async definition(vmId) {
        const xml = await libvirt.domains.xml(vmId, { inactive: true, secure: true, migratable: true });
        const { nvramPath, hasTpm } = readDomain(xml);
        return { xml: withoutPasswords(xml), nvramPath, hasTpm };
      },
      async meta(vmId) {
        const vm = known.vm(vmId);
        return {
          name: vm?.name ?? vmId,
          project: vm?.project ?? '',
          tags: [...(vm?.tags ?? [])],
          isProtected: vm?.isProtected ?? false,
          isAutostart: vm?.autostart ?? false,
          isManaged: vm?.managed ?? false,
        };
      },
      startPaused: machines.startPaused,
      stop: machines.stop,
      async refresh(vmId) {
        await known.refresh(vmId);
      },
      tool: async () => ({ hyperd: VERSION, libvirt: await libvirt.node.libVersion() }),
    };
    const restoring = { repositories, parts: machines.parts, folders, now: clock.now };
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

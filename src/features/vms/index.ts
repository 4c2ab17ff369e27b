/** VMs: create, edit, power, trash. Reads come from the inventory; every change is an operation.
 *  Tables: trash. Events in: none. Events out: trash.changed. Permissions: vm.read, vm.create, vm.configure, vm.power, vm.delete.
 *  Guide: docs/guides/vms.md */

import { basename } from 'node:path';
import { FINAL_STATES } from '#contract/operations.ts';
import { type TrashItem, vmErrors } from '#contract/vms.ts';
import { access } from '#features/access/index.ts';
import { audit } from '#features/audit/index.ts';
import { health } from '#features/health/index.ts';
import { images } from '#features/images/index.ts';
import { inventory } from '#features/inventory/index.ts';
import { networks } from '#features/networks/index.ts';
import { operations } from '#features/operations/index.ts';
import { projects } from '#features/projects/index.ts';
import { quotas } from '#features/quotas/index.ts';
import { storage } from '#features/storage/index.ts';
import type { ProjectDomains } from '#libvirt/index.ts';
import { findAccount } from '#platform/accounts.ts';
import { defineFeature } from '#platform/feature.ts';
import { createChargeWatch, createVmCharges, vmsThatExist } from './charges.ts';
import { createDomainDefiner } from './define-domain.ts';
import { createDomainAccess } from './domain-access.ts';
import { runTrashExpiry } from './expiry.ts';
import { createFindVm, findTrash } from './find.ts';
import { createKeptImageUse } from './kept-image-use.ts';
import { registerVmKinds, type VmKinds } from './kinds.ts';
import { prepareFolders, vmFiles } from './layout.ts';
import { noteMigrations } from './migration-notes.ts';
import { createOwnerlessFiles, type OwnerlessFile } from './ownerless-files.ts';
import { prepareStart } from './prepare-start.ts';
import { type CreateVm, createVmRoutes } from './routes.ts';
import { dropSeed } from './seed.ts';
import { makeSerialLogOurs } from './serial-log-file.ts';
import type { StartGate, VmServices } from './services.ts';
import { createTakenAwayWatch } from './taken-away.ts';
import { createTrashStore, trashMigrations, trashView } from './trash-store.ts';

export { asNoSpace, exists, moveFile, publishFile, quarantineFile } from './disk-files.ts';
export { vmObject } from './find.ts';
export { findUefi } from './firmware.ts';
export { vmFiles } from './layout.ts';

/** A half-made disk that was touched so lately may belong to an operation that only just ended. */
const LEFTOVER_MS = 600_000;

/** What other slices make VMs with: the same ways as here, and no others. */
export interface VmParts extends Pick<VmServices, 'access' | 'definer' | 'files'>, Pick<VmServices['known'], 'rows'> {
  /** Makes the folders and the pool that disks lie in. */
  prepareStorage(signal: AbortSignal): Promise<void>;
  /** Networks, filters and the log of the serial port are there afterwards. */
  prepareStart(vmId: string, signal: AbortSignal): Promise<void>;
  /** Takes back a definition that this operation made; one of anybody else stays. */
  undefineMade(vmId: string, operationId: string): Promise<void>;
  /** Shows the VM and its disks as they are now. */
  show(vmId: string): Promise<void>;
  /** Called before each start by hyperd; during set-up only. */
  beforeStart(gate: StartGate): void;
  /** Who has to own the files of software TPMs; null = nobody of that name is here. */
  tpmUser(): Promise<{ readonly uid: number; readonly gid: number } | null>;
}

export interface VmsApi {
  readonly parts: VmParts;
  readonly kinds: VmKinds;
  readonly create: CreateVm;
  /** What lies in the trash, newest first. */
  trash(): readonly TrashItem[];
  /** Disk files that no VM uses, as they were last found. */
  ownerlessFiles(): readonly OwnerlessFile[];
  /** Removes half-made disks of operations that are over, and no other files. */
  removeLeftovers(): Promise<void>;
  /** Starts a VM that is off without letting its guest run: for reading its disks. */
  startPaused(vmId: string, signal: AbortSignal): Promise<void>;
  /** Cuts its power; one that is off counts as stopped. */
  stop(vmId: string): Promise<void>;
  /** Power, screen and console of a VM through the second fence: libvirt judges them under the user of its project. */
  fenced(vmId: string): Promise<ProjectDomains>;
}

export const vms = defineFeature<VmsApi>({
  name: 'vms',
  needs: [
    'projects',
    'access',
    'operations',
    'inventory',
    'networks',
    'storage',
    'images',
    'health',
    'quotas',
    'audit',
  ],
  migrations: trashMigrations,
  errors: vmErrors,
  setup(context) {
    const { config, db, libvirt, clock, calendar, events, log } = context;
    const journal = context.use(operations);
    const known = context.use(inventory);
    const library = context.use(images);
    const registry = context.use(projects);
    const trash = createTrashStore(db, ({ id, name, vmId }) =>
      events.emit('trash.changed', { id, project: registry.ofDomain(name).project, vmId }),
    );
    const book = context.use(quotas);
    // What policy went by: libvirt's rules then go by the name that the domain has there now, so the two have to agree.
    const fenced = async (vmId: string) => {
      const project = known.vm(vmId)?.project ?? registry.ofDomain((await libvirt.domains.byUuid(vmId)).name).project;
      return libvirt.asProject(registry.get(project)?.number ?? 0);
    };
    const files = vmFiles(config.state);
    const plugs = context.use(networks);
    const startGates: StartGate[] = [];
    const services: VmServices = {
      startGates,
      charges: createVmCharges({ known, projects: registry }),
      requireRoom: book.requireRoom,
      libvirt,
      access: createDomainAccess(libvirt, fenced, (vmId) => makeSerialLogOurs(files.serialLog(vmId))),
      definer: createDomainDefiner({
        libvirt,
        known,
        images: library,
        networks: plugs,
        projects: registry,
        trash,
        files,
        log,
      }),
      known,
      networks: plugs,
      storage: context.use(storage),
      projects: registry,
      moveGrants: context.use(access).vmMoved,
      trash,
      files,
      state: config.state,
      space: context.space,
      clock,
      log,
      trashDays: config.trash.days,
    };
    book.existsBy(vmsThatExist(services));
    const watch = createChargeWatch(book.noticed);
    const kinds = registerVmKinds(journal, services);
    const parts: VmParts = {
      access: services.access,
      definer: services.definer,
      files,
      rows: known.rows,
      async prepareStorage(signal) {
        await prepareFolders(config.state);
        await services.storage.ensureOwnPool(signal);
      },
      prepareStart: (vmId, signal) => prepareStart(vmId, signal, services),
      beforeStart: (gate) => void startGates.push(gate),
      async undefineMade(vmId, operationId) {
        if (await services.access.isDefined(vmId)) {
          if ((await services.access.storedFacts(vmId)).operationId !== operationId) return;
          await libvirt.domains.undefine(vmId, { leftovers: 'delete' });
        }
        await known.rows.remove(vmId);
        await known.refresh(vmId);
      },
      async show(vmId) {
        await services.storage.rescanOwnPool();
        await known.refresh(vmId);
      },
      tpmUser: async () => (await findAccount('tss')) ?? (await findAccount('swtpm')),
    };
    /** VMs that went to other hosts and left nothing here. */
    const movedAway = () =>
      known.rows
        .all()
        .flatMap(({ uuid, moved }) => (moved === null || known.vm(uuid) ? [] : [{ vmId: uuid, ...moved }]));
    // What they need is kept for them as it is for those in the trash.
    const kept = () => [
      ...trash.list().map((row) => ({ ...row, place: 'trash' as const })),
      ...movedAway().map(({ vmId, at, domainName, definition }) => ({
        id: `${vmId} ${at}`,
        vmId,
        name: domainName,
        xml: definition,
        files: [],
        isTakenAway: true,
        place: 'elsewhere' as const,
      })),
    ];
    const keptUse = createKeptImageUse(kept, (path) => known.describeFile(path).imageId, registry.ofDomain);
    library.registerUsage(keptUse.images, keptUse.disks);
    known.describeFilesBy((path) => (services.files.isOwnDisk(path) ? { imageId: null, name: basename(path) } : null));
    const takenAway = createTakenAwayWatch(services, journal);
    const ownerless = createOwnerlessFiles({ ...services, operations: journal, folder: config.state.disks });
    let jobs: Promise<unknown> = Promise.resolve();
    const subscriptions: (() => void)[] = [];

    const findVm = createFindVm(known, registry);
    context.use(access).findVmsBy(findVm);
    registry.contains('vms', {
      count: (id) => known.vms().filter((vm) => vm.project === id).length,
      remaining(id) {
        const there = known.vms().filter((vm) => vm.project === id).length;
        const trashed = trash.list().filter(({ name }) => registry.ofDomain(name).project === id).length;
        const away = movedAway().filter(({ domainName }) => registry.ofDomain(domainName).project === id).length;
        if (there + trashed + away === 0) return null;
        return `${there} VMs, ${trashed} in the trash and ${away} on other hosts`;
      },
      isNumberUsed: (number) =>
        [
          ...known.vms().map(({ id }) => known.facts(id)?.name ?? ''),
          ...trash.list().map(({ name }) => name),
          ...movedAway().map(({ domainName }) => domainName),
        ].some((name) => name.startsWith(`p${number}-`)),
    });
    const { handlers, create } = createVmRoutes({
      breakGlass: context.use(audit).breakGlass,
      services,
      operations: journal,
      kinds,
      images: library,
      accel: context.use(health).accel,
      accelProven: context.use(health).accelProven,
    });

    return {
      api: {
        kinds,
        parts,
        create,
        trash: () => trash.list().map((row) => trashView(row, registry.ofDomain)),
        ownerlessFiles: ownerless.list,
        removeLeftovers: () => ownerless.look(LEFTOVER_MS),
        async startPaused(vmId, signal) {
          await prepareStart(vmId, signal, services);
          await makeSerialLogOurs(files.serialLog(vmId));
          await libvirt.domains.create(vmId, { paused: true });
        },
        stop: services.access.stop,
        fenced,
      },
      handlers,
      resolvers: { vm: findVm, trash: (id, isVisible) => findTrash(trash.list(), registry, id, isVisible) },
      async start(signal) {
        await prepareFolders(config.state);
        await trash.load();
        subscriptions.push(
          events.on('operation.changed', ({ kind, state, objectId }) => {
            if (kind !== 'vm.create' || objectId === null || !FINAL_STATES.includes(state)) return;
            context.space.release(objectId);
            // Cancelled before its first step, a create has nothing to undo but the seed that came with the request.
            if (state === 'done') return;
            dropSeed(services.files.preparedSeed(objectId)).catch((error: unknown) =>
              log.warn({ vm: objectId, err: error }, 'a seed could not be removed; it goes within a day'),
            );
          }),
          noteMigrations({ known, operations: journal, kind: kinds.migrated, log }),
          events.on('vm.changed', watch.changed),
          events.on('vm.removed', ({ id }) => watch.removed(id)),
          events.on('vm.removed', takenAway.noticed),
          events.on('vm.changed', ({ id }) => {
            if (trash.ofVm(id) !== null) takenAway.noticed();
          }),
        );
        jobs = Promise.all([
          runTrashExpiry(
            {
              operations: journal,
              kinds,
              trash,
              state: config.state,
              trashDays: config.trash.days,
              projects: registry,
              clock,
              calendar,
              log,
            },
            signal,
          ),
          takenAway.run(signal),
          ownerless.run(signal),
        ]);
      },
      async stop() {
        for (const end of subscriptions.splice(0)) end();
        await jobs;
      },
    };
  },
});

/** VMs: create, edit, power, trash. Reads come from the inventory; every change is an operation.
 *  Tables: trash. Events in: none. Events out: trash.changed. Permissions: vm.read, vm.create, vm.configure, vm.power, vm.delete.
 *  Guide: docs/guides/vms.md */

import { basename } from 'node:path';
import { FINAL_STATES } from '#contract/operations.ts';
import { type TrashItem, vmErrors } from '#contract/vms.ts';
import { health } from '#features/health/index.ts';
import { images } from '#features/images/index.ts';
import { inventory } from '#features/inventory/index.ts';
import { networks } from '#features/networks/index.ts';
import { operations } from '#features/operations/index.ts';
import { storage } from '#features/storage/index.ts';
import { defineFeature } from '#platform/feature.ts';
import { createDomainAccess } from './domain-access.ts';
import { runTrashExpiry } from './expiry.ts';
import { registerVmKinds, type VmKinds } from './kinds.ts';
import { prepareFolders, vmFiles } from './layout.ts';
import { createOwnerlessFiles, type OwnerlessFile } from './ownerless-files.ts';
import { type CreateVm, createVmRoutes, trashOf } from './routes.ts';
import { dropSeed } from './seed.ts';
import type { VmServices } from './services.ts';
import { createTakenAwayWatch } from './taken-away.ts';
import { createTrashedImageUse } from './trash-image-use.ts';
import { createTrashStore, trashMigrations, trashView } from './trash-store.ts';

export interface VmsApi {
  readonly kinds: VmKinds;
  readonly create: CreateVm;
  /** What lies in the trash, newest first. */
  trash(): readonly TrashItem[];
  /** Disk files that no VM uses, as they were last found. */
  ownerlessFiles(): readonly OwnerlessFile[];
}

export const vms = defineFeature<VmsApi>({
  name: 'vms',
  needs: ['operations', 'inventory', 'networks', 'storage', 'images', 'health'],
  migrations: trashMigrations,
  errors: vmErrors,
  setup(context) {
    const { config, db, libvirt, clock, calendar, events, log } = context;
    const journal = context.use(operations);
    const known = context.use(inventory);
    const library = context.use(images);
    const trash = createTrashStore(db, (id) => events.emit('trash.changed', { id }));
    const services: VmServices = {
      libvirt,
      access: createDomainAccess(libvirt),
      known,
      networks: context.use(networks),
      storage: context.use(storage),
      trash,
      files: vmFiles(config.state),
      state: config.state,
      space: context.space,
      clock,
      log,
      trashDays: config.trash.days,
    };
    const kinds = registerVmKinds(journal, services);
    const trashedUse = createTrashedImageUse(trash.list, (path) => known.describeFile(path).imageId);
    library.registerUsage(trashedUse.images, trashedUse.disks);
    known.describeFilesBy((path) => (services.files.isOwnDisk(path) ? { imageId: null, name: basename(path) } : null));
    const takenAway = createTakenAwayWatch(services, journal);
    const ownerless = createOwnerlessFiles({ ...services, operations: journal, folder: config.state.disks });
    let jobs: Promise<unknown> = Promise.resolve();
    const subscriptions: (() => void)[] = [];

    const { handlers, create } = createVmRoutes({
      services,
      operations: journal,
      kinds,
      images: library,
      accel: context.use(health).accel,
      accelProven: context.use(health).accelProven,
    });

    return {
      api: { kinds, create, trash: () => trash.list().map(trashView), ownerlessFiles: ownerless.list },
      handlers,
      resolvers: { vm: known.vm, trash: (id) => trashOf(trash.list(), id) },
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

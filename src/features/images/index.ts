/** Images: the library of ISOs, cloud images, kernels; downloads, uploads, imports, and the catalogue of well-known systems.
 *  Tables: image, upload, catalogue_check. Events in: vm.changed, vm.removed, trash.changed. Events out: image.changed, image.removed, image.unshared, upload.changed,
 *  upload.removed. Permissions: image.read, image.upload, image.share, image.delete, host.configure. Guide: docs/guides/images.md */

import { type Image, imageErrors } from '#contract/images.ts';
import { type InventoryApi, inventory } from '#features/inventory/index.ts';
import { operations } from '#features/operations/index.ts';
import { projects } from '#features/projects/index.ts';
import { quotas } from '#features/quotas/index.ts';
import { newId } from '#kernel/ids.ts';
import { defineFeature, type FoundObject, type Identity, inNameOf, type ObjectRef } from '#platform/feature.ts';
import { createFetcher } from '#platform/fetch/index.ts';
import { createBackingUsers, type DiskOwner } from './backing-users.ts';
import { addBuiltImage, type BuiltImage } from './built-image.ts';
import { createImageFiles, removeFile } from './image-files.ts';
import { createImageNames } from './image-names.ts';
import { findImage, rowObject } from './image-object.ts';
import { imagesThatExist } from './image-quota.ts';
import { createImageSpace } from './image-space.ts';
import { createImageKinds } from './kinds.ts';
import { createImageLibrary, type ImageFile, type ImageLibrary } from './library.ts';
import { imageMigrations } from './migrations.ts';
import { createImageRoutes, type ImageRoutesOptions } from './routes.ts';
import { createImageStore, type UploadRow } from './store.ts';
import { createUploads, type Sender } from './uploads.ts';

export type { DiskOwner } from './backing-users.ts';
export type { BuiltImage } from './built-image.ts';
export { imageAsSeen, imageObject } from './image-object.ts';
export { imageLock } from './kinds.ts';
export type { ImageFile } from './library.ts';

export interface ImagesApi {
  /** By id; null when there is none or its file is missing. Never waits. */
  get(id: string): ImageFile | null;
  /** What a VM of the project may be made of: by id, by name, or as PROJECT/NAME; its own image goes before others of the name.
   *  @param isUsable whether the asker may use it for that
   *  @throws AppError ambiguous_name */
  find(idOrName: string, project: string, isUsable: (object: ObjectRef) => boolean): ImageFile | null;
  /** As an object of policy; null when there is none. */
  object(id: string): FoundObject | null;
  list(): readonly Image[];
  /** Takes a file that the program made itself; the image of that name when it is there already. */
  addBuilt(image: BuiltImage): Promise<Image>;
  /** Removes half-made files of uploads and operations that are over, however young, and files of nobody else. */
  removeLeftovers(): Promise<void>;
  /** Adds users of images beside the disks and drives of defined VMs: those of an image, and those with disks that may build upon one. */
  registerUsage(images: Parameters<ImageLibrary['registerUsage']>[0], disks: () => readonly DiskOwner[]): void;
}

const SWEEP_MS = 600_000;
const ORPHAN_MS = 24 * 3_600_000;
/** What was touched so lately may belong to an operation that only just ended. */
const SETTLED_MS = 600_000;
/** A change of many VMs at once is told once. */
const USERS_MS = 500;

/** Goes on with what a crash left, by the rights that its sender has now. */
const asSender = ({ actor, sender }: UploadRow): Identity => {
  if (sender === null) return inNameOf(actor);
  const who: Sender = JSON.parse(sender);
  return { ...who, sessionId: null, address: null };
};

export const images = defineFeature<ImagesApi>({
  name: 'images',
  needs: ['projects', 'operations', 'inventory', 'quotas'],
  migrations: imageMigrations,
  errors: imageErrors,
  setup(context) {
    const { config, clock, events, log } = context;
    const known = context.use(inventory);
    const runner = context.use(operations);
    const registry = context.use(projects);
    const book = context.use(quotas);
    const store = createImageStore(context.db, book);
    book.existsBy(imagesThatExist(store));
    const files = createImageFiles(config.state);
    const owners: (() => readonly DiskOwner[])[] = [() => diskOwners(known)];
    const backing = createBackingUsers(() => owners.flatMap((each) => each()));
    const library = createImageLibrary({
      // A machine without any VM of ours has none that could miss an image, whether libvirt answers or not.
      areUsersKnown: () => known.staleSince === null || (known.vms().length === 0 && known.rows.all().length === 0),
      store,
      files,
      fileUsers: known.fileUsers,
      backing,
      events,
    });
    known.describeFilesBy(library.describeFile);

    const space = createImageSpace(context.space, files.folder);
    const names = createImageNames(store, runner.isLocked);
    const maxBytes = config.images.maxBytes;
    const uploads = createUploads({ store, files, clock, events, maxBytes, names, space });
    const definitions = createImageKinds({
      store,
      files,
      clock,
      fetcher: createFetcher({ allowPrivateHosts: config.images.allowPrivateHosts, clock }),
      maxBytes,
      space,
      lookForUsers: library.lookForUsers,
      onImage: library.announce,
      onImageGone: ({ id, project }) => events.emit('image.removed', { id, project }),
      assertWhole: uploads.assertWhole,
      endUpload: uploads.end,
      finishUpload: uploads.finish,
    });
    const kinds = {
      download: runner.register(definitions.download),
      import: runner.register(definitions.import),
      publish: runner.register(definitions.publish),
      delete: runner.register(definitions.delete),
      check: runner.register(definitions.check),
    };
    const publishUpload: ImageRoutesOptions['publishUpload'] = (row, request) =>
      runner.start(
        kinds.publish,
        {
          imageId: newId('img', clock.now().getTime()),
          project: row.project,
          name: row.name,
          kind: row.kind,
          uploadId: row.id,
          sha256: row.sha256,
        },
        { ...request, action: 'PATCH /images/uploads/{id}' },
      );

    const failed = (what: string) => (error: unknown) => log.error({ err: error }, what);
    const publishComplete = async () => {
      for (const row of uploads.unpublished()) {
        const facts = {
          identity: asSender(row),
          project: row.project,
          requestId: null,
          idempotencyKey: null,
          requestHash: row.id,
        };
        await uploads
          .publish(row, (complete) => publishUpload(complete, facts))
          .catch(failed(`upload ${row.id} cannot be published`));
      }
    };
    const removeParts = async (olderThanMs: number) => {
      const owners = new Set([
        ...store.uploads().map(({ id }) => id),
        ...(await runner.newest(1000)).filter(isOpen).map(({ id }) => id),
      ]);
      for (const path of await files.orphanParts(owners, olderThanMs, clock.now())) {
        log.warn({ path }, 'a part that nobody owns is removed');
        await removeFile(path);
      }
    };
    const tidy = async () => {
      await publishComplete();
      if (context.calendar.leap() !== null) return;
      await uploads.sweep();
      await removeParts(ORPHAN_MS);
    };
    let tidying: Promise<void> = Promise.resolve();
    const tidyNow = () => {
      tidying = tidying.then(tidy).catch(failed('tidying the images failed'));
    };
    const endings: (() => void)[] = [];
    registry.findResourcesBy('image', (id) => findImage(id, store, registry, () => true));
    registry.contains('images', {
      count: (id) => store.images().filter(({ project }) => project === id).length,
      remaining(id) {
        const there = store.images().filter(({ project }) => project === id).length;
        const coming = store.uploads().filter(({ project }) => project === id).length;
        return there + coming === 0 ? null : `${there} images and ${coming} uploads`;
      },
    });

    return {
      api: {
        get: library.get,
        find(idOrName, project, isUsable) {
          const row = findImage(idOrName, store, registry, isUsable, project);
          return row && isUsable(rowObject(row, registry)) ? library.get(row.id) : null;
        },
        object(id) {
          const row = store.image(id);
          return row && rowObject(row, registry);
        },
        list: library.list,
        async addBuilt(built) {
          const image = await addBuiltImage(built, { store, files, library, names, clock });
          book.noticed();
          return image;
        },
        removeLeftovers: () => removeParts(SETTLED_MS),
        registerUsage(images, disks) {
          library.registerUsage(images);
          owners.push(disks);
        },
      },
      handlers: createImageRoutes({
        store,
        files,
        library,
        uploads,
        operations: runner,
        kinds,
        clock,
        names,
        projects: registry,
        publishUpload,
      }),
      resolvers: {
        image(idOrName, isVisible) {
          const row = findImage(idOrName, store, registry, isVisible);
          return row && rowObject(row, registry);
        },
        upload(id) {
          const row = store.upload(id);
          return row ? { type: 'upload', id: row.id, name: row.name, project: row.project } : null;
        },
      },
      metrics: () => [
        {
          name: 'hyper_images',
          type: 'gauge',
          help: 'Images in the library',
          samples: [{ value: store.images().length }],
        },
        {
          name: 'hyper_images_bytes',
          type: 'gauge',
          help: 'Bytes of the images in the library',
          samples: [{ value: store.images().reduce((sum, row) => sum + row.size_bytes, 0) }],
        },
      ],
      async start() {
        await files.prepare();
        await store.load();
        await uploads.expectRest();
        let usersTimer: NodeJS.Timeout | undefined;
        const usersChanged = () => {
          usersTimer ??= setTimeout(() => {
            usersTimer = undefined;
            void backing
              .refresh()
              .catch(failed('not every disk could be read'))
              .then(library.announceUsers)
              .catch(failed('users of images could not be told'));
          }, USERS_MS);
        };
        usersChanged();
        const sweeper = setInterval(tidyNow, SWEEP_MS);
        endings.push(
          events.on('vm.changed', usersChanged),
          events.on('vm.removed', usersChanged),
          events.on('trash.changed', usersChanged),
          () => clearTimeout(usersTimer),
          () => clearInterval(sweeper),
        );
      },
      async resume() {
        // Not waited for: an upload may have to wait for an operation that is taken up again just now.
        tidyNow();
      },
      async stop() {
        for (const end of endings.splice(0)) end();
        await tidying;
      },
    };
  },
});

/** The VMs of the inventory with their disks, running and stored. */
function diskOwners(known: InventoryApi): readonly DiskOwner[] {
  return known.vms().map(({ id, name, project }) => {
    const disks = new Map<string, DiskOwner['disks'][number]>();
    for (const { path, format } of [...(known.facts(id)?.disks ?? []), ...(known.storedFacts(id)?.disks ?? [])]) {
      if (!path?.startsWith('/')) continue;
      const isQcow2 = format === 'qcow2' || disks.get(path)?.isQcow2 === true;
      disks.set(path, { path, namedFrom: path, isQcow2 });
    }
    const key = `${known.definition(id)?.hash} ${[...disks.keys()].join(' ')}`;
    return { vmId: id, name, project, place: 'host', key, disks: [...disks.values()] };
  });
}

const isOpen = ({ finishedAt }: { readonly finishedAt: string | null }): boolean => finishedAt === null;

/** The library as others see it: images with their state and users. Nothing here waits. */

import type { ApiEvents } from '#contract/events.ts';
import type { Image, ImageKind } from '#contract/images.ts';
import type { VmUser } from '#features/inventory/index.ts';
import { AppError } from '#kernel/errors.ts';
import type { EventBus } from '#kernel/event-bus.ts';
import type { BackingUsers } from './backing-users.ts';
import type { ImageFiles } from './image-files.ts';
import type { ImageRow, ImageStore } from './store.ts';

export type ImageUser = Image['usedBy'][number];

/** An image that can be used now. */
export interface ImageFile {
  readonly id: string;
  readonly name: string;
  readonly kind: ImageKind;
  /** Stated, never guessed from the content. */
  readonly format: Image['format'];
  /** Absolute; read-only, in a folder that only the daemon writes. */
  readonly path: string;
  readonly sizeBytes: number;
  readonly virtualSizeBytes: number;
  readonly defaultUser: string | null;
}

export interface ImageLibrary {
  /** By id; null when there is none or its file is missing. */
  get(id: string): ImageFile | null;
  /** By name. */
  list(): readonly Image[];
  /** @throws AppError not_found */
  view(id: string): Image;
  /** As far as it is known without looking at disks. */
  usersOf(row: ImageRow): readonly ImageUser[];
  /** Looks at every disk; for those who are about to take the file away. @throws unavailable while libvirt does not tell */
  lookForUsers(row: ImageRow): Promise<readonly ImageUser[]>;
  /** Adds a source of users beside the disks and drives of the inventory, as the trash. */
  registerUsage(usage: () => readonly (ImageUser & { readonly imageId: string })[]): void;
  /** Which image a file is. */
  describeFile(path: string): { readonly imageId: string; readonly name: string } | null;
  /** Tells clients of a new image or of one whose users changed. */
  announce(row: ImageRow): void;
  /** Tells those who saw a shared image that it is shared no longer, and those who still see it how it is. */
  announceUnshared(row: ImageRow): void;
  /** Tells clients of all images whose users changed since they were told. */
  announceUsers(): void;
}

export interface ImageLibraryOptions {
  /** False while VMs are known of, but libvirt does not tell what they use now. */
  readonly areUsersKnown: () => boolean;
  readonly store: ImageStore;
  readonly files: ImageFiles;
  /** VMs that have this file as disk, drive or kernel. */
  readonly fileUsers: (path: string) => readonly VmUser[];
  readonly backing: Pick<BackingUsers, 'of' | 'look'>;
  readonly events: EventBus<ApiEvents>;
}

export function createImageLibrary({
  areUsersKnown,
  store,
  files,
  fileUsers,
  backing,
  events,
}: ImageLibraryOptions): ImageLibrary {
  const usages: (() => readonly (ImageUser & { readonly imageId: string })[])[] = [];
  /** Users as clients were told, by image. */
  const told = new Map<string, string>();

  /** A VM counts once, as it was found first. */
  const usersWith = (row: ImageRow, byDisks: readonly ImageUser[]): readonly ImageUser[] => {
    const found = new Map<string, ImageUser>();
    const add = ({ vmId, name, project, place }: ImageUser) => {
      if (!found.has(vmId)) found.set(vmId, { vmId, name, project, place });
    };
    for (const user of fileUsers(files.pathOf(row.file))) add({ ...user, place: 'host' });
    for (const user of byDisks) add(user);
    for (const usage of usages) for (const user of usage()) if (user.imageId === row.id) add(user);
    return [...found.values()];
  };
  const usersOf = (row: ImageRow) => usersWith(row, backing.of(files.pathOf(row.file)));
  const viewOf = (row: ImageRow): Image => ({
    id: row.id,
    name: row.name,
    project: row.project,
    isShared: row.shared === 1,
    kind: row.kind,
    state: files.isWhole(row.file, row.size_bytes) ? 'ready' : 'missing',
    format: row.format,
    sizeBytes: row.size_bytes,
    virtualSizeBytes: row.virtual_size_bytes,
    sha256: row.sha256,
    source: row.source,
    catalogueId: row.catalogue_id,
    verified: row.verified,
    label: row.label,
    usedBy: [...usersOf(row)],
    defaultUser: row.default_user,
    createdAt: row.created_at,
  });
  const announce = (row: ImageRow) => {
    const image = viewOf(row);
    told.set(row.id, JSON.stringify(image.usedBy));
    events.emit('image.changed', image);
  };

  return {
    get(id) {
      const row = store.image(id);
      if (row === null || !files.isWhole(row.file, row.size_bytes)) return null;
      return {
        id: row.id,
        name: row.name,
        kind: row.kind,
        format: row.format,
        path: files.pathOf(row.file),
        sizeBytes: row.size_bytes,
        virtualSizeBytes: row.virtual_size_bytes,
        defaultUser: row.default_user,
      };
    },
    list: () => store.images().map(viewOf),
    view(id) {
      const row = store.image(id);
      if (row === null) throw new AppError('not_found', { detail: `There is no image "${id.slice(0, 80)}".` });
      return viewOf(row);
    },
    usersOf,
    async lookForUsers(row) {
      if (!areUsersKnown())
        throw new AppError('unavailable', {
          detail: `Whether VMs use ${row.name} is not known: libvirt does not answer.`,
        });
      return usersWith(row, await backing.look(files.pathOf(row.file)));
    },
    registerUsage: (usage) => void usages.push(usage),
    describeFile(path) {
      if (!path.startsWith(`${files.folder}/`)) return null;
      const row = store.images().find(({ file }) => files.pathOf(file) === path);
      return row ? { imageId: row.id, name: row.name } : null;
    },
    announce,
    announceUnshared(row) {
      events.emit('image.unshared', { id: row.id, project: row.project });
      announce(row);
    },
    announceUsers() {
      for (const row of store.images()) {
        const users = JSON.stringify(usersOf(row));
        if ((told.get(row.id) ?? '[]') !== users) announce(row);
      }
    },
  };
}

/** Which names of a project's library are taken: by an image, an upload, an open operation, or a request that is just being answered. */

import { AppError } from '#kernel/errors.ts';
import { nameFrom } from './image-name.ts';

/** What an operation holds that makes or removes an image of this name. */
export const nameLock = (project: string, name: string): string => `image-name:${project}/${name}`;

export interface ReservedName {
  readonly name: string;
  /** To be called once an upload or an operation has the name, or nobody wants it any more. */
  release(): void;
}

export interface ImageNames {
  /** Takes the name in a project, or a free one made of the file's when none is wanted. Nothing waits between the look and the hold.
   *  @param owner tells repeated requests from others, which share the name: their operation settles who is first; null = shares nothing
   *  @throws AppError already_exists */
  reserve(project: string, wanted: string | undefined, fileName: string, owner: string | null): ReservedName;
}

interface NamedRows {
  images(): readonly { readonly project: string; readonly name: string }[];
  uploads(): readonly { readonly project: string; readonly name: string }[];
}

/** @param isLocked whether an open operation holds a key */
export function createImageNames(store: NamedRows, isLocked: (key: string) => boolean): ImageNames {
  const held = new Map<string, { readonly owner: string | null; count: number }>();

  const isKept = (project: string, name: string) =>
    [...store.images(), ...store.uploads()].some((row) => row.project === project && row.name === name);
  const isTaken = (project: string, name: string) =>
    isKept(project, name) || held.has(nameLock(project, name)) || isLocked(nameLock(project, name));
  const hold = (project: string, name: string, owner: string | null): ReservedName => {
    const key = nameLock(project, name);
    const entry = held.get(key) ?? { owner, count: 0 };
    held.set(key, entry);
    entry.count += 1;
    return {
      name,
      release() {
        entry.count -= 1;
        if (entry.count === 0) held.delete(key);
      },
    };
  };

  return {
    reserve(project, wanted, fileName, owner) {
      const name = wanted ?? nameFrom(fileName, (each) => isTaken(project, each));
      const holder = held.get(nameLock(project, name));
      const isOwn = owner !== null && holder?.owner === owner;
      if (!isOwn && isTaken(project, name)) throw nameTaken(name, isKept(project, name));
      return hold(project, name, owner);
    },
  };
}

/** @param isKept false while it is only on its way in or out */
export function nameTaken(name: string, isKept = true): AppError {
  return new AppError('already_exists', {
    detail: isKept
      ? `There is an image or upload named ${name} already.`
      : `Something that is not finished yet has the name ${name}.`,
    fields: [{ path: 'name', problem: 'taken', mend: 'Choose another name.' }],
  });
}

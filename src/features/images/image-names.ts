/** Which names of the library are taken: by an image, an upload, an open operation, or a request that is just being answered. */

import { AppError } from '#kernel/errors.ts';
import { nameFrom } from './image-name.ts';

/** What an operation holds that makes or removes an image of this name. */
export const nameLock = (name: string): string => `image-name:${name}`;

export interface ReservedName {
  readonly name: string;
  /** To be called once an upload or an operation has the name, or nobody wants it any more. */
  release(): void;
}

export interface ImageNames {
  /** Takes the name, or a free one made of the file's when none is wanted. Nothing waits between the look and the hold.
   *  @param owner tells repeated requests from others, which share the name: their operation settles who is first; null = shares nothing
   *  @throws AppError already_exists */
  reserve(wanted: string | undefined, fileName: string, owner: string | null): ReservedName;
}

interface NamedRows {
  images(): readonly { readonly name: string }[];
  uploads(): readonly { readonly name: string }[];
}

/** @param isLocked whether an open operation holds a key */
export function createImageNames(store: NamedRows, isLocked: (key: string) => boolean): ImageNames {
  const held = new Map<string, { readonly owner: string | null; count: number }>();

  const isKept = (name: string) =>
    store.images().some((row) => row.name === name) || store.uploads().some((row) => row.name === name);
  const isTaken = (name: string) => isKept(name) || held.has(name) || isLocked(nameLock(name));
  const hold = (name: string, owner: string | null): ReservedName => {
    const entry = held.get(name) ?? { owner, count: 0 };
    held.set(name, entry);
    entry.count += 1;
    return {
      name,
      release() {
        entry.count -= 1;
        if (entry.count === 0) held.delete(name);
      },
    };
  };

  return {
    reserve(wanted, fileName, owner) {
      const name = wanted ?? nameFrom(fileName, isTaken);
      const holder = held.get(name);
      const isOwn = owner !== null && holder?.owner === owner;
      if (!isOwn && isTaken(name)) throw nameTaken(name, isKept(name));
      return hold(name, owner);
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

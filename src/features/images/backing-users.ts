/** Which VMs use a file of the library through their disks: by the path itself, by another name of it, or below a qcow2 overlay.
 *  Views take what was read when the definitions last changed; whoever is about to delete a file looks anew. */

import { stat } from 'node:fs/promises';
import { hasErrno } from '#kernel/errors.ts';
import { backingChain } from '#platform/backing-chain.ts';
import type { ImageUser } from './library.ts';

/** A VM with its disks in files. */
export interface DiskOwner extends ImageUser {
  /** Changes whenever the disks may have changed. */
  readonly key: string;
  readonly disks: readonly {
    /** Absolute; where the file lies now. */
    readonly path: string;
    /** Where the VM knows it; another place while the VM lies in the trash. */
    readonly namedFrom: string;
    readonly isQcow2: boolean;
  }[];
}

export interface BackingUsers {
  /** As they were last read. */
  of(path: string): readonly ImageUser[];
  /** Reads the disks of those whose key is new. @throws the first failure, once the disks of the others are read */
  refresh(): Promise<void>;
  /** Looks at every disk now. @throws system errors of a disk that cannot be read */
  look(path: string): Promise<readonly ImageUser[]>;
}

/** @param owners all VMs, those in the trash included */
export function createBackingUsers(owners: () => readonly DiskOwner[]): BackingUsers {
  const known = new Map<
    string,
    { readonly key: string; readonly user: ImageUser; readonly below: readonly string[] }
  >();
  let reading: Promise<void> = Promise.resolve();

  const read = async () => {
    const all = owners();
    const idOf = ({ vmId, place }: ImageUser) => `${vmId} ${place}`;
    const ids = new Set(all.map(idOf));
    for (const id of known.keys()) if (!ids.has(id)) known.delete(id);
    const failures: unknown[] = [];
    for (const owner of all) {
      const key = `${owner.project}/${owner.name} ${owner.key}`;
      if (known.get(idOf(owner))?.key === key) continue;
      try {
        known.set(idOf(owner), { key, user: userOf(owner), below: await filesBelow(owner) });
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  };

  return {
    of: (path) => [...known.values()].filter(({ below }) => below.includes(path)).map(({ user }) => user),
    refresh() {
      // One after the other: an older look must not end after a newer one.
      reading = reading.then(read, read);
      return reading;
    },
    async look(path) {
      const wanted = await identityOf(path);
      const isWanted = async (file: string) =>
        file === path || (wanted !== null && (await identityOf(file)) === wanted);
      const found: ImageUser[] = [];
      for (const owner of owners()) {
        const files = [...owner.disks.map((disk) => disk.path), ...(await filesBelow(owner))];
        for (const file of files) {
          if (!(await isWanted(file))) continue;
          found.push(userOf(owner));
          break;
        }
      }
      return found;
    },
  };
}

const userOf = ({ vmId, name, project, place }: DiskOwner): ImageUser => ({ vmId, name, project, place });

async function filesBelow({ disks }: DiskOwner): Promise<string[]> {
  const files = new Set<string>();
  for (const { path, namedFrom, isQcow2 } of disks)
    if (isQcow2) for (const file of await backingChain(path, namedFrom)) files.add(file);
  return [...files];
}

/** What tells a file from others whatever it is called; null when it is not there. */
async function identityOf(path: string): Promise<string | null> {
  try {
    const { dev, ino } = await stat(path, { bigint: true });
    return `${dev}:${ino}`;
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'ENOTDIR', 'EACCES', 'ELOOP')) return null;
    throw error;
  }
}

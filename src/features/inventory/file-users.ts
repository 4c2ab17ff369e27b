/** Which VMs use a file, as disk, drive, kernel or firmware store. */

import type { VmRecord } from './view.ts';

/** Ids of VMs by path. */
export type FileUsers = ReadonlyMap<string, readonly string[]>;

/** A VM counts for what it runs with and for what its stored definition says. */
export function fileUsersOf(records: readonly VmRecord[]): FileUsers {
  const users = new Map<string, string[]>();
  for (const { id, facts: now, next } of records) {
    const paths = new Set<string>();
    for (const facts of [now, next]) {
      if (!facts) continue;
      const disks = facts.disks.map((disk) => disk.path);
      for (const path of [...disks, facts.kernelPath, facts.initrdPath, facts.nvramPath])
        if (path !== null) paths.add(path);
    }
    for (const path of paths) users.set(path, [...(users.get(path) ?? []), id]);
  }
  return users;
}

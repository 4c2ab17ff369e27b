/** What killed processes left below `tmp`. */

import { link, mkdir, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { hasErrno } from '#kernel/errors.ts';
import { namesIn } from './files.ts';
import { isObjectId, type Layout } from './layout.ts';
import { liveLeases, tokenOf } from './lease.ts';
import { exclusively } from './mutex.ts';

/** Files that are not named by us are left for a day. */
const FOREIGN_AGE_MS = 24 * 3_600_000;

/** Where the sweep puts an object before it decides: whoever finds one there later puts it back. */
export function sweptName({ tmp }: Layout, token: string, id: string): string {
  return join(tmp, `${token}-swept-${id}`);
}

/** Removes what nobody writes any more, and puts back objects that a sweep had not decided on. @returns how many files are gone */
export async function clearLeftovers(layout: Layout): Promise<number> {
  return await exclusively(layout.locks, async () => {
    const alive = new Set((await liveLeases(layout)).map(({ token }) => token));
    let cleared = 0;
    for (const name of await namesIn(layout.tmp)) {
      const path = join(layout.tmp, name);
      const token = tokenOf(name);
      if (token !== null ? alive.has(token) : !(await isOld(path))) continue;
      const id = name.slice((token?.length ?? 0) + '-swept-'.length);
      if (name.includes('-swept-') && isObjectId(id)) await putBack(layout, path, id);
      else await rm(path, { force: true, recursive: true });
      cleared += 1;
    }
    return cleared;
  });
}

/** An object from `tmp` back to its place, unless it was written anew meanwhile. */
export async function putBack(layout: Layout, path: string, id: string): Promise<void> {
  const target = layout.object(id);
  try {
    await mkdir(dirname(target), { recursive: true, mode: 0o750 });
    await link(path, target);
  } catch (error) {
    if (!hasErrno(error, 'EEXIST', 'ENOENT')) throw error;
  }
  await rm(path, { force: true });
}

async function isOld(path: string): Promise<boolean> {
  try {
    return Date.now() - (await stat(path)).mtimeMs > FOREIGN_AGE_MS;
  } catch (error) {
    if (hasErrno(error, 'ENOENT')) return false;
    throw error;
  }
}

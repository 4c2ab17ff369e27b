/** Puts another state in the place of this one: a folder of new files is made beside it, one small file says that it is whole, and the next
 *  start moves the old files aside and the new ones in before anything of them is opened. Killed at any moment, a start finds the old state
 *  or goes on until it has the new one. */

import { chmod, mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { hasErrno } from '#kernel/errors.ts';
import { writeDurably } from './durable-file.ts';

const MARKER = 'restore.json';
const DONE = 'restored.json';
const STAGING = 'restore-';
const ASIDE = 'before-restore-';

/** Below the state folder, without ways out of it. */
const pathSchema = z.string().regex(/^(?!.*(^|\/)\.\.?(\/|$))[A-Za-z0-9._-]+(\/[A-Za-z0-9._-]+)*$/);

const swapSchema = z.object({
  id: z.string().regex(/^[a-z0-9]{26}$/),
  /** Moved in, the last one last: the start of what opens it. */
  place: z.array(pathSchema),
  /** Moved away without anything in their place. */
  away: z.array(pathSchema),
  /** For whoever asks afterwards what was done. */
  about: z.unknown(),
});
export type Swap = z.infer<typeof swapSchema>;

/** Where the new files of a swap are made. */
export const stagingFolder = (root: string, id: string): string => join(root, `${STAGING}${id}`);

/** Name of the folder, below the state folder, with what was there before. */
export const asideName = (id: string): string => `${ASIDE}${id}`;

/** Makes the swap certain: everything that is staged is on the disk when this resolves, and the next start does the rest. */
export async function commitSwap(root: string, swap: Swap): Promise<void> {
  const staging = stagingFolder(root, swap.id);
  for (const path of swap.place) await syncPath(join(staging, path));
  const folders = new Set(swap.place.flatMap((path) => parentsOf(path)));
  for (const folder of folders) await syncPath(join(staging, folder));
  await syncPath(staging);
  await syncPath(root);
  await writeDurably(join(root, MARKER), JSON.stringify(swapSchema.parse(swap)));
}

/** Called before anything of the state is opened, by the one that holds its lock.
 *  @param killPoint `state.restore:STEP:MOMENT` of the fault tests */
export async function finishSwap(root: string, killPoint: string | null): Promise<void> {
  const swap = await readSwap(join(root, MARKER));
  const kill = (step: string, moment: 'before' | 'after') => {
    if (killPoint === `state.restore:${step}:${moment}`) process.kill(process.pid, 'SIGKILL');
  };
  if (swap !== null) {
    const staging = stagingFolder(root, swap.id);
    const aside = join(root, asideName(swap.id));
    await mkdir(aside, { recursive: true, mode: 0o700 });
    await chmod(aside, 0o700);
    kill('aside', 'before');
    for (const path of [...swap.away, ...swap.place]) {
      // Without its new one an old file was moved already, and what lies there is the new one.
      const isDone = swap.place.includes(path) ? !(await isThere(join(staging, path))) : await isPlaced(staging, swap);
      if (isDone || !(await isThere(join(root, path)))) continue;
      await moveInto(join(root, path), join(aside, path));
      kill('aside', 'after');
    }
    kill('place', 'before');
    for (const path of swap.place) {
      if (await isThere(join(staging, path))) await moveInto(join(staging, path), join(root, path));
      kill('place', 'after');
    }
    kill('done', 'before');
    await rename(join(root, MARKER), join(root, DONE));
    await syncPath(root);
    kill('done', 'after');
  }
  for (const name of await readdir(root))
    if (new RegExp(`^${STAGING}[a-z0-9]{26}$`).test(name)) await rm(join(root, name), { recursive: true, force: true });
}

/** The swap that the last start finished, until `forgetSwap`. */
export const doneSwap = (root: string): Promise<Swap | null> => readSwap(join(root, DONE));

export async function forgetSwap(root: string): Promise<void> {
  await rm(join(root, DONE), { force: true });
  await syncPath(root);
}

/** Nothing is placed before everything is away. */
async function isPlaced(staging: string, { place }: Swap): Promise<boolean> {
  const [first] = place;
  return first === undefined || !(await isThere(join(staging, first)));
}

async function readSwap(path: string): Promise<Swap | null> {
  try {
    return swapSchema.parse(JSON.parse(await readFile(path, 'utf8')));
  } catch (error) {
    if (hasErrno(error, 'ENOENT')) return null;
    throw error;
  }
}

async function moveInto(from: string, to: string): Promise<void> {
  await mkdir(dirname(to), { recursive: true, mode: 0o700 });
  await rename(from, to);
  await syncPath(dirname(to));
  await syncPath(dirname(from));
}

async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'ENOTDIR')) return false;
    throw error;
  }
}

function parentsOf(path: string): string[] {
  const parts = path.split('/').slice(0, -1);
  return parts.map((_, n) => parts.slice(0, n + 1).join('/'));
}

async function syncPath(path: string): Promise<void> {
  const file = await open(path, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

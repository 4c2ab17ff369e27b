/** Keeps everything that restore points of a copy need held at its place. What is written is held for twice the days that were asked for;
 *  before the first of these times is half over everything is held anew, so that whatever a point of today names is held as long as it. */

import { z } from 'zod';
import { hasErrno } from '#kernel/errors.ts';
import { distinctBlobs, distinctPages, inBatches, usedIds, visitChunks } from './contents.ts';
import type { Core } from './core.ts';
import { UnfitFile } from './files.ts';
import type { ObjectReader } from './objects.ts';
import type { Place } from './place.ts';
import { manifestFiles } from './points.ts';

const HELD = 'held.json';
const DAY_MS = 86_400_000;
const AT_ONCE = 8;
const heldSchema = z.object({ heldAt: z.iso.datetime() });

/** @param core the copy, as it is read there
 *  @returns how many files were held anew */
export async function holdCopy(
  core: Core,
  place: Place,
  objects: ObjectReader,
  options: { readonly wasEmpty: boolean; readonly signal?: AbortSignal | undefined; readonly nowMs?: number },
): Promise<number> {
  const { holds } = place;
  if (!holds) return 0;
  const { wasEmpty, signal, nowMs = Date.now() } = options;
  const heldMs = await heldAt(place);
  if (heldMs !== null && heldMs <= nowMs && nowMs - heldMs < (holds.days / 4) * DAY_MS) return 0;
  // All that lies in a new copy was written just now.
  const held = wasEmpty ? 0 : await holdAll(core, place, objects, holds.extend, signal);
  await place.write(HELD, Buffer.from(`${JSON.stringify({ heldAt: new Date(nowMs).toISOString() })}\n`));
  return held;
}

async function holdAll(
  core: Core,
  place: Place,
  objects: ObjectReader,
  extend: (path: string) => Promise<void>,
  signal: AbortSignal | undefined,
): Promise<number> {
  const { layout } = core;
  let held = 0;
  const hold = async (path: string) => {
    signal?.throwIfAborted();
    try {
      await extend(path);
      held += 1;
    } catch (error) {
      // A check tells of what is missing.
      if (!hasErrno(error, 'ENOENT')) throw error;
    }
  };
  const files = await manifestFiles(layout);
  const pages = await distinctPages(core, files);
  const blobs = await distinctBlobs(core, files);
  for (const file of files) await hold(file.path);
  const ranges = usedIds(layout, null, async (visit) => {
    for (const id of [...pages, ...blobs]) visit(id, 0);
    await visitChunks({
      objects,
      pages,
      visit,
      // What a page names that nobody can read is of no use to hold.
      onDamage: () => undefined,
      signal,
    });
  });
  for await (const { ids } of ranges) await inBatches(ids, AT_ONCE, (id) => hold(layout.object(id)));
  for (const path of layout.settings) if ((await place.sizeOf(path)) !== null) await hold(path);
  return held;
}

async function heldAt(place: Place): Promise<number | null> {
  try {
    return Date.parse(heldSchema.parse(JSON.parse((await place.read(HELD, 4096)).toString('utf8'))).heldAt);
  } catch (error) {
    const isUnusable = error instanceof SyntaxError || error instanceof z.ZodError || error instanceof UnfitFile;
    if (isUnusable || hasErrno(error, 'ENOENT')) return null;
    throw error;
  }
}

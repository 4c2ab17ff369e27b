/** What the last check found, beside the repository's points: a small file for each point that something is missing of. It is believed only
 *  as long as what it names is still missing. */

import { readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { hasErrno } from '#kernel/errors.ts';
import { temporaryName, writeWhole } from './files.ts';
import type { Layout } from './layout.ts';
import type { Lease } from './lease.ts';
import { idSchema } from './manifest.ts';

/** Places that a file names; the others are counted. */
export const MOST_PLACES = 1000;

const placeSchema = z.object({
  id: idSchema,
  kind: z.enum(['chunk', 'page', 'blob']),
  target: z.string().nullable().describe('null for blobs'),
  offsetBytes: z.number().describe('in the disk; 0 for blobs'),
});
export type DamagedPlace = z.infer<typeof placeSchema>;

export interface DamagedPlaces {
  /** Also those that are not named. */
  readonly count: number;
  /** At most `MOST_PLACES`. */
  readonly places: readonly DamagedPlace[];
}
export const NO_PLACES: DamagedPlaces = { count: 0, places: [] };

const damageSchema = z.object({ checkedAt: z.string(), count: z.int(), places: z.array(placeSchema) });
export type PointDamage = z.infer<typeof damageSchema>;

/** What is damaged in a point as far as is known; null when it is none. */
export async function readDamage(layout: Layout, pointId: string): Promise<PointDamage | null> {
  if (layout.isElsewhere) return null;
  let found: PointDamage;
  try {
    found = damageSchema.parse(JSON.parse(await readFile(fileOf(layout, pointId), 'utf8')));
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'ENOTDIR')) return null;
    // Half written by a process that was killed: a note only, the next check writes it anew.
    if (error instanceof SyntaxError || error instanceof z.ZodError) return null;
    throw error;
  }
  const places: DamagedPlace[] = [];
  for (const place of found.places) if (!(await isBack(layout, place.id))) places.push(place);
  // Of what is not named it is not known whether it came back.
  if (places.length === 0 && found.count === found.places.length) return null;
  return { ...found, places, count: found.count - (found.places.length - places.length) };
}

export async function writeDamage(
  layout: Layout,
  lease: Lease,
  pointId: string,
  { count, places }: DamagedPlaces,
): Promise<void> {
  if (count === 0) return await forgetDamage(layout, pointId);
  const damage: PointDamage = { checkedAt: new Date().toISOString(), count, places: [...places] };
  await writeWhole({
    temporary: temporaryName(layout.tmp, lease.token),
    path: fileOf(layout, pointId),
    bytes: Buffer.from(JSON.stringify(damage)),
    onFolder: () => undefined,
  });
}

export async function forgetDamage(layout: Layout, pointId: string): Promise<void> {
  await rm(fileOf(layout, pointId), { force: true });
}

const fileOf = ({ damage }: Layout, pointId: string) => join(damage, `${pointId}.json`);

async function isBack(layout: Layout, id: string): Promise<boolean> {
  try {
    await stat(layout.object(id));
    return true;
  } catch (error) {
    if (hasErrno(error, 'ENOENT')) return false;
    throw error;
  }
}

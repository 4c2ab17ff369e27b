/** Where the repositories of a state that came back lie on this machine: the disk or copy that it was read from may be at another place
 *  than before, and what lay in the state folder is lost. */

import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { placeSchema } from '#contract/backups.ts';
import type { Rebuild } from '#platform/db/rebuild.ts';
import type { SecretSeal } from '#platform/sealed-secrets.ts';
import type { OpenSource } from './source.ts';

/** Columns that older versions did not have are read as what was then. */
const rowSchema = z.object({
  id: z.string(),
  folder: z.string(),
  is_default: z.number(),
  is_copy: z.number().default(0),
  place: z.string().nullable().default(null),
});
type Row = z.infer<typeof rowSchema>;

export interface SettleOrder {
  readonly from: Pick<OpenSource, 'title' | 'at'>;
  /** Id, in this state, of the repository that the state was written into. */
  readonly written: string;
  /** What the credentials of places are sealed with; null = the key came back, and those that are sealed with it. */
  readonly seal: SecretSeal | null;
}

export async function settleRepositories(database: Rebuild, order: SettleOrder): Promise<void> {
  const rows = database.all('SELECT * FROM repository').map((row) => rowSchema.parse(row));
  const { at } = order.from;
  if (at.kind === 'folder') await moveHere(database, rows, at.folder, order.written);
  else settlePlace(database, rows, order);
  // Points were made after the state was: each repository is read at once.
  database.run("UPDATE repository SET scanned_at = '1970-01-01T00:00:00.000Z'");
  await forgetLostDefault(database);
}

/** Its disk may be mounted elsewhere on this machine, and another one in its old place. */
async function moveHere(database: Rebuild, rows: readonly Row[], folder: string, written: string): Promise<void> {
  const here = rows.find((row) => row.folder === folder);
  if (here && (here.id === written || here.is_copy === 1)) return;
  const source = rows.find(({ id }) => id === written);
  const copies = rows.filter(({ is_copy, place }) => is_copy === 1 && place === null);
  // Copies have the bytes of their repository: which one this is can be told only by where the others are.
  const isCopy =
    source !== undefined && copies.length > 0 && (source.is_default === 1 || (await isThere(source.folder)));
  const lost: Row[] = [];
  for (const copy of copies) if (!(await isThere(copy.folder))) lost.push(copy);
  const moved = isCopy ? lost[0] : source;
  if (!moved) return;
  database.run('UPDATE repository SET folder = ? || id WHERE folder = ?', `${folder}-`, folder);
  database.run('UPDATE repository SET folder = ? WHERE id = ?', folder, moved.id);
}

/** What was accepted and typed to read from a place counts from now on, unless credentials came back: those may do more than read. */
function settlePlace(database: Rebuild, rows: readonly Row[], { from: { at, title }, seal }: SettleOrder): void {
  const row = rows.find(({ folder, place }) => folder === title && place !== null);
  if (!row || at.kind === 'folder') return;
  const before = placeSchema.parse(JSON.parse(row.place ?? ''));
  const { settings, secrets } = at;
  const place =
    before.kind === 'sftp' && settings.kind === 'sftp'
      ? { ...before, hostKey: settings.hostKey }
      : before.kind === 's3' && settings.kind === 's3' && seal !== null
        ? { ...before, accessKey: settings.accessKey }
        : before;
  database.run('UPDATE repository SET place = ? WHERE id = ?', JSON.stringify(place), row.id);
  if (seal === null) return;
  const texts = Object.entries(secrets).filter((entry): entry is [string, string] => entry[1] !== undefined);
  database.run('UPDATE repository SET secrets = ? WHERE id = ?', seal.seal(row.id, Object.fromEntries(texts)), row.id);
}

/** The repository inside the state folder was lost with it; the next backup makes another. */
async function forgetLostDefault(database: Rebuild): Promise<void> {
  for (const row of database.all('SELECT * FROM repository WHERE is_default = 1')) {
    const { id, folder } = rowSchema.parse(row);
    if (await isThere(folder)) continue;
    database.run('DELETE FROM restore_point WHERE repository_id = ?', id);
    database.run('DELETE FROM repository WHERE id = ?', id);
  }
}

const isThere = (folder: string): Promise<boolean> =>
  access(join(folder, 'repo.json')).then(
    () => true,
    () => false,
  );

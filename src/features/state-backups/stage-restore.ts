/** Makes the files of a state beside those of now, whole and checked, and then says that they are to take their place. */

import { access, mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { AppError } from '#kernel/errors.ts';
import type { Migration } from '#platform/db/database.ts';
import { type Rebuild, rebuildDatabase, UnfitRows } from '#platform/db/rebuild.ts';
import { commitSwap, stagingFolder } from '#platform/state-swap.ts';
import type { Definitions } from './header.ts';
import { isKeyFile } from './key-files.ts';
import type { OpenState } from './read-point.ts';

const DATABASE = 'state.db';
/** What belongs to the database of now and to no other. */
const DATABASE_SIDE_FILES = ['state.db-wal', 'state.db-shm', 'state.db-pulse'];
const LEAF_FILES = ['ca/server.pem', 'ca/server.key'];
/** Definitions as files, for what is brought back by hand. */
export const DEFINITIONS_FOLDER = 'restored-definitions';

export const restoreAboutSchema = z.object({
  by: z.string(),
  userId: z.string(),
  at: z.string(),
  point: z.string(),
  host: z.string(),
  madeAt: z.string(),
  version: z.string(),
  proof: z.string(),
  secrets: z.string(),
  repository: z.string(),
  auditHead: z.object({ seq: z.int(), hash: z.string() }),
});
export type RestoreAbout = z.infer<typeof restoreAboutSchema>;

export interface StageOrder {
  readonly root: string;
  /** 26 letters and digits. */
  readonly id: string;
  readonly pointId: string;
  /** Where the repository of the point lies now. */
  readonly folder: string;
  readonly state: OpenState;
  /** VMs that are here now. */
  readonly vmIds: readonly string[];
  readonly migrations: ReadonlyMap<string, readonly Migration[]>;
  readonly about: RestoreAbout;
}

/** When this resolves the state comes with the next start of the daemon. @throws state_damaged, no_space; then nothing has changed */
export async function stageRestore(order: StageOrder): Promise<void> {
  const { root, id, pointId, state, about } = order;
  const staging = stagingFolder(root, id);
  await mkdir(staging, { mode: 0o700 });
  try {
    const place: string[] = [];
    const put = async (path: string, bytes: Buffer | string) => {
      await mkdir(dirname(join(staging, path)), { recursive: true, mode: 0o700 });
      await writeFile(join(staging, path), bytes, { mode: 0o600, flag: 'wx' });
      place.push(path);
    };
    for (const { path, data } of await state.readSecrets()) {
      if (!isKeyFile(path))
        throw new AppError('state_damaged', {
          detail: `The state ${pointId} brings a file that is no key of this program.`,
        });
      await put(path, Buffer.from(data, 'base64'));
    }
    for (const [path, xml] of definitionFiles(await state.definitions())) await put(path, xml);
    await rebuild(join(staging, DATABASE), order);
    await commitSwap(root, {
      id,
      place: [...place, DATABASE],
      away: [...DATABASE_SIDE_FILES, ...(place.includes('ca/ca.key') ? LEAF_FILES : [])],
      about,
    });
  } catch (error) {
    await rm(staging, { recursive: true, force: true });
    throw error;
  }
}

async function rebuild(
  path: string,
  { folder, pointId, state, vmIds, migrations }: Omit<StageOrder, 'root' | 'id' | 'about'>,
): Promise<void> {
  const { header } = state;
  const database = rebuildDatabase(path, header.migrations, migrations);
  try {
    for (const { parts } of header.tables) for (const part of parts) database.put(await state.read(part));
    // Its disk may be mounted elsewhere on this machine, and another one in its old place.
    database.run('UPDATE repository SET folder = ? || id WHERE folder = ?', `${folder}-`, folder);
    database.run('UPDATE repository SET folder = ? WHERE id = ?', folder, header.repository);
    // Points were made after the state was: each repository is read at once.
    database.run("UPDATE repository SET scanned_at = '1970-01-01T00:00:00.000Z'");
    await forgetLostDefault(database);
    // What was under way when the state was made is told of by the record of the restore.
    database.run("INSERT OR REPLACE INTO audit_mark(name, seq) VALUES('answered', ?)", header.auditHead.seq);
    // Nothing is to be started here because it ran there.
    for (const { uuid } of database.all('SELECT uuid FROM vm'))
      if (!vmIds.includes(String(uuid))) database.run("UPDATE vm SET desired = 'off' WHERE uuid = ?", String(uuid));
    database.finish();
  } catch (cause) {
    if (!(cause instanceof UnfitRows)) throw cause;
    throw new AppError('state_damaged', {
      detail: `The state ${pointId} cannot be brought back: ${cause.message}.`,
      params: { point: pointId },
      cause,
    });
  } finally {
    database.close();
  }
}

/** The repository inside the state folder was lost with it; the next backup makes another. */
async function forgetLostDefault(database: Rebuild): Promise<void> {
  for (const row of database.all('SELECT id, folder FROM repository WHERE is_default = 1')) {
    const [id, folder] = [String(row['id']), String(row['folder'])];
    const isThere = await access(join(folder, 'repo.json')).then(
      () => true,
      () => false,
    );
    if (isThere) continue;
    database.run('DELETE FROM restore_point WHERE repository_id = ?', id);
    database.run('DELETE FROM repository WHERE id = ?', id);
  }
}

function definitionFiles(definitions: Definitions): readonly (readonly [string, string])[] {
  return definitions.map(({ kind, id, name, xml }) => {
    const word = name.replace(/[^A-Za-z0-9._-]/g, '_').replace(/^\.+/, '') || 'unnamed';
    return [`${DEFINITIONS_FOLDER}/${kind}-${word}-${id.replace(/[^A-Za-z0-9-]/g, '_')}.xml`, xml] as const;
  });
}

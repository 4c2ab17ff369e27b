/** Makes the files of a state beside those of now, whole and checked, and then says that they are to take their place. */

import { existsSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { AppError } from '#kernel/errors.ts';
import type { Migration } from '#platform/db/database.ts';
import { rebuildDatabase, UnfitRows } from '#platform/db/rebuild.ts';
import { createSecretSeal, type SecretSeal } from '#platform/sealed-secrets.ts';
import { commitSwap, stagingFolder } from '#platform/state-swap.ts';
import type { Definitions } from './header.ts';
import { isKeyFile } from './key-files.ts';
import type { OpenState } from './read-point.ts';
import { settleRepositories } from './settle-repositories.ts';
import type { OpenSource } from './source.ts';

const DATABASE = 'state.db';
/** Seals the credentials of places. */
const PLACES_KEY = 'keys/places.key';
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
  from: z.string().default(''),
  auditHead: z.object({ seq: z.int(), hash: z.string() }),
});
export type RestoreAbout = z.infer<typeof restoreAboutSchema>;

export interface StageOrder {
  readonly root: string;
  /** 26 letters and digits. */
  readonly id: string;
  readonly pointId: string;
  /** Where the point is read from. */
  readonly from: Pick<OpenSource, 'title' | 'at'>;
  readonly state: OpenState;
  /** VMs that are here now. */
  readonly vmIds: readonly string[];
  readonly migrations: ReadonlyMap<string, readonly Migration[]>;
  readonly about: RestoreAbout;
  /** `state.restore:stage:MOMENT` of the fault tests. */
  readonly killPoint: string | null;
}

/** When this resolves the state comes with the next start of the daemon. @throws state_damaged, no_space; then nothing has changed */
export async function stageRestore(order: StageOrder): Promise<void> {
  const { root, id, pointId, state, about } = order;
  const staging = stagingFolder(root, id);
  const kill = (moment: 'before' | 'after') => {
    if (order.killPoint === `state.restore:stage:${moment}`) process.kill(process.pid, 'SIGKILL');
  };
  await mkdir(staging, { mode: 0o700 });
  kill('before');
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
    const seal = place.includes(PLACES_KEY) ? null : createSecretSeal(join(staging, PLACES_KEY));
    await rebuild(join(staging, DATABASE), order, seal);
    if (seal !== null && existsSync(join(staging, PLACES_KEY))) place.push(PLACES_KEY);
    kill('after');
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
  { from, pointId, state, vmIds, migrations }: Pick<StageOrder, 'from' | 'pointId' | 'state' | 'vmIds' | 'migrations'>,
  seal: SecretSeal | null,
): Promise<void> {
  const { header } = state;
  const database = rebuildDatabase(path, header.migrations, migrations);
  try {
    for (const { parts } of header.tables) for (const part of parts) database.put(await state.read(part));
    await settleRepositories(database, { from, written: header.repository, seal });
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

function definitionFiles(definitions: Definitions): readonly (readonly [string, string])[] {
  return definitions.map(({ kind, id, name, xml }) => {
    const word = name.replace(/[^A-Za-z0-9._-]/g, '_').replace(/^\.+/, '') || 'unnamed';
    return [`${DEFINITIONS_FOLDER}/${kind}-${word}-${id.replace(/[^A-Za-z0-9-]/g, '_')}.xml`, xml] as const;
  });
}

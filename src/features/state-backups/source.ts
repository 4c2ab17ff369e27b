/** Where a state is brought back from: the folder of a repository on this machine, or the place of a copy. On an empty machine nothing is
 *  known of either, so whoever restores says everything. */

import { mkdir, rm } from 'node:fs/promises';
import { backupPlaceErrors } from '#contract/backup-places.ts';
import type { PlaceSecrets, PlaceSettings } from '#contract/backups.ts';
import {
  folderPlace,
  openRepository,
  openRepositoryAt,
  placeOf,
  type Repository,
  readRecoveryKey,
  requireAnswer,
} from '#features/backups/index.ts';
import { AppError, hasErrno, messageOf } from '#kernel/errors.ts';
import { newId } from '#kernel/ids.ts';
import { stagingFolder } from '#platform/state-swap.ts';

/** One of `folder` and `place`. */
export interface StateSource {
  readonly folder?: string | undefined;
  readonly place?: PlaceSettings | undefined;
  readonly secrets?: PlaceSecrets | undefined;
  readonly recoveryKey?: string | undefined;
}

export type SourcePlace =
  | { readonly kind: 'folder'; readonly folder: string }
  | { readonly kind: 'place'; readonly settings: PlaceSettings; readonly secrets: PlaceSecrets };

export interface OpenSource {
  /** For people; also what a repository there is called by in our tables. */
  readonly title: string;
  readonly at: SourcePlace;
  /** Without its key unless `needsKey` was said. */
  readonly repository: Repository;
  /** The repository to read a state from: of a place a part of it that was brought here, so that what is checked is what comes.
   *  @throws state_damaged; what places fail with */
  forPoint(pointId: string): Promise<Repository>;
  close(): Promise<void>;
}

export interface SourceOptions {
  /** The state folder. */
  readonly root: string;
  readonly needsKey: boolean;
  /** `state.restore:bring:middle` of the fault tests. */
  readonly killPoint: string | null;
}

/** @throws repository_not_found, key_needed, key_wrong; what places fail with */
export async function openSource(
  source: StateSource,
  { root, needsKey, killPoint }: SourceOptions,
): Promise<OpenSource> {
  const { folder, place: settings, secrets = {} } = source;
  if (settings === undefined && folder !== undefined) return openFolder(folder, source, needsKey);
  if (settings === undefined || folder !== undefined)
    throw new AppError('invalid_input', {
      detail: 'A state lies in a folder of this machine or at a place on another one.',
      fields: [{ path: 'folder', problem: 'give one of folder and place', mend: 'leave the other one out' }],
    });
  const place = placeOf(settings, secrets);
  // Named so that the next start removes what a kill left of it.
  const brought = stagingFolder(root, newId('op').slice(3));
  try {
    const repository = await withKey((key) => openRepositoryAt(place, key), source, needsKey);
    return {
      title: place.title,
      at: { kind: 'place', settings, secrets },
      repository,
      async forPoint(pointId) {
        await mkdir(brought, { mode: 0o700 });
        const report = await repository.copyTo(folderPlace(brought), {
          wants: (point) => point.pointId === pointId,
          onProgress({ sentBytes }) {
            if (sentBytes > 0 && killPoint === 'state.restore:bring:middle') process.kill(process.pid, 'SIGKILL');
          },
        });
        const [damaged] = report.damaged;
        if (damaged)
          throw new AppError('state_damaged', {
            detail: `The state ${pointId} cannot be brought back: ${damaged.reason}`,
            params: { point: pointId },
          });
        return withKey((key) => openRepository(brought, key), source, needsKey);
      },
      async close() {
        await place.close();
        await rm(brought, { recursive: true, force: true });
      },
    };
  } catch (error) {
    await place.close();
    if (!(error instanceof AppError) || error.code !== 'repository_not_found') throw error;
    throw new AppError('repository_not_found', {
      detail: `There is no repository at ${place.title}.`,
      hint: 'See that the folder, or bucket and prefix, are those of the copy.',
      cause: error,
    });
  }
}

async function openFolder(folder: string, source: StateSource, needsKey: boolean): Promise<OpenSource> {
  try {
    await requireAnswer(folder);
    const repository = await withKey((key) => openRepository(folder, key), source, needsKey);
    return {
      title: folder,
      at: { kind: 'folder', folder },
      repository,
      forPoint: async () => repository,
      close: async () => undefined,
    };
  } catch (error) {
    if (!hasErrno(error, 'ENOENT', 'ENOTDIR', 'EACCES', 'EROFS', 'EIO', 'ESTALE')) throw error;
    throw new AppError('repository_not_found', { detail: 'There is no repository in this folder.', cause: error });
  }
}

async function withKey<Opened extends Repository>(
  open: (options: { readonly key?: Buffer }) => Promise<Opened>,
  { recoveryKey }: StateSource,
  needsKey: boolean,
): Promise<Opened> {
  const repository = await open({});
  if (!repository.isEncrypted || !needsKey) return repository;
  if (recoveryKey === undefined)
    throw new AppError('key_needed', {
      hint: 'Give the recovery key of the repository: `--key-file FILE`, or - for stdin.',
    });
  return open({ key: readRecoveryKey(recoveryKey) });
}

const AGAIN = 'See that the other machine is on and reachable from here, then do it again: nothing was changed.';
/** The mends of copies speak of repositories that hyperd knows; nothing is known here yet. */
const HINTS: Readonly<Record<string, string>> = {
  place_unreachable: AGAIN,
  place_stalled: AGAIN,
  place_failed: 'See its log, then do it again: nothing was changed.',
  place_denied:
    'See that the folder, or bucket and prefix, are those of the copy, and that the user over there may list and read below them.',
  place_refused:
    'Give what it accepts: for SFTP --private-key FILE or --password-file FILE, for S3 --access-key KEY with --secret-key-file FILE, and --region.',
  host_key_changed:
    'If it was set up anew, compare the key over there and give it with --host-key. If not, somebody may be in between: send nothing there.',
};
/** These come with hints of their own, which fit here too. */
const OWN_HINTS: readonly string[] = ['place_refused'];

/** The same failure, with the mend that fits before anything is restored. */
export function asRestoreFailure(error: unknown): unknown {
  if (!(error instanceof AppError)) return error;
  const hint = HINTS[error.code];
  const usual = new Map(Object.entries(backupPlaceErrors)).get(error.code)?.hint;
  if (hint === undefined || (OWN_HINTS.includes(error.code) && error.hint !== usual)) return error;
  return new AppError(error.code, { detail: messageOf(error), hint, params: error.params, cause: error });
}

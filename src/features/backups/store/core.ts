/** What all parts of one open repository share. */

import { AppError } from '#kernel/errors.ts';
import type { RepositoryKeys } from './keys.ts';
import type { Layout } from './layout.ts';
import type { ManifestReading } from './points.ts';
import type { SharedPool } from './pool.ts';
import type { Settings } from './settings.ts';

export interface Core extends ManifestReading {
  readonly layout: Layout;
  readonly settings: Settings;
  /** Null without encryption, and when it was opened without its key. */
  readonly keys: RepositoryKeys | null;
  readonly isEncrypted: boolean;
  /** The bytes of repo.json. */
  readonly settingsBytes: Buffer;
  readonly threads: SharedPool;
}

/** @throws AppError repository_elsewhere when it does not lie on a file system of this host */
export function needHere({ layout }: Core): void {
  if (layout.isElsewhere) throw new AppError('repository_elsewhere');
}

/** @throws AppError key_needed when the repository is encrypted and was opened without its key */
export function needKey({ isEncrypted, keys }: Core): void {
  if (isEncrypted && !keys) throw new AppError('key_needed');
}

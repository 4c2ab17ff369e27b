/** Places of repositories on other machines, from their settings. */

import { randomBytes } from 'node:crypto';
import type { PlaceSecrets, PlaceSettings } from '#contract/backups.ts';
import { AppError } from '#kernel/errors.ts';
import type { Place } from '../store/index.ts';
import { proveLock, s3Place } from './s3-place.ts';
import type { S3Target } from './s3-requests.ts';
import { sftpPlace } from './sftp-place.ts';

/** @param signal ends the work there for good, and at once what is under way */
export function placeOf(settings: PlaceSettings, secrets: PlaceSecrets, signal?: AbortSignal): Place {
  if (settings.kind === 's3') return s3Place(s3TargetOf(settings, secrets), { signal });
  const { password, privateKey, passphrase } = secrets;
  return sftpPlace({ ...settings, password, privateKey, passphrase }, { signal });
}

const s3TargetOf = (settings: Extract<PlaceSettings, { kind: 's3' }>, secrets: PlaceSecrets): S3Target => ({
  ...settings,
  ca: settings.ca ?? undefined,
  secretKey: secrets.secretKey ?? '',
});

/** Writes and reads a small file, so that what does not work is told when the place is added.
 *  @throws AppError as places do; object_lock_missing, object_lock_ineffective, copy_unsound */
export async function provePlace(settings: PlaceSettings, secrets: PlaceSecrets): Promise<void> {
  const place = placeOf(settings, secrets);
  try {
    const bytes = randomBytes(32);
    const path = `tmp/probe-${randomBytes(6).toString('hex')}`;
    await place.names('');
    await place.write(path, bytes);
    const back = await place.read(path, bytes.length);
    await place.remove(path);
    if (!back.equals(bytes))
      throw new AppError('copy_unsound', { detail: `${place.title} gave back other bytes than it was given.` });
  } finally {
    await place.close();
  }
  if (settings.kind === 's3' && settings.lockDays !== null) await proveLock(s3TargetOf(settings, secrets));
}

/** repo.json: what a repository is, for its whole life. It lies there twice, because without it nothing can be read. */

import { z } from 'zod';
import { AppError, hasErrno } from '#kernel/errors.ts';
import { EnvelopeDamage, openEnvelope, peekEnvelope } from './envelope.ts';
import { UnfitFile } from './files.ts';
import { type RepositoryKeys, unwrapKeys, wrappedKeySchema } from './keys.ts';
import type { Layout } from './layout.ts';

const FORMAT = 1;
export const MAX_SETTINGS_BYTES = 2 ** 20;

export const settingsSchema = z.object({
  format: z.literal(FORMAT),
  id: z.uuid(),
  createdAt: z.iso.datetime(),
  chunkSizeBytes: z
    .int()
    .min(4096)
    .max(2 ** 26),
  compression: z.enum(['default', 'better']),
  encryption: z.object({ kdf: z.literal('hkdf-sha-256'), wrappedKeys: z.array(wrappedKeySchema).min(1) }).nullable(),
});
export type Settings = z.infer<typeof settingsSchema>;

export interface OpenSettings {
  readonly settings: Settings;
  /** Null without encryption, and when it was opened without its key. */
  readonly keys: RepositoryKeys | null;
  /** The bytes of the good copy. */
  readonly bytes: Buffer;
  /** Copies that are missing or not what was written, with the reason. */
  readonly problems: readonly { readonly path: string; readonly reason: string }[];
}

/** Reads the first copy that is whole.
 *  @throws AppError repository_not_found, repository_damaged, repository_unsupported, key_wrong */
export async function readSettings(layout: Layout, key: Uint8Array | null): Promise<OpenSettings> {
  const problems: { path: string; reason: string }[] = [];
  let good: Omit<OpenSettings, 'problems'> | null = null;
  let isThere = false;
  let wrongKey: AppError | null = null;
  for (const path of layout.settings) {
    try {
      const bytes = await layout.files.read(path, MAX_SETTINGS_BYTES);
      isThere = true;
      const found = { ...openSettings(bytes, key), bytes };
      if (good && !good.bytes.equals(bytes)) problems.push({ path, reason: 'it differs from the other copy' });
      good ??= found;
    } catch (error) {
      if (error instanceof AppError && error.code === 'key_wrong') wrongKey = error;
      else if (error instanceof EnvelopeDamage || error instanceof UnfitFile)
        problems.push({ path, reason: error.message });
      else if (hasErrno(error, 'ENOENT', 'ENOTDIR')) problems.push({ path, reason: 'it is missing' });
      else throw error;
    }
  }
  if (good) return { ...good, problems };
  if (!isThere) throw new AppError('repository_not_found');
  throw (
    wrongKey ??
    new AppError('repository_damaged', { detail: 'Both copies of the settings of the repository are damaged.' })
  );
}

/** @throws EnvelopeDamage; AppError repository_unsupported, key_wrong */
function openSettings(bytes: Buffer, key: Uint8Array | null): { settings: Settings; keys: RepositoryKeys | null } {
  const peeked = peekEnvelope(bytes);
  const read = settingsSchema.safeParse(peeked);
  if (!read.success) {
    // A digest that fits tells a newer format from damage.
    openEnvelope(bytes, isEncrypted(peeked) ? 'unknown' : null);
    throw new AppError('repository_unsupported');
  }
  const settings = read.data;
  if (!settings.encryption) {
    openEnvelope(bytes, null);
    return { settings, keys: null };
  }
  openEnvelope(bytes, 'unknown');
  if (!key) return { settings, keys: null };
  const keys = unwrapKeys(settings.encryption.wrappedKeys, key, settings.id);
  if (!keys) throw new AppError('key_wrong');
  openEnvelope(bytes, keys.mac);
  return { settings, keys };
}

const isEncrypted = (body: unknown) =>
  typeof body === 'object' && body !== null && 'encryption' in body && body.encryption !== null;

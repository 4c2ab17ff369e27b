/** Asks the network about a catalogue entry: where its image lies now, what its checksum is, and whether that is signed by the
 *  key that our data names. */

import type { Clock } from '#kernel/clock.ts';
import { AppError, defineErrors, registerErrors } from '#kernel/errors.ts';
import type { Fetcher } from '#platform/fetch/index.ts';
import { type CatalogueEntry, knownUrl } from './catalogue.ts';
import { findChecksum, parseChecksumFile } from './checksum-file.ts';
import { verifySignature } from './openpgp-signature.ts';

export const catalogueErrors = defineErrors({
  checksum_missing: {
    status: 502,
    title: 'The checksum of this image was not found',
    hint: 'The project may have published a newer version; download by URL, or check again later.',
  },
  signature_invalid: {
    status: 502,
    title: 'The signature does not fit',
    hint: 'Do not use this image. Try again later; if it stays so, the mirror may have been tampered with.',
  },
});
registerErrors(catalogueErrors);

/** What to download, and what it must turn out to be. */
export interface ResolvedImage {
  readonly url: string;
  readonly fileName: string;
  readonly digest: { readonly kind: 'sha256' | 'sha512'; readonly value: string };
  /** `signature`: the checksum is signed by the named key. `checksum`: it is only what the server says. */
  readonly level: 'signature' | 'checksum';
  /** Why the level is not higher; null at `signature`. */
  readonly levelReason: string | null;
}

const MAX_CHECKSUM_BYTES = 2 ** 20;
const MAX_KEY_BYTES = 2 ** 20;

type FetchBytes = Pick<Fetcher, 'fetchBytes'>;

interface Trusted {
  readonly text: string;
  readonly level: ResolvedImage['level'];
  readonly levelReason: string | null;
}

/** Fetches the checksum file and, where one is known, its signature. A missing signature lowers the level; a wrong one is an error. */
async function fetchChecksums(
  entry: CatalogueEntry,
  access: FetchBytes,
  signal: AbortSignal | undefined,
): Promise<Trusted> {
  const withSignal = signal === undefined ? {} : { signal };
  const data = await access.fetchBytes({ url: entry.checksum.url, maxBytes: MAX_CHECKSUM_BYTES, ...withSignal });
  const only = (levelReason: string): Trusted => ({ text: data.toString('utf8'), level: 'checksum', levelReason });
  const { signature } = entry;
  if (signature === null) return only('The project publishes no signature that is known here.');
  if (signature.scheme !== 'openpgp') return only(`It is signed with ${signature.scheme}, which is not verified here.`);
  if (signature.covers === 'image' || signature.url === null)
    return only('The signature is on the image itself, which is not verified here.');

  const { url, form } = signature;
  const parts = await fetchParts(access, form === 'detached' ? url : null, signature.keyUrl, withSignal);
  if ('reason' in parts) return only(parts.reason);
  const verdict = await verifySignature(
    { data, signature: parts.detached, keys: parts.keys, fingerprint: signature.fingerprint },
    signal,
  );
  if (verdict.verdict === 'valid')
    return { text: verdict.content.toString('utf8'), level: 'signature', levelReason: null };
  if (verdict.verdict === 'unknown') return only(`The signature was not verified: ${verdict.reason}.`);
  throw new AppError('signature_invalid', {
    detail: `The checksums of ${entry.name} are not to be trusted: ${verdict.reason}.`,
    params: { id: entry.id },
  });
}

async function fetchParts(
  access: FetchBytes,
  detachedUrl: string | null,
  keyUrl: string,
  withSignal: { signal?: AbortSignal },
) {
  try {
    const detached =
      detachedUrl === null
        ? null
        : await access.fetchBytes({ url: detachedUrl, maxBytes: MAX_CHECKSUM_BYTES, ...withSignal });
    return { detached, keys: await access.fetchBytes({ url: keyUrl, maxBytes: MAX_KEY_BYTES, ...withSignal }) };
  } catch (error) {
    withSignal.signal?.throwIfAborted();
    // Without signature or key the checksum still protects the transfer; the level says that it is no more than that.
    if (error instanceof AppError) return { reason: `The signature was not verified: ${error.message}` };
    throw error;
  }
}

/** Finds out what to download for an entry.
 *  @throws AppError `checksum_missing`, `signature_invalid`, those of the fetcher; the signal's reason */
export async function resolveCatalogueEntry(
  entry: CatalogueEntry,
  access: FetchBytes,
  signal?: AbortSignal,
): Promise<ResolvedImage> {
  const { text, level, levelReason } = await fetchChecksums(entry, access, signal);
  const line = findChecksum(parseChecksumFile(text), { ...entry.checksum, file: entry.file });
  if (line === null) {
    throw new AppError('checksum_missing', {
      detail: `The checksum file of ${entry.name} has no line for this image.`,
      params: { id: entry.id },
    });
  }
  const fileName = 'name' in entry.file ? entry.file.name : line.fileName;
  if (fileName === null)
    throw new AppError('checksum_missing', {
      detail: `The checksum file of ${entry.name} names no image.`,
      params: { id: entry.id },
    });
  return {
    url: entry.folderUrl + fileName,
    fileName,
    digest: { kind: line.kind, value: line.digest },
    level,
    levelReason,
  };
}

/** What an online check found. */
export interface CatalogueCheck {
  readonly id: string;
  readonly checkedAt: string;
  readonly status: 'ok' | 'checksum_missing' | 'signature_invalid' | 'image_missing' | 'unreachable' | 'refused';
  /** One sentence for people. */
  readonly detail: string;
  readonly url: string;
  /** Size that the server states; null when unknown. */
  readonly sizeBytes: number | null;
  readonly level: ResolvedImage['level'] | null;
}

/** Checks an entry online without downloading its image. Failures of the entry are results, not exceptions.
 *  @throws the signal's reason, and failures of this machine such as `sandbox_unavailable` */
export async function verifyCatalogueEntry(
  entry: CatalogueEntry,
  access: Pick<Fetcher, 'fetchBytes' | 'probe'>,
  clock: Clock,
  signal?: AbortSignal,
): Promise<CatalogueCheck> {
  const report = (
    status: CatalogueCheck['status'],
    detail: string,
    found: Partial<CatalogueCheck> = {},
  ): CatalogueCheck => ({
    id: entry.id,
    checkedAt: clock.now().toISOString(),
    status,
    detail,
    url: knownUrl(entry),
    sizeBytes: null,
    level: null,
    ...found,
  });
  try {
    const image = await resolveCatalogueEntry(entry, access, signal);
    const { url, level } = image;
    try {
      const { sizeBytes } = await access.probe({ url, ...(signal === undefined ? {} : { signal }) });
      return report('ok', image.levelReason ?? 'The image is there, and its checksum is signed by the known key.', {
        url,
        level,
        sizeBytes,
      });
    } catch (error) {
      if (error instanceof AppError && isAbsent(error)) return report('image_missing', error.message, { url, level });
      throw error;
    }
  } catch (error) {
    signal?.throwIfAborted();
    const status = statusOf(error);
    if (!(error instanceof AppError) || status === null) throw error;
    return report(status, error.message);
  }
}

function isAbsent(error: AppError): boolean {
  return error.params['status'] === 404 || error.params['status'] === 410;
}

function statusOf(error: unknown): CatalogueCheck['status'] | null {
  if (!(error instanceof AppError)) return null;
  switch (error.code) {
    case 'checksum_missing':
    case 'signature_invalid':
      return error.code;
    case 'address_refused':
    case 'redirect_refused':
    case 'url_refused':
      return 'refused';
    case 'download_failed':
      return isAbsent(error) ? 'checksum_missing' : 'unreachable';
    case 'download_stalled':
    case 'download_too_large':
      return 'unreachable';
    default:
      return null;
  }
}

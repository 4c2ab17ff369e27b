/** The restore points of a repository, read from their manifests: files are the truth, and there is no list beside them. */

import { join } from 'node:path';
import { AppError, hasErrno } from '#kernel/errors.ts';
import { EnvelopeDamage, openEnvelope } from './envelope.ts';
import { UnfitFile } from './files.ts';
import { type Layout, readManifestName } from './layout.ts';
import { type Manifest, manifestSchema, pageCount } from './manifest.ts';

/** Page ids of some PiB. */
export const MAX_MANIFEST_BYTES = 64 * 2 ** 20;

export interface ManifestFile {
  readonly vm: string;
  readonly path: string;
  readonly seq: number;
  readonly pointId: string;
}

export interface ReadManifest {
  readonly manifest: Manifest;
  /** SHA-256 of the first line, in hex: the next one's `prev`. */
  readonly digest: string;
}

/** What opening a manifest needs. */
export interface ManifestReading {
  readonly layout: Layout;
  readonly chunkSizeBytes: number;
  readonly macKey: Uint8Array | null | 'unknown';
}

/** All files with the name of a manifest, by VM and then by `seq`. */
export async function manifestFiles(layout: Layout, vm?: string): Promise<ManifestFile[]> {
  const found: ManifestFile[] = [];
  for (const folder of vm === undefined ? (await layout.files.names(layout.manifests)).sort() : [vm]) {
    for (const name of (await layout.files.names(join(layout.manifests, folder))).sort()) {
      const said = readManifestName(name);
      if (said) found.push({ vm: folder, path: join(layout.manifests, folder, name), ...said });
    }
  }
  return found;
}

/** @throws AppError point_damaged; point_not_found when it was pruned meanwhile */
export async function readManifest(
  { layout, chunkSizeBytes, macKey }: ManifestReading,
  file: ManifestFile,
): Promise<ReadManifest> {
  try {
    const { body, digest } = openEnvelope(await layout.files.read(file.path, MAX_MANIFEST_BYTES), macKey);
    const manifest = manifestSchema.parse(body);
    if (manifest.vm !== file.vm || manifest.seq !== file.seq || manifest.id !== file.pointId)
      throw new EnvelopeDamage('it belongs to another name');
    if (manifest.chunkSizeBytes !== chunkSizeBytes) throw new EnvelopeDamage('it was made for another size of chunks');
    for (const { sizeBytes, pages } of manifest.disks)
      if (pages.length !== pageCount(sizeBytes, chunkSizeBytes))
        throw new EnvelopeDamage('a disk has another number of pages than its size needs');
    return { manifest, digest };
  } catch (cause) {
    // A place that does not answer says nothing of the point.
    if (cause instanceof AppError) throw cause;
    if (hasErrno(cause, 'ENOENT'))
      throw new AppError('point_not_found', { detail: `There is no restore point ${file.pointId}.`, cause });
    const reason = cause instanceof EnvelopeDamage || cause instanceof UnfitFile ? cause.message : 'it cannot be read';
    throw new AppError('point_damaged', {
      detail: `The manifest of restore point ${file.pointId} is damaged: ${reason}.`,
      params: { point: file.pointId },
      cause,
    });
  }
}

/** @throws AppError point_not_found */
export async function findManifest(layout: Layout, pointId: string): Promise<ManifestFile> {
  const file = (await manifestFiles(layout)).find((each) => each.pointId === pointId);
  if (!file) throw new AppError('point_not_found', { detail: `There is no restore point ${pointId}.` });
  return file;
}

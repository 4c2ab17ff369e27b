/** Repositories for the tests of faults: points whose disks follow from numbers, so that every process knows what they have to hold. */

import { createHash } from 'node:crypto';
import type { Manifest, ManifestBody, Repository, RepositoryWriter } from '#features/backups/store/index.ts';

/** Small, so that few bytes make many objects. */
export const CHUNK_BYTES = 4096;
export const vmOf = (n: number) => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`;

/** A chunk's bytes: the same for the same two numbers. A third of them is zeros or alike. */
export function chunkOf(version: number, chunk: number, lengthBytes = CHUNK_BYTES): Buffer {
  if ((version + chunk) % 6 === 0) return Buffer.alloc(lengthBytes);
  if ((version + chunk) % 6 === 1) return Buffer.alloc(lengthBytes, version % 5);
  const bytes = Buffer.alloc(lengthBytes);
  for (let at = 0, n = 0; at < lengthBytes; at += 32, n += 1)
    createHash('sha256').update(`${version}/${chunk}/${n}`).digest().copy(bytes, at);
  return bytes;
}

/** The disk of the points that follow from a list of versions. */
export const POINT_BYTES = 40 * CHUNK_BYTES + 512;

/** Which chunks a version writes. */
export function rangeOf(version: number, isFull: boolean): { readonly first: number; readonly count: number } {
  return isFull ? { first: 0, count: 41 } : { first: (version * 7) % 36, count: 5 };
}

/** What the disk holds after a full backup of the first version and increments of the others, as `3,4,6`. */
export function diskAfter(versions: string): Buffer {
  const disk = Buffer.alloc(POINT_BYTES);
  for (const [n, version] of versions.split(',').map(Number).entries()) {
    const { first, count } = rangeOf(version, n === 0);
    for (let chunk = first; chunk < first + count; chunk += 1)
      chunkOf(version, chunk, Math.min(CHUNK_BYTES, POINT_BYTES - chunk * CHUNK_BYTES)).copy(disk, chunk * CHUNK_BYTES);
  }
  return disk;
}

export function bodyOf(vm: string, more: Partial<ManifestBody> = {}): ManifestBody {
  const now = new Date().toISOString();
  return {
    vm,
    project: 'default',
    host: 'host-1',
    op: 'op-1',
    startedAt: now,
    pointInTime: now,
    finishedAt: now,
    consistency: 'crash',
    frozenMs: null,
    checkpoint: null,
    disks: [{ target: 'vda', serial: null, format: 'raw', mode: 'full', parent: null, reason: null }],
    skipped: [],
    blobs: {},
    guest: null,
    tool: {},
    ...more,
  };
}

/** One point: chunks from `first` on, `count` of them, are those of `version`; the others are the parent's or zeros. */
export async function writeVersion(
  writer: RepositoryWriter,
  point: {
    readonly vm: string;
    readonly version: number;
    readonly sizeBytes: number;
    readonly first: number;
    readonly count: number;
    readonly parent?: string | undefined;
    readonly op?: string;
  },
): Promise<Manifest> {
  const { vm, version, sizeBytes, first, count, parent, op = 'op-1' } = point;
  const disk = await writer.disk({
    target: 'vda',
    sizeBytes,
    ...(parent === undefined ? {} : { parent: { pointId: parent, target: 'vda' } }),
  });
  for (let chunk = first; chunk < first + count; chunk += 1)
    await disk.write(chunk, chunkOf(version, chunk, Math.min(CHUNK_BYTES, sizeBytes - chunk * CHUNK_BYTES)));
  await disk.finish();
  const xml = await writer.blob(Buffer.from(`<domain><name>${version}</name></domain>`));
  return await writer.publish(bodyOf(vm, { op, blobs: { domainXml: xml } }));
}

export async function readDisk(repository: Repository, pointId: string): Promise<Buffer> {
  const image = await repository.openDisk(pointId, 'vda');
  try {
    return await image.read(0, image.sizeBytes);
  } finally {
    await image.close();
  }
}

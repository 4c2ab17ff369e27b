/** Reads the header of a qcow2 image (versions 2 and 3, QEMU's docs/interop/qcow2.rst) and refuses what would make QEMU
 *  open other files, or what nobody should import unseen. */

import type { ImageFile } from './image-file.ts';
import { refused } from './refusal.ts';

export interface Qcow2Header {
  readonly version: 2 | 3;
  readonly virtualSizeBytes: number;
  readonly clusterBytes: number;
  readonly compression: 'zlib' | 'zstd';
}

const V2_HEADER_BYTES = 72;
const V3_HEADER_BYTES = 104;
const MAX_HEADER_BYTES = 1024;
const MAX_EXTENSIONS = 64;
const MAX_L1_BYTES = 32 * 2 ** 20;

const INCOMPATIBLE = { dirty: 1n, corrupt: 2n, externalDataFile: 4n, compressionType: 8n, extendedL2: 16n } as const;
const KNOWN_INCOMPATIBLE = 31n;

const EXTENSION = { end: 0, encryption: 0x0537be77, externalDataFile: 0x44415441 } as const;

/** @throws AppError `image_refused` */
export async function readQcow2Header(file: ImageFile): Promise<Qcow2Header> {
  const head = await file.read(0, 2 ** 16);
  if (head.length < V2_HEADER_BYTES) throw refused('truncated');
  const version = head.readUInt32BE(4);
  if (version !== 2 && version !== 3) {
    throw refused('unsupported_format', {
      detail: `It is a QCOW image of version ${version}; only versions 2 and 3 are taken.`,
    });
  }
  if (version === 3 && head.length < V3_HEADER_BYTES) throw refused('truncated');

  const backingOffset = head.readBigUInt64BE(8);
  const backingLength = head.readUInt32BE(16);
  if (backingOffset !== 0n || backingLength !== 0) await refuseBackingFile(file, backingOffset, backingLength);

  const clusterBits = head.readUInt32BE(20);
  if (clusterBits < 9 || clusterBits > 21) throw refused('corrupt');
  const clusterBytes = 2 ** clusterBits;
  if (head.readUInt32BE(32) !== 0) throw refused('encrypted');
  if (head.readUInt32BE(60) !== 0) throw refused('snapshots_inside');

  const fileBytes = file.identity.sizeBytes;
  requireTable(head.readBigUInt64BE(40), head.readUInt32BE(36) * 8, MAX_L1_BYTES, clusterBytes, fileBytes);
  requireTable(
    head.readBigUInt64BE(48),
    head.readUInt32BE(56) * clusterBytes,
    8 * 2 ** 20 + clusterBytes,
    clusterBytes,
    fileBytes,
  );

  const extensionsAt = version === 2 ? V2_HEADER_BYTES : readVersion3(head, clusterBytes);
  refuseExtensions(head.subarray(0, Math.min(head.length, clusterBytes)), extensionsAt);
  const isZstd = version === 3 && (head.readBigUInt64BE(72) & INCOMPATIBLE.compressionType) !== 0n;
  return {
    version,
    virtualSizeBytes: Number(head.readBigUInt64BE(24)),
    clusterBytes,
    compression: isZstd ? 'zstd' : 'zlib',
  };
}

async function refuseBackingFile(file: ImageFile, offset: bigint, length: number): Promise<never> {
  // The name itself is only looked at, never repeated: it is text of the uploader.
  const name = await file.read(Number(offset), Math.min(length, 1024));
  throw refused(/^\s*json:/i.test(name.toString('latin1')) ? 'json_reference' : 'backing_file');
}

function requireTable(offset: bigint, bytes: number, maxBytes: number, clusterBytes: number, fileBytes: number): void {
  if (bytes > maxBytes || offset % BigInt(clusterBytes) !== 0n) throw refused('corrupt');
  if (offset + BigInt(bytes) > BigInt(fileBytes) && bytes > 0) throw refused('truncated');
}

/** Checks the fields that version 3 added; returns where the extensions begin. */
function readVersion3(head: Buffer, clusterBytes: number): number {
  const incompatible = head.readBigUInt64BE(72);
  if ((incompatible & INCOMPATIBLE.externalDataFile) !== 0n) throw refused('external_data_file');
  if ((incompatible & ~KNOWN_INCOMPATIBLE) !== 0n) throw refused('unsupported_feature');
  if ((incompatible & INCOMPATIBLE.corrupt) !== 0n) throw refused('corrupt', { detail: 'It is marked as damaged.' });
  if ((incompatible & INCOMPATIBLE.dirty) !== 0n) {
    throw refused('corrupt', {
      detail: 'It was not closed properly when it was last written.',
      mend: 'Repair it where it was made: `qemu-img check -r all image.qcow2`.',
    });
  }
  if (head.readUInt32BE(96) > 6) throw refused('corrupt');
  const headerBytes = head.readUInt32BE(100);
  if (headerBytes < V3_HEADER_BYTES || headerBytes > Math.min(MAX_HEADER_BYTES, clusterBytes)) throw refused('corrupt');
  const hasCompressionType = (incompatible & INCOMPATIBLE.compressionType) !== 0n;
  const compressionType = headerBytes > V3_HEADER_BYTES ? head[V3_HEADER_BYTES] : 0;
  if (hasCompressionType !== (compressionType !== 0)) throw refused('corrupt');
  if (hasCompressionType && compressionType !== 1) throw refused('unsupported_feature');
  return headerBytes;
}

function refuseExtensions(cluster: Buffer, begin: number): void {
  let at = begin;
  for (let count = 0; at + 8 <= cluster.length; count += 1) {
    const type = cluster.readUInt32BE(at);
    const length = cluster.readUInt32BE(at + 4);
    if (type === EXTENSION.end) return;
    if (type === EXTENSION.externalDataFile) throw refused('external_data_file');
    if (type === EXTENSION.encryption) throw refused('encrypted');
    if (count >= MAX_EXTENSIONS || length > cluster.length - at - 8) throw refused('corrupt');
    at += 8 + Math.ceil(length / 8) * 8;
  }
}

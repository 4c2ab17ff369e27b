/** Reads the volume descriptors of an ISO 9660 image: its label, whether its end is there, and what firmware can boot it. */

import type { ImageFile } from './image-file.ts';
import { refused } from './refusal.ts';

export interface IsoFacts {
  /** The volume label, for display only: it never becomes part of a path. Null when there is none. */
  readonly label: string | null;
  readonly bootable: { readonly bios: boolean; readonly uefi: boolean };
}

const SECTOR = 2048;
const FIRST_DESCRIPTOR = 16;
const MAX_DESCRIPTORS = 32;
/** Tools pad images by up to 150 sectors, which some mirrors and writers cut off. */
const PADDING_BYTES = 150 * SECTOR;
const EL_TORITO = 'EL TORITO SPECIFICATION';

export function isIso9660(head: Buffer): boolean {
  const at = FIRST_DESCRIPTOR * SECTOR;
  return head.length >= at + 7 && head.toString('latin1', at + 1, at + 6) === 'CD001';
}

/** @throws AppError `image_refused` (truncated, corrupt, bad_label) */
export async function readIso9660(file: ImageFile): Promise<IsoFacts> {
  let label: string | null = null;
  let hasPrimary = false;
  let bootable = { bios: false, uefi: false };
  for (let index = 0; index < MAX_DESCRIPTORS; index += 1) {
    const descriptor = await file.read((FIRST_DESCRIPTOR + index) * SECTOR, SECTOR);
    if (descriptor.length < SECTOR) throw refused('truncated');
    if (descriptor.toString('latin1', 1, 6) !== 'CD001') throw refused('corrupt');
    const type = descriptor[0];
    if (type === 255) break;
    if (type === 1 && !hasPrimary) {
      hasPrimary = true;
      requireWhole(descriptor, file.identity.sizeBytes);
      label = readLabel(descriptor.subarray(40, 72));
    }
    if (type === 0 && descriptor.toString('latin1', 7, 7 + EL_TORITO.length) === EL_TORITO) {
      bootable = await readBootCatalog(file, descriptor.readUInt32LE(0x47));
    }
  }
  if (!hasPrimary) throw refused('corrupt');
  return { label, bootable };
}

function requireWhole(primary: Buffer, fileBytes: number): void {
  const blockBytes = primary.readUInt16LE(128);
  if (blockBytes !== 512 && blockBytes !== 1024 && blockBytes !== 2048) throw refused('corrupt');
  const volumeBytes = primary.readUInt32LE(80) * blockBytes;
  if (fileBytes + PADDING_BYTES < volumeBytes) {
    throw refused('truncated', { params: { expectedBytes: volumeBytes, sizeBytes: fileBytes } });
  }
}

function readLabel(bytes: Buffer): string | null {
  const utf8 = bytes.toString('utf8');
  const text = (utf8.includes('\ufffd') ? bytes.toString('latin1') : utf8).replace(/[\0 ]+$/, '');
  if (/\p{Cc}/u.test(text)) throw refused('bad_label');
  // Invisible format characters could make one label look like another.
  return text.replace(/[\p{Cf}\u2028\u2029]/gu, '') || null;
}

/** The catalogue is a list of 32-byte entries; platform 0 is BIOS, 0xEF is UEFI, and 0x88 marks an entry that boots. */
async function readBootCatalog(file: ImageFile, sector: number): Promise<IsoFacts['bootable']> {
  const catalog = await file.read(sector * SECTOR, SECTOR);
  const found = { bios: false, uefi: false };
  if (catalog.length < 64 || catalog[0] !== 1 || catalog[30] !== 0x55 || catalog[31] !== 0xaa) return found;
  let platform = catalog[1];
  for (let at = 32; at + 32 <= catalog.length; at += 32) {
    const kind = catalog[at];
    if (kind === 0x90 || kind === 0x91) platform = catalog[at + 1];
    else if (kind === 0x88) {
      if (platform === 0) found.bios = true;
      if (platform === 0xef) found.uefi = true;
    } else if (kind === 0 && at > 32) break;
  }
  return found;
}

/** Reads the headers of disk formats of other hypervisors, as far as needed to know that an image stands alone. They are not
 *  run as they are: they are converted to qcow2 in the sandbox. */

import type { ImageFile } from './image-file.ts';
import { refused } from './refusal.ts';

const SECTOR = 512;
/** A sparse VMDK whose grain directory lies at the end says so with this value. */
const DIRECTORY_AT_END = 0xffff_ffff_ffff_ffffn;
const VMDK_SCAN_BYTES = 2 ** 16;
const EXTENT_LINE = /^[ \t]*(?:RW|RDONLY|NOACCESS)[ \t]+\d+[ \t]+([A-Z0-9]+)/gim;

/** A sparse VMDK may hold a descriptor that names other files: QEMU follows it when the capacity is 0, and follows a parent
 *  whatever the rest says.
 *  @returns the virtual size in bytes
 *  @throws AppError `image_refused` */
export async function readVmdk(file: ImageFile): Promise<number> {
  const head = await file.read(0, VMDK_SCAN_BYTES);
  const text = head.toString('latin1');
  // Without the binary header it is a bare descriptor, which always speaks of other files.
  if (!text.startsWith('KDMV')) throw refused('flat_extent');
  if (head.length < SECTOR) throw refused('truncated');
  const capacity = head.readBigUInt64LE(12);
  if (capacity === 0n) throw refused('flat_extent');
  if (head.readBigUInt64LE(56) === DIRECTORY_AT_END) {
    const footer = await file.read(Math.max(0, file.identity.sizeBytes - 2 * SECTOR), SECTOR);
    if (footer.length < SECTOR || footer.toString('latin1', 0, 4) !== 'KDMV') throw refused('truncated');
    if (footer.readBigUInt64LE(12) !== capacity) throw refused('corrupt');
  }
  const descriptorAt = head.readBigUInt64LE(28) * BigInt(SECTOR);
  const elsewhere =
    descriptorAt > BigInt(VMDK_SCAN_BYTES / 2)
      ? await file.read(Number(descriptorAt), VMDK_SCAN_BYTES)
      : Buffer.alloc(0);
  refuseVmdkReferences(text + elsewhere.toString('latin1'));
  return Number(capacity) * SECTOR;
}

function refuseVmdkReferences(text: string): void {
  if (/parentFileNameHint/i.test(text)) throw refused('backing_file');
  for (const match of text.matchAll(/parentCID[ \t]*=[ \t]*([0-9a-fA-F]+)/gi)) {
    if ((match[1] ?? '').toLowerCase() !== 'ffffffff') throw refused('backing_file');
  }
  const extents = [...text.matchAll(EXTENT_LINE)].map((match) => match[1]?.toUpperCase());
  if (extents.length > 1 || extents.some((type) => type !== 'SPARSE')) throw refused('flat_extent');
}

/** VirtualPC images end in a footer; growing ones begin with a copy of it. Differencing ones need a parent.
 *  @returns the virtual size in bytes as the footer states it */
export async function readVhd(file: ImageFile): Promise<number> {
  const footer = await file.read(Math.max(0, file.identity.sizeBytes - SECTOR), SECTOR);
  const head = await file.read(0, SECTOR);
  const copies = [footer, head].filter(
    (part) => part.length === SECTOR && part.toString('latin1', 0, 8) === 'conectix',
  );
  const first = copies[0];
  if (first === undefined) throw refused('truncated');
  for (const copy of copies) {
    const type = copy.readUInt32BE(60);
    if (type === 4) throw refused('backing_file');
    if (type !== 2 && type !== 3) throw refused('corrupt');
  }
  return Number(first.readBigUInt64BE(48));
}

/** VirtualBox images: 1 grows, 2 is fixed; undo and differencing images (3, 4) need a parent.
 *  @returns the virtual size in bytes */
export async function readVdi(file: ImageFile): Promise<number> {
  const head = await file.read(0, SECTOR);
  if (head.length < SECTOR) throw refused('truncated');
  const type = head.readUInt32LE(0x4c);
  if (type === 3 || type === 4) throw refused('backing_file');
  if (type !== 1 && type !== 2) throw refused('corrupt');
  return Number(head.readBigUInt64LE(0x170));
}

/** Tells the format of an image by its own bytes. The order is the point: whatever QEMU could take for a container is never
 *  called raw or ISO. */

import type { ImageFile } from './image-file.ts';
import { isIso9660 } from './iso9660.ts';
import { refused } from './refusal.ts';

export type ImageFormat = 'raw' | 'qcow2' | 'iso' | 'vmdk' | 'vhd' | 'vhdx' | 'vdi';

/** What a raw disk begins with. */
export type RawContents = 'gpt' | 'mbr' | 'filesystem' | 'unknown';

interface Magic {
  readonly at: number;
  readonly bytes: Buffer;
}

const magic = (text: string, at = 0): Magic => ({ at, bytes: Buffer.from(text, 'latin1') });

const CONTAINERS: readonly (Magic & { readonly format: ImageFormat })[] = [
  { ...magic('QFI\xfb'), format: 'qcow2' },
  { ...magic('KDMV'), format: 'vmdk' },
  { ...magic('# Disk DescriptorFile'), format: 'vmdk' },
  { ...magic('conectix'), format: 'vhd' },
  { ...magic('vhdxfile'), format: 'vhdx' },
  { ...magic('\x7f\x10\xda\xbe', 0x40), format: 'vdi' },
];

const REFUSED: readonly (Magic & { readonly what: string; readonly mend?: string })[] = [
  { ...magic('COWD'), what: 'an old ESX disk' },
  { ...magic('QED\0'), what: 'a QED disk' },
  { ...magic('WithoutFreeSpace'), what: 'a Parallels disk' },
  { ...magic('WithouFreSpacExt'), what: 'a Parallels disk' },
  { ...magic('Bochs Virtual HD Image'), what: 'a Bochs disk' },
  { ...magic('#!/bin/sh\n#V2.0 Format'), what: 'a cloop disk' },
  { ...magic('\x1f\x8b'), what: 'compressed (gzip)', mend: 'Unpack it first: `gunzip FILE`.' },
  { ...magic('\xfd7zXZ\0'), what: 'compressed (xz)', mend: 'Unpack it first: `unxz FILE`.' },
  { ...magic('\x28\xb5\x2f\xfd'), what: 'compressed (zstd)', mend: 'Unpack it first: `unzstd FILE`.' },
  { ...magic('BZh'), what: 'compressed (bzip2)', mend: 'Unpack it first: `bunzip2 FILE`.' },
  { ...magic('PK\x03\x04'), what: 'a zip archive', mend: 'Unpack it first and give the disk in it.' },
  { ...magic('7z\xbc\xaf\x27\x1c'), what: 'a 7z archive', mend: 'Unpack it first and give the disk in it.' },
  {
    ...magic('ustar', 257),
    what: 'a tar archive (an OVA is one)',
    mend: 'Unpack it with `tar xf` and give the disk in it.',
  },
  { ...magic('-----BEGIN '), what: 'a key, certificate or signature', mend: 'Give the image itself.' },
];

const FILESYSTEMS: readonly Magic[] = [
  magic('\x53\xef', 1080), // ext2, 3, 4
  magic('XFSB'),
  magic('_BHRfS_M', 65_600), // btrfs
  magic('LABELONE', 512), // LVM
  magic('NTFS    ', 3),
  magic('hsqs'),
];

const holds = (head: Buffer, { at, bytes }: Magic) => head.subarray(at, at + bytes.length).equals(bytes);

/** @param claimedRaw the giver says that it is a raw disk: then content without a known beginning is taken too
 *  @throws AppError `image_refused` (unsupported_format, encrypted, empty) */
export async function detectFormat(
  file: ImageFile,
  claimedRaw: boolean,
): Promise<{ format: ImageFormat; rawContents: RawContents | null }> {
  if (file.identity.sizeBytes === 0) throw refused('empty');
  const head = await file.read(0, 66 * 1024);
  const container = CONTAINERS.find((candidate) => holds(head, candidate));
  if (container) return { format: container.format, rawContents: null };
  if (/^\s*#.*disk descriptorfile/i.test(head.toString('latin1', 0, 512))) return { format: 'vmdk', rawContents: null };
  if (holds(head, magic('LUKS\xba\xbe'))) throw refused('encrypted');
  if (isIso9660(head)) return { format: 'iso', rawContents: null };
  const tail = await file.read(Math.max(0, file.identity.sizeBytes - 512), 512);
  if (holds(tail, magic('conectix'))) return { format: 'vhd', rawContents: null };
  if (holds(tail, magic('koly'))) throw refused('unsupported_format', { detail: 'It is an Apple disk image.' });

  const rawContents = contentsOf(head);
  if (rawContents !== 'unknown') return { format: 'raw', rawContents };
  const known = REFUSED.find((candidate) => holds(head, candidate));
  if (known) {
    throw refused('unsupported_format', {
      detail: `It is ${known.what}.`,
      ...(known.mend ? { mend: known.mend } : {}),
    });
  }
  if (/^\s*<(!doctype|html|\?xml)/i.test(head.toString('latin1', 0, 256))) {
    throw refused('unsupported_format', {
      detail: 'It is a web page, not an image.',
      mend: 'Use the address of the file itself; the server may have sent an error page instead.',
    });
  }
  if (!claimedRaw)
    throw refused('unsupported_format', { detail: 'Its content is not recognised as a disk or an ISO.' });
  return { format: 'raw', rawContents };
}

function contentsOf(head: Buffer): RawContents {
  if (holds(head, magic('EFI PART', 512)) || holds(head, magic('EFI PART', 4096))) return 'gpt';
  if (holds(head, magic('\x55\xaa', 510))) return 'mbr';
  return FILESYSTEMS.some((candidate) => holds(head, candidate)) ? 'filesystem' : 'unknown';
}

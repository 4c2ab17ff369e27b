/** Finds out what a file is good for: ISO, disk, kernel or initial ramdisk; and refuses what is none of these or not what was said. */

import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import type { Image, ImageKind } from '#contract/images.ts';
import { AppError } from '#kernel/errors.ts';
import { inspectImage } from './inspect.ts';

/** What is known of a file's content. */
export interface Content {
  readonly kind: ImageKind;
  /** Null: a foreign container that is converted to qcow2 before anything else opens it. */
  readonly format: Image['format'] | null;
  readonly virtualSizeBytes: number;
  readonly sizeBytes: number;
  readonly label: string | null;
}

interface BootFile {
  readonly at: number;
  readonly bytes: Buffer;
}

/** Linux boot protocol (x86): `HdrS` in the setup header; arm64: the magic of Documentation/arch/arm64/booting. */
const KERNELS: readonly BootFile[] = [
  { at: 0x202, bytes: Buffer.from('HdrS') },
  { at: 56, bytes: Buffer.from('ARM\x64') },
];

/** cpio archives as the kernel unpacks them, plain or compressed. */
const RAMDISKS: readonly BootFile[] = [
  { at: 0, bytes: Buffer.from('070701') },
  { at: 0, bytes: Buffer.from('070702') },
  { at: 0, bytes: Buffer.from([0x1f, 0x8b]) },
  { at: 0, bytes: Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0]) },
  { at: 0, bytes: Buffer.from([0x28, 0xb5, 0x2f, 0xfd]) },
  { at: 0, bytes: Buffer.from([0x02, 0x21, 0x4c, 0x18]) },
  { at: 0, bytes: Buffer.from('BZh') },
];
/** Without being told, only a plain cpio archive is taken for a ramdisk: compressed files may be anything. */
const SURE_RAMDISKS = RAMDISKS.slice(0, 2);

const KIND_NAMES: Readonly<Record<ImageKind, string>> = {
  iso: 'an ISO',
  disk: 'a disk image',
  kernel: 'a Linux kernel',
  initrd: 'an initial ramdisk',
};

async function readHead(path: string): Promise<{ readonly head: Buffer; readonly sizeBytes: number }> {
  const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(1024), 0, 1024, 0);
    return { head: buffer.subarray(0, bytesRead), sizeBytes: (await handle.stat()).size };
  } finally {
    await handle.close();
  }
}

const isOneOf = (head: Buffer, files: readonly BootFile[]): boolean =>
  files.some(({ at, bytes }) => head.subarray(at, at + bytes.length).equals(bytes));

/** @param claimed what the giver says it is; null = find out
 *  @throws AppError `image_refused`, `image_kind_mismatch`, those of the sandbox; the signal's reason */
export async function readContent(path: string, claimed: ImageKind | null, signal: AbortSignal): Promise<Content> {
  const { head, sizeBytes } = await readHead(path);
  const bootFile = (kind: 'kernel' | 'initrd'): Content => ({
    kind,
    format: 'raw',
    virtualSizeBytes: sizeBytes,
    sizeBytes,
    label: null,
  });
  if (claimed === 'kernel' || claimed === 'initrd') {
    if (!isOneOf(head, claimed === 'kernel' ? KERNELS : RAMDISKS)) throw mismatch(claimed, 'something else');
    return bootFile(claimed);
  }
  if (claimed === null && isOneOf(head, KERNELS)) return bootFile('kernel');
  if (claimed === null && isOneOf(head, SURE_RAMDISKS)) return bootFile('initrd');

  const found = await inspectDisk(path, claimed, signal);
  const kind = found.format === 'iso' ? 'iso' : 'disk';
  if (claimed !== null && claimed !== kind) throw mismatch(claimed, KIND_NAMES[kind]);
  const { format } = found;
  return {
    kind,
    format: format === 'iso' || format === 'qcow2' || format === 'raw' ? format : null,
    virtualSizeBytes: found.virtualSizeBytes,
    sizeBytes: found.fileSizeBytes,
    label: found.isoLabel,
  };
}

/** A raw disk without a known beginning is taken only from someone who says that it is a disk. */
async function inspectDisk(path: string, claimed: 'iso' | 'disk' | null, signal: AbortSignal) {
  try {
    return await inspectImage(path, { signal });
  } catch (error) {
    const isUnknown =
      error instanceof AppError && error.code === 'image_refused' && error.params['reason'] === 'unsupported_format';
    if (claimed !== 'disk' || !isUnknown) throw error;
    return await inspectImage(path, { claimedFormat: 'raw', signal });
  }
}

function mismatch(claimed: ImageKind, found: string): AppError {
  return new AppError('image_kind_mismatch', {
    detail: `It was said to be ${KIND_NAMES[claimed]}, but it is ${found}.`,
    fields: [
      {
        path: 'kind',
        problem: `the content is not ${KIND_NAMES[claimed]}`,
        mend: 'Leave it out, or give the right file.',
      },
    ],
  });
}

/** Looks into an image before anything else touches it: our own bounded reading first, then QEMU's in the sandbox. What refers
 *  to other files, lies about its format or is damaged is refused with the reason. */

import { constants } from 'node:fs';
import { open, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { formatBytes, MIB, TIB } from '#kernel/units.ts';
import { detectFormat, type ImageFormat, type RawContents } from './inspection/detect.ts';
import { readVdi, readVhd, readVmdk } from './inspection/foreign-disks.ts';
import { type FileIdentity, type ImageFile, withImageFile } from './inspection/image-file.ts';
import { readIso9660 } from './inspection/iso9660.ts';
import { readQcow2Header } from './inspection/qcow2.ts';
import { askCheck, askInfo, runConvert } from './inspection/qemu-img.ts';
import { refused } from './inspection/refusal.ts';

export type { ImageFormat } from './inspection/detect.ts';
export type { FileIdentity } from './inspection/image-file.ts';

const MAX_VIRTUAL_BYTES = 64 * TIB;

export interface InspectOptions {
  /** What the giver says it is; a different finding is refused. Without it the content decides, and a disk without any known
   *  beginning is refused. */
  readonly claimedFormat?: ImageFormat;
  /** Limit on the size of the disk inside, at most (and by default) 64 TiB. */
  readonly maxVirtualBytes?: number;
  /** A folder on the image's file system that only this process can write; by default the image's own folder. */
  readonly scratchDir?: string;
  readonly signal?: AbortSignal;
}

export interface ImageInspection {
  readonly format: ImageFormat;
  /** True for vmdk, vhd, vhdx, vdi: `convertImage` first, nothing else may open it. */
  readonly needsConversion: boolean;
  /** Size of the disk (or disc) that a guest sees. Quotas count this. */
  readonly virtualSizeBytes: number;
  readonly fileSizeBytes: number;
  /** ISO only. A label for people, never part of a path. */
  readonly isoLabel: string | null;
  /** ISO only: which firmware finds a boot entry. */
  readonly bootable: { readonly bios: boolean; readonly uefi: boolean } | null;
  /** Raw only. */
  readonly rawContents: RawContents | null;
  /** Qcow2 only. */
  readonly qcow2: {
    readonly version: 2 | 3;
    readonly compression: 'zlib' | 'zstd';
    readonly leakedClusters: number;
  } | null;
  /** Which file was looked at; compare it by fd when opening the path again. */
  readonly identity: FileIdentity;
}

/** @throws AppError `image_refused` with `params.reason`; `sandbox_unavailable`, `program_missing`; ENOENT and the like as they are */
export async function inspectImage(path: string, options: InspectOptions = {}): Promise<ImageInspection> {
  return await withImageFile(path, options.scratchDir ?? dirname(path), (file) => inspectOpened(file, options));
}

async function inspectOpened(file: ImageFile, options: InspectOptions): Promise<ImageInspection> {
  const { claimedFormat, signal } = options;
  const { format, rawContents } = await detectFormat(file, claimedFormat === 'raw');
  if (claimedFormat !== undefined && claimedFormat !== format) {
    throw refused('format_mismatch', {
      detail: `It is ${format}, not ${claimedFormat}.`,
      mend: `State ${format} as its format, or give the right file.`,
      params: { found: format, claimed: claimedFormat },
    });
  }
  const fileSizeBytes = file.identity.sizeBytes;
  const own = await readOwn(file, format);
  if (own.virtualSizeBytes !== null) requireSize(own.virtualSizeBytes, options);

  const pinned = await file.pin();
  const virtualSizeBytes = await askInfo(pinned, format, signal);
  requireSize(virtualSizeBytes, options);
  // VirtualPC states its size twice, as bytes and as geometry, and QEMU chooses by the maker's name.
  if (
    own.virtualSizeBytes !== null &&
    format !== 'vhd' &&
    format !== 'iso' &&
    own.virtualSizeBytes !== virtualSizeBytes
  )
    throw refused('corrupt');
  const check = format === 'qcow2' ? await askCheck(pinned, format, signal) : null;
  return {
    format,
    needsConversion: format !== 'raw' && format !== 'qcow2' && format !== 'iso',
    virtualSizeBytes,
    fileSizeBytes,
    isoLabel: own.iso?.label ?? null,
    bootable: own.iso?.bootable ?? null,
    rawContents,
    qcow2: own.qcow2 && check ? { version: own.qcow2.version, compression: own.qcow2.compression, ...check } : null,
    identity: file.identity,
  };
}

/** Our own reading of the headers; the virtual size is null where only QEMU tells it. */
async function readOwn(file: ImageFile, format: ImageFormat) {
  const none = { virtualSizeBytes: null, iso: null, qcow2: null };
  switch (format) {
    case 'qcow2': {
      const qcow2 = await readQcow2Header(file);
      return { ...none, virtualSizeBytes: qcow2.virtualSizeBytes, qcow2 };
    }
    case 'iso':
      return { ...none, virtualSizeBytes: file.identity.sizeBytes, iso: await readIso9660(file) };
    case 'raw':
      if (file.identity.sizeBytes % 512 !== 0)
        throw refused('truncated', { detail: 'It is a raw disk whose last sector is not whole.' });
      return { ...none, virtualSizeBytes: file.identity.sizeBytes };
    case 'vmdk':
      return { ...none, virtualSizeBytes: await readVmdk(file) };
    case 'vhd':
      return { ...none, virtualSizeBytes: await readVhd(file) };
    case 'vdi':
      return { ...none, virtualSizeBytes: await readVdi(file) };
    case 'vhdx':
      return none;
  }
}

function requireSize(virtualSizeBytes: number, { maxVirtualBytes = MAX_VIRTUAL_BYTES }: InspectOptions): void {
  const limitBytes = Math.min(maxVirtualBytes, MAX_VIRTUAL_BYTES);
  if (virtualSizeBytes === 0) throw refused('empty', { detail: 'The disk inside has no size.' });
  if (virtualSizeBytes > limitBytes) {
    throw refused('too_large_virtual', {
      detail: `The disk inside has ${formatBytes(virtualSizeBytes)}; at most ${formatBytes(limitBytes)} are allowed.`,
      params: { virtualSizeBytes, limitBytes },
    });
  }
}

export interface ConvertOptions extends InspectOptions {
  /** Default 2 h. */
  readonly timeoutMs?: number;
}

/** Inspects the image at `path`, rewrites it as a stand-alone qcow2 at `outPath` (which must not exist yet), and inspects that.
 *  On failure nothing remains at `outPath`.
 *  @returns the inspection of the new image
 *  @throws AppError as `inspectImage`; `no_space`; `timeout`; EEXIST as it is */
export async function convertImage(
  path: string,
  outPath: string,
  options: ConvertOptions = {},
): Promise<ImageInspection> {
  const { timeoutMs = 2 * 3_600_000, signal } = options;
  const out = await open(
    outPath,
    constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW,
    0o600,
  );
  await out.close();
  try {
    await withImageFile(path, options.scratchDir ?? dirname(path), async (file) => {
      const { format, virtualSizeBytes } = await inspectOpened(file, options);
      if (format === 'iso') throw refused('unsupported_format', { detail: 'An ISO is used as it is.' });
      // Metadata of a full qcow2 stays below 1 % of its content.
      const outBytes = Math.ceil(virtualSizeBytes * 1.01) + 64 * MIB;
      await runConvert(await file.pin(), format, outPath, {
        outBytes,
        timeoutMs,
        ...(signal === undefined ? {} : { signal }),
      });
    });
    return await inspectImage(outPath, {
      claimedFormat: 'qcow2',
      ...(options.maxVirtualBytes === undefined ? {} : { maxVirtualBytes: options.maxVirtualBytes }),
      ...(signal === undefined ? {} : { signal }),
    });
  } catch (error) {
    await rm(outPath, { force: true });
    throw error;
  }
}

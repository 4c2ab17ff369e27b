/** Which files a qcow2 disk builds upon: an overlay is worthless once the file below it is gone.
 *  Only for disks that are said to be qcow2; a raw disk is the guest's to write and is never probed. */

import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { dirname, isAbsolute, resolve } from 'node:path';
import { z } from 'zod';
import { hasErrno } from '#kernel/errors.ts';
import { MIB } from '#kernel/units.ts';

/** "QFI" and 0xfb, then version, offset (64 bit) and length (32 bit) of the backing file's name: QEMU, docs/interop/qcow2. */
const MAGIC = 0x51_46_49_fb;
const HEADER_BYTES = 20;
/** The name lies in the first cluster, which has 2 MiB at most: same source. */
const MAX_NAME_OFFSET = BigInt(2 * MIB);
const MAX_NAME_BYTES = 1023;
/** Longer chains are no longer followed; libvirt itself gives up at 200. */
const MAX_DEPTH = 64;

/** All files below a qcow2 disk, nearest first.
 *  @param namedFrom where the disk lies for those who use it; relative names count from there
 *  @throws system errors other than that a file is gone or may not be read */
export async function backingChain(path: string, namedFrom = path): Promise<string[]> {
  const chain: string[] = [];
  for (
    let next = await backingFileOf(path, namedFrom);
    next !== null && chain.length < MAX_DEPTH;
    next = await backingFileOf(next, next)
  ) {
    if (chain.includes(next)) break;
    chain.push(next);
  }
  return chain;
}

/** The file that a qcow2 disk names as its backing file, or null. */
async function backingFileOf(path: string, namedFrom: string): Promise<string | null> {
  try {
    const name = await backingName(path);
    return name === null ? null : fileOf(name, dirname(namedFrom));
  } catch (error) {
    if (hasErrno(error, 'EACCES')) return null;
    throw error;
  }
}

/** What a qcow2 disk builds upon in its own words, which may be no file; null = nothing, or it cannot be told.
 *  @throws system errors other than that the disk is gone */
export async function backingName(path: string): Promise<string | null> {
  let file: Awaited<ReturnType<typeof open>>;
  try {
    // A pipe in the place of a disk must not make us wait for its other end.
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    // A disk that is gone or on a host of its own builds upon nothing here.
    if (hasErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP', 'ENXIO')) return null;
    throw error;
  }
  try {
    const stats = await file.stat();
    if (!stats.isFile() && !stats.isBlockDevice()) return null;
    const header = Buffer.alloc(HEADER_BYTES);
    const { bytesRead } = await file.read(header, 0, HEADER_BYTES, 0);
    if (bytesRead < HEADER_BYTES || header.readUInt32BE(0) !== MAGIC) return null;
    const offset = header.readBigUInt64BE(8);
    const length = header.readUInt32BE(16);
    if (offset === 0n || offset > MAX_NAME_OFFSET || length === 0 || length > MAX_NAME_BYTES) return null;
    const name = Buffer.alloc(length);
    const read = await file.read(name, 0, length, Number(offset));
    return name.subarray(0, read.bytesRead).toString('utf8');
  } finally {
    await file.close();
  }
}

/** The path of a backing file's name: plain, `file:` or `json:`; null for what is no file, as `nbd://host/x`. */
function fileOf(name: string, folder: string): string | null {
  if (name.startsWith('json:')) {
    const path = pathInJson(name.slice('json:'.length));
    return path !== null && isAbsolute(path) ? resolve(path) : null;
  }
  const plain = name.replace(/^file:/, '');
  return /^[a-z0-9+.-]+:/i.test(plain) ? null : resolve(folder, plain);
}

const jsonName: z.ZodType<{ path?: string }> = z.union([
  z.object({ filename: z.string() }).transform(({ filename }) => ({ path: filename })),
  z.object({ 'file.filename': z.string() }).transform((options) => ({ path: options['file.filename'] })),
  z.object({ file: z.object({ filename: z.string() }) }).transform(({ file }) => ({ path: file.filename })),
]);

function pathInJson(text: string): string | null {
  try {
    return jsonName.safeParse(JSON.parse(text)).data?.path ?? null;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

/** Zip with Zip64 where it is needed, written in one go: lengths and checksums follow each file. Source: APPNOTE 6.3.10. Names are UTF-8;
 *  what a name of Windows may not hold becomes `_`, and links are entries as Info-ZIP writes them. */

import { Readable } from 'node:stream';
import { crc32, createDeflateRaw } from 'node:zlib';
import { textOfName } from '../names.ts';
import type { Tree, TreeEntry } from '../tree.ts';
import { LEFT_OUT_NAME, leftOutText } from './left-out.ts';

const MOST_32 = 0xffffffff;
const MOST_16 = 0xffff;
/** Compression may make a file a little larger. */
const IS_LARGE = 0xff000000;
const TYPE = { file: 0o100000, folder: 0o040000, link: 0o120000 } as const;
/** Sizes follow; names are UTF-8. */
const FLAGS = 0x0808;

interface Written {
  readonly name: Buffer;
  readonly method: 0 | 8;
  readonly time: number;
  readonly attributes: number;
  readonly offsetBytes: number;
  readonly isLarge: boolean;
  crc: number;
  packedBytes: number;
  sizeBytes: number;
}

/** @param top name of the folder in the archive */
export async function* zipOf(tree: Tree, top: Buffer): AsyncGenerator<Buffer, void, void> {
  const written: Written[] = [];
  let at = 0;
  const count = (bytes: Buffer) => {
    at += bytes.length;
    return bytes;
  };

  async function* put(
    of: Pick<TreeEntry, 'kind' | 'mode' | 'modifiedSeconds'>,
    path: Buffer,
    sizeBytes: number,
    content: AsyncIterable<Buffer> | null,
  ): AsyncGenerator<Buffer, void, void> {
    const kind = of.kind === 'folder' || of.kind === 'link' ? of.kind : 'file';
    const entry: Written = {
      name: Buffer.from(nameOf(path) + (kind === 'folder' ? '/' : '')),
      method: kind === 'file' ? 8 : 0,
      time: dosTime(of.modifiedSeconds),
      attributes: (((TYPE[kind] | of.mode) << 16) | (kind === 'folder' ? 0x10 : 0)) >>> 0,
      offsetBytes: at,
      isLarge: sizeBytes > IS_LARGE,
      crc: 0,
      packedBytes: 0,
      sizeBytes: 0,
    };
    yield count(localHeader(entry));
    if (content !== null) {
      const measured = async function* () {
        for await (const bytes of content) {
          entry.crc = crc32(bytes, entry.crc);
          entry.sizeBytes += bytes.length;
          yield bytes;
        }
      };
      const packed: AsyncIterable<Buffer> =
        entry.method === 8 ? Readable.from(measured()).compose(createDeflateRaw({ level: 1 })) : measured();
      for await (const bytes of packed) {
        entry.packedBytes += bytes.length;
        yield count(bytes);
      }
    }
    yield count(descriptor(entry));
    written.push(entry);
  }

  async function* putEntry(entry: TreeEntry, path: Buffer) {
    const { target } = entry;
    if (entry.kind === 'link') yield* put(entry, path, target.length, once(target));
    else yield* put(entry, path, entry.sizeBytes, entry.kind === 'file' ? entry.content() : null);
  }

  yield* putEntry(tree.root, top);
  for await (const entry of tree.below()) yield* putEntry(entry, Buffer.concat([top, Buffer.from('/'), entry.path]));
  const leftOut = leftOutText(tree.leftOut());
  if (leftOut !== null)
    yield* put(
      { kind: 'file', mode: 0o600, modifiedSeconds: Math.floor(Date.now() / 1000) },
      Buffer.concat([top, Buffer.from(`/${LEFT_OUT_NAME}`)]),
      leftOut.length,
      once(leftOut),
    );

  const directoryAt = at;
  for (const entry of written) yield count(directoryEntry(entry));
  yield endOf(written.length, at - directoryAt, directoryAt);
}

async function* once(bytes: Buffer) {
  yield bytes;
}

const nameOf = (path: Buffer) =>
  textOfName(path)
    .split('/')
    .map((name) => name.replace(/[\\:*?"<>|]/g, '_'))
    .join('/');

/** Of the zone UTC; from 1980 on. */
function dosTime(seconds: number): number {
  const date = new Date(Math.min(Math.max(seconds, 315_532_800), 4_354_819_198) * 1000);
  const day = ((date.getUTCFullYear() - 1980) << 9) | ((date.getUTCMonth() + 1) << 5) | date.getUTCDate();
  const time = (date.getUTCHours() << 11) | (date.getUTCMinutes() << 5) | (date.getUTCSeconds() >> 1);
  return ((day << 16) | time) >>> 0;
}

const version = ({ isLarge }: Pick<Written, 'isLarge'>) => (isLarge ? 45 : 20);

function localHeader(entry: Written): Buffer {
  const fixed = Buffer.alloc(30);
  fixed.writeUInt32LE(0x04034b50, 0);
  fixed.writeUInt16LE(version(entry), 4);
  fixed.writeUInt16LE(FLAGS, 6);
  fixed.writeUInt16LE(entry.method, 8);
  fixed.writeUInt32LE(entry.time, 10);
  // That the lengths behind the file have 8 bytes is told by this field.
  const extra = entry.isLarge ? zip64([0, 0]) : Buffer.alloc(0);
  if (entry.isLarge) fixed.fill(0xff, 18, 26);
  fixed.writeUInt16LE(entry.name.length, 26);
  fixed.writeUInt16LE(extra.length, 28);
  return Buffer.concat([fixed, entry.name, extra]);
}

function descriptor({ crc, packedBytes, sizeBytes, isLarge }: Written): Buffer {
  const bytes = Buffer.alloc(isLarge ? 24 : 16);
  bytes.writeUInt32LE(0x08074b50, 0);
  bytes.writeUInt32LE(crc, 4);
  if (isLarge) {
    bytes.writeBigUInt64LE(BigInt(packedBytes), 8);
    bytes.writeBigUInt64LE(BigInt(sizeBytes), 16);
  } else {
    bytes.writeUInt32LE(packedBytes, 8);
    bytes.writeUInt32LE(sizeBytes, 12);
  }
  return bytes;
}

function directoryEntry(entry: Written): Buffer {
  const isFar = entry.offsetBytes >= MOST_32;
  const large = [...(entry.isLarge ? [entry.sizeBytes, entry.packedBytes] : []), ...(isFar ? [entry.offsetBytes] : [])];
  const extra = large.length > 0 ? zip64(large) : Buffer.alloc(0);
  const fixed = Buffer.alloc(46);
  fixed.writeUInt32LE(0x02014b50, 0);
  // Made on Unix, so that the upper half of the attributes is a mode.
  fixed.writeUInt16LE((3 << 8) | 45, 4);
  fixed.writeUInt16LE(large.length > 0 ? 45 : version(entry), 6);
  fixed.writeUInt16LE(FLAGS, 8);
  fixed.writeUInt16LE(entry.method, 10);
  fixed.writeUInt32LE(entry.time, 12);
  fixed.writeUInt32LE(entry.crc, 16);
  fixed.writeUInt32LE(entry.isLarge ? MOST_32 : entry.packedBytes, 20);
  fixed.writeUInt32LE(entry.isLarge ? MOST_32 : entry.sizeBytes, 24);
  fixed.writeUInt16LE(entry.name.length, 28);
  fixed.writeUInt16LE(extra.length, 30);
  fixed.writeUInt32LE(entry.attributes, 38);
  fixed.writeUInt32LE(isFar ? MOST_32 : entry.offsetBytes, 42);
  return Buffer.concat([fixed, entry.name, extra]);
}

function zip64(values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(4 + 8 * values.length);
  bytes.writeUInt16LE(1, 0);
  bytes.writeUInt16LE(8 * values.length, 2);
  for (const [n, value] of values.entries()) bytes.writeBigUInt64LE(BigInt(value), 4 + 8 * n);
  return bytes;
}

function endOf(count: number, directoryBytes: number, directoryAt: number): Buffer {
  const isLarge = count >= MOST_16 || directoryBytes >= MOST_32 || directoryAt >= MOST_32;
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(Math.min(count, MOST_16), 8);
  end.writeUInt16LE(Math.min(count, MOST_16), 10);
  end.writeUInt32LE(Math.min(directoryBytes, MOST_32), 12);
  end.writeUInt32LE(Math.min(directoryAt, MOST_32), 16);
  if (!isLarge) return end;
  const large = Buffer.alloc(56 + 20);
  large.writeUInt32LE(0x06064b50, 0);
  large.writeBigUInt64LE(44n, 4);
  large.writeUInt16LE((3 << 8) | 45, 12);
  large.writeUInt16LE(45, 14);
  for (const [at, value] of [
    [24, count],
    [32, count],
    [40, directoryBytes],
    [48, directoryAt],
  ] as const)
    large.writeBigUInt64LE(BigInt(value), at);
  large.writeUInt32LE(0x07064b50, 56);
  large.writeBigUInt64LE(BigInt(directoryAt + directoryBytes), 64);
  large.writeUInt32LE(1, 72);
  return Buffer.concat([large, end]);
}

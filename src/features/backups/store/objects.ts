/** Objects as files: read and checked, written durably. */

import { dirname } from 'node:path';
import { hasErrno } from '#kernel/errors.ts';
import { type Files, temporaryName, UnfitFile, writeWhole } from './files.ts';
import type { Layout } from './layout.ts';
import { PAGE_BYTES } from './manifest.ts';
import { giveBack } from './memory.ts';
import { claimedKind, ObjectDamage, type ObjectKind } from './object.ts';
import type { Pool } from './pool.ts';

/** NVRAM, TPM state and documents are far below. */
export const MAX_BLOB_BYTES = 64 * 2 ** 20;
/** Header and seal. */
export const MOST_AROUND_BYTES = 64;
/** More than are on their way at once. */
const REMEMBERED = 128;

export interface ObjectReader {
  /** The raw bytes, once everything about them fits. @throws ObjectDamage */
  read(kind: ObjectKind, id: string): Promise<Buffer>;
  /** The same without the bytes; of sealed objects without a key only what can be told without. @returns length of the file
   *  @throws ObjectDamage */
  verify(kind: ObjectKind, id: string): Promise<number>;
  /** The same for an object of which nothing but its name is known. */
  verifyAny(id: string): Promise<number>;
}

export function createObjectReader(options: {
  readonly layout: Layout;
  readonly pool: Pool;
  readonly chunkSizeBytes: number;
  /** The repository is encrypted and its key is not at hand. */
  readonly isKeyMissing: boolean;
}): ObjectReader {
  const { layout, pool, chunkSizeBytes, isKeyMissing } = options;
  const maxRawBytes = { chunk: chunkSizeBytes, page: PAGE_BYTES, blob: MAX_BLOB_BYTES } as const;

  const fetch = (id: string, kind: ObjectKind) =>
    readObjectFile(layout.files, layout.object(id), maxRawBytes[kind] + MOST_AROUND_BYTES);
  const unpack = async (kind: ObjectKind, id: string, bytes: Buffer, wants: 'bytes' | 'all' | 'digest') => {
    const answer = await pool.run({
      does: 'unpack',
      kind,
      id: Buffer.from(id, 'hex'),
      bytes,
      maxRawBytes: maxRawBytes[kind],
      wants,
    });
    if (answer.is === 'damaged') throw new ObjectDamage(answer.reason);
    return answer;
  };
  const verify = async (kind: ObjectKind, id: string, bytes: Buffer) => {
    const fileBytes = bytes.length;
    await unpack(kind, id, bytes, isKeyMissing && kind !== 'page' ? 'digest' : 'all');
    return fileBytes;
  };

  return {
    async read(kind, id) {
      const answer = await unpack(kind, id, await fetch(id, kind), 'bytes');
      if (answer.is !== 'unpacked') throw new Error(`an object was answered as ${answer.is}`);
      return Buffer.from(answer.raw.buffer, answer.raw.byteOffset, answer.raw.byteLength);
    },
    verify: async (kind, id) => verify(kind, id, await fetch(id, kind)),
    async verifyAny(id) {
      const bytes = await fetch(id, 'blob');
      return verify(claimedKind(bytes), id, bytes);
    },
  };
}

/** @throws ObjectDamage when it is missing or the disk cannot read it */
export async function readObjectFile(files: Files, path: string, maxBytes: number): Promise<Buffer> {
  try {
    return await files.read(path, maxBytes);
  } catch (cause) {
    if (cause instanceof UnfitFile) throw new ObjectDamage(cause.message, { cause });
    if (hasErrno(cause, 'ENOENT')) throw new ObjectDamage('it is missing', { isMissing: true, cause });
    if (hasErrno(cause, 'EIO', 'EISDIR', 'ENOTDIR')) throw new ObjectDamage('the disk cannot read it', { cause });
    throw cause;
  }
}

export interface StoredObject {
  /** Null stands for zeros, which are not stored. */
  readonly id: Uint8Array | null;
  /** What the repository grew by; 0 for what was there. */
  readonly storedBytes: number;
}

export interface ObjectWriter {
  /** Stores the bytes unless they are there. The memory belongs to the store from now on.
   *  @throws AppError no_space */
  store(kind: ObjectKind, bytes: Buffer, isForced?: boolean): Promise<StoredObject>;
  /** Folders with entries that a power cut could still take away; asking forgets them. */
  takeUnsyncedFolders(): readonly string[];
}

export function createObjectWriter(options: {
  readonly layout: Layout;
  readonly pool: Pool;
  readonly token: string;
  readonly skewMs: number;
}): ObjectWriter {
  const { layout, pool, token, skewMs } = options;
  let unsynced = new Set<string>();
  /** Of two equal ones at once the second waits for the first. Some stay a while: a thread may have looked for an object before it was
   *  there, and answer after it was written. */
  const written = new Map<string, Promise<void>>();
  const forgetOldest = () => {
    for (const id of written.keys()) {
      if (written.size <= REMEMBERED) return;
      written.delete(id);
    }
  };

  /** All folders above it as well: whoever made them may not have come to syncing them. */
  const countOn = (path: string) => {
    for (let folder = dirname(path); folder.length >= layout.chunks.length; folder = dirname(folder))
      unsynced.add(folder);
  };

  return {
    async store(kind, bytes, isForced = false) {
      const answer = await pool.run({ does: 'pack', kind, bytes: wholeMemory(bytes), skewMs, isForced });
      if (answer.is === 'zero') return { id: null, storedBytes: 0 };
      if (answer.is === 'present') {
        // Another writer may have put it there and not have synced yet.
        countOn(layout.object(Buffer.from(answer.id).toString('hex')));
        return { id: answer.id, storedBytes: 0 };
      }
      if (answer.is !== 'packed') throw new Error(`bytes to store were answered as ${answer.is}`);
      const id = Buffer.from(answer.id).toString('hex');
      const other = isForced ? undefined : written.get(id);
      if (other) {
        giveBack(answer.object);
        await other;
        return { id: answer.id, storedBytes: 0 };
      }
      const work = writeWhole({
        temporary: temporaryName(layout.tmp, token),
        path: layout.object(id),
        bytes: answer.object,
        onFolder: () => undefined,
      });
      countOn(layout.object(id));
      written.set(id, work);
      try {
        await work;
      } catch (error) {
        written.delete(id);
        throw error;
      }
      forgetOldest();
      const storedBytes = answer.object.length;
      giveBack(answer.object);
      return { id: answer.id, storedBytes };
    },
    takeUnsyncedFolders() {
      const taken = [...unsynced];
      unsynced = new Set();
      return taken;
    },
  };
}

/** Memory that can go to a thread as a whole: the buffer's own, or a copy when it is a part of something larger. */
function wholeMemory(bytes: Buffer): ArrayBuffer {
  const { buffer, byteLength } = bytes;
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) return buffer;
  const copy = new ArrayBuffer(byteLength);
  new Uint8Array(copy).set(bytes);
  return copy;
}

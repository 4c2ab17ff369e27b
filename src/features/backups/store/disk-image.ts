/** A disk as it was at a restore point, for reading. Every byte that comes out was checked against its id; a chunk that does not fit is
 *  an error, never bytes. */

import { AppError } from '#kernel/errors.ts';
import { IDS_PER_PAGE, type ManifestDisk, PAGE_BYTES } from './manifest.ts';
import { giveBack } from './memory.ts';
import { ID_BYTES, ObjectDamage, ZERO_ID } from './object.ts';
import type { ObjectReader } from './objects.ts';

const CHUNKS_AT_HAND_BYTES = 32 * 2 ** 20;
/** 2 MiB. */
const PAGES_AT_HAND = 16;

/** What the NBD server serves, and closed when it is done. */
export interface DiskImage {
  readonly sizeBytes: number;
  /** Bytes that nobody may change. @throws AppError point_damaged with `params` point, target and offsetBytes; RangeError outside of the disk */
  read(offsetBytes: number, lengthBytes: number): Promise<Buffer>;
  /** Gives bytes of `read` back. Whoever does not leaves them to the collector, which comes to them late. */
  release?(bytes: Buffer): void;
  /** The whole range as runs of zeros and of data, at the borders of chunks. @throws AppError point_damaged */
  extents(
    offsetBytes: number,
    lengthBytes: number,
  ): Promise<readonly { readonly lengthBytes: number; readonly isZero: boolean }[]>;
  /** Ends the pin of the restore point. */
  close(): Promise<void>;
}

export function createDiskImage(options: {
  readonly pointId: string;
  readonly disk: ManifestDisk;
  readonly chunkSizeBytes: number;
  readonly objects: ObjectReader;
  /** Every place is wanted once, in order: nothing is kept for the next reader. */
  readonly isReadOnce: boolean;
  readonly close: () => Promise<void>;
}): DiskImage {
  const { pointId, disk, chunkSizeBytes, objects, isReadOnce, close } = options;
  const { sizeBytes, target } = disk;
  const zeroId = ZERO_ID.toString('hex');

  const damaged = (what: string, offsetBytes: number, cause: unknown) => {
    if (!(cause instanceof ObjectDamage)) return cause;
    return new AppError('point_damaged', {
      detail: `${what} of disk ${target} of restore point ${pointId} at byte ${offsetBytes} is damaged: ${cause.message}.`,
      params: { point: pointId, target, offsetBytes },
      cause,
    });
  };
  const page = remembered(PAGES_AT_HAND, async (n: number) => {
    const id = disk.pages[n] ?? zeroId;
    if (id === zeroId) return Buffer.alloc(PAGE_BYTES);
    try {
      return await objects.read('page', id);
    } catch (error) {
      throw damaged('The index', n * IDS_PER_PAGE * chunkSizeBytes, error);
    }
  });
  const idOf = async (chunk: number) => {
    const slot = (chunk % IDS_PER_PAGE) * ID_BYTES;
    return (await page(Math.floor(chunk / IDS_PER_PAGE))).subarray(slot, slot + ID_BYTES);
  };
  const lengthOf = (chunk: number) => Math.min(chunkSizeBytes, sizeBytes - chunk * chunkSizeBytes);
  /** By the memory that parts of them are given out of. */
  const held = new WeakMap<ArrayBufferLike, HeldChunk>();
  const letGo = (one: HeldChunk) => {
    if (one.isForgotten && one.users === 0) giveBack(one.raw);
  };
  const loadChunk = async (n: number): Promise<HeldChunk | null> => {
    const id = await idOf(n);
    if (id.equals(ZERO_ID)) return null;
    try {
      const raw = await objects.read('chunk', id.toString('hex'));
      if (raw.length !== lengthOf(n)) throw new ObjectDamage('it is of another length than its place in the disk');
      const one = { raw, users: 0, isForgotten: false };
      held.set(raw.buffer, one);
      return one;
    } catch (error) {
      throw damaged('The chunk', n * chunkSizeBytes, error);
    }
  };
  const chunk = remembered(
    isReadOnce ? 1 : Math.max(2, Math.floor(CHUNKS_AT_HAND_BYTES / chunkSizeBytes)),
    loadChunk,
    (one) => {
      if (one === null) return;
      one.isForgotten = true;
      letGo(one);
    },
  );
  const assertWithin = (offsetBytes: number, lengthBytes: number) => {
    if (!Number.isSafeInteger(offsetBytes) || !Number.isSafeInteger(lengthBytes) || offsetBytes < 0 || lengthBytes < 0)
      throw new RangeError('offset and length are whole numbers');
    if (offsetBytes + lengthBytes > sizeBytes) throw new RangeError('the range ends behind the disk');
  };

  return {
    sizeBytes,
    async read(offsetBytes, lengthBytes) {
      assertWithin(offsetBytes, lengthBytes);
      const first = Math.floor(offsetBytes / chunkSizeBytes);
      const at = offsetBytes - first * chunkSizeBytes;
      if (at + lengthBytes <= chunkSizeBytes) {
        // Within one chunk, as most are: its own memory, which nobody changes.
        const one = await chunk(first);
        if (one === null) return Buffer.alloc(lengthBytes);
        one.users += 1;
        return one.raw.subarray(at, at + lengthBytes);
      }
      const bytes = Buffer.alloc(lengthBytes);
      const copies: Promise<void>[] = [];
      for (let at = 0; at < lengthBytes; ) {
        const n = Math.floor((offsetBytes + at) / chunkSizeBytes);
        const within = offsetBytes + at - n * chunkSizeBytes;
        const length = Math.min(chunkSizeBytes - within, lengthBytes - at);
        const to = at;
        copies.push(
          chunk(n).then((one) => {
            one?.raw.copy(bytes, to, within, within + length);
          }),
        );
        at += length;
      }
      await Promise.all(copies);
      return bytes;
    },
    release({ buffer }) {
      const one = held.get(buffer);
      if (one === undefined) return;
      one.users -= 1;
      letGo(one);
    },
    async extents(offsetBytes, lengthBytes) {
      assertWithin(offsetBytes, lengthBytes);
      const runs: { lengthBytes: number; isZero: boolean }[] = [];
      const end = offsetBytes + lengthBytes;
      for (let at = offsetBytes; at < end; ) {
        const n = Math.floor(at / chunkSizeBytes);
        const length = Math.min((n + 1) * chunkSizeBytes, end) - at;
        const isZero = (await idOf(n)).equals(ZERO_ID);
        const last = runs.at(-1);
        if (last?.isZero === isZero) last.lengthBytes += length;
        else runs.push({ lengthBytes: length, isZero });
        at += length;
      }
      return runs;
    },
    close,
  };
}

/** A chunk at hand, and how many parts of it are out. */
interface HeldChunk {
  readonly raw: Buffer;
  users: number;
  isForgotten: boolean;
}

/** Remembers the last `count` answers; who asks while one is on its way gets the same one. Failures are not remembered.
 *  @param onForget hears of each answer after all who asked for it before */
function remembered<Value>(
  count: number,
  work: (n: number) => Promise<Value>,
  onForget: (value: Value) => void = () => undefined,
): (n: number) => Promise<Value> {
  const answers = new Map<number, Promise<Value>>();
  return (n) => {
    const known = answers.get(n);
    answers.delete(n);
    const answer = known ?? work(n);
    answers.set(n, answer);
    if (!known) answer.catch(() => void answers.delete(n));
    for (const oldest of answers.keys()) {
      if (answers.size <= count) break;
      answers.get(oldest)?.then(onForget, () => undefined);
      answers.delete(oldest);
    }
    return answer;
  };
}

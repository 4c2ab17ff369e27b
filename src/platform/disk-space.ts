/** Room on file systems and what is promised of it: uploads, downloads, copies and new disks each write for a while, and of several at
 *  once none may count on bytes that another was promised. Held in memory; who goes on after a restart promises anew. */

import { AppError } from '#kernel/errors.ts';
import { formatBytes, GIB } from '#kernel/units.ts';
import { fileSystemOf } from './file-system.ts';

/** 5 % of a file system, at least 2 GiB, stay free. */
const FLOOR_RATIO = 0.05;
const FLOOR_BYTES = 2 * GIB;

/** A file system as it was looked at just now. */
export interface Room {
  /** Tells it from others. */
  readonly device: number;
  /** Promises not subtracted. */
  readonly freeBytes: number;
  /** What has to stay free. */
  readonly floorBytes: number;
}

export interface SpaceNeed {
  /** Who writes: the id of an operation, an upload or a VM. */
  readonly owner: string;
  readonly bytes: number;
  /** What lies there, for people, as `images`. */
  readonly place: string;
  /** How to get room there. */
  readonly hint: string;
  /** It may be put off while the file system is nearly full, see `hold`. */
  readonly canWait: boolean;
}

export interface SpaceLedger {
  /** @param folder an existing folder of the file system */
  look(folder: string): Promise<Room>;
  /** Bytes promised on this file system and not written yet. */
  promisedBytes(room: Pick<Room, 'device'>): number;
  /** Promises the bytes in the place of what the owner was promised before. Does not wait: of two at once the second sees the first.
   *  @throws AppError no_space when less than the floor would stay free */
  take(room: Room, need: SpaceNeed): void;
  /** Promises without asking, to those who had it before a restart. */
  expect(room: Pick<Room, 'device'>, owner: string, bytes: number): void;
  /** So many bytes of a promise are still to come; nothing for an owner without one. */
  left(owner: string, bytes: number): void;
  /** The owner writes nothing more. */
  release(owner: string): void;
  /** From now on nothing that can wait is promised anything on this file system; what was promised stays. @param why for people */
  hold(device: number, why: string): void;
  lift(device: number): void;
}

export function createSpaceLedger(): SpaceLedger {
  const promises = new Map<string, { readonly device: number; readonly bytes: number }>();
  const held = new Map<number, string>();
  const promisedBytes = (device: number, except: string | null) => {
    let sum = 0;
    for (const [owner, promise] of promises) if (promise.device === device && owner !== except) sum += promise.bytes;
    return sum;
  };

  return {
    async look(folder) {
      const { device, availableBytes, sizeBytes } = await fileSystemOf(folder);
      return {
        device,
        freeBytes: availableBytes,
        floorBytes: Math.max(FLOOR_BYTES, Math.round(sizeBytes * FLOOR_RATIO)),
      };
    },
    promisedBytes: ({ device }) => promisedBytes(device, null),
    take({ device, freeBytes, floorBytes }, { owner, bytes, place, hint, canWait }) {
      const why = held.get(device);
      // Who was promised room goes on.
      if (why !== undefined && canWait && !promises.has(owner))
        throw new AppError('no_space', {
          detail: `New work waits until there is more room for ${place}: ${why}.`,
          hint: `${hint} It may begin again below 85 %; \`hv heal history\` tells since when.`,
          params: { neededBytes: bytes, freeBytes, floorBytes },
        });
      const promised = promisedBytes(device, owner);
      if (freeBytes - promised - bytes < floorBytes) {
        throw new AppError('no_space', {
          detail: `This needs ${formatBytes(bytes)} on the file system of the ${place}: ${formatBytes(freeBytes)} are free${promised > 0 ? `, ${formatBytes(promised)} of them promised to unfinished work` : ''}, and ${formatBytes(floorBytes)} must stay free.`,
          hint,
          params: { neededBytes: bytes, freeBytes: Math.max(0, freeBytes - promised), floorBytes },
        });
      }
      promises.set(owner, { device, bytes });
    },
    expect: ({ device }, owner, bytes) => void promises.set(owner, { device, bytes }),
    left(owner, bytes) {
      const promise = promises.get(owner);
      if (promise) promises.set(owner, { ...promise, bytes });
    },
    release: (owner) => void promises.delete(owner),
    hold: (device, why) => void held.set(device, why),
    lift: (device) => void held.delete(device),
  };
}

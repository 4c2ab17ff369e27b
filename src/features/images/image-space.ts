/** Room for the files of the library: what an upload or an operation is about to write is promised to it first. */

import type { SpaceLedger } from '#platform/disk-space.ts';

export interface ImageSpace {
  /** @throws AppError no_space */
  take(owner: string, bytes: number): Promise<void>;
  /** Promises without asking, to those who had it before a restart. */
  expect(owner: string, bytes: number): Promise<void>;
  /** So many bytes are still to come. */
  left(owner: string, bytes: number): void;
  release(owner: string): void;
}

/** @param folder where the images lie */
export function createImageSpace(ledger: SpaceLedger, folder: string): ImageSpace {
  return {
    async take(owner, bytes) {
      ledger.take(await ledger.look(folder), {
        owner,
        bytes,
        place: 'images',
        hint: 'Delete images that no VM uses, or give up unfinished uploads.',
        canWait: true,
      });
    },
    expect: async (owner, bytes) => ledger.expect(await ledger.look(folder), owner, bytes),
    left: ledger.left,
    release: ledger.release,
  };
}

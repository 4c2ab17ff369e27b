/** The ids of all chunks of a disk while it is being written: pages come from the parent when they are touched, and lie in a file without
 *  a name when they are not at hand. Memory stays the same for any size of disk. */

import type { FileHandle } from 'node:fs/promises';
import { writeAll } from '#platform/disk-file/layout.ts';
import { asStoreError, openNameless, readFully } from './files.ts';
import { IDS_PER_PAGE, PAGE_BYTES } from './manifest.ts';
import { ID_BYTES, ZERO_ID } from './object.ts';

/** 8 MiB. */
const PAGES_AT_HAND = 64;

export interface DiskIndex {
  /** @param id null for zeros */
  set(chunk: number, id: Uint8Array | null): Promise<void>;
  fillZero(chunk: number, count: number): Promise<void>;
  /** Pages with a change, in order. */
  touchedPages(): number[];
  /** A touched page. */
  page(page: number): Promise<Buffer>;
  /** Ids that were set and stand for an object, in the order of the disk. */
  setIds(): AsyncIterable<string>;
  close(): Promise<void>;
}

/** @param scratch path for the file without a name; nothing may be there
 *  @param parentPage the page of the parent, zeros when there is none */
export function createDiskIndex(options: {
  readonly scratch: string;
  readonly chunks: number;
  readonly parentPage: (page: number) => Promise<Buffer>;
}): DiskIndex {
  const { scratch, chunks, parentPage } = options;
  /** Made when it is needed: most disks never do. */
  let file: Promise<FileHandle> | null = null;
  const atHand = new Map<number, Buffer>();
  /** Pages on their way to memory or away from it. */
  const moving = new Map<number, Promise<void>>();
  const touched = new Set<number>();
  const isSet = new Uint8Array(Math.ceil(chunks / 8));
  /** A page that could not be put aside is lost, and the disk with it. */
  let failure: { readonly error: unknown } | null = null;

  const move = (page: number, work: () => Promise<void>): Promise<void> => {
    const moved = work().finally(() => {
      // It may be on its way back already.
      if (moving.get(page) === moved) moving.delete(page);
    });
    moving.set(page, moved);
    return moved;
  };
  const putAside = async (page: number, ids: Buffer) => {
    try {
      file ??= openNameless(scratch);
      await writeAll(await file, ids, page * PAGE_BYTES);
    } catch (error) {
      failure ??= { error: asStoreError(error) };
      throw error;
    }
  };
  const evict = async () => {
    for (const [page, ids] of atHand) {
      if (atHand.size <= PAGES_AT_HAND) return;
      // Whoever wants it from now on waits until it is in the file.
      atHand.delete(page);
      await move(page, () => putAside(page, ids));
    }
  };
  const load = async (page: number) => {
    let ids: Buffer;
    if (touched.has(page) && file !== null) {
      ids = Buffer.alloc(PAGE_BYTES);
      await readFully(await file, ids, page * PAGE_BYTES);
    } else ids = Buffer.from(await parentPage(page));
    touched.add(page);
    atHand.set(page, ids);
    await evict();
  };
  /** Runs `change` on a page at once when it is there, so that no eviction comes between. */
  const withPage = async <Value>(page: number, change: (ids: Buffer) => Value): Promise<Value> => {
    for (;;) {
      if (failure !== null) throw failure.error;
      const ids = atHand.get(page);
      if (ids) {
        // Used last, evicted last.
        atHand.delete(page);
        atHand.set(page, ids);
        return change(ids);
      }
      try {
        await (moving.get(page) ?? move(page, () => load(page)));
      } catch (error) {
        throw asStoreError(error);
      }
    }
  };
  const markSet = (chunk: number) => {
    isSet[chunk >> 3] = (isSet[chunk >> 3] ?? 0) | (1 << (chunk & 7));
  };
  const wasSet = (chunk: number) => ((isSet[chunk >> 3] ?? 0) & (1 << (chunk & 7))) !== 0;

  return {
    set: (chunk, id) =>
      withPage(Math.floor(chunk / IDS_PER_PAGE), (ids) => {
        ids.set(id ?? ZERO_ID, (chunk % IDS_PER_PAGE) * ID_BYTES);
        markSet(chunk);
      }),
    async fillZero(chunk, count) {
      for (let at = chunk; at < chunk + count; ) {
        const first = at % IDS_PER_PAGE;
        const length = Math.min(IDS_PER_PAGE - first, chunk + count - at);
        const from = at;
        await withPage(Math.floor(at / IDS_PER_PAGE), (ids) => {
          ids.fill(0, first * ID_BYTES, (first + length) * ID_BYTES);
          for (let each = from; each < from + length; each += 1) markSet(each);
        });
        at += length;
      }
    },
    touchedPages: () => [...touched].sort((a, b) => a - b),
    page: (page) => withPage(page, (ids) => Buffer.from(ids)),
    async *setIds() {
      for (const page of [...touched].sort((a, b) => a - b)) {
        const ids = await withPage(page, (each) => Buffer.from(each));
        for (let slot = 0; slot < IDS_PER_PAGE; slot += 1) {
          if (!wasSet(page * IDS_PER_PAGE + slot)) continue;
          const id = ids.subarray(slot * ID_BYTES, (slot + 1) * ID_BYTES);
          if (!id.equals(ZERO_ID)) yield id.toString('hex');
        }
      }
    },
    async close() {
      await Promise.allSettled(moving.values());
      await file?.then(
        (open) => open.close(),
        () => undefined,
      );
    },
  };
}

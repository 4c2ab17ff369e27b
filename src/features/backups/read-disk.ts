/** Reads one disk of a backup over NBD into the repository: whole chunks, several at once, in bounded memory. */

import type { Clock } from '#kernel/clock.ts';
import type { NbdConnection } from '#platform/nbd/index.ts';
import { chunkRuns } from './chunk-runs.ts';
import type { GivingWay } from './giving-way.ts';
import type { Pace } from './pace.ts';
import type { DiskWriter } from './store/index.ts';

export interface DiskReading {
  readonly connection: NbdConnection;
  readonly writer: Pick<DiskWriter, 'write' | 'zero'>;
  readonly chunkSizeBytes: number;
  /** Name of the context that tells what changed; null = everything is read. */
  readonly dirtyContext: string | null;
  readonly pace: Pace;
  /** Of the guest whose disk it is. */
  readonly way: Pick<GivingWay, 'breadth'>;
  readonly sleep: Clock['sleep'];
  readonly signal: AbortSignal;
  /** @param atBytes how far into the disk the reading is */
  onProgress(atBytes: number, readBytes: number): void;
}

export interface DiskRead {
  readonly readBytes: number;
  /** Chunks that were found as zeros without being read. */
  readonly zeroChunks: number;
}

export const ALLOCATION = 'base:allocation';

/** @throws the signal's reason, failures of the connection and of the repository */
export async function readDisk(reading: DiskReading): Promise<DiskRead> {
  const { connection, writer, chunkSizeBytes, dirtyContext, pace, way, signal } = reading;
  const { sizeBytes } = connection;
  const ask = (context: string) => (offsetBytes: number, lengthBytes: number) =>
    connection.extents(context, { offsetBytes, lengthBytes });
  const running = new Set<Promise<void>>();
  let failure: unknown;
  let hasFailed = false;
  let readBytes = 0;
  let zeroChunks = 0;

  const readChunk = async (index: number) => {
    const offset = index * chunkSizeBytes;
    const length = Math.min(chunkSizeBytes, sizeBytes - offset);
    // What nobody has the memory for is not asked for.
    await writer.write(index, () => connection.read(offset, length));
    readBytes += length;
  };
  const begin = (index: number) => {
    const work = readChunk(index)
      .catch((error: unknown) => {
        failure ??= error;
        hasFailed = true;
      })
      .finally(() => running.delete(work));
    running.add(work);
  };

  try {
    const runs = chunkRuns({
      sizeBytes,
      chunkSizeBytes,
      dirty: dirtyContext === null ? null : ask(dirtyContext),
      allocation: connection.contexts.has(ALLOCATION) ? ask(ALLOCATION) : null,
    });
    for await (const { first, count, isZero } of runs) {
      signal.throwIfAborted();
      if (isZero) {
        zeroChunks += count;
        await writer.zero(first, count);
        continue;
      }
      for (let index = first; index < first + count; index += 1) {
        await pace.take(chunkSizeBytes, signal);
        if (way.breadth.pauseMs > 0) await reading.sleep(way.breadth.pauseMs, signal);
        while (running.size >= way.breadth.atOnce) await Promise.race(running);
        if (hasFailed) throw failure;
        begin(index);
        reading.onProgress(index * chunkSizeBytes, readBytes);
      }
    }
  } finally {
    await Promise.all(running);
  }
  if (hasFailed) throw failure;
  reading.onProgress(sizeBytes, readBytes);
  return { readBytes, zeroChunks };
}

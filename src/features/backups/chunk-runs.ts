/** Which chunks of a disk are to be read and which are zero, from what QEMU tells of its extents. Streams: no list of a disk's chunks is
 *  ever held. Clean data is in no run, so it is never read. */

/** `count` chunks from `first`. */
export interface ChunkRun {
  readonly first: number;
  readonly count: number;
  /** They read as zeros; else they are to be read. */
  readonly isZero: boolean;
}

export interface Extent {
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  readonly flags: number;
}

/** Asks for the extents of a part of the disk, in order and without gaps. */
export type AskExtents = (offsetBytes: number, lengthBytes: number) => AsyncIterable<Extent>;

export interface RunSource {
  readonly sizeBytes: number;
  readonly chunkSizeBytes: number;
  /** Bit 0 = changed since the parent; null = everything is to be looked at. */
  readonly dirty: AskExtents | null;
  /** Bit 1 = reads as zeros; null = not told. */
  readonly allocation: AskExtents | null;
}

const DIRTY = 1;
const READS_ZERO = 2;
/** So much of a disk is asked for at once: what is asked of its allocation stays short beside one long change. */
const MAX_RUN_BYTES = 2 ** 32;

/** Runs in order, none of them twice. */
export async function* chunkRuns({
  sizeBytes,
  chunkSizeBytes,
  dirty,
  allocation,
}: RunSource): AsyncGenerator<ChunkRun> {
  for await (const run of changedRuns(sizeBytes, chunkSizeBytes, dirty)) {
    if (allocation === null) yield { ...run, isZero: false };
    else yield* withZeros(run, sizeBytes, chunkSizeBytes, allocation);
  }
}

interface Run {
  readonly first: number;
  readonly count: number;
}

/** Chunks in which anything changed. */
async function* changedRuns(sizeBytes: number, chunkSizeBytes: number, dirty: AskExtents | null): AsyncGenerator<Run> {
  const most = Math.max(1, Math.floor(MAX_RUN_BYTES / chunkSizeBytes));
  let first = 0;
  let end = 0;
  const extents = dirty === null ? whole(sizeBytes) : dirty(0, sizeBytes);
  for await (const extent of extents) {
    if ((extent.flags & DIRTY) === 0 || extent.lengthBytes === 0) continue;
    const from = Math.floor(extent.offsetBytes / chunkSizeBytes);
    const to = Math.ceil((extent.offsetBytes + extent.lengthBytes) / chunkSizeBytes);
    if (from > end) {
      if (end > first) yield* pieces(first, end, most);
      first = from;
    }
    end = Math.max(end, to);
    if (end - first > most) {
      const keep = first + Math.floor((end - first) / most) * most;
      yield* pieces(first, keep, most);
      first = keep;
    }
  }
  if (end > first) yield* pieces(first, end, most);
}

function* pieces(first: number, end: number, most: number): Generator<Run> {
  for (let at = first; at < end; at += most) yield { first: at, count: Math.min(most, end - at) };
}

async function* whole(sizeBytes: number): AsyncGenerator<Extent> {
  if (sizeBytes > 0) yield { offsetBytes: 0, lengthBytes: sizeBytes, flags: DIRTY };
}

/** A run cut where data and zeros meet; a chunk that holds some data is data. */
async function* withZeros(
  run: Run,
  sizeBytes: number,
  chunkSizeBytes: number,
  allocation: AskExtents,
): AsyncGenerator<ChunkRun> {
  const runEnd = run.first + run.count;
  const fromBytes = run.first * chunkSizeBytes;
  const toBytes = Math.min(sizeBytes, runEnd * chunkSizeBytes);
  let next = run.first;
  /** Data that is not told yet, because what follows may touch it. */
  let data: { first: number; end: number } | null = null;
  for await (const extent of allocation(fromBytes, toBytes - fromBytes)) {
    if ((extent.flags & READS_ZERO) !== 0 || extent.lengthBytes === 0) continue;
    const first = Math.max(run.first, Math.floor(extent.offsetBytes / chunkSizeBytes));
    const end = Math.min(runEnd, Math.ceil((extent.offsetBytes + extent.lengthBytes) / chunkSizeBytes));
    if (data !== null && first <= data.end) {
      data.end = Math.max(data.end, end);
      continue;
    }
    if (data !== null) {
      yield { first: data.first, count: data.end - data.first, isZero: false };
      next = data.end;
    }
    if (first > next) yield { first: next, count: first - next, isZero: true };
    data = { first, end };
  }
  if (data !== null) {
    yield { first: data.first, count: data.end - data.first, isZero: false };
    next = data.end;
  }
  if (runEnd > next) yield { first: next, count: runEnd - next, isZero: true };
}

/** Holds change tracking to what it said: a chunk that it called unchanged and that is another one than in the restore point before was
 *  missed. Only a disk that was read as a whole can tell. */

import { z } from 'zod';
import { type AskExtents, chunkRuns } from './chunk-runs.ts';

export const missedChangesSchema = z.object({
  target: z.string(),
  /** Chunks. */
  count: z.int(),
  firstOffsetBytes: z.number(),
  /** The restore point that it was compared with. */
  pointId: z.string(),
});
export type MissedChanges = z.infer<typeof missedChangesSchema>;

/** @param changed chunks that are not as before, in order
 *  @param dirty extents that were told as changed
 *  @returns null when nothing was missed */
export async function findMissed(options: {
  readonly sizeBytes: number;
  readonly chunkSizeBytes: number;
  readonly changed: AsyncIterable<number>;
  readonly dirty: AskExtents;
}): Promise<Pick<MissedChanges, 'count' | 'firstOffsetBytes'> | null> {
  const { sizeBytes, chunkSizeBytes, changed, dirty } = options;
  const runs = chunkRuns({ sizeBytes, chunkSizeBytes, dirty, allocation: null });
  let run = await runs.next();
  let count = 0;
  let first = 0;
  for await (const chunk of changed) {
    while (!run.done && run.value.first + run.value.count <= chunk) run = await runs.next();
    if (!run.done && run.value.first <= chunk) continue;
    if (count === 0) first = chunk;
    count += 1;
  }
  return count === 0 ? null : { count, firstOffsetBytes: first * chunkSizeBytes };
}

/** For people. */
export function missedText({ target, count, firstOffsetBytes, pointId }: MissedChanges): string {
  return `The change tracking of ${target} missed something: ${count === 1 ? 'one piece' : `${count} pieces`} that it called unchanged since ${pointId} changed all the same, the first at byte ${firstOffsetBytes}. This restore point holds the disk as it is. Those since the last whole reading before it may hold older data there.`;
}

/** Brings a copy up to what its repository holds, then lets go what need not stay there. Cut off at any moment it goes on with what is
 *  missing; what it tells of points is written down as each is there. */

import { z } from 'zod';
import { type BackupsApi, createPace, type Manifest } from '#features/backups/index.ts';
import { defineOperation, type OperationDefinition, type StepContext } from '#features/operations/index.ts';
import type { Clock } from '#kernel/clock.ts';
import { AppError, toAppError } from '#kernel/errors.ts';
import type { CopyChoice } from './choose.ts';
import type { CopiedPoint, Copy, CopyStore } from './copy-store.ts';

const copyOrderSchema = z.object({
  repositoryId: z.string(),
  name: z.string(),
  sourceId: z.string(),
  sourceName: z.string(),
});
export type CopyOrder = z.infer<typeof copyOrderSchema>;

export const COPY = 'repository.copy';

export const copyLock = (repositoryId: string): string => `repository-copy:${repositoryId}`;

export interface CopyDependencies {
  readonly clock: Clock;
  readonly repositories: Pick<BackupsApi['repositories'], 'open' | 'openApart' | 'placeForCopy'>;
  readonly store: CopyStore;
  choose(copy: Copy): CopyChoice;
  /** Why nothing may go for its age now; null = it may. */
  doubt(): string | null;
  /** Nobody reads it now. */
  isFree(pointId: string): boolean;
  /** It is in a copy now, or not any more. */
  pointChanged(pointId: string): void;
  /** Not in this copy any more. */
  pointsLeft(pointIds: readonly string[], repositoryId: string): Promise<void>;
  ended(copy: Copy, problem: AppError | null, order: CopyOrder): Promise<void>;
}

/** What may be over in a minute. */
const PASSING: readonly string[] = ['place_unreachable', 'place_stalled', 'place_failed', 'copy_source_unreachable'];
const PAUSES_MS = [5_000, 20_000, 60_000];

export function copyOperation(dependencies: CopyDependencies): OperationDefinition<CopyOrder> {
  const { store, clock } = dependencies;
  const copyOf = (id: string): Copy => {
    const copy = store.find(id);
    if (!copy) throw new AppError('not_found', { detail: 'The copy was forgotten.' });
    return copy;
  };
  /** Works, again after a pause when what is in the way may pass, and writes down why it failed in the end. */
  const told = async (order: CopyOrder, context: StepContext, work: () => Promise<void>) => {
    for (let tries = 0; ; tries += 1) {
      try {
        return await work();
      } catch (error) {
        // Who cancels it, or stops hyperd, knows.
        context.signal.throwIfAborted();
        const pauseMs = PAUSES_MS[tries];
        const problem = toAppError(error);
        if (pauseMs === undefined || !PASSING.includes(problem.code)) {
          const copy = store.find(order.repositoryId);
          if (copy) await dependencies.ended(copy, problem, order);
          throw error;
        }
        context.progress({ note: problem.message });
        await clock.sleep(pauseMs, context.signal);
      }
    }
  };
  return defineOperation<CopyOrder>({
    kind: COPY,
    permission: 'backup.run',
    input: copyOrderSchema,
    title: ({ name, sourceName }) => `Copy ${sourceName} to ${name}`,
    object: ({ repositoryId, name }) => ({ type: 'repository', id: repositoryId, name }),
    locks: ({ repositoryId }) => [copyLock(repositoryId)],
    shares: ({ repositoryId, sourceId }) => [`repository:${repositoryId}`, `repository:${sourceId}`],
    steps: (order) => [
      {
        name: 'copy',
        title: 'Send what is missing',
        timeoutMs: null,
        isCancellable: true,
        act: (context) =>
          told(order, context, async () => {
            await context.remember('report', await copyOnce(copyOf(order.repositoryId), order, dependencies, context));
          }),
      },
      {
        name: 'tidy',
        title: 'Let go what need not stay there',
        timeoutMs: null,
        isCancellable: true,
        act: (context) =>
          told(order, context, async () => {
            const copy = copyOf(order.repositoryId);
            if (dependencies.doubt() === null) await prune(copy, dependencies, context);
            await dependencies.ended(copyOf(order.repositoryId), null, order);
          }),
      },
    ],
    result: async (_order, { recall }) => recall('report'),
  });
}

/** A repository that is not there now may be back in a minute, and the pauses here are for that. */
function inWordsOf(code: 'copy_source_unreachable' | 'place_unreachable'): (error: unknown) => never {
  return (error) => {
    if (!(error instanceof AppError) || error.code !== 'repository_unreachable') throw error;
    throw new AppError(code, { detail: error.message, cause: error });
  };
}

async function copyOnce(copy: Copy, order: CopyOrder, dependencies: CopyDependencies, context: StepContext) {
  const { repositories, store, clock } = dependencies;
  const { signal } = context;
  const source = await repositories.open(order.sourceId).catch(inWordsOf('copy_source_unreachable'));
  const chosen = dependencies.choose(copy).missing;
  const missing = new Set(chosen.map(({ id }) => id));
  const states = new Set(chosen.flatMap(({ id, kind }) => (kind === 'state' ? [id] : [])));
  const known = new Set(store.points(copy.repositoryId).map(({ point_id }) => point_id));
  const pace = createPace(copy.bytesPerSecond, clock);
  const place = await repositories.placeForCopy(order.repositoryId, signal);
  try {
    const report = await source.copyTo(place, {
      wants: ({ pointId }) => missing.has(pointId) || known.has(pointId),
      // They are small, and without them it takes long to bring the rest back.
      goesFirst: ({ pointId }) => states.has(pointId),
      pace: (bytes) => pace.take(bytes, signal),
      signal,
      onProgress: ({ points, pointsInAll, sentBytes }) =>
        context.progress({ doneBytes: sentBytes, note: `${points} of ${pointsInAll} restore points` }),
      async onPoint(manifest) {
        await store.putPoint(copy.repositoryId, copiedPoint(manifest));
        dependencies.pointChanged(manifest.id);
      },
    });
    const there = new Set(report.there);
    const gone = store.points(copy.repositoryId).flatMap(({ point_id }) => (there.has(point_id) ? [] : [point_id]));
    await store.removePoints(copy.repositoryId, gone);
    await dependencies.pointsLeft(gone, copy.repositoryId);
    // Copied by a life of this that did not come to write it down, or by another host.
    for (const id of report.there) {
      if (store.points(copy.repositoryId).some(({ point_id }) => point_id === id)) continue;
      const manifest = await source.point(id).catch((error: unknown) => {
        if (error instanceof AppError && ['point_not_found', 'point_damaged'].includes(error.code)) return null;
        throw error;
      });
      if (manifest !== null) await store.putPoint(copy.repositoryId, copiedPoint(manifest));
    }
    const [first] = report.damaged;
    if (first)
      throw new AppError('copy_incomplete', {
        detail: `${report.damaged.length} restore points of "${order.sourceName}" are damaged and were not copied: ${first.pointId}, ${first.reason}.`,
        params: { points: report.damaged.slice(0, 100) },
      });
    const { copied, sentObjects, sentBytes, foundObjects } = report;
    return { copied: copied.length, there: report.there.length, sentObjects, sentBytes, foundObjects };
  } finally {
    await place.close();
  }
}

const copiedPoint = ({ id, kind, vm, seq, pointInTime }: Manifest): CopiedPoint => ({
  point_id: id,
  kind,
  vm_id: vm,
  seq,
  point_in_time: pointInTime,
  is_good: 1,
  is_locked: 0,
});

async function prune(copy: Copy, dependencies: CopyDependencies, { signal, log }: StepContext): Promise<void> {
  const { repositories, store } = dependencies;
  const remove = dependencies.choose(copy).leaving.filter(dependencies.isFree);
  if (remove.length === 0) return;
  const repository = await repositories.openApart(copy.repositoryId, signal).catch(inWordsOf('place_unreachable'));
  // Pages are read there when they cannot be read here, which only takes longer.
  const near = await repositories.open(copy.sourceId).catch((error: unknown) => {
    log.info(
      { repository: copy.sourceId, err: error },
      'a copy is thinned without the repository that it is a copy of',
    );
    return null;
  });
  const { placed } = repository;
  const { removed, locked } = placed
    ? await placed
        .pruneThere(near, { remove, signal })
        .then(({ removedPoints, lockedPoints }) => ({ removed: removedPoints, locked: lockedPoints }))
        .finally(placed.close)
    : await repository
        .prune({ points: { remove }, signal })
        .then(({ removedPoints }) => ({ removed: removedPoints, locked: [] }));
  await store.removePoints(copy.repositoryId, removed);
  await dependencies.pointsLeft(removed, copy.repositoryId);
  for (const point of store.points(copy.repositoryId))
    if (locked.includes(point.point_id)) await store.putPoint(copy.repositoryId, { ...point, is_locked: 1 });
}

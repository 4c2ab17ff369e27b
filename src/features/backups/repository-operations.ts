/** Looks at a whole repository: reads its restore points into our tables, or checks that all of it is what it was. */

import { z } from 'zod';
import { defineOperation, type OperationDefinition, type StepContext } from '#features/operations/index.ts';
import { AppError } from '#kernel/errors.ts';
import type { Database } from '#platform/db/database.ts';
import type { Catalogue } from './catalogue.ts';
import { readMeta, rowOf } from './manifest-row.ts';
import type { OpenRepository, Repositories } from './repositories.ts';
import type { PointRow } from './tables.ts';

const scanOrderSchema = z.object({ repositoryId: z.string(), name: z.string() });
export type ScanOrder = z.infer<typeof scanOrderSchema>;
const checkOrderSchema = scanOrderSchema.extend({ isDataRead: z.boolean() });
export type CheckOrder = z.infer<typeof checkOrderSchema>;
const repairOrderSchema = scanOrderSchema.extend({ fromId: z.string(), fromName: z.string() });
export type RepairOrder = z.infer<typeof repairOrderSchema>;

export interface LookDependencies {
  readonly db: Database;
  readonly repositories: Repositories;
  readonly catalogue: Catalogue;
  /** Id of the repository that this one is the copy of; null = of none that is there. */
  sourceOf(repositoryId: string): string | null;
  /** Restore points are others than before. */
  told(rows: readonly Pick<PointRow, 'id' | 'project' | 'vm_id'>[]): void;
}

/** Rows at once: each is a transaction with the file's fsync. */
const BATCH = 200;

export function scanOperation(dependencies: LookDependencies): OperationDefinition<ScanOrder> {
  return defineOperation({
    kind: 'repository.scan',
    permission: 'backup.configure',
    input: scanOrderSchema,
    title: ({ name }) => `Read the repository ${name}`,
    object: ({ repositoryId, name }) => ({ type: 'repository', id: repositoryId, name }),
    locks: ({ repositoryId }) => [`repository:${repositoryId}`],
    steps: ({ repositoryId }) => [
      {
        name: 'read',
        title: 'Read the restore points',
        timeoutMs: null,
        isCancellable: true,
        async act(context) {
          const points = await readPoints(repositoryId, dependencies, context);
          await context.remember('points', points);
        },
      },
    ],
    result: async (_order, { recall }) => ({ points: recall('points') }),
  });
}

export function checkOperation(dependencies: LookDependencies): OperationDefinition<CheckOrder> {
  return defineOperation({
    kind: 'repository.check',
    permission: 'backup.verify',
    input: checkOrderSchema,
    title: ({ name }) => `Check the repository ${name}`,
    object: ({ repositoryId, name }) => ({ type: 'repository', id: repositoryId, name }),
    locks: ({ repositoryId }) => [`repository-check:${repositoryId}`],
    shares: ({ repositoryId }) => [`repository:${repositoryId}`],
    steps: ({ repositoryId, name, isDataRead }) => [
      {
        name: 'check',
        title: isDataRead ? 'Read everything' : 'Look whether all is there',
        timeoutMs: null,
        isCancellable: true,
        async act(context) {
          const repository = await dependencies.repositories.open(repositoryId);
          const options = {
            isDataRead,
            signal: context.signal,
            onProgress: ({ checkedObjects, checkedBytes }: { checkedObjects: number; checkedBytes: number }) =>
              context.progress({ doneBytes: checkedBytes, note: `${checkedObjects} pieces` }),
          };
          // What is damaged in a copy on another machine is brought anew from what it is a copy of.
          const report = repository.placed
            ? await repository.placed.checkThere(await sourceAtHand(repositoryId, dependencies, context), options)
            : await repository.check(options);
          // What is damaged, and what healed since the last check.
          await readPoints(repositoryId, dependencies, context);
          await context.remember('report', {
            points: report.points,
            objects: report.objects,
            bytes: report.bytes,
            problems: report.problemCount,
            damagedPoints: report.damagedPoints,
            isComplete: report.isComplete,
          });
          if (report.problemCount > 0)
            throw new AppError('repository_problems', {
              detail:
                `${report.problemCount} pieces of "${name}" are missing or damaged; ${report.damagedPoints.length} restore points cannot be restored as a whole. ${report.problems[0]?.reason ?? ''}`.trim(),
              params: { damagedPoints: report.damagedPoints.slice(0, 100) },
            });
        },
      },
    ],
    result: async (_order, { recall }) => recall('report'),
  });
}

/** A source that cannot be reached does not keep anybody from looking at its copy. */
async function sourceAtHand(
  repositoryId: string,
  { repositories, sourceOf }: LookDependencies,
  context: StepContext,
): Promise<OpenRepository | null> {
  const id = sourceOf(repositoryId);
  try {
    return id === null ? null : await repositories.open(id);
  } catch (error) {
    context.log.info({ repository: id, err: error }, 'a copy is checked without the repository that it is a copy of');
    return null;
  }
}

export function repairOperation(dependencies: LookDependencies): OperationDefinition<RepairOrder> {
  return defineOperation({
    kind: 'repository.repair',
    permission: 'backup.configure',
    input: repairOrderSchema,
    title: ({ name, fromName }) => `Repair the repository ${name} from ${fromName}`,
    object: ({ repositoryId, name }) => ({ type: 'repository', id: repositoryId, name }),
    locks: ({ repositoryId }) => [`repository-check:${repositoryId}`],
    shares: ({ repositoryId, fromId }) => [`repository:${repositoryId}`, `repository:${fromId}`],
    steps: ({ repositoryId, fromId }) => [
      {
        name: 'repair',
        title: 'Bring what is missing or damaged',
        timeoutMs: null,
        isCancellable: true,
        async act(context) {
          const { repositories } = dependencies;
          const repository = await repositories.open(repositoryId);
          const { repairedSettings, repairedManifests, repairedObjects, before, after } = await repository.repair(
            await repositories.open(fromId),
            {
              signal: context.signal,
              onProgress: ({ checkedObjects, checkedBytes }) =>
                context.progress({ doneBytes: checkedBytes, note: `${checkedObjects} pieces` }),
            },
          );
          await readPoints(repositoryId, dependencies, context);
          await context.remember('report', {
            repairedSettings,
            repairedManifests,
            repairedObjects,
            problemsBefore: before.problemCount,
            problems: after.problemCount,
            damagedPoints: after.damagedPoints,
          });
        },
      },
    ],
    result: async (_order, { recall }) => recall('report'),
  });
}

const placesSchema = z.object({ places: z.array(z.object({ target: z.string().nullable() })) });

/** Makes our tables say what the repository says. @returns how many restore points are there */
async function readPoints(
  repositoryId: string,
  { db, repositories, catalogue, told }: LookDependencies,
  context: Pick<StepContext, 'signal' | 'progress'>,
): Promise<number> {
  const repository = await repositories.open(repositoryId);
  const seen = new Set<string>();
  const isCopy = (id: string) => repositories.find(id)?.is_copy === 1;
  // A restore point is listed once: where it was made, or in a copy when it is nowhere else any more.
  const listedElsewhere = new Set(
    catalogue
      .known()
      .filter((known) => known.repositoryId !== repositoryId && (isCopy(repositoryId) || !isCopy(known.repositoryId)))
      .map(({ id }) => id),
  );
  let batch: { readonly row: PointRow; readonly damaged: readonly string[] }[] = [];
  const flush = async () => {
    const rows = batch;
    batch = [];
    await db.transaction(async (tx) => {
      await catalogue.put(
        tx,
        rows.map(({ row }) => row),
      );
      for (const { row, damaged } of rows) await catalogue.markDamaged(tx, row.vm_id, repositoryId, damaged);
    });
    told(rows.map(({ row }) => row));
  };
  for await (const { pointId, manifest, problem } of repository.points()) {
    context.signal.throwIfAborted();
    // The states of hosts are no points of VMs.
    if (manifest !== null && manifest.kind !== 'vm') continue;
    seen.add(pointId);
    if (listedElsewhere.has(pointId)) continue;
    if (manifest === null) {
      // It is there and cannot be read: what is known of it stays, as a damaged one.
      const before = await catalogue.point(pointId);
      if (before !== null)
        batch.push({ row: { ...before, state: 'bad', problem: problem?.message ?? null }, damaged: [] });
    } else {
      const { meta, problem: missing } = await readMeta(repository, pointId);
      const wrong = problem?.message ?? missing;
      const places = placesSchema.safeParse(problem?.params);
      batch.push({
        row: { ...rowOf(repositoryId, manifest, meta), ...(wrong === null ? {} : { state: 'bad', problem: wrong }) },
        damaged: places.success ? places.data.places.flatMap(({ target }) => target ?? []) : [],
      });
    }
    context.progress({ note: `${seen.size} restore points` });
    if (batch.length >= BATCH) await flush();
  }
  await flush();
  const gone = catalogue.known().filter((known) => known.repositoryId === repositoryId && !seen.has(known.id));
  await db.transaction((tx) =>
    catalogue.remove(
      tx,
      gone.map(({ id }) => id),
    ),
  );
  told(gone.map(({ id, project, vmId }) => ({ id, project, vm_id: vmId })));
  await repositories.scanned(repositoryId);
  return seen.size;
}

/** Removes the restore points of one repository that no schedule keeps, then what only they needed. Deciding and removing are two steps:
 *  what was decided is journalled, so that a run that died removes what it was to remove and nothing else. */

import { z } from 'zod';
import { defineOperation, type OperationDefinition } from '#features/operations/index.ts';
import type { Clock } from '#kernel/clock.ts';
import { AppError, toAppError } from '#kernel/errors.ts';
import { formatBytes } from '#kernel/units.ts';
import type { Calendar } from '#platform/calendar.ts';
import type { PruneRow } from '../migrations.ts';
import type { KeepChoice } from './keeping.ts';

const pruneInputSchema = z.object({ repositoryId: z.string(), name: z.string(), isLargeAllowed: z.boolean() });
export type PruneInput = z.infer<typeof pruneInputSchema>;

export const PRUNE = 'repository.prune';

/** A larger part of a repository goes only when an administrator says so: it may be that something else is wrong. */
const MOST_WITHOUT_ASKING = 0.3;

export interface Swept {
  readonly removedPoints: readonly string[];
  readonly pinnedPoints: readonly string[];
  readonly sweptBytes: number;
}

export interface PruneDependencies {
  readonly clock: Clock;
  readonly calendar: Pick<Calendar, 'leap'>;
  choose(repositoryId: string): readonly KeepChoice[];
  /** Deletes the points and sweeps. @throws AppError prune_too_much above the share, before anything is deleted; point_damaged when it
   *  cannot be told what is in use: then nothing is swept */
  sweep(
    repositoryId: string,
    order: { readonly remove: readonly string[]; readonly maxSweepRatio: number | null; readonly signal: AbortSignal },
  ): Promise<Swept>;
  /** Of what was deleted nothing is known any more. */
  forget(repositoryId: string, pointIds: readonly string[]): Promise<void>;
  /** Keeps how it ended, and tells people when it asks for one. */
  ended(row: PruneRow, input: PruneInput): Promise<void>;
}

const idsSchema = z.array(z.string());

/** Why nothing may go for its age now; null = it may. */
export const doubtOf = (calendar: Pick<Calendar, 'leap'>): string | null =>
  calendar.leap() === null ? null : 'The date of this machine leapt, so nothing is removed for its age for a day.';

export function pruneOperation(dependencies: PruneDependencies): OperationDefinition<PruneInput> {
  const { clock, calendar, choose, sweep, forget, ended } = dependencies;
  const nowText = () => clock.now().toISOString();
  return defineOperation<PruneInput>({
    kind: PRUNE,
    permission: 'backup.delete',
    input: pruneInputSchema,
    title: ({ name }) => `Clean the repository ${name}`,
    object: ({ repositoryId, name }) => ({ type: 'repository', id: repositoryId, name }),
    locks: ({ repositoryId }) => [`repository-prune:${repositoryId}`],
    shares: ({ repositoryId }) => [`repository:${repositoryId}`],
    steps: (input) => [
      {
        name: 'decide',
        title: 'Decide what stays',
        async act({ remember }) {
          const doubt = doubtOf(calendar);
          if (doubt !== null) throw new AppError('date_in_doubt', { detail: doubt });
          const choices = choose(input.repositoryId);
          await remember(
            'remove',
            choices.filter(({ reasons }) => reasons.length === 0).map(({ point }) => point.id),
          );
        },
      },
      {
        name: 'sweep',
        title: 'Remove what nothing needs',
        timeoutMs: null,
        isCancellable: true,
        async act({ recall, remember, signal }) {
          const remove = idsSchema.parse(recall('remove'));
          try {
            const swept = await sweep(input.repositoryId, {
              remove,
              maxSweepRatio: input.isLargeAllowed ? null : MOST_WITHOUT_ASKING,
              signal,
            });
            // What an earlier life of this step deleted is not in its answer.
            const gone = remove.filter((id) => !swept.pinnedPoints.includes(id));
            await forget(input.repositoryId, gone);
            const result = { removed: gone.length, inUse: swept.pinnedPoints.length, freedBytes: swept.sweptBytes };
            await remember('result', result);
            await ended(
              {
                repository: input.repositoryId,
                at: nowText(),
                state: 'done',
                detail: `${result.removed} restore points went, ${formatBytes(result.freedBytes)} were freed.`,
                removed: result.removed,
                freed_bytes: result.freedBytes,
              },
              input,
            );
          } catch (error) {
            if (signal.aborted) throw error;
            const problem = toAppError(error);
            const isAsking = problem.code === 'prune_too_much';
            const row = {
              repository: input.repositoryId,
              at: nowText(),
              detail: problem.message,
              removed: 0,
              freed_bytes: 0,
            };
            await ended({ ...row, state: isAsking ? 'asks' : 'failed' }, input);
            throw isAsking ? new AppError('prune_too_large', { detail: problem.message, cause: error }) : error;
          }
        },
      },
    ],
    result: async (_input, { recall }) => recall('result'),
  });
}

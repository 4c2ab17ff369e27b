/** Writes the state into repositories, one after the other: what goes wrong with one keeps none of the others from having it. */

import { z } from 'zod';
import { defineOperation, type OperationDefinition } from '#features/operations/index.ts';
import { AppError, messageOf } from '#kernel/errors.ts';

const writeInputSchema = z.object({ repositories: z.array(z.object({ id: z.string(), name: z.string() })) });
export type WriteInput = z.infer<typeof writeInputSchema>;

export const WRITE = 'system.backup';

export interface WriteDependencies {
  /** Whether this operation wrote its point there already. */
  isWritten(repositoryId: string, operationId: string): Promise<boolean>;
  write(repositoryId: string, operationId: string, signal: AbortSignal): Promise<void>;
  /** Lets go what the keep rule does not keep; what goes wrong is tried again with the next one. */
  thin(repositoryId: string): Promise<void>;
  /** Keeps how it ended. @param problem null = it is there */
  ended(repositoryId: string, problem: string | null): Promise<void>;
}

export function writeOperation(dependencies: WriteDependencies): OperationDefinition<WriteInput> {
  const { isWritten, write, thin, ended } = dependencies;
  return defineOperation<WriteInput>({
    kind: WRITE,
    permission: 'backup.configure',
    input: writeInputSchema,
    title: () => 'Back up the state of this host',
    object: () => null,
    locks: () => ['state-backup'],
    shares: ({ repositories }) => repositories.map(({ id }) => `repository:${id}`),
    steps: ({ repositories }) => [
      ...repositories.map(({ id, name }, n) => ({
        name: `write-${n}`,
        title: `Write it into ${name}`,
        timeoutMs: null,
        isCancellable: true,
        async act({ operationId, signal, remember }: Parameters<WriteStep>[0]) {
          try {
            if (!(await isWritten(id, operationId))) await write(id, operationId, signal);
            await ended(id, null);
            await thin(id);
          } catch (error) {
            if (signal.aborted) throw error;
            await ended(id, messageOf(error));
            await remember(`problem-${n}`, `${name}: ${messageOf(error)}`);
          }
        },
      })),
      {
        name: 'conclude',
        title: 'See that all have it',
        async act({ recall }) {
          const problems = repositories.flatMap((_, n) => {
            const problem = recall(`problem-${n}`);
            return typeof problem === 'string' ? [problem] : [];
          });
          if (problems.length > 0) throw new AppError('state_backup_incomplete', { detail: problems.join(' ') });
        },
      },
    ],
  });
}

type WriteStep = ReturnType<OperationDefinition<WriteInput>['steps']>[number]['act'];

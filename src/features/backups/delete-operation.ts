/** Deletes a restore point. What no other one needs goes with it, except what is younger than a day. */

import { z } from 'zod';
import { defineOperation, type OperationDefinition } from '#features/operations/index.ts';
import { AppError } from '#kernel/errors.ts';
import type { Database } from '#platform/db/database.ts';
import type { Catalogue } from './catalogue.ts';
import type { Repositories } from './repositories.ts';
import { pointLock } from './restore-operation.ts';
import type { PointRow } from './tables.ts';

const deleteOrderSchema = z.object({
  pointId: z.string(),
  repositoryId: z.string(),
  vmId: z.string(),
  project: z.string(),
  /** That made it: what it holds of quotas is charged under its id. */
  madeBy: z.string(),
  title: z.string(),
});
export type DeleteOrder = z.infer<typeof deleteOrderSchema>;

export interface DeleteDependencies {
  readonly db: Database;
  readonly repositories: Pick<Repositories, 'open'>;
  readonly catalogue: Catalogue;
  told(rows: readonly Pick<PointRow, 'id' | 'project' | 'vm_id'>[]): void;
}

export function deleteOperation({
  db,
  repositories,
  catalogue,
  told,
}: DeleteDependencies): OperationDefinition<DeleteOrder> {
  return defineOperation({
    kind: 'backup.delete',
    permission: 'backup.delete',
    input: deleteOrderSchema,
    title: ({ title }) => `Delete the restore point ${title}`,
    object: ({ pointId, title }) => ({ type: 'restore-point', id: pointId, name: title }),
    vm: ({ vmId }) => vmId,
    locks: ({ pointId }) => [pointLock(pointId)],
    shares: ({ repositoryId }) => [`repository:${repositoryId}`],
    charges: ({ project, madeBy }) => [{ project, resource: 'backups', objectId: madeBy, amount: 0 }],
    steps: ({ pointId, repositoryId, project, vmId }) => [
      {
        name: 'remove',
        title: 'Remove it from the repository',
        timeoutMs: null,
        async check() {
          for await (const point of (await repositories.open(repositoryId)).points(vmId))
            if (point.pointId === pointId) return false;
          return true;
        },
        async act({ signal }) {
          const repository = await repositories.open(repositoryId);
          const { pinnedPoints } = await repository.prune({ points: { remove: [pointId] }, signal });
          if (pinnedPoints.includes(pointId))
            throw new AppError('busy', {
              detail: 'The restore point is in use: a backup goes on from it, or something reads it.',
              hint: 'Try again when that is over.',
            });
        },
      },
      {
        name: 'forget',
        title: 'Take it from the list',
        async act() {
          await db.transaction(async (tx) => {
            await catalogue.remove(tx, [pointId]);
            tx.afterCommit(() => told([{ id: pointId, project, vm_id: vmId }]));
          });
        },
      },
    ],
  });
}

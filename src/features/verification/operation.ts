/** The proof of one restore point as an operation. It is done when a verdict is written down, whichever: a point that does not restore is
 *  a result. Cancelled or broken off, it leaves a record that says so, and nothing else. */

import { z } from 'zod';
import { proofLevelSchema } from '#contract/verification.ts';
import { defineOperation, type OperationDefinition, type StepContext } from '#features/operations/index.ts';
import type { Clock } from '#kernel/clock.ts';
import { messageOf } from '#kernel/errors.ts';
import type { CleanUp } from './leftovers.ts';
import type { ProofRow } from './migrations.ts';
import type { Places } from './places.ts';
import { cancelledProof, type ProveContext, type ProveOrder } from './prove.ts';
import type { ProofStore } from './store.ts';

export const PROOF_OPERATION = 'backup.verify';

const pointSchema = z.object({
  id: z.string(),
  repositoryId: z.string(),
  repository: z.string(),
  vmId: z.string(),
  vmName: z.string(),
  project: z.string(),
  pointInTime: z.string(),
});
export const proofOrderSchema = z.object({
  proofId: z.string(),
  vmId: z.string(),
  vmName: z.string(),
  project: z.string(),
  point: pointSchema.nullable(),
  level: proofLevelSchema.nullable(),
});
export type ProofOrder = z.infer<typeof proofOrderSchema>;

export interface OperationParts {
  readonly store: Pick<ProofStore, 'ofOperation'>;
  readonly places: Places;
  readonly cleanUp: CleanUp;
  readonly clock: Clock;
  prove(order: ProveOrder, context: ProveContext): Promise<ProofRow>;
  /** Writes it down, into the audit log too, and tells of it. Once for an operation. */
  record(row: ProofRow, actor: string): Promise<void>;
}

export function proofOperation(parts: OperationParts): OperationDefinition<ProofOrder> {
  const { store, places, cleanUp, clock } = parts;
  const orderOf = (order: ProofOrder, { operationId }: Pick<StepContext, 'operationId'>): ProveOrder => ({
    ...order,
    operationId,
  });
  return defineOperation({
    kind: PROOF_OPERATION,
    permission: 'backup.verify',
    input: proofOrderSchema,
    title: ({ vmName, point }) =>
      `Prove that ${vmName} restores${point === null ? '' : `, from ${point.pointInTime.slice(0, 16).replace('T', ' ')}`}`,
    // Not the VM: nothing of it is touched, and it must not look busy.
    object: ({ proofId, vmName }) => ({ type: 'proof', id: proofId, name: vmName }),
    vm: ({ vmId }) => vmId,
    locks: ({ vmId }) => [`proof:${vmId}`],
    steps: (order) => [
      {
        name: 'prove',
        title: 'Check, start and ask it',
        timeoutMs: null,
        isCancellable: true,
        check: async ({ operationId }) => (await store.ofOperation(operationId)) !== null,
        async act(context) {
          const place = await places.take(context.signal, () => context.progress({ note: 'waiting for its turn' }));
          try {
            // What an earlier life of this proof left.
            await cleanUp(context.operationId);
            const row = await parts.prove(orderOf(order, context), context);
            await parts.record(row, context.actor);
          } finally {
            place.release();
          }
        },
        async compensate(context) {
          await cleanUp(context.operationId);
          if ((await store.ofOperation(context.operationId)) !== null) return;
          const reason = messageOf(context.signal.reason ?? 'It was broken off.');
          await parts.record(cancelledProof(orderOf(order, context), reason, clock.now()), context.actor);
        },
      },
    ],
    async result(_order, { operationId }) {
      const row = await store.ofOperation(operationId);
      return row === null
        ? null
        : {
            proofId: row.id,
            verdict: row.verdict,
            reason: row.reason,
            level: row.level,
            evidence: row.evidence_digest,
          };
    },
  });
}

/** Begins proofs: one that somebody asks for, and those that are due. */

import type { Operation } from '#contract/operations.ts';
import type { ProofLevel } from '#contract/verification.ts';
import type { OperationsApi, RegisteredKind } from '#features/operations/index.ts';
import { AppError, toAppError } from '#kernel/errors.ts';
import { newId } from '#kernel/ids.ts';
import { SYSTEM_IDENTITY } from '#platform/feature.ts';
import { dueVms, type ProvableVm } from './due.ts';
import type { ProofOrder } from './operation.ts';
import type { ProofPoints } from './points.ts';

type StartRequest = Parameters<OperationsApi['start']>[2];

/** @throws not_found for a point that is not of this VM; busy while another proof of it runs */
export type StartProof = (
  vm: ProvableVm,
  what: { readonly pointId: string | null; readonly level: ProofLevel | null },
  request: Omit<StartRequest, 'project'>,
) => Promise<Operation>;

/** What became of each VM that a plan covers. */
export interface ProofRound {
  /** Also for VMs without a restore point: theirs ends as `nothing_checked`. */
  readonly started: readonly { readonly vmId: string; readonly operationId: string }[];
  /** Proven not long ago. */
  readonly notDue: readonly string[];
  /** Due, and left to the next look. */
  readonly later: readonly string[];
  readonly refused: readonly { readonly vmId: string; readonly reason: string }[];
}

/** @param action the name of the job that asks, for the audit log
 *  @param atMost begun now; the longest waiting go first */
export type ProveDue = (
  vms: readonly ProvableVm[],
  options: { readonly everyMs: number; readonly action: string; readonly atMost?: number },
) => Promise<ProofRound>;

/** What tells which VMs are due. */
interface NewestProofs {
  newest(): Promise<Parameters<typeof dueVms>[1]>;
}

export interface StartParts {
  readonly operations: Pick<OperationsApi, 'start'>;
  readonly kind: RegisteredKind<ProofOrder>;
  readonly points: Pick<ProofPoints, 'newest' | 'find'>;
  readonly store: NewestProofs;
  readonly now: () => Date;
}

export function createStartProof({ operations, kind, points, now }: StartParts): StartProof {
  return async (vm, { pointId, level }, request) => {
    const point = pointId === null ? await points.newest(vm.id) : await points.find(pointId);
    if (pointId !== null && point?.vmId !== vm.id)
      throw new AppError('not_found', {
        detail: `${vm.name} has no restore point ${pointId.slice(0, 80)}.`,
        hint: `\`hv backup list ${vm.name}\` lists its restore points.`,
      });
    const order: ProofOrder = {
      proofId: newId('proof', now().getTime()),
      vmId: vm.id,
      vmName: vm.name,
      project: vm.project,
      point,
      level,
    };
    return operations.start(kind, order, { ...request, project: vm.project });
  };
}

export function createProveDue(
  startProof: (...asked: Parameters<StartProof>) => Promise<Pick<Operation, 'id'>>,
  { store, now }: { readonly store: NewestProofs; readonly now: () => Date },
): ProveDue {
  return async (vms, { everyMs, action, atMost = Number.POSITIVE_INFINITY }) => {
    const due = dueVms(vms, await store.newest(), { now: now(), everyMs });
    const isDue = new Set(due.map(({ id }) => id));
    const started: { vmId: string; operationId: string }[] = [];
    const refused: { vmId: string; reason: string }[] = [];
    const later: string[] = [];
    for (const vm of due) {
      if (started.length >= atMost) {
        later.push(vm.id);
        continue;
      }
      try {
        const { id } = await startProof(
          vm,
          { pointId: null, level: null },
          { identity: SYSTEM_IDENTITY, requestId: null, idempotencyKey: null, requestHash: '', action },
        );
        started.push({ vmId: vm.id, operationId: id });
      } catch (error) {
        // One VM's trouble keeps no other from being proven; the round says so.
        refused.push({ vmId: vm.id, reason: toAppError(error).message });
      }
    }
    return { started, refused, later, notDue: vms.flatMap(({ id }) => (isDue.has(id) ? [] : [id])) };
  };
}

/** Forcing a VM off when nothing can be recorded: what the break-glass setting is for. The journal cannot be written then either, so it is
 *  done at once, and the answer looks like an operation that is over. */

import type { Operation } from '#contract/operations.ts';
import type { AuditEntry, BreakGlass } from '#features/audit/index.ts';
import type { InventoryApi } from '#features/inventory/index.ts';
import type { Clock } from '#kernel/clock.ts';
import { toAppError } from '#kernel/errors.ts';
import { newId } from '#kernel/ids.ts';
import type { Identity } from '#platform/feature.ts';
import type { DomainAccess } from './domain-access.ts';

interface StopRequest {
  readonly params: { readonly id: string };
  readonly identity: Identity;
  readonly requestId: string;
}

interface Parts {
  readonly access: Pick<DomainAccess, 'stop'>;
  readonly known: Pick<InventoryApi, 'vm' | 'refresh'>;
  readonly clock: Clock;
}

const UNRECORDED: readonly string[] = ['audit_unavailable', 'unavailable'];

/** The stop as it is, and what is done instead when it cannot be recorded and break-glass allows it. */
export function withBreakGlass<Request extends StopRequest>(
  stop: (request: Request) => Promise<Operation>,
  breakGlass: BreakGlass,
  { access, known, clock }: Parts,
): (request: Request) => Promise<Operation> {
  return async (request) => {
    try {
      return await stop(request);
    } catch (error) {
      const vm = known.vm(request.params.id);
      if (!vm || !UNRECORDED.includes(toAppError(error).code)) throw error;
      const { identity, requestId } = request;
      const entry: AuditEntry = {
        phase: 'intent',
        outcome: null,
        actor: identity.user,
        actorId: identity.userId,
        method: identity.method,
        via: identity.via,
        address: identity.address,
        action: 'POST /vms/{id}/stop',
        permission: 'vm.power',
        objectType: 'vm',
        objectId: vm.id,
        objectName: vm.name,
        project: vm.project,
        requestId,
        operationId: null,
        code: null,
      };
      if (!(await breakGlass.allow(entry))) throw error;
      const createdAt = clock.now();
      try {
        await access.stop(vm.id);
      } catch (failure) {
        breakGlass.ended({ ...entry, phase: 'outcome', outcome: 'failed', code: toAppError(failure).code });
        throw failure;
      }
      breakGlass.ended({ ...entry, phase: 'outcome', outcome: 'done' });
      await known.refresh(vm.id);
      return {
        id: newId('op', createdAt.getTime()),
        kind: 'vm.stop',
        title: `Stop ${vm.name}`,
        state: 'done',
        actor: identity.user,
        objectType: 'vm',
        objectId: vm.id,
        objectName: vm.name,
        vmId: vm.id,
        project: vm.project,
        steps: [{ name: 'stop', title: 'Cut the power', state: 'done' }],
        progress: null,
        canCancel: false,
        isDismissed: false,
        error: null,
        result: { vmId: vm.id, name: vm.name, state: 'off' },
        createdAt: createdAt.toISOString(),
        finishedAt: clock.now().toISOString(),
        requestId,
      };
    }
  };
}

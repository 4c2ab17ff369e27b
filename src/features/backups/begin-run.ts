/** Begins the backup of a VM, whoever asks for it: checks what the schema cannot know. */

import type { Operation } from '#contract/operations.ts';
import type { InventoryApi } from '#features/inventory/index.ts';
import type { OperationsApi, RegisteredKind } from '#features/operations/index.ts';
import { AppError } from '#kernel/errors.ts';
import type { Instant } from './instant/instant.ts';
import type { Repositories } from './repositories.ts';
import { unconfirmed } from './run-operation.ts';
import type { RunOrder } from './run-order.ts';

export interface BeginOrder {
  /** UUID or name. */
  readonly vm: string;
  /** Id or name; null = the default one. */
  readonly repository: string | null;
  readonly isFull: boolean;
  /** A disk that was not read as a whole for so long is; null = as configured. */
  readonly scrubDays: number | null;
}

export type BeginRun = (order: BeginOrder, request: Parameters<OperationsApi['start']>[2]) => Promise<Operation>;

interface Dependencies {
  readonly operations: OperationsApi;
  readonly known: InventoryApi;
  readonly repositories: Repositories;
  readonly instant: Pick<Instant, 'requireUnused'>;
  readonly kinds: { readonly run: RegisteredKind<RunOrder>; readonly runStopped: RegisteredKind<RunOrder> };
}

/** @throws AppError not_found, unavailable, wrong_state, repository_unconfirmed, restore_not_finished; busy while something else works on the VM */
export function createBeginRun({ operations, known, repositories, instant, kinds }: Dependencies): BeginRun {
  return async (order, request) => {
    const before = await operations.repeated(request);
    if (before) return before;
    const vm = known.vm(order.vm);
    if (!vm) throw new AppError('not_found', { detail: `There is no VM "${order.vm.slice(0, 80)}".` });
    if (vm.state === 'unknown')
      throw new AppError('unavailable', { detail: `"${vm.name}" cannot be backed up now: libvirt does not answer.` });
    const isOff = vm.state === 'off' || vm.state === 'crashed';
    if (!vm.persistent)
      throw new AppError('wrong_state', {
        detail: `"${vm.name}" has no stored definition: it disappears when it is stopped.`,
        hint: 'Define it with the program that made it, then back it up.',
      });
    if (isOff && known.row(vm.id)?.moved)
      throw new AppError('wrong_state', {
        detail: `"${vm.name}" was moved to another host, where its disks are in use.`,
        hint: 'Back it up there.',
      });
    // Its disks are not whole yet, and QEMU copies one at a time.
    instant.requireUnused({ vmId: vm.id });
    const repository = order.repository === null ? await repositories.default() : repositories.get(order.repository);
    if (repository.is_copy === 1 || repository.place !== null)
      throw new AppError('repository_is_copy', { detail: `No VM is backed up to "${repository.name}".` });
    if (repository.is_confirmed === 0) throw unconfirmed(repository.name);
    return operations.start(
      isOff ? kinds.runStopped : kinds.run,
      {
        vmId: vm.id,
        name: vm.name,
        project: vm.project,
        repositoryId: repository.id,
        isFull: order.isFull,
        scrubDays: order.scrubDays,
      },
      request,
    );
  };
}

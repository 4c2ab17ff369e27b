/** What finders ask of every VM before they think of anything else. */

import type { InventoryApi } from '#features/inventory/index.ts';
import type { Hands } from '../allowed-work.ts';
import type { Finding, HealedObject } from '../finding.ts';

export type KnownVm = ReturnType<InventoryApi['vms']>[number];

export const vmObjectOf = ({ id, name, project }: KnownVm): HealedObject => ({ type: 'vm', id, name, project });

/** Made here and still defined: what another program made may be kept running by that program, here or elsewhere. */
export const isOurs = (known: Pick<InventoryApi, 'row'>, vm: KnownVm): boolean =>
  vm.persistent && known.row(vm.id)?.managed === true;

/** Somebody said that it should run, and nobody that it should not. */
export const isToRun = (known: Pick<InventoryApi, 'row'>, vmId: string): boolean =>
  known.row(vmId)?.desired === 'running';

/** An operation that works on the VM, whoever began it, is waited for. */
export const jobOn = (vm: KnownVm, hands: Pick<Hands, 'isLocked'>): Finding['obstacle'] =>
  vm.operationId !== null || hands.isLocked(`vm:${vm.id}`)
    ? { text: 'an operation works on it.', isWorthTelling: false }
    : null;

export const isOn = (vm: KnownVm): boolean => vm.state === 'running' || vm.state === 'idle';

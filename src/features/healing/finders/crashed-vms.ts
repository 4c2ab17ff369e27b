/** VMs of ours whose QEMU died although they are meant to run. */

import { access, constants } from 'node:fs/promises';
import type { InventoryApi } from '#features/inventory/index.ts';
import { withDeadline } from '#kernel/async.ts';
import { hasErrno } from '#kernel/errors.ts';
import type { Hands } from '../allowed-work.ts';
import type { Finder, Finding } from '../finding.ts';
import type { OomWatch } from '../oom-watch.ts';
import { isOurs, isToRun, jobOn, type KnownVm, vmObjectOf } from './vm-facts.ts';

/** A kernel that was out of memory so short a time before is why QEMU died. */
const OOM_MS = 60_000;
const LOOK_MS = 2_000;

interface Dependencies {
  readonly known: Pick<InventoryApi, 'vms' | 'vm' | 'row' | 'storedFacts' | 'staleSince'>;
  readonly hands: Pick<Hands, 'isLocked'>;
  readonly oom: Pick<OomWatch, 'sinceLastMs'>;
  readonly delaysMs: readonly number[];
  /** Since when its case is open; null = it is not. */
  openForMs(vmId: string): number | null;
  /** Whether something was done about it since its case was opened. */
  wasTried(vmId: string): boolean;
}

export function findCrashedVms({ known, hands, oom, delaysMs, openForMs, wasTried }: Dependencies): Finder {
  /** libvirt calls a guest whose restart failed `failed`; one that nobody tried to start was not healed into that state.
   *  A libvirtd that was restarted does not remember why a guest is off; a crash that was seen before is still the reason. */
  const isDown = ({ id, state, stateReason }: KnownVm): boolean =>
    (state === 'crashed' && stateReason === 'crashed') ||
    (state === 'off' && stateReason === 'failed' && wasTried(id)) ||
    (state === 'off' && (stateReason === null || stateReason === 'daemon') && openForMs(id) !== null);
  const isCrashed = (vm: KnownVm): boolean => isOurs(known, vm) && isToRun(known, vm.id) && isDown(vm);

  const obstacle = async (vm: KnownVm): Promise<Finding['obstacle']> => {
    const job = jobOn(vm, hands);
    if (job !== null) return job;
    const openMs = openForMs(vm.id);
    const oomMs = oom.sinceLastMs();
    if (oomMs !== null && openMs !== null && oomMs - openMs < OOM_MS && oomMs >= 0)
      return {
        text: 'the kernel had to end programs for want of memory. Stop other VMs or give this one less memory, then start it.',
        isWorthTelling: true,
      };
    for (const { path } of known.storedFacts(vm.id)?.disks ?? []) {
      if (path?.startsWith('/') && (await isMissing(path)))
        return {
          text: `a file of its disks is missing (${path}). Put it back, then start the VM.`,
          isWorthTelling: true,
        };
    }
    return null;
  };

  return {
    action: 'vm-restart',
    delaysMs,
    isOnce: false,
    async find() {
      if (known.staleSince !== null) return null;
      const findings: Finding[] = [];
      for (const vm of known.vms().filter(isCrashed)) {
        findings.push({
          object: vmObjectOf(vm),
          found: `the QEMU of ${vm.name} died`,
          remedy: 'start it',
          obstacle: await obstacle(vm),
          isStillSo() {
            const now = known.vm(vm.id);
            return known.staleSince === null && now !== null && isCrashed(now) && jobOn(now, hands) === null;
          },
          work: { kind: 'vm.start', input: { vmId: vm.id, name: vm.name } },
        });
      }
      return { findings, isUnknown: () => false };
    },
  };
}

/** A file that cannot be looked at is libvirt's to judge. */
async function isMissing(path: string): Promise<boolean> {
  try {
    await withDeadline('a look at a disk', LOOK_MS, () => access(path, constants.F_OK));
    return false;
  } catch (error) {
    return hasErrno(error, 'ENOENT', 'ENOTDIR');
  }
}

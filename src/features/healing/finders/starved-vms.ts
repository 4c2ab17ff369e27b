/** VMs that QEMU paused because their storage was full. libvirt is asked which disks that was; where they lie is looked at now. */

import type { InventoryApi } from '#features/inventory/index.ts';
import { withDeadline } from '#kernel/async.ts';
import { messageOf } from '#kernel/errors.ts';
import type { Logger } from '#kernel/logger.ts';
import type { LibvirtHost } from '#libvirt/index.ts';
import { fileSystemOf } from '#platform/file-system.ts';
import type { Hands } from '../allowed-work.ts';
import type { Finder, Finding } from '../finding.ts';
import { isOurs, isToRun, jobOn, type KnownVm, vmObjectOf } from './vm-facts.ts';

/** With less than this share free it would stop again at once. */
const ENOUGH_RATIO = 0.05;
const LOOK_MS = 2_000;
const ASK_MS = 5_000;

interface Dependencies {
  readonly known: Pick<InventoryApi, 'vms' | 'vm' | 'row' | 'facts' | 'staleSince'>;
  readonly hands: Pick<Hands, 'isLocked'>;
  readonly diskErrors: LibvirtHost['domains']['diskErrors'];
  readonly delaysMs: readonly number[];
  readonly log: Logger;
}

/** Share of the file system that others than root may still use. @throws for what is no file: how full its device is does not show there */
async function freeRatio(path: string): Promise<number> {
  const { availableBytes, sizeBytes, isFile } = await withDeadline('statfs', LOOK_MS, () => fileSystemOf(path));
  if (!isFile) throw new Error(`the space of ${path} cannot be seen from here`);
  return sizeBytes === 0 ? 0 : availableBytes / sizeBytes;
}

export function findStarvedVms({ known, hands, diskErrors, delaysMs, log }: Dependencies): Finder {
  const isStopped = (vm: KnownVm): boolean =>
    isOurs(known, vm) && isToRun(known, vm.id) && vm.state === 'paused' && vm.stateReason === 'io_error';

  /** Null when it is no matter of space. @throws when libvirt does not say, or a disk lies where space cannot be seen */
  const lowestFree = async (vm: KnownVm): Promise<{ readonly disk: string; readonly ratio: number } | null> => {
    const errors = (await diskErrors(vm.id, { deadlineMs: ASK_MS })).filter(({ error }) => error !== 'none');
    if (errors.length === 0 || errors.some(({ error }) => error !== 'no-space')) return null;
    let lowest: { readonly disk: string; readonly ratio: number } | null = null;
    for (const { disk } of errors) {
      const path = known.facts(vm.id)?.disks.find(({ target }) => target === disk)?.path;
      if (!path?.startsWith('/')) throw new Error(`the space of ${disk} cannot be seen from here`);
      const ratio = await freeRatio(path);
      if (lowest === null || ratio < lowest.ratio) lowest = { disk, ratio };
    }
    return lowest;
  };

  return {
    action: 'vm-resume',
    delaysMs,
    isOnce: false,
    async find() {
      if (known.staleSince !== null) return null;
      const findings: Finding[] = [];
      const unknown = new Set<string>();
      for (const vm of known.vms().filter(isStopped)) {
        try {
          const low = await lowestFree(vm);
          if (low === null) continue;
          findings.push({
            object: vmObjectOf(vm),
            found: `${vm.name} was paused because the storage of ${low.disk} was full`,
            remedy: 'resume it, now that there is space again',
            obstacle:
              jobOn(vm, hands) ??
              (low.ratio > ENOUGH_RATIO
                ? null
                : {
                    text: `the storage of ${low.disk} is still full; it is resumed once more than 5 % are free. Free space there.`,
                    isWorthTelling: true,
                  }),
            isStillSo() {
              const now = known.vm(vm.id);
              return known.staleSince === null && now !== null && isStopped(now) && jobOn(now, hands) === null;
            },
            work: { kind: 'vm.resume', input: { vmId: vm.id, name: vm.name } },
          });
        } catch (error) {
          unknown.add(vm.id);
          log.debug({ vm: vm.id, err: error }, `why a VM is paused is not known: ${messageOf(error)}`);
        }
      }
      return { findings, isUnknown: (id) => unknown.has(id) };
    },
  };
}

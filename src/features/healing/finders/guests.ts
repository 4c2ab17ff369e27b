/** What is wrong inside running guests, by the figures that are collected anyway: agents that fell silent, QEMUs that hang, file systems
 *  to trim. A figure that is missing or old says nothing. */

import type { MetricName } from '#contract/metric-catalogue.ts';
import type { InventoryApi } from '#features/inventory/index.ts';
import { attribute, child, children, parseXml } from '#libvirt/index.ts';
import type { Hands } from '../allowed-work.ts';
import type { Finder, Finding } from '../finding.ts';
import { isOn, isOurs, jobOn, type KnownVm, vmObjectOf } from './vm-facts.ts';

const WEEK_MS = 7 * 86_400_000;
/** The first trims of VMs that were all given a mode at once are spread over this. */
const STAGGER_MS = 6 * 3_600_000;
const STUCK_SECONDS = 60;

interface Dependencies {
  readonly known: Pick<InventoryApi, 'vms' | 'vm' | 'row' | 'definition' | 'staleSince'>;
  readonly hands: Pick<Hands, 'isLocked'>;
  /** The newest figure of a VM, or of the host for null; null when there is none that is young. */
  figure(metric: MetricName, vmId: string | null): number | null;
  /** Whether the machine runs on its battery. */
  isOnBattery(): boolean;
  nowMs(): number;
  /** Since when the VM asks to be trimmed; null = it does not. */
  wantsTrimSinceMs(vmId: string): number | null;
  lastTrimMs(vmId: string): number | null;
}

export function findInGuests(dependencies: Dependencies): readonly Finder[] {
  const { known, hands, figure, isOnBattery, nowMs, wantsTrimSinceMs, lastTrimMs } = dependencies;

  const finder = (
    action: Finder['action'],
    delaysMs: readonly number[],
    options: { readonly isOnce: boolean; readonly waitsForJobs: boolean; readonly isUnknown: (vm: KnownVm) => boolean },
    isWrong: (vm: KnownVm) => boolean,
    facts: (vm: KnownVm) => Pick<Finding, 'found' | 'remedy' | 'work'>,
  ): Finder => {
    const job = (vm: KnownVm) => (options.waitsForJobs ? jobOn(vm, hands) : null);
    const applies = (vm: KnownVm) => isOurs(known, vm) && isOn(vm) && isWrong(vm);
    return {
      action,
      delaysMs,
      isOnce: options.isOnce,
      async find() {
        if (known.staleSince !== null) return null;
        const findings = known
          .vms()
          .filter(applies)
          .map(
            (vm): Finding => ({
              object: vmObjectOf(vm),
              obstacle: job(vm),
              isStillSo() {
                const now = known.vm(vm.id);
                return now !== null && applies(now) && job(now) === null;
              },
              ...facts(vm),
            }),
          );
        return {
          findings,
          isUnknown(id) {
            const vm = known.vm(id);
            return vm !== null && isOn(vm) && options.isUnknown(vm);
          },
        };
      },
    };
  };

  const isTrimDue = (vm: KnownVm): boolean => {
    const sinceMs = wantsTrimSinceMs(vm.id);
    if (sinceMs === null || vm.agent !== 'connected') return false;
    const lastMs = lastTrimMs(vm.id);
    const dueMs = lastMs === null ? sinceMs + stagger(vm.id) : lastMs + WEEK_MS;
    return nowMs() >= dueMs && !isOnBattery() && passesDiscards(known.definition(vm.id)?.xml ?? null);
  };

  return [
    finder(
      'agent-sync',
      [600_000],
      { isOnce: false, waitsForJobs: true, isUnknown: (vm) => figure('vm_agent_up', vm.id) === null },
      (vm) => vm.agent === 'connected' && figure('vm_agent_up', vm.id) === 0,
      (vm) => ({
        found: `the agent of ${vm.name} is connected and does not answer`,
        remedy: 'ask it for a sign of life',
        work: { kind: 'healing.agent-sync', input: { vmId: vm.id, name: vm.name } },
      }),
    ),
    finder(
      'monitor-evidence',
      [0],
      // The operation that hangs at this very QEMU is a reason to look, not to wait.
      { isOnce: true, waitsForJobs: false, isUnknown: (vm) => figure('vm_monitor_stuck', vm.id) === null },
      (vm) => (figure('vm_monitor_stuck', vm.id) ?? 0) >= STUCK_SECONDS,
      (vm) => ({
        found: `the QEMU of ${vm.name} does not answer libvirt`,
        remedy: 'write down what the kernel tells of it',
        work: { kind: 'healing.monitor-evidence', input: { vmId: vm.id, name: vm.name } },
      }),
    ),
    finder('guest-trim', [0], { isOnce: false, waitsForJobs: true, isUnknown: () => false }, isTrimDue, (vm) => ({
      found: `the file systems of ${vm.name} were not trimmed for a week`,
      remedy: 'trim them',
      work: { kind: 'healing.guest-trim', input: { vmId: vm.id, name: vm.name } },
    })),
  ];
}

/** Whether a disk hands on to the host what the guest frees. */
export function passesDiscards(xml: string | null): boolean {
  if (xml === null) return false;
  const devices = child(parseXml(xml), 'devices');
  return (devices === null ? [] : children(devices, 'disk')).some((disk) => {
    const driver = child(disk, 'driver');
    return driver !== null && attribute(driver, 'discard') === 'unmap';
  });
}

/** The same for a VM each time, spread evenly over VMs. */
const stagger = (vmId: string): number => (Number.parseInt(vmId.slice(0, 8), 16) / 0x1_0000_0000) * STAGGER_MS;

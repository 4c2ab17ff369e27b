/** What the inventory and the journal of operations know of a VM, as samples. */

import type { METRICS } from '#contract/metric-catalogue.ts';
import type { Vm } from '#contract/vms.ts';
import type { SampleSink } from '../measuring.ts';
import { enumNumber } from '../sinks.ts';

export type PauseReason = (typeof METRICS)['vm_pause_reason']['values'][number];
export type VmJob = (typeof METRICS)['vm_job']['values'][number];

const PAUSE_REASONS: Readonly<Record<string, PauseReason>> = {
  user: 'user',
  io_error: 'io_error',
  watchdog: 'watchdog',
  migration: 'migration',
  post_copy: 'migration',
  post_copy_failed: 'migration',
  snapshot: 'snapshot',
  from_snapshot: 'snapshot',
  crashed: 'crashed',
};

/** @param isOutOfSpace QEMU said that its last error was for want of space */
export function pauseReasonOf(vm: Pick<Vm, 'state' | 'stateReason'>, isOutOfSpace: boolean): PauseReason {
  if (vm.state !== 'paused') return 'none';
  if (vm.stateReason === 'io_error' && isOutOfSpace) return 'enospc';
  return PAUSE_REASONS[vm.stateReason ?? ''] ?? 'other';
}

/** By the first part of an operation's kind, as `backup` of `backup.run`, and by the whole for those of VMs. */
const JOBS: Readonly<Record<string, VmJob>> = {
  backup: 'backup',
  snapshot: 'snapshot',
  migration: 'migration',
  verification: 'verify',
  'vm.start': 'start',
  'vm.resume': 'start',
  'vm.stop': 'stop',
  'vm.shutdown': 'stop',
  'vm.pause': 'stop',
  'vm.suspend': 'stop',
  'vm.reboot': 'start',
  'vm.reset': 'start',
  'vm.clone': 'clone',
  'vm.migrate': 'migration',
  'vm.migrated': 'migration',
};

/** @param kind of the open operation that works on the VM; null = none does */
export function jobOf(kind: string | null): VmJob {
  if (kind === null) return 'none';
  return JOBS[kind] ?? JOBS[kind.split('.')[0] ?? ''] ?? 'edit';
}

/** Whether an operation restarts the guest: that it boots anew is then nothing of its own. */
export function isRestart(kind: string | null): boolean {
  return kind === 'vm.reboot' || kind === 'vm.reset';
}

export function putStates(
  sink: SampleSink,
  vm: Pick<Vm, 'id' | 'state' | 'stateReason' | 'desired'>,
  facts: { readonly jobKind: string | null; readonly isOutOfSpace: boolean },
): void {
  const owner = { type: 'vm', id: vm.id } as const;
  sink.put(owner, 'vm', '', 'vm_state', enumNumber('vm_state', vm.state));
  sink.put(owner, 'vm', '', 'vm_state_desired', enumNumber('vm_state_desired', vm.desired));
  sink.put(owner, 'vm', '', 'vm_job', enumNumber('vm_job', jobOf(facts.jobKind)));
  const reason = pauseReasonOf(vm, facts.isOutOfSpace);
  sink.put(owner, 'vm', '', 'vm_pause_reason', enumNumber('vm_pause_reason', reason));
}

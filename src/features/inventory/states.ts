/** libvirt's states and reason numbers (virDomainState and its reasons, libvirt 9.0) in our words. */

import type { Vm } from '#contract/vms.ts';
import type { DomainState } from '#libvirt/index.ts';

const STATES: Readonly<Record<DomainState, Vm['state']>> = {
  none: 'unknown',
  running: 'running',
  blocked: 'idle',
  paused: 'paused',
  'shutting-down': 'shutting_down',
  off: 'off',
  crashed: 'crashed',
  suspended: 'suspended',
};

/** Reasons by state; null is not worth showing. */
const REASONS: Partial<Readonly<Record<DomainState, readonly (string | null)[]>>> = {
  running: [
    null,
    'booted',
    'migrated',
    'restored',
    'from_snapshot',
    'unpaused',
    'migration_cancelled',
    'save_cancelled',
    'woken',
    'crashed',
    'post_copy',
    'post_copy_failed',
  ],
  paused: [
    null,
    'user',
    'migration',
    'save',
    'dump',
    'io_error',
    'watchdog',
    'from_snapshot',
    'shutting_down',
    'snapshot',
    'crashed',
    'starting_up',
    'post_copy',
    'post_copy_failed',
    'api_error',
  ],
  'shutting-down': [null, 'user'],
  off: [null, 'shutdown', 'destroyed', 'crashed', 'migrated', 'saved', 'failed', 'from_snapshot', 'daemon'],
  crashed: [null, 'panicked'],
};

/** @param reason libvirt's number within the state
 *  A guest whose QEMU died is `crashed`, although libvirt calls it shut off. */
export function stateOf(
  state: DomainState,
  reason: number,
): { readonly state: Vm['state']; readonly reason: string | null } {
  const text = REASONS[state]?.[reason] ?? null;
  return { state: state === 'off' && text === 'crashed' ? 'crashed' : STATES[state], reason: text };
}

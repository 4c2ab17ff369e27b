/** What the events of a host say of the wishes of people, and of guests that move between hosts. */

import type { Vm } from '#contract/vms.ts';
import type { LibvirtEvent } from '#libvirt/index.ts';
import type { VmMove } from './source.ts';

type Lifecycle = Pick<Extract<LibvirtEvent, { type: 'domain-lifecycle' }>, 'domain' | 'event' | 'reason'>;

export type LifecycleReader = (event: Lifecycle) => {
  readonly intent: Vm['desired'] | null;
  readonly move: VmMove | null;
};

/** @returns the function that is given all lifecycle events of one host, in order. A QEMU that waits for a guest is "started" long before
 *  the guest is here, and the guest may never come; one that was on its way and stayed is "resumed" as one that came (libvirt 9.0). */
export function createLifecycleReader(): LifecycleReader {
  const awaited = new Set<string>();
  const moveOf = ({ domain: { uuid }, event, reason }: Lifecycle): VmMove | null => {
    if (event === 'started' && reason === 'migrated') awaited.add(uuid);
    if (event === 'stopped') {
      awaited.delete(uuid);
      return reason === 'migrated' ? 'away' : null;
    }
    return event === 'resumed' && reason === 'migrated' && awaited.delete(uuid) ? 'here' : null;
  };
  return (event) => ({ intent: intentOf(event), move: moveOf(event) });
}

/** A clean start or end is somebody's wish, whoever made it; a crash is nobody's. */
function intentOf({ event, reason }: Lifecycle): Vm['desired'] | null {
  if (event === 'started') return reason === 'migrated' ? null : 'running';
  if (event === 'resumed') return 'running';
  if (event === 'suspended') return reason === 'paused' ? 'paused' : null;
  if (event === 'stopped') return ['shutdown', 'destroyed', 'saved', 'migrated'].includes(reason ?? '') ? 'off' : null;
  return null;
}

/** What the evaluation has to know beside figures: whether libvirt tells of VMs at all, and how each VM stands. */

import type { Vm } from '#contract/vms.ts';
import type { Surroundings, VmStanding } from '../evaluation.ts';
import type { Figures } from '../figures.ts';

/** After a start and after libvirt was away, so many good ticks must pass before anything ends. */
const GOOD_TICKS = 2;

export interface World {
  /** Counts; before each evaluation. */
  look(): void;
  readonly surroundings: Pick<Surroundings, 'isLost' | 'canResolve' | 'vm' | 'projectOf'>;
}

interface Dependencies {
  readonly figures: Pick<Figures, 'seriesOf' | 'latest'>;
  readonly vm: (id: string) => Vm | null;
  readonly isConnected: () => boolean;
  readonly isOn: (state: Vm['state']) => boolean;
}

export function createWorld({ figures, vm, isConnected, isOn }: Dependencies): World {
  let isLibvirtLost = true;
  let hostTicks = 0;
  let vmTicks = 0;

  const standingOf = (id: string): VmStanding => {
    if (vmTicks < GOOD_TICKS) return 'unknown';
    const found = vm(id);
    if (found === null) return 'gone';
    if (found.desired === 'running') return 'there';
    return isOn(found.state) ? 'unwanted' : 'stopped';
  };

  return {
    look() {
      const isDown = figures.seriesOf('libvirt_up').some(({ id }) => figures.latest(id)?.value === 0);
      isLibvirtLost = isDown || !isConnected();
      hostTicks += 1;
      vmTicks = isLibvirtLost ? 0 : vmTicks + 1;
    },
    surroundings: {
      isLost: ({ type }) => type === 'vm' && isLibvirtLost,
      canResolve: ({ type }) => (type === 'vm' ? vmTicks : hostTicks) >= GOOD_TICKS,
      vm: standingOf,
      projectOf: (id) => vm(id)?.project,
    },
  };
}

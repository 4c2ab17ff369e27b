/** Services of the list that systemd gave up on. */

import type { Clock } from '#kernel/clock.ts';
import type { ServiceUnits } from '#platform/service-units.ts';
import type { Hands } from '../allowed-work.ts';
import type { Finder, Finding } from '../finding.ts';

/** systemctl is a program of its own each time. */
const LOOK_EVERY_MS = 15_000;
/** systemd tries by itself first, where the unit says so. */
const DELAYS_MS = [10_000, 60_000, 600_000];
const OF_LIBVIRT = /^(libvirt|virt)\w*\.service$/;

interface Dependencies {
  readonly units: Pick<ServiceUnits, 'states'>;
  /** Names of units, as `virtlogd.service`. */
  readonly listed: readonly string[];
  readonly hands: Pick<Hands, 'isLocked'>;
  readonly clock: Clock;
  /** Whether an operation, or a job of libvirt, works on a VM. */
  isAnyVmBusy(): boolean;
}

export function findFailedServices({ units, listed, hands, clock, isAnyVmBusy }: Dependencies): Finder {
  /** null = not known. */
  let failed: readonly string[] | null = null;
  let lookedMs = Number.NEGATIVE_INFINITY;

  const look = async () => {
    if (clock.monotonicMs() - lookedMs < LOOK_EVERY_MS) return;
    lookedMs = clock.monotonicMs();
    failed = null;
    const states = await units.states(listed);
    failed = states?.filter(({ isKnown, active }) => isKnown && active === 'failed').map(({ name }) => name) ?? null;
  };
  const obstacleFor = (unit: string): Finding['obstacle'] => {
    if (hands.isLocked(`service:${unit}`)) return { text: 'an operation works on it.', isWorthTelling: false };
    return OF_LIBVIRT.test(unit) && isAnyVmBusy()
      ? { text: 'something works on a VM; it is started when that is over.', isWorthTelling: true }
      : null;
  };

  return {
    action: 'service-start',
    delaysMs: DELAYS_MS,
    isOnce: false,
    async find() {
      await look();
      if (failed === null) return null;
      const findings = failed.map(
        (unit): Finding => ({
          object: { type: 'service', id: unit, name: unit, project: null },
          found: `the service ${unit} failed and systemd does not start it again`,
          remedy: 'start it',
          obstacle: obstacleFor(unit),
          isStillSo: () => failed?.includes(unit) === true && obstacleFor(unit) === null,
          work: { kind: 'healing.service-start', input: { unit } },
        }),
      );
      return { findings, isUnknown: () => false };
    },
  };
}

/** Services of the list that systemd gave up on. */

import type { Clock } from '#kernel/clock.ts';
import { messageOf } from '#kernel/errors.ts';
import type { Logger } from '#kernel/logger.ts';
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
  readonly log: Logger;
  /** Whether an operation, or a job of libvirt, works on a VM. */
  isAnyVmBusy(): boolean;
}

export function findFailedServices({ units, listed, hands, clock, log, isAnyVmBusy }: Dependencies): Finder {
  /** null = not known. */
  let failed: readonly string[] | null = null;
  let isLooking = false;
  let lookedMs = Number.NEGATIVE_INFINITY;

  /** Beside the rounds: a systemd that is slow must not hold up a VM that crashed. */
  const lookBeside = (): void => {
    if (isLooking || clock.monotonicMs() - lookedMs < LOOK_EVERY_MS) return;
    isLooking = true;
    lookedMs = clock.monotonicMs();
    units
      .states(listed)
      .then(
        (states) => {
          const bad = states?.filter(({ isKnown, active }) => isKnown && active === 'failed');
          failed = bad?.map(({ name }) => name) ?? null;
        },
        (error: unknown) => {
          failed = null;
          log.debug({ err: error }, `how services stand is not known: ${messageOf(error)}`);
        },
      )
      .finally(() => {
        isLooking = false;
      });
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
      lookBeside();
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

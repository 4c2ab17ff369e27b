/** Starts a service that failed. It is never stopped, restarted or changed. */

import { z } from 'zod';
import { defineOperation, type OperationDefinition } from '#features/operations/index.ts';
import type { Clock } from '#kernel/clock.ts';
import { AppError } from '#kernel/errors.ts';
import type { ServiceUnits } from '#platform/service-units.ts';
import type { ServiceInput } from '../allowed-work.ts';

interface Dependencies {
  readonly units: ServiceUnits;
  readonly clock: Clock;
  /** Whether the unit is one that healing may start. */
  isListed(unit: string): boolean;
}

/** A service of the plainest kind counts as started before it has done anything. */
const SETTLE_MS = 2_000;

export function serviceStart({ units, clock, isListed }: Dependencies): OperationDefinition<ServiceInput> {
  const stateOf = async (unit: string) =>
    (await units.states([unit]))?.find(({ name }) => name === unit)?.active ?? null;
  return defineOperation<ServiceInput>({
    kind: 'healing.service-start',
    permission: 'host.configure',
    input: z.object({ unit: z.string() }),
    title: ({ unit }) => `Start the service ${unit}`,
    object: () => null,
    locks: ({ unit }) => [`service:${unit}`],
    steps: ({ unit }) => [
      {
        name: 'start',
        title: 'Start the service',
        check: async () => (await stateOf(unit)) === 'active',
        async act() {
          const refuse = (why: string) =>
            new AppError('wrong_state', {
              detail: `${unit} is not started: ${why}.`,
              hint: `See \`systemctl status ${unit}\`.`,
            });
          // What was decided a moment ago may be another matter now: that somebody stopped it, or took it from the list.
          if (!isListed(unit)) throw refuse('it is not in healing.services');
          const state = await stateOf(unit);
          if (state !== 'failed') throw refuse(`systemd says ${state ?? 'nothing of it'}`);
          await units.start(unit);
        },
      },
      {
        name: 'look',
        title: 'See that it stays',
        async act() {
          await clock.sleep(SETTLE_MS);
          const state = await stateOf(unit);
          if (state !== 'active' && state !== 'reloading')
            throw new AppError('wrong_state', {
              detail: `${unit} was started and is ${state ?? 'not known'} again.`,
              hint: `See why: \`journalctl -b -u ${unit}\`.`,
            });
        },
      },
    ],
  });
}

/** What people and other programs want of a VM, as libvirt tells it: that it runs, is off or paused, and whether it went to another host. */

import type { Vm } from '#contract/vms.ts';
import type { Clock } from '#kernel/clock.ts';
import type { Logger } from '#kernel/logger.ts';
import type { VmRows } from './rows.ts';
import type { VmMove } from './source.ts';

interface Dependencies {
  readonly rows: Pick<VmRows, 'get' | 'put'>;
  /** As it is known now; null for a VM that is not. */
  definitionOf(uuid: string): { readonly domainName: string; readonly xml: string } | null;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface WantedStates {
  /** Keeps it in the row of the VM, one after the other; one without a row has none to keep it in. */
  note(uuid: string, desired: Vm['desired'], move: VmMove | null): void;
}

export function createWantedStates({ rows, definitionOf, clock, log }: Dependencies): WantedStates {
  /** Each looks at what the one before has written. */
  let noting: Promise<void> = Promise.resolve();
  return {
    note(uuid, desired, move) {
      // One that leaves is soon gone, and its definition with it.
      const leaving = move === 'away' ? definitionOf(uuid) : null;
      const left =
        leaving === null
          ? null
          : { at: clock.now().toISOString(), domainName: leaving.domainName, definition: leaving.xml };
      noting = noting.then(async () => {
        const row = rows.get(uuid);
        if (!row) return;
        const moved = desired === 'off' ? (left ?? row.moved) : null;
        if (row.desired === desired && row.moved === moved) return;
        try {
          await rows.put({ ...row, desired, moved });
        } catch (error) {
          log.warn({ vm: uuid, err: error }, 'the wanted state could not be kept; it shows again at the next change');
        }
      });
    },
  };
}

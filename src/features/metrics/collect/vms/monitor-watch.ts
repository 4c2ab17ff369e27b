/** Watches whether QEMUs answer libvirt. A QEMU that hangs gives a record without what only it can tell; libvirt itself then says since
 *  when it waits for it. Measured on libvirt 9.0: the record keeps state, cpu.time, balloon.current, block.count, and names and paths of disks. */

import { mapLimit } from '#kernel/async.ts';
import type { Clock } from '#kernel/clock.ts';
import { messageOf } from '#kernel/errors.ts';
import type { Logger } from '#kernel/logger.ts';
import type { Values } from './stat-values.ts';

/** What libvirt says of its control of a VM. */
export interface Control {
  /** `job`: a long job of ours or of another program runs; `occupied`: it waits for QEMU. */
  readonly control: 'ok' | 'job' | 'occupied' | 'error';
  readonly sinceMs: number;
}

/** A question of somebody else, as the figures of each tick, takes no longer than this with a QEMU that answers. */
const BRIEF_MS = 2_000;

/** Whether something can be asked of the VM without waiting for long: nothing holds it, or only for a moment. */
export const isAskable = ({ control, sinceMs }: Control): boolean =>
  control === 'ok' || (control === 'occupied' && sinceMs < BRIEF_MS);

export interface MonitorWatch {
  /** Takes what QEMUs gave. @param asked UUIDs of the VMs that were asked for */
  look(records: ReadonlyMap<string, Values>): Promise<void>;
  /** How long the QEMU has not answered, seconds; 0 while it answers, null when that is not known. */
  stuckSeconds(uuid: string): number | null;
  keep(uuids: ReadonlySet<string>): void;
}

/** Of more VMs at once not every one is asked for; the others follow. */
const MAX_QUESTIONS = 32;
const PARALLEL_QUESTIONS = 2;
/** What was learned is worth nothing after this. */
const STALE_MS = 180_000;

export function createMonitorWatch({
  clock,
  log,
  control,
}: {
  readonly clock: Clock;
  readonly log: Logger;
  control(uuid: string): Promise<Control>;
}): MonitorWatch {
  /** Since when it is stuck, monotonic; null = it answers. */
  const known = new Map<string, { readonly stuckSinceMs: number | null; readonly atMs: number }>();

  /** When libvirt was last asked for it. */
  const askedMs = new Map<string, number>();

  const ask = async (uuid: string): Promise<void> => {
    try {
      const { control: state, sinceMs } = await control(uuid);
      const atMs = clock.monotonicMs();
      if (state === 'ok') known.set(uuid, { stuckSinceMs: null, atMs });
      // While a long job runs, nothing can be said of the monitor.
      else if (state === 'job') known.delete(uuid);
      else {
        const before = known.get(uuid)?.stuckSinceMs ?? null;
        const sinceStartMs = state === 'occupied' ? atMs - sinceMs : atMs;
        // Another question may have begun to wait later; it hangs since the first.
        known.set(uuid, { stuckSinceMs: before === null ? sinceStartMs : Math.min(before, sinceStartMs), atMs });
      }
    } catch (error) {
      log.debug({ vm: uuid, err: error }, `libvirt did not say how it stands with a QEMU: ${messageOf(error)}`);
    }
  };

  return {
    async look(records) {
      const doubtful: string[] = [];
      for (const [uuid, values] of records) {
        if (isReduced(values)) doubtful.push(uuid);
        else known.set(uuid, { stuckSinceMs: null, atMs: clock.monotonicMs() });
      }
      // Those of whom least is known come first, so that all have their turn.
      const sinceMs = (uuid: string) => askedMs.get(uuid) ?? Number.NEGATIVE_INFINITY;
      const next = doubtful.sort((a, b) => (sinceMs(a) < sinceMs(b) ? -1 : 1)).slice(0, MAX_QUESTIONS);
      for (const uuid of next) askedMs.set(uuid, clock.monotonicMs());
      await mapLimit(next, PARALLEL_QUESTIONS, ask);
    },
    stuckSeconds(uuid) {
      const state = known.get(uuid);
      const nowMs = clock.monotonicMs();
      if (state === undefined || nowMs - state.atMs > STALE_MS) return null;
      return state.stuckSinceMs === null ? 0 : (nowMs - state.stuckSinceMs) / 1000;
    },
    keep(uuids) {
      for (const map of [known, askedMs]) for (const uuid of map.keys()) if (!uuids.has(uuid)) map.delete(uuid);
    },
  };
}

/** True when all is missing that only QEMU can tell. A VM without balloon and without disks looks so too: libvirt is asked then. */
function isReduced(values: Values): boolean {
  for (const name of values.keys()) {
    if (/^block\.\d+\.(rd|wr|fl)\./.test(name)) return false;
    if (name.startsWith('balloon.') && name !== 'balloon.current' && name !== 'balloon.maximum') return false;
  }
  return true;
}

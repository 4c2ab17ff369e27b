/** The time of accounting: how long is told by clocks that never step, which month it is by the wall clock while it is believed. */

import type { Clock } from '#kernel/clock.ts';
import type { BootClock } from '#platform/boot-clock.ts';
import type { Calendar } from '#platform/calendar.ts';
import type { Mark } from './store.ts';

export interface AccountingClock {
  nowMs(): number;
  wallAt(ms: number): number;
  axisAtBoot(bootMs: number): number | null;
  /** Reads both other clocks again. */
  look(): Promise<void>;
  mark(): Mark;
  /** Since when nothing was counted, on the axis, for what exists whether the daemon runs or not. */
  goOnFrom(mark: Mark): { readonly atMs: number; readonly isSameBoot: boolean };
}

export interface AccountingClockOptions {
  readonly clock: Clock;
  readonly calendar: Pick<Calendar, 'leap'>;
  readonly bootClock: BootClock;
}

export function createAccountingClock({ clock, calendar, bootClock }: AccountingClockOptions): AccountingClock {
  let wall = { axisMs: clock.monotonicMs(), wallMs: clock.now().getTime() };
  let boot: { readonly id: string; readonly ms: number; readonly axisMs: number } | null = null;

  const wallAt = (ms: number) => wall.wallMs + (ms - wall.axisMs);
  const lookAtWall = () => {
    // While the date is not believed, it goes on from the last one that was.
    if (calendar.leap() === null) wall = { axisMs: clock.monotonicMs(), wallMs: clock.now().getTime() };
  };

  return {
    nowMs: () => clock.monotonicMs(),
    wallAt,
    axisAtBoot: (bootMs) => (boot === null ? null : boot.axisMs - (boot.ms - bootMs)),
    async look() {
      lookAtWall();
      const read = await bootClock();
      boot = read === null ? null : { ...read, axisMs: clock.monotonicMs() };
    },
    mark() {
      const nowMs = clock.monotonicMs();
      return {
        boot: boot === null ? null : { id: boot.id, ms: boot.ms + (nowMs - boot.axisMs) },
        wallMs: wallAt(nowMs),
      };
    },
    goOnFrom(mark) {
      const nowMs = clock.monotonicMs();
      const isSameBoot = boot !== null && mark.boot !== null && mark.boot.id === boot.id;
      const isDoubted = calendar.leap() !== null;
      const gapMs =
        boot !== null && mark.boot !== null && isSameBoot
          ? Math.max(0, boot.ms + (nowMs - boot.axisMs) - mark.boot.ms)
          : isDoubted
            ? 0
            : Math.max(0, wallAt(nowMs) - mark.wallMs);
      if (isDoubted) wall = { axisMs: nowMs, wallMs: mark.wallMs + gapMs };
      return { atMs: nowMs - gapMs, isSameBoot };
    },
  };
}

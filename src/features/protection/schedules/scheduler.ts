/** Begins the runs of schedules when they are due. What is waited for lies in the database; a run is begun under a key that its moment
 *  gives, so that a crash between the two begins none twice. */

import { nap } from '#kernel/async.ts';
import type { Clock } from '#kernel/clock.ts';
import { AppError, messageOf } from '#kernel/errors.ts';
import type { Logger } from '#kernel/logger.ts';
import { decideDue, jitterOf } from './due.ts';
import type { Schedule, ScheduleStore } from './schedule-store.ts';

export interface Scheduler {
  /** Begins what is due now. */
  look(): Promise<void>;
  /** Looks again and again; ends with the signal. */
  run(signal: AbortSignal): Promise<void>;
}

export interface SchedulerDependencies {
  readonly store: Pick<ScheduleStore, 'all' | 'setNext'>;
  readonly clock: Clock;
  readonly log: Logger;
  /** Begins a run; twice for one moment is once. @throws AppError busy while the run before is still under way */
  begin(schedule: Schedule, dueMs: number): Promise<void>;
  /** Writes down that a run was left out. */
  skip(schedule: Schedule, dueMs: number, why: string): Promise<void>;
}

const LOOK_EVERY_MS = 20_000;

export function createScheduler({ store, clock, log, begin, skip }: SchedulerDependencies): Scheduler {
  const lookAt = async (schedule: Schedule) => {
    if (!schedule.isEnabled || schedule.nextMs === null) return;
    const { nextMs } = schedule;
    const decision = decideDue(
      schedule.runs,
      {
        nextMs,
        jitterMs: jitterOf(schedule.id, nextMs, schedule.jitterMinutes * 60_000),
        isCaughtUp: schedule.catchUp,
      },
      clock.now().getTime(),
    );
    if (decision.runMs !== null)
      try {
        await begin(schedule, decision.runMs);
      } catch (error) {
        // Anything else is tried again at the next look: the moment stays due.
        if (!(error instanceof AppError && error.code === 'busy')) throw error;
        await skip(schedule, decision.runMs, 'The run before was still under way.');
      }
    if (decision.nextMs !== nextMs) await store.setNext(schedule.id, decision.nextMs);
  };

  const scheduler: Scheduler = {
    async look() {
      const waiting = store.all().toSorted((a, b) => b.priority - a.priority);
      for (const schedule of waiting)
        try {
          await lookAt(schedule);
        } catch (error) {
          log.warn(
            { err: error, schedule: schedule.name },
            `a backup could not be begun, it is tried again: ${messageOf(error)}`,
          );
        }
    },
    async run(signal) {
      while (!signal.aborted) {
        await scheduler.look();
        await nap(clock, LOOK_EVERY_MS, signal);
      }
    },
  };
  return scheduler;
}

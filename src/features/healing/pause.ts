/** The switch that lets healing do nothing for a while. Its end counts in the steady time, which no change of the date moves; after a restart
 *  of the machine, during which that time stood still, the date says what is left. */

import type { HealingPause } from '#contract/healing.ts';
import type { Clock } from '#kernel/clock.ts';
import type { Database } from '#platform/db/database.ts';
import type { HealingTables } from './migrations.ts';
import type { SteadyTime } from './steady-time.ts';

export interface PauseSwitch {
  /** null = healing may do what its modes say. */
  current(): HealingPause | null;
  /** A pause that lasts is replaced. */
  begin(values: { readonly minutes: number; readonly by: string; readonly reason: string }): Promise<HealingPause>;
  /** @returns whether there was one */
  end(): Promise<boolean>;
  /** Forgets a pause whose time is over. @returns whether there was one */
  tidy(): Promise<boolean>;
  load(): Promise<void>;
}

interface Dependencies {
  readonly db: Database;
  readonly clock: Clock;
  readonly time: Pick<SteadyTime, 'nowMs'>;
  readonly bootId: string;
}

const MINUTE_MS = 60_000;

export function createPauseSwitch({ db, clock, time, bootId }: Dependencies): PauseSwitch {
  let pause: (HealingPause & { readonly untilMs: number }) | null = null;

  const write = async (value: typeof pause) => {
    await db.transaction(async (tx) => {
      const table = tx.tables<HealingTables>();
      await table.deleteFrom('heal_pause').execute();
      if (value === null) return;
      const { since, until, untilMs, by, reason } = value;
      await table
        .insertInto('heal_pause')
        .values({ id: 1, since, until, until_ms: untilMs, boot_id: bootId, by, reason })
        .execute();
    });
    pause = value;
  };

  return {
    current() {
      if (pause === null || time.nowMs() >= pause.untilMs) return null;
      const { since, until, by, reason } = pause;
      return { since, until, by, reason };
    },
    async begin({ minutes, by, reason }) {
      const now = clock.now();
      const begun = {
        since: now.toISOString(),
        until: new Date(now.getTime() + minutes * MINUTE_MS).toISOString(),
        by,
        reason,
      };
      await write({ ...begun, untilMs: time.nowMs() + minutes * MINUTE_MS });
      return begun;
    },
    async end() {
      const was = pause !== null;
      if (was) await write(null);
      return was;
    },
    async tidy() {
      if (pause === null || time.nowMs() < pause.untilMs) return false;
      await write(null);
      return true;
    },
    async load() {
      const row = await db.tables<HealingTables>().selectFrom('heal_pause').selectAll().executeTakeFirst();
      if (row === undefined) return;
      const { since, until, by, reason } = row;
      const wholeMs = Date.parse(until) - Date.parse(since);
      const leftMs = Math.min(Math.max(0, Date.parse(until) - clock.now().getTime()), wholeMs);
      const untilMs = row.boot_id === bootId ? row.until_ms : time.nowMs() + leftMs;
      await write({ since, until, by, reason, untilMs });
    },
  };
}

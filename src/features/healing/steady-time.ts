/** A time that no step of the date moves and that goes on over restarts of hyperd: back-off and budgets are counted in it. Between two lives
 *  in one boot of the machine it goes as far as the kernel's own clock; while the machine was off it stood still, which only makes budgets
 *  last longer. */

import { readFileSync } from 'node:fs';
import type { Clock } from '#kernel/clock.ts';
import type { Database, Transaction } from '#platform/db/database.ts';
import type { HealingTables } from './migrations.ts';

/** What tells one boot of the machine from another, and how long it lasts. */
export interface Boot {
  readonly id: string;
  uptimeMs(): number;
}

export interface SteadyTime {
  /** Whole milliseconds; 0 was when healing ran here first. */
  nowMs(): number;
  load(): Promise<void>;
  /** Keeps the time for the next life. */
  keep(tx: Transaction, oomKills: number | null): Promise<void>;
  /** How many processes the kernel had killed for want of memory when this was last kept in this boot; null = not known. */
  readonly keptOomKills: number | null;
}

export const kernelBoot: Boot = {
  id: readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim(),
  // On Linux the origin of this clock is the boot, in every process.
  uptimeMs: () => Number(process.hrtime.bigint() / 1_000_000n),
};

export function createSteadyTime({ db, clock, boot }: { db: Database; clock: Clock; boot: Boot }): SteadyTime {
  let offsetMs = -clock.monotonicMs();
  let keptOomKills: number | null = null;
  const nowMs = () => Math.round(offsetMs + clock.monotonicMs());

  return {
    nowMs,
    async load() {
      const row = await db.tables<HealingTables>().selectFrom('heal_clock').selectAll().executeTakeFirst();
      if (!row) return;
      const isSameBoot = row.boot_id === boot.id;
      const passedMs = isSameBoot ? Math.max(0, boot.uptimeMs() - row.uptime_ms) : 0;
      offsetMs = row.steady_ms + passedMs - clock.monotonicMs();
      keptOomKills = isSameBoot ? row.oom_kills : null;
    },
    async keep(tx, oomKills) {
      const values = {
        boot_id: boot.id,
        uptime_ms: Math.round(boot.uptimeMs()),
        steady_ms: nowMs(),
        oom_kills: oomKills,
      };
      await tx
        .tables<HealingTables>()
        .insertInto('heal_clock')
        .values({ id: 1, ...values })
        .onConflict((conflict) => conflict.column('id').doUpdateSet(values))
        .execute();
    },
    get keptOomKills() {
      return keptOomKills;
    },
  };
}

/** What explains what among all alerts that fire. Each group that is told asks for it, and nothing of it changes between most of them. */

import type { Transaction } from '#platform/db/database.ts';
import type { AlertNotice } from '../message.ts';
import { type Causes, createCauses } from '../routing/inhibition.ts';
import { firingTimes, noticesOf } from './told-alerts.ts';

export interface FiringCauses {
  /** As the transaction sees it. Only alerts that were announced since the last reading are looked at. */
  read(tx: Transaction): Promise<Causes>;
}

interface Known {
  readonly changedMs: number;
  readonly notice: AlertNotice;
}

export function createFiringCauses(): FiringCauses {
  let known = new Map<string, Known>();
  let newestMs = Number.NEGATIVE_INFINITY;
  let causes = createCauses([]);
  return {
    async read(tx) {
      const rows = await firingTimes(tx);
      // One of the newest millisecond may have been announced again in it, or by a transaction that was rolled back.
      const isSame = ({ fp, changed_ms }: (typeof rows)[number]) =>
        changed_ms < newestMs && known.get(fp)?.changedMs === changed_ms;
      const changed = rows.filter((row) => !isSame(row));
      if (changed.length === 0 && rows.length === known.size) return causes;
      const read = await noticesOf(
        tx,
        changed.map(({ fp }) => fp),
      );
      const fresh = new Map(read.map((notice) => [notice.fingerprint, notice]));
      const before = known;
      known = new Map(
        rows.flatMap(({ fp, changed_ms }): [string, Known][] => {
          const notice = fresh.get(fp) ?? before.get(fp)?.notice;
          return notice === undefined ? [] : [[fp, { changedMs: changed_ms, notice }]];
        }),
      );
      newestMs = rows.reduce((newest, { changed_ms }) => Math.max(newest, changed_ms), Number.NEGATIVE_INFINITY);
      causes = createCauses([...known.values()].map(({ notice }) => notice));
      return causes;
    },
  };
}

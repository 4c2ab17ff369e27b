/** What explains what among all alerts that fire. Each group that is told asks for it, and nothing of it changes between most of them. */

import { isDeepStrictEqual } from 'node:util';
import type { Transaction } from '#platform/db/database.ts';
import type { AlertNotice } from '../message.ts';
import { type Causes, createCauses } from '../routing/inhibition.ts';
import { type FiringState, firingState, firingTimes, noticesAt, noticesOf } from './told-alerts.ts';

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
  let state: FiringState = { count: 0, newestMs: Number.NEGATIVE_INFINITY, sum: 0 };
  let causes = createCauses([]);
  /** One of the newest millisecond may have been announced again in it, or by a transaction that was rolled back. */
  const isNewestSame = async (tx: Transaction) =>
    (await noticesAt(tx, state.newestMs)).every((notice) =>
      isDeepStrictEqual(known.get(notice.fingerprint)?.notice, notice),
    );
  return {
    async read(tx) {
      const now = await firingState(tx);
      if (isDeepStrictEqual(now, state) && (await isNewestSame(tx))) return causes;
      const rows = await firingTimes(tx);
      const isSame = ({ fp, changed_ms }: (typeof rows)[number]) =>
        changed_ms < state.newestMs && known.get(fp)?.changedMs === changed_ms;
      const changed = rows.filter((row) => !isSame(row));
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
      state = now;
      causes = createCauses([...known.values()].map(({ notice }) => notice));
      return causes;
    },
  };
}

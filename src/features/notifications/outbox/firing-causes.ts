/** What explains what among all alerts that fire. Each group that is told asks for it, and nothing of it changes between most of them. */

import type { Transaction } from '#platform/db/database.ts';
import type { AlertNotice } from '../message.ts';
import { type Causes, createCauses } from '../routing/inhibition.ts';
import { firingNoticeTexts, noticeOfJson } from './told-alerts.ts';

export interface FiringCauses {
  /** As the transaction sees it. Costs a reading of the table; only alerts that changed since the last one are looked at. */
  read(tx: Transaction): Promise<Causes>;
}

export function createFiringCauses(): FiringCauses {
  let known = new Map<string, { readonly text: string; readonly notice: AlertNotice }>();
  let causes = createCauses([]);
  return {
    async read(tx) {
      const rows = await firingNoticeTexts(tx);
      // Compared by text: a transaction that was rolled back may have been seen before.
      if (rows.length === known.size && rows.every(({ fp, notice }) => known.get(fp)?.text === notice)) return causes;
      const before = known;
      known = new Map(
        rows.map(({ fp, notice: text }) => {
          const same = before.get(fp);
          return [fp, same?.text === text ? same : { text, notice: noticeOfJson(text) }];
        }),
      );
      causes = createCauses([...known.values()].map(({ notice }) => notice));
      return causes;
    },
  };
}

/** Which alerts that fire somebody is not told of for the sake of another one: kept in memory, as of the last look. */

import type { Database } from '#platform/db/database.ts';
import { type HeldBy, heldAlerts } from './outbox/told-alerts.ts';

export type HeldListener = (fingerprint: string, by: HeldBy | null) => void;

export function createHeldAlerts(db: Database) {
  let known: ReadonlyMap<string, HeldBy> = new Map();
  const listeners = new Set<HeldListener>();
  return {
    of: (fingerprint: string): HeldBy | null => known.get(fingerprint) ?? null,
    /** @returns what ends it */
    listen(listener: HeldListener): () => void {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    async look(): Promise<void> {
      const [before, now] = [known, await heldAlerts(db)];
      known = now;
      for (const fingerprint of new Set([...before.keys(), ...now.keys()])) {
        const by = now.get(fingerprint) ?? null;
        if (by?.alertId !== before.get(fingerprint)?.alertId)
          for (const listener of listeners) listener(fingerprint, by);
      }
    },
  };
}

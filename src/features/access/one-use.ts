/** Values that wait for one answer, as a challenge for its signature: in memory, for a short time, taken out at most once.
 *  After a restart of the daemon people begin again. */

import { createHash } from 'node:crypto';
import type { Clock } from '#kernel/clock.ts';
import { newSecret } from '#kernel/ids.ts';

export interface OneUse<Value> {
  /** @param owner who asked, as an address or a session: he can push out only what is his own
   *  @returns the key, a secret of 256 bits; only its hash is kept */
  put(value: Value, owner: string): string;
  /** The value, and it is gone: whatever comes of it, no second answer can use it. */
  take(key: string): Value | null;
}

/** More than a person with many tabs needs. */
const MAX_PER_OWNER = 64;
/** The oldest of all give way above this. */
const MAX_ENTRIES = 10_000;

const hashOf = (key: string): string => createHash('sha256').update(key).digest('base64url');

export function createOneUse<Value>(clock: Clock, lifeMs: number): OneUse<Value> {
  /** By hash, oldest first: a Map keeps the order of insertion, and all live equally long. */
  const entries = new Map<string, { readonly value: Value; readonly owner: string; readonly dueMs: number }>();
  const countOf = new Map<string, number>();

  const drop = (hash: string) => {
    const entry = entries.get(hash);
    if (!entry) return;
    entries.delete(hash);
    const left = (countOf.get(entry.owner) ?? 1) - 1;
    if (left > 0) countOf.set(entry.owner, left);
    else countOf.delete(entry.owner);
  };

  const makeRoom = (owner: string) => {
    for (const [hash, entry] of entries) {
      if (entry.dueMs > clock.monotonicMs() && entries.size < MAX_ENTRIES) break;
      drop(hash);
    }
    if ((countOf.get(owner) ?? 0) < MAX_PER_OWNER) return;
    const oldest = [...entries].find(([, entry]) => entry.owner === owner);
    if (oldest) drop(oldest[0]);
  };

  return {
    put(value, owner) {
      makeRoom(owner);
      const key = newSecret();
      entries.set(hashOf(key), { value, owner, dueMs: clock.monotonicMs() + lifeMs });
      countOf.set(owner, (countOf.get(owner) ?? 0) + 1);
      return key;
    },
    take(key) {
      const hash = hashOf(key);
      const entry = entries.get(hash);
      drop(hash);
      return entry && entry.dueMs > clock.monotonicMs() ? entry.value : null;
    },
  };
}

/** Refusals of one source beyond so many a minute become one record that counts them: a flood may neither fill the disk nor hide what else
 *  happened. */

import type { Clock } from '#kernel/clock.ts';
import { sourceOf } from '#platform/source-address.ts';
import type { AuditEntry } from './writer.ts';

const WINDOW_MS = 60_000;
const LIMIT = 60;
/** Of tries to sign in, which leave an intent each besides. */
const SIGN_IN_LIMIT = 10;
const MAX_SOURCES = 10_000;

interface Window {
  readonly startMs: number;
  used: number;
  folded: number;
  last: AuditEntry | null;
}

export interface DenialFold {
  /** Whether the next refusal of this source would only be counted. */
  isFull(entry: AuditEntry): boolean;
  /** Notes a refusal that is recorded in any case. */
  note(entry: AuditEntry): void;
  /** True when this refusal is to be recorded by itself; else it is counted. */
  take(entry: AuditEntry): boolean;
  /** The counted ones of windows that are over, one record for each source. */
  ripe(): AuditEntry[];
  /** Refusals counted so far. */
  readonly folded: number;
}

/** A stranger at a route that is open to strangers. */
export const isSignIn = ({ permission, via }: Pick<AuditEntry, 'permission' | 'via'>): boolean =>
  permission === null && via === 'network';

const keyOf = (entry: AuditEntry): string => {
  const { actor, via, address } = entry;
  return `${isSignIn(entry) ? 'sign-in ' : ''}${address === null ? via : sourceOf(address)} ${actor}`;
};
const limitOf = (entry: AuditEntry): number => (isSignIn(entry) ? SIGN_IN_LIMIT : LIMIT);

export function createDenialFold(clock: Clock): DenialFold {
  const windows = new Map<string, Window>();
  /** Sources beyond what is kept apart share this one. */
  const OTHERS = 'others';
  let folded = 0;

  const summary = (window: Window, last: AuditEntry): AuditEntry => ({
    ...last,
    objectType: null,
    objectId: null,
    objectName: null,
    requestId: null,
    params: {
      folded: window.folded,
      seconds: Math.round((clock.monotonicMs() - window.startMs) / 1000),
      last: last.code,
    },
    code: 'too_many_requests',
  });

  const sourceKey = (entry: AuditEntry): string => {
    const wanted = keyOf(entry);
    return windows.has(wanted) || windows.size < MAX_SOURCES ? wanted : OTHERS;
  };
  const isOver = (window: Window) => clock.monotonicMs() - window.startMs >= WINDOW_MS && window.folded === 0;
  const windowOf = (entry: AuditEntry): Window => {
    const source = sourceKey(entry);
    const known = windows.get(source);
    if (known && !isOver(known)) return known;
    const fresh: Window = { startMs: clock.monotonicMs(), used: 0, folded: 0, last: null };
    windows.set(source, fresh);
    return fresh;
  };

  return {
    isFull(entry) {
      const window = windows.get(sourceKey(entry));
      return window !== undefined && !isOver(window) && window.used >= limitOf(entry);
    },
    note(entry) {
      windowOf(entry).used += 1;
    },
    take(entry) {
      const window = windowOf(entry);
      window.used += 1;
      if (window.used <= limitOf(entry)) return true;
      window.folded += 1;
      window.last = entry;
      folded += 1;
      return false;
    },
    ripe() {
      const nowMs = clock.monotonicMs();
      const entries: AuditEntry[] = [];
      for (const [source, window] of windows) {
        if (nowMs - window.startMs < WINDOW_MS) continue;
        windows.delete(source);
        if (window.last !== null) entries.push(summary(window, window.last));
      }
      return entries;
    },
    get folded() {
      return folded;
    },
  };
}

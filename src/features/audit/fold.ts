/** Refusals of one source beyond so many a minute become one record that counts them: a flood may neither fill the disk nor hide what else
 *  happened. */

import type { Clock } from '#kernel/clock.ts';
import { sourceOf } from '#platform/source-address.ts';
import type { AuditEntry } from './writer.ts';

const WINDOW_MS = 60_000;
const LIMIT = 60;
const MAX_SOURCES = 10_000;

interface Window {
  readonly startMs: number;
  used: number;
  folded: number;
  last: AuditEntry | null;
}

export interface DenialFold {
  /** True when this refusal is to be recorded by itself; else it is counted. */
  take(entry: AuditEntry): boolean;
  /** The counted ones of windows that are over, one record for each source. */
  ripe(): AuditEntry[];
  /** Refusals counted so far. */
  readonly folded: number;
}

const keyOf = ({ actor, via, address }: AuditEntry): string => `${address === null ? via : sourceOf(address)} ${actor}`;

export function createDenialFold(clock: Clock, limit = LIMIT): DenialFold {
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

  return {
    take(entry) {
      const wanted = keyOf(entry);
      const source = windows.has(wanted) || windows.size < MAX_SOURCES ? wanted : OTHERS;
      const nowMs = clock.monotonicMs();
      let window = windows.get(source);
      if (!window || (nowMs - window.startMs >= WINDOW_MS && window.folded === 0)) {
        window = { startMs: nowMs, used: 0, folded: 0, last: null };
        windows.set(source, window);
      }
      window.used += 1;
      if (window.used <= limit) return true;
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

/** Letting a browser in from elsewhere: it shows a code, and whoever holds a key (or is root on the machine) confirms the code.
 *  The trap is a stranger who starts a flow and talks somebody into confirming it. So the code is typed by hand, the one who
 *  confirms sees who asks, and a code is good once, for five minutes. Kept in memory only. */

import { createHash, randomInt } from 'node:crypto';
import type { Clock } from '#kernel/clock.ts';
import { newSecret } from '#kernel/ids.ts';

const LIFE_MS = 5 * 60_000;
const MAX_FLOWS = 1000;
const MAX_PER_SOURCE = 10;
const MAX_WRONG = 5;
/** Without vowels, which make words, and without letters that look like others. */
const LETTERS = 'BCDFGHJKMNPQRSTVWXZ';
const HALF = 3;

/** What the browser is to get: a session, or the proof that the owner of its session is there now. */
export type FlowGoal =
  | { readonly kind: 'login' }
  | { readonly kind: 'step-up'; readonly sessionId: string; readonly digest: string; readonly userId: string };

/** Who asks. */
export interface FlowOrigin {
  readonly address: string;
  readonly userAgent: string;
}

export interface Approval {
  readonly userId: string;
  readonly method: 'ssh_key' | 'link';
}

export interface Flow extends FlowOrigin {
  readonly goal: FlowGoal;
  /** As `ABC-DEF`. */
  readonly code: string;
  readonly expiresAt: string;
}

export interface DeviceFlows {
  /** @param source bounds how many one address can have open: then its oldest one ends */
  start(goal: FlowGoal, origin: FlowOrigin, source: string): { readonly secret: string; readonly flow: Flow };
  /** The flow with this code. A code that is right in its first half only counts as a try at that flow: five end it. */
  find(code: string): Flow | null;
  /** False when the flow is over or was decided before. */
  approve(code: string, approval: Approval): boolean;
  /** Null when there is no such flow (any more). */
  poll(secret: string): 'pending' | 'confirmed' | null;
  /** The approval, handed out once; null when there is none. */
  claim(secret: string): { readonly flow: Flow; readonly approval: Approval } | null;
}

type Entry = Flow & { readonly source: string; readonly untilMs: number; wrong: number; approval: Approval | null };

const hashOf = (secret: string): string => createHash('sha256').update(secret).digest('hex');
const letters = (): string => Array.from({ length: HALF }, () => LETTERS[randomInt(LETTERS.length)]).join('');

/** `abcdef`, `ABC DEF` and `abc-def` are all `ABC-DEF`; null for what cannot be a code. */
export function normalCode(typed: string): string | null {
  const bare = typed.toUpperCase().replace(/[\s-]/g, '');
  return bare.length === 2 * HALF && [...bare].every((letter) => LETTERS.includes(letter))
    ? `${bare.slice(0, HALF)}-${bare.slice(HALF)}`
    : null;
}

export function createDeviceFlows(clock: Clock): DeviceFlows {
  const bySecret = new Map<string, Entry>();

  const sweep = () => {
    for (const [hash, { untilMs }] of bySecret) if (untilMs <= clock.monotonicMs()) bySecret.delete(hash);
  };
  const entryOf = (code: string): Entry | null => {
    sweep();
    const normal = normalCode(code);
    if (normal === null) return null;
    for (const [hash, entry] of bySecret) {
      if (entry.code === normal) return entry;
      if (!entry.code.startsWith(normal.slice(0, HALF))) continue;
      entry.wrong += 1;
      if (entry.wrong >= MAX_WRONG) bySecret.delete(hash);
    }
    return null;
  };

  return {
    start(goal, origin, source) {
      sweep();
      const own = [...bySecret].filter(([, entry]) => entry.source === source);
      const [oldest] = own.length >= MAX_PER_SOURCE ? own : bySecret.size >= MAX_FLOWS ? [...bySecret] : [];
      if (oldest) bySecret.delete(oldest[0]);
      // The first half tells flows apart, so that a wrong second half is a try at this one.
      const halves = new Set([...bySecret.values()].map(({ code }) => code.slice(0, HALF)));
      let half = letters();
      while (halves.has(half)) half = letters();
      const secret = newSecret();
      const entry: Entry = {
        goal,
        address: origin.address,
        userAgent: origin.userAgent.slice(0, 300),
        code: `${half}-${letters()}`,
        expiresAt: new Date(clock.now().getTime() + LIFE_MS).toISOString(),
        source,
        untilMs: clock.monotonicMs() + LIFE_MS,
        wrong: 0,
        approval: null,
      };
      bySecret.set(hashOf(secret), entry);
      return { secret, flow: entry };
    },
    find(code) {
      const entry = entryOf(code);
      return entry?.approval === null ? entry : null;
    },
    approve(code, approval) {
      const entry = entryOf(code);
      if (entry?.approval !== null) return false;
      entry.approval = approval;
      return true;
    },
    poll(secret) {
      sweep();
      const entry = bySecret.get(hashOf(secret));
      return entry ? (entry.approval === null ? 'pending' : 'confirmed') : null;
    },
    claim(secret) {
      sweep();
      const hash = hashOf(secret);
      const entry = bySecret.get(hash);
      if (!entry?.approval) return null;
      bySecret.delete(hash);
      return { flow: entry, approval: entry.approval };
    },
  };
}

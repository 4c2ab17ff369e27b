/** How many messages transitions would have come to, after cooldown and grouping as they are unless changed. An estimate: silences,
 *  routing and rate caps are left aside. */

const GROUP_WAIT_MS = 30_000;
const GROUP_INTERVAL_MS = 5 * 60_000;
const REPEAT_MS = 4 * 3_600_000;

export interface Transition {
  readonly atMs: number;
  /** Alert it is about. */
  readonly id: string;
  /** Alerts of one group share messages. */
  readonly group: string;
  readonly kind: 'firing' | 'resolved' | 'severity_raised' | 'flapping';
}

/** @param transitions in the order of time
 *  @param untilMs what still fires repeats until then */
export function countMessages(transitions: readonly Transition[], cooldownMs: number, untilMs: number): number {
  const told = tellings(transitions, cooldownMs, untilMs).sort((a, b) => a.atMs - b.atMs);
  const lastMs = new Map<string, number>();
  let messages = 0;
  for (const { group, atMs } of told) {
    const last = lastMs.get(group);
    // Still gathered into the message before.
    if (last !== undefined && atMs <= last) continue;
    messages += 1;
    lastMs.set(group, Math.max(atMs + GROUP_WAIT_MS, last === undefined ? 0 : last + GROUP_INTERVAL_MS));
  }
  return messages;
}

type Telling = Pick<Transition, 'atMs' | 'group'>;

/** What people are told of each alert, repeats with it. */
function tellings(transitions: readonly Transition[], cooldownMs: number, untilMs: number): Telling[] {
  const found: Telling[] = [];
  const state = new Map<string, { toldMs: number; group: string; isFiring: boolean }>();
  const repeatMs = Math.max(REPEAT_MS, cooldownMs);
  const repeats = (one: { toldMs: number; group: string }, endMs: number) => {
    for (let at = one.toldMs + repeatMs; at < endMs; at += repeatMs) found.push({ atMs: at, group: one.group });
  };
  for (const { id, atMs, group, kind } of transitions) {
    const before = state.get(id);
    if (kind === 'resolved') {
      if (before?.isFiring !== true) continue;
      repeats(before, atMs);
      found.push({ atMs, group });
      state.set(id, { toldMs: atMs, group, isFiring: false });
      continue;
    }
    const isCool = before === undefined || atMs - before.toldMs >= cooldownMs;
    if (!isCool && kind === 'firing') continue;
    found.push({ atMs, group });
    state.set(id, { toldMs: atMs, group, isFiring: true });
  }
  for (const one of state.values()) if (one.isFiring) repeats(one, untilMs);
  return found;
}

/** Whether work that comes again and again still does: each piece says when it went well and when it means to come again. */

export interface Heartbeats {
  /** It went well; `againMs` = the longest time until the next. */
  beat(what: string, againMs: number): void;
  /** False when any of them is later than `graceMs`, counted from its last success or from the first sight of it. */
  isAlive(): boolean;
  /** Expects `what` from now on. */
  expect(what: string): void;
}

/** @param nowMs a clock that does not leap */
export function createHeartbeats(nowMs: () => number, graceMs: number): Heartbeats {
  const dueMs = new Map<string, number>();
  return {
    expect: (what) => void dueMs.set(what, nowMs()),
    beat: (what, againMs) => void dueMs.set(what, nowMs() + againMs),
    isAlive: () => [...dueMs.values()].every((due) => nowMs() - due < graceMs),
  };
}

/** The state machine of alerts again, as slowly and plainly as possible: it keeps what it saw and reads all of it at each evaluation.
 *  Nothing is shared with the real one but the names of the phases. */

import type { AlertPhase } from '#contract/alerts.ts';
import type { Observation, Policy } from './machine.ts';

export interface Seen {
  readonly atMs: number;
  readonly observation: Observation;
}

export interface ReferenceResult {
  /** After each evaluation. */
  readonly phases: readonly AlertPhase[];
  /** `INDEX kind EPISODE`. */
  readonly notices: readonly string[];
}

const HALF_TICK = 5000;
const MINUTE = 60_000;

export function reference(history: readonly Seen[], policy: Policy): ReferenceResult {
  const phases: AlertPhase[] = [];
  /** Phase in which each evaluation found the machine. */
  const found: AlertPhase[] = [];
  const notices: string[] = [];
  const changes: number[] = [];
  let forgottenChanges = 0;
  const current: { phase: AlertPhase; began: number } = { phase: 'ok', began: 0 };
  let episode = 0;
  let told: number | null = null;
  let quietUntilMs: number | null = null;

  const at = (i: number) => history[i]?.atMs ?? 0;
  const seen = (i: number): Observation => {
    const one = history[i]?.observation;
    if (one === undefined) throw new Error(`nothing was seen at ${i}`);
    return one;
  };
  const isActive = (one: AlertPhase | undefined) => one === 'firing' || one === 'clearing';
  /** What evaluation `i` said of what it was asked: true = something is wrong. */
  const said = (i: number): boolean | null => {
    const { truth, isClear, isFrozen, closing, canResolve } = seen(i);
    if (closing !== null && canResolve) return false;
    if (isFrozen) return null;
    if (!isActive(found[i])) return truth;
    return isClear === null ? (truth === true ? true : null) : !isClear;
  };
  const isAfterHole = (i: number): boolean => {
    let before = i - 1;
    while (before >= 0 && said(before) === null) before -= 1;
    return before >= 0 && at(i) - at(before) > 2 * policy.periodMs + HALF_TICK;
  };
  /** How long, and how often in a row, it was said since `from`, holes beginning anew. */
  const held = (from: number, to: number): { ms: number; count: number } => {
    let begin = from;
    for (let i = from + 1; i <= to; i += 1) if (said(i) !== null && isAfterHole(i)) begin = i;
    let ms = 0;
    let count = said(begin) === null ? 0 : 1;
    for (let i = begin + 1; i <= to; i += 1) {
      if (said(i) === null) continue;
      count += 1;
      if (said(i - 1) !== null) ms += at(i) - at(i - 1);
    }
    return { ms, count };
  };
  const isNoData = (i: number): boolean => {
    let first = i;
    while (first > 0 && said(first - 1) === null && !seen(first - 1).isFrozen) first -= 1;
    return at(i) - at(first) > 3 * policy.periodMs + HALF_TICK;
  };

  for (let i = 0; i < history.length; i += 1) {
    const isIn = (phase: AlertPhase) => current.phase === phase;
    found[i] = current.phase;
    const now = at(i);
    const enter = (next: AlertPhase) => {
      current.phase = next;
      current.began = i;
    };
    const notice = (kind: string, of: number) => {
      notices.push(`${i} ${kind} ${of}`);
      told = kind === 'resolved' ? null : of;
    };
    const change = (kind: 'firing' | 'resolved', of: number) => {
      changes.push(now);
      if (quietUntilMs !== null) return;
      if (changes.slice(forgottenChanges).filter((ms) => now - ms <= 5 * MINUTE).length > 5) {
        quietUntilMs = now + 15 * MINUTE;
        notice('flapping', told ?? of);
      } else if (kind === 'firing' || told !== null) notice(kind, of);
    };
    const fire = () => {
      episode += 1;
      enter('firing');
      change('firing', episode);
    };
    const due = () => {
      if (seen(i).mask === null) fire();
      else if (!isIn('suppressed')) enter('suppressed');
    };
    const resolve = () => {
      enter('ok');
      change('resolved', told ?? episode);
    };
    const maybeDue = () => {
      const { ms, count } = held(current.began, i);
      if (policy.forMs > 0 ? ms + HALF_TICK >= policy.forMs : policy.isAtOnce || count >= 2) due();
    };
    const maybeResolve = () => {
      if (seen(i).canResolve && held(current.began, i).ms + HALF_TICK >= policy.keepFiringMs) resolve();
    };

    const { closing, canResolve, isFrozen } = seen(i);
    const wrong = said(i);
    if (closing !== null && canResolve) {
      if (isActive(current.phase)) resolve();
      else if (!isIn('ok')) enter('ok');
    } else if (wrong === null) {
      if (!isFrozen && isNoData(i)) {
        if (policy.noData === 'ok') {
          if (isActive(current.phase)) {
            if (canResolve) resolve();
          } else if (!isIn('ok')) enter('ok');
        }
        if (policy.noData === 'alert') {
          if (isIn('clearing')) enter('firing');
          else if (!isIn('firing')) due();
        }
      }
    } else if (isIn('ok')) {
      if (wrong) {
        enter('pending');
        maybeDue();
      }
    } else if (isIn('pending')) {
      if (!wrong) enter('ok');
      else maybeDue();
    } else if (isIn('suppressed')) {
      if (wrong) due();
      else enter('ok');
    } else if (isIn('firing')) {
      if (!wrong) {
        enter('clearing');
        maybeResolve();
      }
    } else if (wrong) enter('firing');
    else maybeResolve();

    const isLast = canResolve && (closing === 'rule_removed' || closing === 'rule_disabled');
    if (quietUntilMs !== null && (isLast || now + HALF_TICK >= quietUntilMs)) {
      quietUntilMs = null;
      forgottenChanges = changes.length;
      if (!isActive(current.phase) && told !== null) notice('resolved', told);
    }
    phases.push(current.phase);
  }
  return { phases, notices };
}

/** The state machine of alerts, pure: one thing, one evaluation. The live engine and the backtest both run on it.
 *  `ok → pending → firing → clearing → ok`, with `suppressed` beside `pending` while an operation works on the VM. */

import { SEVERITIES } from '#contract/alerts-config.ts';
import {
  type Closing,
  type Effect,
  FLAP_CHANGES,
  FLAP_HOLD_MS,
  FLAP_WINDOW_MS,
  GAP_PERIODS,
  hasPassed,
  isOver,
  type Machine,
  type Moment,
  type NoticeKind,
  type Observation,
  type Policy,
  type Step,
  UNKNOWN_PERIODS,
} from './machine.ts';

/** Nobody evaluates it afterwards, so people hear of the end now or never. */
const FINAL: readonly Closing[] = ['rule_removed', 'rule_disabled'];

export function step(before: Machine, seen: Observation, policy: Policy, now: Moment): Step {
  let machine = before;
  const effects: Effect[] = [];

  go();
  return { machine, effects };

  function go(): void {
    const { closing, canResolve } = seen;
    if (closing !== null && canResolve) {
      if (isActive()) resolve(closing);
      else if (machine.phase !== 'ok') become('ok', { mask: null });
      seenNow(null);
      endQuiet(FINAL.includes(closing));
      return;
    }
    const truth = truthOfPhase();
    if (truth === null) unknown();
    else known(truth);
    raiseSeverity();
    endQuiet();
  }

  /** What the phase asks about: whether the condition holds, or still holds. */
  function truthOfPhase(): boolean | null {
    const { truth, isClear } = seen;
    if (seen.isFrozen) return null;
    if (!isActive()) return truth;
    if (isClear !== null) return !isClear;
    // The clear condition cannot be told, but the condition itself holds.
    return truth === true ? true : null;
  }

  function isActive(): boolean {
    return machine.phase === 'firing' || machine.phase === 'clearing';
  }

  function unknown(): void {
    const { monotonicMs } = now;
    if (seen.isFrozen) {
      machine = { ...machine, evaluatedMs: monotonicMs, unknownSinceMs: null };
      return;
    }
    const unknownSinceMs = machine.unknownSinceMs ?? monotonicMs;
    machine = { ...machine, evaluatedMs: monotonicMs, unknownSinceMs };
    if (!isOver(monotonicMs - unknownSinceMs, UNKNOWN_PERIODS * policy.periodMs)) return;
    const isNews = !machine.isNoData;
    machine = { ...machine, isNoData: true };
    if (isNews && machine.phase !== 'ok') event('nodata');
    const { noData } = policy;
    if (noData === 'ok' && isActive() && seen.canResolve) resolve('no data');
    if (noData === 'ok' && !isActive() && machine.phase !== 'ok') become('ok', { mask: null });
    if (noData === 'alert' && machine.phase === 'clearing') become('firing');
    if (noData === 'alert' && !isActive()) {
      if (machine.phase === 'ok') machine = { ...machine, startedAtMs: now.wallMs };
      due('no data');
    }
  }

  function known(holds: boolean): void {
    const { monotonicMs } = now;
    const { knownMs, evaluatedMs } = machine;
    const sinceKnownMs = monotonicMs - knownMs;
    const isGap = isOver(sinceKnownMs, GAP_PERIODS * policy.periodMs);
    // Time that nobody saw does not count.
    const addedMs = !isGap && evaluatedMs === knownMs ? sinceKnownMs : 0;
    seenNow(seen.value);
    switch (machine.phase) {
      case 'ok':
        if (holds) begin();
        return;
      case 'pending':
        if (!holds) become('ok');
        else if (isGap) begin();
        else wait(addedMs);
        return;
      case 'suppressed':
        if (!holds) become('ok', { mask: null });
        else due(null);
        return;
      case 'firing':
        if (!holds) {
          become('clearing', { heldMs: 0, agreed: 1 });
          clear();
        }
        return;
      case 'clearing':
        if (holds) become('firing');
        else {
          machine = {
            ...machine,
            heldMs: isGap ? 0 : machine.heldMs + addedMs,
            agreed: isGap ? 1 : machine.agreed + 1,
          };
          clear();
        }
        return;
    }
  }

  function seenNow(value: number | null): void {
    const { monotonicMs } = now;
    machine = {
      ...machine,
      evaluatedMs: monotonicMs,
      knownMs: monotonicMs,
      unknownSinceMs: null,
      isNoData: false,
      value: value ?? machine.value,
    };
  }

  function begin(): void {
    become('pending', { heldMs: 0, agreed: 0, startedAtMs: now.wallMs, mask: null });
    wait(0);
  }

  function wait(addedMs: number): void {
    const heldMs = machine.heldMs + addedMs;
    const agreed = machine.agreed + 1;
    machine = { ...machine, heldMs, agreed };
    const { forMs, isAtOnce } = policy;
    const isDue = forMs > 0 ? hasPassed(heldMs, forMs) : isAtOnce || agreed >= 2;
    if (isDue) due(null);
  }

  /** It would fire now. */
  function due(reason: string | null): void {
    const { mask } = seen;
    if (mask === null) fire(reason);
    else if (machine.phase !== 'suppressed') {
      become('suppressed', { mask });
      event('suppressed', mask.title);
    }
  }

  function fire(reason: string | null): void {
    const episode = machine.episode + 1;
    become('firing', { episode, endedAtMs: null, acknowledged: null, severity: policy.severity });
    event('firing', reason);
    change('firing', episode, reason);
  }

  function clear(): void {
    if (seen.canResolve && hasPassed(machine.heldMs, policy.keepFiringMs)) resolve(null);
  }

  function resolve(reason: string | null): void {
    become('ok', { endedAtMs: now.wallMs, mask: null });
    event('resolved', reason);
    change('resolved', machine.toldEpisode ?? machine.episode, reason);
  }

  /** Tells of a beginning or an end, unless there were too many of them. */
  function change(kind: 'firing' | 'resolved', episode: number, reason: string | null): void {
    const { monotonicMs } = now;
    const changesMs = [...machine.changesMs.filter((ms) => monotonicMs - ms <= FLAP_WINDOW_MS), monotonicMs];
    machine = { ...machine, changesMs };
    if (machine.quietUntilMs !== null) return;
    if (changesMs.length > FLAP_CHANGES) {
      machine = { ...machine, quietUntilMs: monotonicMs + FLAP_HOLD_MS };
      event('flapping');
      notice('flapping', machine.toldEpisode ?? machine.episode, reason);
      return;
    }
    if (kind === 'firing' || machine.toldEpisode !== null) notice(kind, episode, reason);
  }

  /** Once notices are no longer held back, people hear of the end that they were not told of. */
  function endQuiet(isFinal = false): void {
    const { quietUntilMs, toldEpisode } = machine;
    if (quietUntilMs === null || !(isFinal || hasPassed(now.monotonicMs, quietUntilMs))) return;
    machine = { ...machine, quietUntilMs: null, changesMs: [] };
    if (!isActive() && toldEpisode !== null) notice('resolved', toldEpisode, null);
  }

  function raiseSeverity(): void {
    const { severity } = policy;
    if (!isActive() || severity === machine.severity) return;
    const isWorse = SEVERITIES.indexOf(severity) > SEVERITIES.indexOf(machine.severity);
    machine = { ...machine, severity, acknowledged: isWorse ? null : machine.acknowledged };
    if (!isWorse) return;
    event('severity_raised');
    notice('severity_raised', machine.toldEpisode ?? machine.episode, null);
  }

  function notice(kind: NoticeKind, episode: number, reason: string | null): void {
    effects.push({ type: 'notice', kind, episode, reason });
    machine = {
      ...machine,
      toldEpisode: kind === 'resolved' ? null : episode,
    };
  }

  function event(kind: Extract<Effect, { type: 'event' }>['kind'], reason: string | null = null): void {
    effects.push({ type: 'event', kind, reason });
  }

  function become(phase: Machine['phase'], more: Partial<Machine> = {}): void {
    machine = { ...machine, ...more, phase, sinceAtMs: now.wallMs };
  }
}

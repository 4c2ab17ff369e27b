/** How all alerts of a rule end when the rule is no longer what it was. */

import { atOnce } from '#kernel/async.ts';
import { type Change, evaluate, type RunningRule, type Surroundings, type Tracks } from '../evaluation.ts';
import type { Closing, Moment } from '../machine/machine.ts';
import { momentOf } from '../rule-language.ts';
import type { RuleFacts } from '../view.ts';

/** @param facts of the rule as it was */
export function endingOf(facts: RuleFacts, tracks: Tracks, closing: Closing, now: Moment): Change[] {
  const around: Surroundings = {
    maskOf: () => null,
    isLost: () => false,
    canResolve: () => true,
    vm: () => 'unknown',
    projectOf: () => undefined,
    closing,
  };
  return atOnce(evaluate(retiredRule(facts.id, facts), NOTHING_SEEN, tracks, around, now));
}

const NOTHING_SEEN = momentOf({
  nowMs: 0,
  entities: () => [],
  latest: () => null,
  periodMs: () => 0,
  window: () => ({ atMs: [], values: [] }),
  existing: () => [],
  forecast: () => null,
});

/** Stands for a rule while its alerts end; it is asked for nothing. */
function retiredRule(ruleId: string, { spec, name }: RuleFacts): RunningRule {
  return {
    id: ruleId,
    spec: spec ?? emptySpec(name),
    compiled: {
      requires: [],
      forMs: 0,
      windowMs: 0,
      explanation: '',
      limitText: '',
      // biome-ignore lint/correctness/useYield: it has nothing to say
      *evaluate() {
        return [];
      },
      valueText: String,
    },
    policy: {
      severity: spec?.severity ?? 'warning',
      forMs: 0,
      keepFiringMs: 0,
      noData: 'keep',
      periodMs: 0,
      isAtOnce: false,
    },
  };
}

function emptySpec(name: string): RunningRule['spec'] {
  return {
    name,
    condition: '',
    severity: 'warning',
    cooldown: '30m',
    clear: null,
    keepFiring: null,
    noData: 'keep',
    labels: {},
    runbook: null,
    description: null,
    channels: null,
    desiredOnly: true,
    enabled: false,
    project: null,
  };
}

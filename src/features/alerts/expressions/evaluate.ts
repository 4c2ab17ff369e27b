/** Rules at one moment: compiled once into closures, then judged for every entity that they are about. */

import type { CheckedRule, Test } from '#contract/rules/checked.ts';
import { nearestKind, type SubjectKind } from '#contract/rules/entities.ts';
import { atOnce, type Steps } from '#kernel/async.ts';
import { compileAbsent } from './compile-absent.ts';
import { compileCompare } from './compile-compare.ts';
import { TRUE, UNCOVERED, UNKNOWN, type Verdict, verdictAnd, verdictNot, verdictOr, verdictUnless } from './logic.ts';
import type { Judgement, TestPart } from './parts.ts';
import { type Subject, TickIndex } from './tick-index.ts';
import type { Outcome, SampleView, Truth } from './view.ts';

export interface CompiledRule extends CheckedRule {
  /** The moment must stay as it is until the last step. */
  judge(index: TickIndex): Steps<readonly Outcome[]>;
}

/** A rule may be about thousands of things, each with a window of thousands of samples. */
const JUDGED_PER_STEP = 16;

export function compileRule(rule: CheckedRule): CompiledRule {
  const parts = rule.kinds.map((kind) => compileTest(rule.test, kind, kind));
  const hasClear = clears(rule.test);
  return {
    ...rule,
    *judge(index) {
      const outcomes: Outcome[] = [];
      for (const part of parts) yield* judgeAll(part, hasClear, index, outcomes);
      return outcomes;
    },
  };
}

/** Outcomes of the entities that the rule is about; of those that it does not cover there is none. */
export function evaluateRule(rule: CompiledRule, view: SampleView): readonly Outcome[] {
  return atOnce(rule.judge(new TickIndex(view)));
}

/** The same for many rules, which share what they read of the moment. */
export function evaluateRules(rules: readonly CompiledRule[], view: SampleView): readonly (readonly Outcome[])[] {
  const index = new TickIndex(view);
  return rules.map((rule) => atOnce(rule.judge(index)));
}

function* judgeAll(part: TestPart, hasClear: boolean, index: TickIndex, outcomes: Outcome[]): Steps<void> {
  const subjects = new Map<string, Subject>();
  part.collect(index, subjects);
  yield;
  let judged = 0;
  const judgement: Judgement = { index, isFiring: false, value: Number.NaN, figure: null };
  for (const subject of subjects.values()) {
    judged += 1;
    if (judged % JUDGED_PER_STEP === 0) yield;
    judgement.isFiring = false;
    judgement.value = Number.NaN;
    judgement.figure = null;
    const verdict = part.judge(subject, judgement);
    if (verdict === UNCOVERED) continue;
    const { value, figure } = judgement;
    const isKnown = Number.isFinite(value);
    // What triggers does not clear: clear thresholds are never harder to reach than triggers.
    judgement.isFiring = true;
    const stillFires = verdict === TRUE || !hasClear ? verdict : part.judge(subject, judgement);
    outcomes.push({
      entity: subject.entity,
      labels: subject.labels,
      truth: truthOf(verdict),
      isClear: truthOf(verdictNot(stillFires)),
      value: isKnown ? value : null,
      figure: isKnown ? figure : null,
    });
  }
}

function truthOf(verdict: Verdict): Truth {
  if (verdict === UNKNOWN || verdict === UNCOVERED) return null;
  return verdict === TRUE;
}

function clears(test: Test): boolean {
  if (test.type === 'compare') return test.hasClear;
  if (test.type === 'absent') return false;
  return test.type === 'not' ? clears(test.inner) : clears(test.left) || clears(test.right);
}

/** @param around the kind that the part around this one is about
 *  @param kind of the subjects; a part that is about what contains them reads the figures of that */
function compileTest(test: Test, around: SubjectKind, kind: SubjectKind): TestPart {
  const at = nearestKind(around, test.kinds) ?? around;
  switch (test.type) {
    case 'compare':
      return compileCompare(test, at, kind);
    case 'absent':
      return compileAbsent(test.selector, at, kind);
    case 'not': {
      const { judge, collect } = compileTest(test.inner, at, kind);
      return { judge: (subject, judgement) => verdictNot(judge(subject, judgement)), collect };
    }
    default:
      return compilePair(test, at, kind);
  }
}

const COMBINE = { and: verdictAnd, or: verdictOr, unless: verdictUnless } as const;

function compilePair(test: Test & { type: 'and' | 'or' | 'unless' }, at: SubjectKind, kind: SubjectKind): TestPart {
  const left = compileTest(test.left, at, kind);
  const right = compileTest(test.right, at, kind);
  const combine = COMBINE[test.type];
  // What `unless` takes away from is what it is about, unless only the other side is of this kind.
  const isLeftOnly = test.type === 'unless' && nearestKind(at, test.left.kinds) === kind;
  return {
    judge(subject, judgement) {
      const first = left.judge(subject, judgement);
      const { value, figure } = judgement;
      judgement.value = Number.NaN;
      const second = right.judge(subject, judgement);
      if (showsFirst(test.type, first, second, value)) {
        judgement.value = value;
        judgement.figure = figure;
      }
      return combine(first, second);
    },
    collect(index, into) {
      left.collect(index, into);
      if (!isLeftOnly) right.collect(index, into);
    },
  };
}

/** Whether the figure of the first side is the one to show. */
function showsFirst(type: 'and' | 'or' | 'unless', first: Verdict, second: Verdict, value: number): boolean {
  if (type === 'unless') return true;
  if (type === 'or' && first !== TRUE && second === TRUE) return false;
  return !Number.isNaN(value);
}

/** Makes comparisons into closures, with the thresholds that hold while the alert fires. */

import { constantOf } from '#contract/rules/check-compare.ts';
import type { Comparison, Value } from '#contract/rules/checked.ts';
import { usualClear } from '#contract/rules/clear.ts';
import type { SubjectKind } from '#contract/rules/entities.ts';
import type { Relation } from '#contract/rules/language.ts';
import { type Count, compileCount } from './compile-count.ts';
import { compileValue } from './compile-value.ts';
import { FALSE, TRUE, UNCOVERED, UNKNOWN, type Verdict } from './logic.ts';
import type { TestPart, ValuePart } from './parts.ts';
import { holds } from './relations.ts';
import { DESIRED_RUNNING } from './states.ts';
import type { Subject, TickIndex } from './tick-index.ts';

export function compileCompare(comparison: Comparison, at: SubjectKind, kind: SubjectKind): TestPart {
  const { relation, left: leftValue, right: rightValue, isDesiredOnly } = comparison;
  if (leftValue.type === 'count' && rightValue.kinds === null) return compileCounted(comparison, leftValue, kind);
  const left = compileValue(leftValue, at, kind, compileCompare);
  const right = compileValue(rightValue, at, kind, compileCompare);
  const collect: TestPart['collect'] = (index, into) => {
    left.collect(index, into);
    right.collect(index, into);
  };
  const figure = { dimension: leftValue.dimension, values: leftValue.values };
  const threshold = thresholdOf(comparison, right);
  const translated = translate(comparison.translation, right);
  return {
    collect,
    judge(subject, judgement) {
      if (!left.covers(subject) || !right.covers(subject)) return UNCOVERED;
      const { index } = judgement;
      const desired = isDesiredOnly ? desiredOf(subject, index) : TRUE;
      if (desired !== TRUE) return desired;
      const value = left.read(subject, index);
      const limit = judgement.isFiring && comparison.hasClear ? threshold(subject, index) : translated(subject, index);
      judgement.value = value;
      judgement.figure = figure;
      if (Number.isNaN(value) || Number.isNaN(limit)) return UNKNOWN;
      return holds(relation, value, limit) ? TRUE : FALSE;
    },
  };
}

/** Only VMs that their owners want running. */
function desiredOf(subject: Subject, index: TickIndex): Verdict {
  const desired = index.of('vm_state_desired', 'vm').get(subject.vmKey)?.value ?? Number.NaN;
  if (Number.isNaN(desired)) return UNKNOWN;
  return desired === DESIRED_RUNNING ? TRUE : UNCOVERED;
}

function thresholdOf({ relation, clear, left, right: trigger }: Comparison, right: ValuePart): ValuePart['read'] {
  const limit = constantOf(trigger);
  const end =
    clear === null ? (limit === null ? null : usualClear(relation, limit, left.dimension)) : constantOf(clear);
  if (end !== null) return () => end;
  return (subject, index) => usualClear(relation, right.read(subject, index), left.dimension);
}

/** Two enums are compared by name. */
function translate(translation: readonly number[] | null, { read }: ValuePart): ValuePart['read'] {
  if (translation === null) return read;
  return (subject, index) => {
    const number = read(subject, index);
    return Number.isNaN(number) ? number : (translation[number] ?? -1);
  };
}

const COUNT = { dimension: 'count', values: null } as const;

function compileCounted(comparison: Comparison, value: Value & { type: 'count' }, kind: SubjectKind): TestPart {
  const { relation } = comparison;
  const count = compileCount(value, kind, compileCompare);
  const trigger = constantOf(comparison.right) ?? Number.NaN;
  const clear = comparison.clear === null ? trigger : (constantOf(comparison.clear) ?? trigger);
  return {
    collect: count.collect,
    judge(subject, judgement) {
      const counted = count.read(subject, judgement.index);
      judgement.value = counted.yes;
      judgement.figure = COUNT;
      return compareCount(relation, counted, judgement.isFiring ? clear : trigger);
    },
  };
}

/** True or false only when no unknown member could change it. */
function compareCount(relation: Relation, { yes, unknown }: Count, limit: number): Verdict {
  const least = holds(relation, yes, limit);
  if (unknown === 0) return least ? TRUE : FALSE;
  const most = holds(relation, yes + unknown, limit);
  if (relation !== '==' && relation !== '!=') return least === most ? (least ? TRUE : FALSE) : UNKNOWN;
  const isOutside = limit < yes || limit > yes + unknown;
  if (!isOutside) return UNKNOWN;
  return relation === '!=' ? TRUE : FALSE;
}

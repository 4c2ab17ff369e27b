/** The type check of comparisons: whether the sides can be compared, the names of states, and on which side the alert clears. */

import { nearestName } from '#kernel/names.ts';
import { definitionOf, isMetric } from '../metric-catalogue.ts';
import type { Findings } from './check-selector.ts';
import {
  adapted,
  alike,
  checkValue,
  type Found,
  joined,
  nameOf,
  tellNoJoin,
  type ValueChecker,
} from './check-value.ts';
import type { Comparison, Value } from './checked.ts';
import { areComparable, isPlain } from './dimensions.ts';
import { DIMENSION_WORDS, type Relation } from './language.ts';
import type { RawCompare, RawValue } from './syntax.ts';

export interface CompareOptions {
  /** Comparisons of vm_state with a name cover only VMs that should be running. */
  readonly isDesiredOnly: boolean;
  /** Inside `not`, behind `unless` and inside `count` there is nothing to clear. */
  readonly canClear: boolean;
}

const TURNED: Readonly<Record<Relation, Relation>> = {
  '>': '<',
  '>=': '<=',
  '<': '>',
  '<=': '>=',
  '==': '==',
  '!=': '!=',
};

/** @returns null when there is something wrong with it that has been told */
export function checkCompare(raw: RawCompare, options: CompareOptions, findings: Findings): Comparison | null {
  const inner: CompareOptions = { ...options, canClear: false };
  const checker: ValueChecker = { findings, compare: (one) => checkCompare(one, inner, findings) };
  const sides = checkSides(raw, checker);
  if (sides === null) return null;
  const [left, right] = sides;
  if (left.value.kinds === null && right.value.kinds === null) {
    findings.error(raw, 'no_metric', 'a comparison needs a metric on one of its sides');
    return null;
  }
  if (!checkEnums(raw, left.value, right.value, findings)) return null;
  if (!areComparable(left.value.dimension, right.value.dimension)) {
    tellDimension(raw, left.value, right.value, findings);
    return null;
  }
  const kinds = joined(left.value, right.value) ?? [];
  if (kinds.length === 0) {
    tellNoJoin(raw.right, left.value, right.value, findings);
    return null;
  }
  const isTurned = left.value.kinds === null;
  const value = isTurned ? right : left;
  const threshold = isTurned ? left : right;
  const relation = isTurned ? TURNED[raw.relation] : raw.relation;
  const clear = checkClear(raw, relation, value, threshold.value, options, checker);
  if (clear === undefined) return null;
  return {
    type: 'compare',
    relation,
    left: value.value,
    right: threshold.value,
    clear,
    hasClear: clear !== null || (options.canClear && hasUsualClear(relation, value.value)),
    translation: translationOf(value.value, threshold.value),
    isDesiredOnly: options.isDesiredOnly && isState(value.value) && threshold.value.type === 'constant',
    kinds,
  };
}

/** Both sides, with bare numbers and names given their meaning by the other side. */
function checkSides(raw: RawCompare, checker: ValueChecker): readonly [Found, Found] | null {
  const { findings } = checker;
  const isNameLeft = nameIn(raw.left) !== null;
  const isNameRight = nameIn(raw.right) !== null;
  if (isNameLeft !== isNameRight) {
    const rawName = isNameLeft ? raw.left : raw.right;
    const other = checkValue(isNameLeft ? raw.right : raw.left, checker);
    // Of a name beside something wrong nobody can say what it should be.
    if (other === null) return null;
    const name = checkName(rawName, other.value, checker);
    if (name === null) return null;
    return isNameLeft ? [name, other] : [other, name];
  }
  if (isNameLeft && raw.left.type === 'selector' && raw.right.type === 'selector') {
    // `foo == running`: the first is the metric.
    checkValue(raw.left, checker);
    return null;
  }
  const left = checkValue(raw.left, checker);
  const right = checkValue(raw.right, checker);
  if (left === null || right === null) return null;
  const fittingLeft = adapted(left, right, raw.left, findings);
  const fittingRight = adapted(right, left, raw.right, findings);
  return fittingLeft && fittingRight && [fittingLeft, fittingRight];
}

/** What may be the name of a state: a text, or words without braces that are no metric; null when it is something else. */
function nameIn(raw: RawValue): string | null {
  if (raw.type === 'text') return raw.text;
  if (raw.type === 'selector') return raw.matches === null && !isMetric(raw.name) ? raw.name : null;
  // `shutting-down`: states are written with _.
  if (raw.type !== 'arithmetic' || raw.operator !== '-') return null;
  const [left, right] = [nameIn(raw.left), nameIn(raw.right)];
  return left === null || right === null ? null : `${left}-${right}`;
}

function checkName(raw: RawValue, beside: Value, checker: ValueChecker): Found | null {
  const name = nameIn(raw) ?? '';
  const { values } = beside;
  if (values === null) {
    if (beside.dimension === 'bool' && ['true', 'false', 'up', 'down', 'yes', 'no'].includes(name)) {
      const number = ['true', 'up', 'yes'].includes(name) ? '1' : '0';
      checker.findings.error(raw, 'enum_value', `${nameOf(beside)} is 0 or 1: write ${number}`, number);
    } else checkValue(raw, checker);
    return null;
  }
  const number = values.indexOf(name);
  if (number < 0) {
    const near = nearestName(name, values);
    const hint = near === null ? '' : `; did you mean ${near}?`;
    checker.findings.error(raw, 'enum_value', `${nameOf(beside)} is one of ${values.join(', ')}${hint}`, near);
    return null;
  }
  const value: Value = { type: 'constant', value: number, text: name, dimension: 'enum', values, kinds: null };
  return { value, isBare: false, isQuotient: false };
}

function checkEnums(raw: RawCompare, left: Value, right: Value, findings: Findings): boolean {
  if (left.dimension !== 'enum' && right.dimension !== 'enum') return true;
  if (left.dimension !== right.dimension) {
    const [one, at] = left.dimension === 'enum' ? [left, raw.right] : [right, raw.left];
    findings.error(at, 'enum_value', `${nameOf(one)} is one of ${one.values?.join(', ') ?? ''}`);
    return false;
  }
  if (raw.relation !== '==' && raw.relation !== '!=') {
    findings.error(raw.relationSpan, 'enum_order', 'names have no order: only == and !=', '==');
    return false;
  }
  return true;
}

function tellDimension(raw: RawCompare, left: Value, right: Value, findings: Findings): void {
  const isMetricLeft = left.type === 'metric';
  const [metric, other] = isMetricLeft ? [left, right] : [right, left];
  const at = isMetricLeft || right.type !== 'metric' ? raw.right : raw.left;
  const near =
    metric.type === 'metric' && other.type === 'constant'
      ? alike(metric.selector.metric, (name) => {
          const { dimension, kinds } = definitionOf(name);
          return dimension === other.dimension && kinds.some((kind) => metric.selector.kinds.includes(kind));
        })
      : null;
  const hint = near === null ? '' : `; did you mean ${near}?`;
  const message = `${nameOf(metric)} is ${DIMENSION_WORDS[metric.dimension]}, and this is ${DIMENSION_WORDS[other.dimension]}${hint}`;
  findings.error(at, 'dimension', message, near);
}

/** @returns undefined when something is wrong with it; null = there is none */
function checkClear(
  raw: RawCompare,
  relation: Relation,
  value: Found,
  threshold: Value,
  { canClear }: CompareOptions,
  checker: ValueChecker,
): Value | null | undefined {
  if (raw.clear === null) return null;
  const { findings } = checker;
  if (!canClear) {
    findings.error(raw.clear, 'clear_misplaced', 'clear cannot stand inside not, behind unless or inside count');
    return undefined;
  }
  if (relation === '==' || relation === '!=') {
    findings.error(raw.clear, 'clear_misplaced', 'clear goes with >, >=, < and <= only');
    return undefined;
  }
  const found = checkValue(raw.clear, checker);
  const clear = found && adapted(found, value, raw.clear, findings);
  if (clear === null) return undefined;
  if (!areComparable(value.value.dimension, clear.value.dimension)) {
    const words = `${nameOf(value.value)} is ${DIMENSION_WORDS[value.value.dimension]}`;
    findings.error(raw.clear, 'dimension', `${words}, and this is ${DIMENSION_WORDS[clear.value.dimension]}`);
    return undefined;
  }
  if (clear.value.kinds !== null) {
    findings.error(raw.clear, 'clear_misplaced', 'clear takes a number, without metrics');
    return undefined;
  }
  const isRising = relation === '>' || relation === '>=';
  const [limit, end] = [constantOf(threshold), constantOf(clear.value)];
  if (limit !== null && end !== null && (isRising ? end > limit : end < limit)) {
    const side = isRising ? 'below' : 'above';
    findings.error(raw.clear, 'clear_wrong_side', `the alert clears ${side} its threshold: this is on the other side`);
    return undefined;
  }
  return clear.value;
}

/** The number that a value without metrics comes to. */
export function constantOf(value: Value): number | null {
  if (value.type === 'constant') return value.value;
  if (value.type !== 'arithmetic') return null;
  const [left, right] = [constantOf(value.left), constantOf(value.right)];
  return left === null || right === null ? null : reckon(value.operator, left, right);
}

/** @returns NaN or an infinity when dividing by nothing */
export function reckon(operator: '+' | '-' | '*' | '/', left: number, right: number): number {
  if (operator === '+') return left + right;
  if (operator === '-') return left - right;
  return operator === '*' ? left * right : left / right;
}

function hasUsualClear(relation: Relation, value: Value): boolean {
  if (relation === '==' || relation === '!=') return false;
  return !isPlain(value.dimension) || (value.dimension === 'number' && value.type !== 'count');
}

function translationOf(left: Value, right: Value): readonly number[] | null {
  if (left.dimension !== 'enum' || right.type === 'constant') return null;
  return (right.values ?? []).map((name) => left.values?.indexOf(name) ?? -1);
}

function isState(value: Value): boolean {
  return value.type === 'metric' && value.selector.metric === 'vm_state';
}

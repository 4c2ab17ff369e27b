/** The type check of values: what each number means, and of which entities. */

import { nearestName } from '#kernel/names.ts';
import { type Dimension, definitionOf, isMetric, METRIC_NAMES, type MetricName } from '../metric-catalogue.ts';
import { checkSelector, type Findings } from './check-selector.ts';
import type { Comparison, Selector, Value } from './checked.ts';
import { dimensionOf, isPlain } from './dimensions.ts';
import { joinEqual, nearestKind, type SubjectKind } from './entities.ts';
import { DIMENSION_WORDS, FUNCTIONS, type FunctionName, isFunction, UNITS, USUAL_UNITS } from './language.ts';
import type { Span } from './problem.ts';
import type { RawCall, RawCompare, RawCount, RawQuantity, RawValue } from './syntax.ts';

/** A value with what the check of its surroundings wants to know. */
export interface Found {
  readonly value: Value;
  /** A number without unit: it takes on what stands beside it. */
  readonly isBare: boolean;
  /** A quotient: its numbers are bare ones. */
  readonly isQuotient: boolean;
}

export interface ValueChecker {
  readonly findings: Findings;
  compare(raw: RawCompare): Comparison | null;
}

const plain = (value: Value): Found => ({ value, isBare: false, isQuotient: false });

/** @returns null when there is something wrong with it that has been told */
export function checkValue(raw: RawValue, checker: ValueChecker): Found | null {
  switch (raw.type) {
    case 'quantity':
      return checkQuantity(raw);
    case 'text':
      checker.findings.error(
        raw,
        'enum_value',
        `"${raw.text}" is a name: it can only stand beside a metric that has names`,
      );
      return null;
    case 'selector': {
      const selector = checkSelector(raw, checker.findings);
      return selector && plain({ type: 'metric', selector, ...shapeOf(selector) });
    }
    case 'call':
      return checkCall(raw, checker.findings);
    case 'count':
      return checkCount(raw, checker);
    case 'arithmetic':
      return checkArithmetic(raw, checker);
  }
}

function checkQuantity({ text, value, unit }: RawQuantity): Found {
  const dimension = unit === null ? 'number' : (UNITS.get(unit)?.dimension ?? 'number');
  return {
    value: { type: 'constant', value, text, dimension, values: null, kinds: null },
    isBare: unit === null,
    isQuotient: false,
  };
}

function shapeOf({ metric, kinds }: Selector) {
  const { dimension, values } = definitionOf(metric);
  return { dimension, values: values ?? null, kinds };
}

const GAUGES: readonly Dimension[] = [
  'ratio',
  'bytes',
  'bytes_per_second',
  'per_second',
  'seconds',
  'number',
  'celsius',
  'bool',
];

/** What a function makes of a figure; null = it does not take it. */
const RESULTS: Readonly<Record<FunctionName, (dimension: Dimension) => Dimension | null>> = {
  avg: (dimension) => (dimension === 'bool' ? 'ratio' : GAUGES.includes(dimension) ? dimension : null),
  min: (dimension) => (GAUGES.includes(dimension) ? dimension : null),
  max: (dimension) => (GAUGES.includes(dimension) ? dimension : null),
  predict: (dimension) => (dimension !== 'bool' && GAUGES.includes(dimension) ? dimension : null),
  rate: (dimension) => (dimension === 'count' ? 'per_second' : dimension === 'bytes' ? 'bytes_per_second' : null),
  increase: (dimension) => (dimension === 'count' ? 'count' : null),
  changes: () => 'count',
  age: (dimension) => (dimension === 'timestamp' ? 'seconds' : null),
};

function refusal(name: FunctionName): 'not_a_counter' | 'not_a_timestamp' | 'not_a_gauge' {
  if (name === 'rate' || name === 'increase') return 'not_a_counter';
  return name === 'age' ? 'not_a_timestamp' : 'not_a_gauge';
}

function wanted(name: FunctionName): string {
  if (name === 'rate') return 'a count that only grows, or a number of bytes';
  if (name === 'increase') return 'a count that only grows';
  return name === 'age' ? 'a point in time' : 'a figure that goes up and down';
}

function checkCall(raw: RawCall, findings: Findings): Found | null {
  const { name } = raw;
  if (!isFunction(name)) {
    const near = nearestName(name, [...Object.keys(FUNCTIONS), 'count', 'absent']);
    const hint = near === null ? '' : `: did you mean ${near}?`;
    findings.error(raw.nameSpan, 'unknown_function', `there is no function ${name}${hint}`, near);
    checkSelector(raw.selector, findings);
    return null;
  }
  const selector = checkSelector(raw.selector, findings);
  const isTimeSound = checkTime(raw, name, selector, findings);
  if (selector === null) return null;
  const { metric, kinds } = selector;
  const { dimension } = definitionOf(metric);
  const result = RESULTS[name](dimension);
  if (result === null) {
    const near = alike(metric, (other) => RESULTS[name](definitionOf(other).dimension) !== null);
    findings.error(
      raw.selector.nameSpan,
      refusal(name),
      `${metric} is ${DIMENSION_WORDS[dimension]}, and ${name} needs ${wanted(name)}`,
      near,
    );
    return null;
  }
  if (!isTimeSound) return null;
  return plain({ type: 'call', name, selector, timeMs: raw.time?.ms ?? 0, dimension: result, values: null, kinds });
}

function checkTime(raw: RawCall, name: FunctionName, selector: Selector | null, findings: Findings): boolean {
  const { span } = FUNCTIONS[name];
  if (span === null) {
    if (raw.time === null) return true;
    findings.error(raw.time, 'window_unexpected', `${name} takes a metric only, without a time`);
    return false;
  }
  if (raw.time === null) {
    const example = name === 'predict' ? '7d' : '5m';
    const message = `${name} needs a time: write ${name}(${raw.selector.name}, ${example})`;
    findings.error(raw.endSpan, 'window_missing', message, `, ${example})`);
    return false;
  }
  // Two samples at least: fewer would be unknown for ever.
  const periodMs = selector === null ? 0 : definitionOf(selector.metric).periodSeconds * 1000;
  const leastMs = name === 'predict' ? span.leastMs : Math.max(span.leastMs, 2 * periodMs);
  if (raw.time.ms >= leastMs && raw.time.ms <= span.mostMs) return true;
  const message = `the time of ${name} is ${timeText(leastMs)} to ${timeText(span.mostMs)} here`;
  findings.error(raw.time, 'window_range', message, timeText(raw.time.ms < leastMs ? leastMs : span.mostMs));
  return false;
}

/** `90s`, `5m`: the shortest way to write it. */
export function timeText(ms: number): string {
  const units: readonly (readonly [number, string])[] = [
    [86_400_000, 'd'],
    [3_600_000, 'h'],
    [60_000, 'm'],
    [1000, 's'],
  ];
  const [length, unit] = units.find(([one]) => ms > 0 && ms % one === 0) ?? [1, 'ms'];
  return `${ms / length}${unit}`;
}

const GROUPS = ['host', 'vm', 'project'] as const;
/** Kinds that a group can hold. */
const GROUPED: Readonly<Record<(typeof GROUPS)[number], SubjectKind>> = { host: 'host', vm: 'vm', project: 'vm' };

function checkCount(raw: RawCount, { findings, compare }: ValueChecker): Found | null {
  if (raw.of.type === 'compare' && raw.of.clear !== null)
    findings.error(
      raw.of.clear,
      'clear_misplaced',
      'count has no clear inside: write it behind the number that is counted to',
    );
  const of = raw.of.type === 'compare' ? compare(raw.of) : checkSelector(raw.of, findings);
  const by = raw.by === null ? 'host' : GROUPS.find((group) => group === raw.by?.name);
  if (by === undefined) {
    const { name = '', span = raw } = raw.by ?? {};
    const near = nearestName(name, GROUPS);
    findings.error(span, 'label', `count groups by ${GROUPS.join(', ')}`, near);
    return null;
  }
  if (of === null) return null;
  if (!of.kinds.some((kind) => nearestKind(kind, [GROUPED[by]]) !== null)) {
    findings.error(raw.by?.span ?? raw, 'join', `${of.kinds.join(', ')} do not belong to a ${by}`);
    return null;
  }
  return plain({ type: 'count', of, by, dimension: 'count', values: null, kinds: [by] });
}

function checkArithmetic(raw: RawValue & { type: 'arithmetic' }, checker: ValueChecker): Found | null {
  const { operator } = raw;
  const foundLeft = checkValue(raw.left, checker);
  const foundRight = checkValue(raw.right, checker);
  if (foundLeft === null || foundRight === null) return null;
  if (operator === '/' && foundRight.value.type === 'constant' && foundRight.value.value === 0) {
    checker.findings.error(raw.right, 'dimension', 'nothing can be divided by 0');
    return null;
  }
  const isSum = operator === '+' || operator === '-';
  const left = isSum ? adapted(foundLeft, foundRight, raw.left, checker.findings) : foundLeft;
  const right = isSum ? adapted(foundRight, foundLeft, raw.right, checker.findings) : foundRight;
  if (left === null || right === null) return null;
  const isScale = { left: left.isBare, right: right.isBare };
  const dimension = dimensionOf(operator, left.value.dimension, right.value.dimension, isScale);
  if (dimension === null) {
    const [a, b] = [DIMENSION_WORDS[left.value.dimension], DIMENSION_WORDS[right.value.dimension]];
    checker.findings.error(raw.right, 'dimension', `${a} ${operator} ${b} makes no sense`);
    return null;
  }
  const kinds = joined(left.value, right.value);
  if (kinds !== null && kinds.length === 0) {
    tellNoJoin(raw.right, left.value, right.value, checker.findings);
    return null;
  }
  const { value: leftValue } = left;
  const { value: rightValue } = right;
  const values = { left: leftValue, right: rightValue };
  return {
    value: { type: 'arithmetic', operator, ...values, dimension, values: null, kinds },
    isBare: left.isBare && right.isBare,
    isQuotient: dimension === 'ratio' && operator === '/' && leftValue.dimension !== 'ratio',
  };
}

/** Null = any. */
export function joined(left: Value, right: Value): readonly SubjectKind[] | null {
  if (left.kinds === null || right.kinds === null) return left.kinds ?? right.kinds;
  return joinEqual(left.kinds, right.kinds);
}

export function tellNoJoin(
  at: Span,
  left: Pick<Value, 'kinds'>,
  right: Pick<Value, 'kinds'>,
  findings: Findings,
): void {
  const [a, b] = [left.kinds?.join(', ') ?? '', right.kinds?.join(', ') ?? ''];
  findings.error(at, 'join', `${a} on one side and ${b} on the other do not belong together: write two rules`);
}

/** A bare number takes on the dimension of what stands beside it, where that leaves no doubt. */
export function adapted(found: Found, beside: Found, at: Span, findings: Findings): Found | null {
  const { dimension } = beside.value;
  if (!found.isBare || beside.isBare || isPlain(dimension) || dimension === 'enum') return found;
  const { value } = found;
  const taken: Found = { ...found, value: { ...value, dimension } };
  if (value.type !== 'constant') {
    findings.error(at, 'unit_missing', `this needs a unit: it stands beside ${DIMENSION_WORDS[dimension]}`);
    return null;
  }
  if (value.value === 0 || beside.isQuotient) return taken;
  const what = nameOf(beside.value);
  if (dimension === 'ratio' && value.value > 0 && value.value <= 1.5) {
    const text = `${Math.round(value.value * 1e6) / 1e4}%`;
    findings.note(at, 'unit_missing', `${what} is a ratio: ${value.text} is taken as ${text}`, text);
    return taken;
  }
  const unit = USUAL_UNITS[dimension];
  const suggestion = unit === undefined ? null : `${value.text}${unit === '%' ? '' : ' '}${unit}`;
  const mend = suggestion === null ? 'compare its age: age(…) > 1h' : `write ${suggestion}`;
  findings.error(at, 'unit_missing', `${what} is ${DIMENSION_WORDS[dimension]}: ${mend}`, suggestion);
  return null;
}

export function nameOf(value: Value): string {
  if (value.type === 'metric') return value.selector.metric;
  return value.type === 'call' ? `${value.name}(${value.selector.metric})` : 'the other side';
}

/** The metric with a name like this one that fits. */
export function alike(metric: MetricName, fits: (other: MetricName) => boolean): MetricName | null {
  const family = `${metric.slice(0, metric.indexOf('_') + 1)}`;
  const near = nearestName(
    metric,
    METRIC_NAMES.filter((name) => name !== metric && name.startsWith(family) && fits(name)),
  );
  return near !== null && isMetric(near) ? near : null;
}

/** Makes values into closures: what each reads of the moment is decided once, when the rule is compiled. */

import { definitionOf } from '#contract/metric-catalogue.ts';
import { reckon } from '#contract/rules/check-compare.ts';
import type { Comparison, Selector, Value } from '#contract/rules/checked.ts';
import { nearestKind, type SubjectKind } from '#contract/rules/entities.ts';
import { compileCount } from './compile-count.ts';
import { type Collect, type CompileTest, collectNothing, type ValuePart } from './parts.ts';
import { coversOf } from './selection.ts';
import { type IndexedSeries, keyFor, type TickIndex } from './tick-index.ts';
import { countRate, WINDOW_FUNCTIONS, type WindowFunction } from './windows.ts';

/** @param at the kind that the comparison is about: that of the subjects, or of what they lie in */
export function compileValue(
  value: Value,
  at: SubjectKind,
  kind: SubjectKind,
  compare: CompileTest<Comparison>,
): ValuePart {
  switch (value.type) {
    case 'constant':
      return { read: () => value.value, covers: () => true, collect: collectNothing };
    case 'metric':
      return ofSeries(value.selector, at, kind, ({ value: newest }) => newest);
    case 'call':
      return ofSeries(value.selector, at, kind, callOf(value));
    case 'count': {
      const count = compileCount(value, kind, compare);
      return {
        ...count,
        read: (subject, index) => {
          const { yes, unknown } = count.read(subject, index);
          return unknown > 0 ? Number.NaN : yes;
        },
      };
    }
    case 'arithmetic': {
      const left = compileValue(value.left, at, kind, compare);
      const right = compileValue(value.right, at, kind, compare);
      return {
        read: arithmeticOf(value, left, right),
        covers: (subject) => left.covers(subject) && right.covers(subject),
        collect(index, into) {
          left.collect(index, into);
          right.collect(index, into);
        },
      };
    }
  }
}

type ReadSeries = (series: IndexedSeries, index: TickIndex) => number;

function ofSeries(selector: Selector, at: SubjectKind, kind: SubjectKind, read: ReadSeries): ValuePart {
  const { metric } = selector;
  const own = nearestKind(at, selector.kinds) ?? at;
  return {
    read(subject, index) {
      const series = index.of(metric, own).get(keyFor(subject, own));
      return series === undefined ? Number.NaN : read(series, index);
    },
    covers: coversOf(selector),
    collect: own === kind ? collectOf(selector, own) : collectNothing,
  };
}

function collectOf({ metric }: Selector, kind: SubjectKind): Collect {
  return (index, into) => {
    for (const { subject } of index.of(metric, kind).values()) into.set(subject.key, subject);
  };
}

function callOf({ name, selector, timeMs }: Value & { type: 'call' }): ReadSeries {
  if (name === 'age') return ({ value }, { view }) => view.nowMs / 1000 - value;
  if (name === 'predict')
    return ({ value, series }, { view }) =>
      Number.isNaN(value) ? value : (view.forecast(series, timeMs) ?? Number.NaN);
  const isCount = definitionOf(selector.metric).dimension === 'count';
  const reckoned: WindowFunction = name === 'rate' && isCount ? countRate : WINDOW_FUNCTIONS[name];
  const isHeld = definitionOf(selector.metric).periodSeconds === 0;
  return ({ value, series, periodMs }, { view }) => {
    if (Number.isNaN(value)) return value;
    const facts = { windowMs: timeMs, periodMs: isHeld ? 0 : periodMs };
    return reckoned(view.window(series, timeMs), facts) ?? Number.NaN;
  };
}

function arithmeticOf(
  { operator, dimension, left: { dimension: leftDimension } }: Value & { type: 'arithmetic' },
  left: ValuePart,
  right: ValuePart,
): ValuePart['read'] {
  if (operator !== '/')
    return (subject, index) => reckon(operator, left.read(subject, index), right.read(subject, index));
  // Room divided by speed: what does not grow never fills it, and a negative time would be less than any limit.
  const isTimeToFill = dimension === 'seconds' && leftDimension !== 'seconds';
  return (subject, index) => {
    const amount = left.read(subject, index);
    const by = right.read(subject, index);
    if (isTimeToFill && by <= 0) return Number.isNaN(amount) ? amount : Number.POSITIVE_INFINITY;
    return by === 0 ? Number.NaN : amount / by;
  };
}

/** The meaning of rules once more, as slow and plain as can be: no index, nothing compiled, every figure looked up by walking through all
 *  series. What the real evaluation must agree with, and what it is measured beside. */

import { definitionOf, METRICS, VM_KINDS } from '#contract/metric-catalogue.ts';
import type { CheckedRule, Comparison, Match, Selector, Test, Value } from '#contract/rules/checked.ts';
import type { Labels, SampleView, SeriesEntity, Truth } from '#features/alerts/expressions/view.ts';

/** undefined = the part does not cover the entity. */
type Part = Truth | undefined;

interface Thing {
  readonly entity: SeriesEntity;
  readonly labels: Labels;
}

const nameOf = ({ entity: { owner, kind, sub } }: Thing) => `${owner.type}/${owner.id}/${kind}/${sub}`;

/** Outcomes by the name of the entity. Rules with count and absent are not among what it knows. */
export function referenceOutcomes(rule: CheckedRule, view: SampleView): ReadonlyMap<string, Truth> {
  const outcomes = new Map<string, Truth>();
  for (const kind of rule.kinds) {
    for (const thing of thingsOf(rule.test, kind, view)) {
      const truth = judge(rule.test, kind, thing, view);
      if (truth !== undefined) outcomes.set(nameOf(thing), truth);
    }
  }
  return outcomes;
}

export { nameOf as nameOfEntity };

/** Everything that any series of the rule belongs to; behind `unless` it does not count, nor where the rule is about what contains it. */
function thingsOf(test: Test, kind: string, view: SampleView): Thing[] {
  if (!test.kinds.some((one) => one === kind)) return [];
  if (test.type === 'not') return thingsOf(test.inner, kind, view);
  if (test.type === 'absent') return [];
  const found = new Map<string, Thing>();
  const add = (things: Iterable<Thing>) => {
    for (const thing of things) if (thing.entity.kind === kind) found.set(nameOf(thing), thing);
  };
  if (test.type === 'compare') {
    for (const { metric, kinds } of selectorsIn(test))
      if (kinds.some((one) => one === kind)) add(view.entities(metric));
  } else {
    add(thingsOf(test.left, kind, view));
    if (test.type !== 'unless' || !test.left.kinds.some((one) => one === kind)) add(thingsOf(test.right, kind, view));
  }
  return [...found.values()];
}

function selectorsIn({ left, right }: Comparison): Selector[] {
  const of = (value: Value): Selector[] => {
    if (value.type === 'metric' || value.type === 'call') return [value.selector];
    return value.type === 'arithmetic' ? [...of(value.left), ...of(value.right)] : [];
  };
  return [...of(left), ...of(right)];
}

/** The kind that a part is about when the part around it is about `kind`. */
function kindWithin(kind: string, kinds: readonly string[]): string {
  if (kinds.includes(kind)) return kind;
  return kinds.includes('vm') && VM_KINDS.some((one) => one === kind) ? 'vm' : 'host';
}

function judge(test: Test, around: string, thing: Thing, view: SampleView): Part {
  const kind = kindWithin(around, test.kinds);
  if (test.type === 'compare') return compare(test, kind, thing, view);
  if (test.type === 'absent') return undefined;
  if (test.type === 'not') {
    const inner = judge(test.inner, kind, thing, view);
    return typeof inner === 'boolean' ? !inner : inner;
  }
  const left = judge(test.left, kind, thing, view);
  const right = judge(test.right, kind, thing, view);
  if (test.type === 'unless') return left !== undefined && right === true ? false : left;
  if (test.type === 'and') {
    if (left === undefined || right === undefined) return undefined;
    return left === false || right === false ? false : left === null || right === null ? null : true;
  }
  const sides = [left, right].filter((side) => side !== undefined);
  if (sides.length === 0) return undefined;
  return sides.includes(true) ? true : sides.includes(null) ? null : false;
}

function compare(test: Comparison, kind: string, thing: Thing, view: SampleView): Part {
  if (!selectorsIn(test).every((selector) => selector.matches.every((match) => matches(match, thing.labels))))
    return undefined;
  if (test.isDesiredOnly) {
    const desired = newestOf({ metric: 'vm_state_desired', kinds: ['vm'], matches: [] }, 'vm', thing, view);
    if (desired === null) return null;
    if (METRICS.vm_state_desired.values[desired.value] !== 'running') return undefined;
  }
  const left = read(test.left, kind, thing, view);
  const right = read(test.right, kind, thing, view);
  if (left === null || right === null) return null;
  if (test.left.dimension === 'enum') {
    const isSame = test.left.values?.[left] === test.right.values?.[right];
    return test.relation === '==' ? isSame : !isSame;
  }
  const results = {
    '>': left > right,
    '>=': left >= right,
    '<': left < right,
    '<=': left <= right,
    '==': left === right,
    '!=': left !== right,
  };
  return results[test.relation];
}

function matches({ label, operator, value }: Match, labels: Labels): boolean {
  const candidates = label === 'tag' ? (labels['tags'] ?? '').split(',').filter(Boolean) : [labels[label] ?? ''];
  const pattern = value
    .replaceAll(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  const glob = new RegExp(`^${pattern}$`, 's');
  const isHit = candidates.some((one) => (operator === '=' || operator === '!=' ? one === value : glob.test(one)));
  return operator === '=' || operator === '=~' ? isHit : !isHit;
}

/** Walks through all series of the metric for the one of the thing, its VM or its host. */
function newestOf({ metric, kinds }: Selector, around: string, thing: Thing, view: SampleView) {
  const kind = kindWithin(around, kinds);
  for (const other of view.entities(metric)) {
    if (other.entity.kind !== kind) continue;
    const isIt =
      kind === thing.entity.kind
        ? nameOf(other) === nameOf(thing)
        : kind === 'vm'
          ? other.entity.owner.id === thing.entity.owner.id
          : other.labels['host'] === thing.labels['host'];
    if (!isIt) continue;
    const latest = view.latest(other.series);
    const { periodSeconds } = definitionOf(metric);
    if (latest === null || (periodSeconds > 0 && latest.ageMs > 3000 * periodSeconds)) return null;
    return { series: other.series, value: latest.value };
  }
  return null;
}

function read(value: Value, kind: string, thing: Thing, view: SampleView): number | null {
  if (value.type === 'constant') return value.value;
  if (value.type === 'count') return null;
  if (value.type === 'arithmetic') {
    const [left, right] = [read(value.left, kind, thing, view), read(value.right, kind, thing, view)];
    if (left === null || right === null) return null;
    if (value.operator !== '/')
      return value.operator === '+' ? left + right : value.operator === '-' ? left - right : left * right;
    if (value.dimension === 'seconds' && value.left.dimension !== 'seconds' && right <= 0)
      return Number.POSITIVE_INFINITY;
    return right === 0 ? null : left / right;
  }
  const found = newestOf(value.selector, kind, thing, view);
  if (found === null || value.type === 'metric') return found?.value ?? null;
  return called(value, found, view);
}

function called(
  { name, timeMs, selector: { metric } }: Value & { type: 'call' },
  { series, value }: { readonly series: number; readonly value: number },
  view: SampleView,
): number | null {
  const { dimension, periodSeconds } = definitionOf(metric);
  if (name === 'age') return view.nowMs / 1000 - value;
  if (name === 'predict') return view.forecast(series, timeMs);
  const { atMs, values } = view.window(series, timeMs);
  const steps = values.slice(1).map((next, n) => next - (values[n] ?? 0));
  const grown = steps.filter((step) => step > 0).reduce((sum, step) => sum + step, 0);
  if (name === 'increase' || name === 'changes') {
    if (values.length < (periodSeconds === 0 ? 1 : 2)) return null;
    return name === 'increase' ? grown : steps.filter((step) => step !== 0).length;
  }
  const expected = periodSeconds === 0 ? 1 : 0.8 * Math.floor(timeMs / 1000 / periodSeconds);
  if (values.length === 0 || values.length < expected) return null;
  if (name === 'min') return Math.min(...values);
  if (name === 'max') return Math.max(...values);
  const mean = (numbers: readonly number[]) => numbers.reduce((sum, one) => sum + one, 0) / numbers.length;
  if (name === 'avg') return mean(values);
  if (dimension === 'count' && periodSeconds === 0) return grown / (timeMs / 1000);
  if (values.length < 2) return null;
  const seconds = atMs.map((at) => (at - (atMs[0] ?? 0)) / 1000);
  if (dimension === 'count') return grown / (seconds.at(-1) ?? 0);
  const [t, v] = [mean(seconds), mean(values)];
  const above = seconds.reduce((sum, one, n) => sum + (one - t) * ((values[n] ?? 0) - v), 0);
  return above / seconds.reduce((sum, one) => sum + (one - t) ** 2, 0);
}

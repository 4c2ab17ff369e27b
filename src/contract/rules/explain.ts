/** One English sentence that says what a rule does, for the editor: people find their mistakes in it before the night does. */

import { formatFigure } from '../figures.ts';
import { constantOf } from './check-compare.ts';
import type { CheckedRule, Comparison, Match, Selector, Test, Value } from './checked.ts';
import { usualClear } from './clear.ts';
import type { SubjectKind } from './entities.ts';
import type { Relation } from './language.ts';

const KIND_WORDS: Readonly<Record<SubjectKind, string>> = {
  host: 'a host',
  vm: 'a VM',
  vdisk: 'a disk of a VM',
  vnic: 'a network card of a VM',
  guestfs: 'a file system inside a VM',
  fs: 'a file system of the host',
  pool: 'a storage pool',
  disk: 'a disk of the host',
  nic: 'a network card of the host',
  sensor: 'a sensor',
  project: 'a project',
};

const RELATION_WORDS: Readonly<Record<Relation, string>> = {
  '>': 'above',
  '>=': 'at least',
  '<': 'below',
  '<=': 'at most',
  '==': '',
  '!=': 'not',
};

/** `When cpu usage of a host or a VM stays above 90 % for 5 min; clears at 85 % or below.` */
export function explain(rule: CheckedRule): string {
  const verb = rule.forMs > 0 ? 'stays' : 'is';
  const held = rule.forMs > 0 ? ` for ${formatFigure(rule.forMs / 1000, 'seconds')}` : '';
  const parts = [`When ${sayTest(rule.test, verb, rule.kinds, false)}${held}`];
  const clears = comparisonsOf(rule.test)
    .map(sayClear)
    .filter((one) => one !== null);
  if (clears.length > 0) parts.push(`clears when ${clears.join(' or ')}`);
  if (comparisonsOf(rule.test).some(({ isDesiredOnly }) => isDesiredOnly))
    parts.push('only VMs that should be running');
  parts.push(`one alert for ${orList(rule.kinds.map((kind) => KIND_WORDS[kind].replace(/^a /, 'each ')))}`);
  return `${parts.join('; ')}.`;
}

type Verb = 'is' | 'stays';

function sayTest(test: Test, verb: Verb, kinds: readonly SubjectKind[], isInner: boolean): string {
  switch (test.type) {
    case 'compare':
      return sayComparison(test, verb, kinds);
    case 'absent':
      return `${sayMetric(test.selector, kinds)} is missing`;
    case 'not':
      return `it is not so that ${sayTest(test.inner, verb, kinds, true)}`;
    default: {
      const left = sayTest(test.left, verb, kinds, true);
      const right = sayTest(test.right, verb, kinds, true);
      const said = `${left}${test.type === 'unless' ? ', unless ' : ` ${test.type} `}${right}`;
      return isInner ? `(${said})` : said;
    }
  }
}

function sayComparison({ left, relation, right }: Comparison, verb: Verb, kinds: readonly SubjectKind[]): string {
  const words = [sayValue(left, kinds), verb, RELATION_WORDS[relation], sayValue(right, kinds)];
  return words.filter((one) => one !== '').join(' ');
}

function sayValue(value: Value, kinds: readonly SubjectKind[]): string {
  switch (value.type) {
    case 'constant':
      return formatFigure(value.value, value.dimension, value.values);
    case 'metric':
      return sayMetric(value.selector, kinds);
    case 'call':
      return sayCall(value, kinds);
    case 'count': {
      const { of } = value;
      const what = 'metric' in of ? `figures of ${words(of.metric)}` : `cases of ${sayTest(of, 'is', of.kinds, true)}`;
      return `the number of ${what} by ${value.by}`;
    }
    case 'arithmetic':
      return `${sayValue(value.left, kinds)} ${value.operator.replace('-', '−').replace('*', '×')} ${sayValue(value.right, kinds)}`;
  }
}

function sayCall({ name, selector, timeMs }: Value & { type: 'call' }, kinds: readonly SubjectKind[]): string {
  const metric = sayMetric(selector, kinds);
  const time = formatFigure(timeMs / 1000, 'seconds');
  const said = {
    avg: `the average over ${time} of ${metric}`,
    min: `the least in ${time} of ${metric}`,
    max: `the most in ${time} of ${metric}`,
    rate: `the growth per second over ${time} of ${metric}`,
    increase: `the growth in ${time} of ${metric}`,
    changes: `the number of changes in ${time} of ${metric}`,
    age: `the age of ${metric}`,
    predict: `what ${metric} will be in ${time}`,
  };
  return said[name];
}

function sayMetric({ metric, kinds, matches }: Selector, about: readonly SubjectKind[]): string {
  const own = kinds.filter((kind) => about.includes(kind));
  const of = orList((own.length > 0 ? own : kinds).map((kind) => KIND_WORDS[kind]));
  return `${words(metric)} of ${of}${matches.length === 0 ? '' : ` (${matches.map(sayMatch).join(', ')})`}`;
}

function sayMatch({ label, operator, value }: Match): string {
  const verb = { '=': 'is', '!=': 'is not', '=~': 'is like', '!~': 'is not like' }[operator];
  return `${label} ${verb} ${value}`;
}

const words = (metric: string) => metric.replaceAll('_', ' ');

function orList(items: readonly string[]): string {
  return items.length < 2 ? (items[0] ?? '') : `${items.slice(0, -1).join(', ')} or ${items.at(-1) ?? ''}`;
}

/** What the figure is held against, as `> 90 %` or `== off or == crashed`; '' where one of several limits would tell nothing by itself. */
export function limitText({ test, kinds }: Pick<CheckedRule, 'test' | 'kinds'>): string {
  const main = test.type === 'unless' ? test.left : test;
  const isOfOne = comparisonsOf(main).every(
    ({ left }, _n, [first]) => sayValue(left, kinds) === sayNamed(first, kinds),
  );
  return isOfOne ? sayLimit(main, kinds) : '';
}

const sayNamed = (comparison: Comparison | undefined, kinds: readonly SubjectKind[]): string =>
  comparison === undefined ? '' : sayValue(comparison.left, kinds);

function sayLimit(test: Test, kinds: readonly SubjectKind[]): string {
  switch (test.type) {
    case 'compare':
      return test.left.dimension === 'bool' ? '' : `${test.relation} ${sayValue(test.right, kinds)}`;
    case 'and':
    case 'or': {
      const sides = [sayLimit(test.left, kinds), sayLimit(test.right, kinds)];
      return sides.every((side) => side !== '') ? sides.join(` ${test.type} `) : '';
    }
    default:
      return '';
  }
}

function comparisonsOf(test: Test): readonly Comparison[] {
  if (test.type === 'compare') return [test];
  if (test.type === 'absent') return [];
  return test.type === 'not' ? comparisonsOf(test.inner) : [...comparisonsOf(test.left), ...comparisonsOf(test.right)];
}

function sayClear({ relation, left, right, clear, hasClear }: Comparison): string | null {
  const limit = constantOf(clear ?? right);
  if (!hasClear || limit === null) return null;
  const end = clear === null ? usualClear(relation, limit, left.dimension) : limit;
  const isRising = relation === '>' || relation === '>=';
  const side = isRising
    ? relation === '>'
      ? 'is at most'
      : 'is below'
    : relation === '<'
      ? 'is at least'
      : 'is above';
  return `it ${side} ${formatFigure(end, left.dimension)}`;
}

/** What of a condition can be drawn: each figure that it compares, with the thresholds at which it fires and ends. Pure. */

import { definitionOf, type EntityKind, type MetricName, SUB_LABELS, VM_KINDS } from '#contract/metric-catalogue.ts';
import { constantOf } from '#contract/rules/check-compare.ts';
import type { Comparison, Selector, Test, Value } from '#contract/rules/checked.ts';
import { usualClear } from '#contract/rules/clear.ts';
import { checkRule } from '#contract/rules/rule.ts';

export interface DrawnFigure {
  readonly metric: MetricName;
  readonly kinds: readonly EntityKind[];
  /** In the unit of the figure; null where what is compared is made from it, as its growth. */
  readonly threshold: number | null;
  readonly clear: number | null;
}

/** What a graph or a question is about. */
export interface Subject {
  /** As `host` or `vm:ID`. */
  readonly entity: string;
  readonly kind: EntityKind;
  readonly sub: string;
}

/** Functions whose result is measured as the figure itself. */
const SAME_UNIT: readonly string[] = ['avg', 'min', 'max'];
const MOST_FIGURES = 3;

/** The figures of a condition without mistakes, each once; none for other texts. */
export function drawnFigures(condition: string, clear: string | null, desiredOnly: boolean): readonly DrawnFigure[] {
  const { rule } = checkRule(condition, { clear, desiredOnly });
  if (rule === null) return [];
  const found = new Map<MetricName, DrawnFigure>();
  for (const figure of figuresOf(rule.test)) if (!found.has(figure.metric)) found.set(figure.metric, figure);
  return [...found.values()].slice(0, MOST_FIGURES);
}

function figuresOf(test: Test): readonly DrawnFigure[] {
  switch (test.type) {
    case 'compare':
      return ofComparison(test);
    case 'absent':
      return [plain(test.selector)];
    case 'not':
      return figuresOf(test.inner);
    default:
      return [...figuresOf(test.left), ...figuresOf(test.right)];
  }
}

function ofComparison({ left, right, relation, clear, hasClear }: Comparison): readonly DrawnFigure[] {
  const drawn = left.type === 'metric' || (left.type === 'call' && SAME_UNIT.includes(left.name));
  const threshold = constantOf(right);
  if (!drawn || threshold === null) return [...selectorsOf(left), ...selectorsOf(right)].map(plain);
  const end = clear === null ? usualClear(relation, threshold, left.dimension) : constantOf(clear);
  return [{ ...plain(left.selector), threshold, clear: hasClear && end !== threshold ? end : null }];
}

function selectorsOf(value: Value): readonly Selector[] {
  switch (value.type) {
    case 'constant':
      return [];
    case 'metric':
    case 'call':
      return [value.selector];
    case 'count':
      return 'metric' in value.of ? [value.of] : [...selectorsOf(value.of.left), ...selectorsOf(value.of.right)];
    case 'arithmetic':
      return [...selectorsOf(value.left), ...selectorsOf(value.right)];
  }
}

const plain = ({ metric, kinds }: Selector): DrawnFigure => ({ metric, kinds, threshold: null, clear: null });

/** Where the figures of an alert come from. @param labels those of the alert */
export function subjectOf(kind: EntityKind, labels: Readonly<Record<string, string>>, vmId: string | null): Subject {
  const names: Readonly<Partial<Record<EntityKind, string>>> = SUB_LABELS;
  const label = names[kind];
  return {
    entity: VM_KINDS.includes(kind) ? `vm:${vmId ?? labels['uuid'] ?? ''}` : 'host',
    kind,
    sub: label === undefined ? '' : (labels[label] ?? ''),
  };
}

/** The question that brings one figure of a subject: what contains it has figures of its own kind. */
export function questionOf({ metric, kinds }: DrawnFigure, { entity, kind, sub }: Subject) {
  if (kinds.includes(kind)) return { metric, entity, kind, ...(sub === '' ? {} : { sub }) };
  const other = kinds.find((one) => VM_KINDS.includes(one) === (entity !== 'host')) ?? kinds[0] ?? kind;
  return { metric, entity: VM_KINDS.includes(other) && entity !== 'host' ? entity : 'host', kind: other };
}

/** Whether its numbers make a line; names of states do not. */
export const isDrawable = ({ metric }: DrawnFigure): boolean => definitionOf(metric).dimension !== 'timestamp';

/** The one door to the rule language: everything else in this slice compiles and evaluates through it. */

import { durationMs } from '#contract/alerts-config.ts';
import { definitionOf, type EntityKind, isMetric, type MetricName } from '#contract/metric-catalogue.ts';
import type { Owner } from './figures.ts';
import type { Truth } from './machine/machine.ts';

/** A mistake in a text of the language. Columns count from 1. */
export interface LanguageProblem {
  readonly code: string;
  readonly column: number;
  readonly length: number;
  readonly message: string;
  readonly suggestion: string | null;
}

export interface SeriesEntity {
  readonly owner: Owner;
  readonly kind: EntityKind;
  readonly sub: string;
}

export type Labels = Readonly<Record<string, string>>;

/** What a rule says of one thing at one moment. */
export interface Outcome {
  readonly entity: SeriesEntity;
  readonly labels: Labels;
  readonly truth: Truth;
  /** The clear condition, meaningful while firing. */
  readonly isClear: Truth;
  readonly value: number | null;
}

/** The figures as a rule sees them at one moment. */
export interface SampleView {
  readonly nowMs: number;
  entities(metric: MetricName): Iterable<{
    readonly series: number;
    readonly entity: SeriesEntity;
    readonly labels: Labels;
  }>;
  latest(series: number): { readonly value: number; readonly ageMs: number } | null;
  window(series: number, ms: number): { readonly atMs: readonly number[]; readonly values: readonly number[] };
  /** What exists whether or not it has samples. */
  existing(
    kind: EntityKind,
  ): Iterable<{ readonly entity: SeriesEntity; readonly labels: Labels; readonly sinceMs: number }>;
  forecast(series: number, horizonMs: number): number | null;
}

export interface RuleText {
  readonly condition: string;
  readonly clear: string | null;
  readonly desiredOnly: boolean;
}

export interface CompiledRule {
  /** The figures it looks at. */
  readonly requires: readonly MetricName[];
  readonly forMs: number;
  readonly explanation: string;
  /** Longest window that it looks back over. */
  readonly windowMs: number;
  evaluate(view: SampleView): readonly Outcome[];
}

export type Compilation =
  | { readonly rule: CompiledRule; readonly problems: readonly []; readonly clearProblems: readonly [] }
  | {
      readonly rule: null;
      readonly problems: readonly LanguageProblem[];
      readonly clearProblems: readonly LanguageProblem[];
    };

const SIMPLE = /^(\w+)(?:\{kind=(\w+)\})?\s*(==|!=|>=|<=|>|<)\s*(-?[\d.]+|[a-z_]+)\s*(%|s)?(?:\s+for\s+(\w+))?$/;

/** Understands one comparison of a figure with a number or a state. */
export function compileRule({ condition, clear }: RuleText): Compilation {
  const wrong = (message: string): Compilation => ({
    rule: null,
    problems: [{ code: 'syntax', column: 1, length: condition.length, message, suggestion: null }],
    clearProblems: [],
  });
  const [, name = '', kind, relation = '', amount = '', unit, wait] = SIMPLE.exec(condition.trim()) ?? [];
  if (name === '') return wrong('cannot be read');
  if (!isMetric(name)) return wrong(`unknown figure ${name}`);
  const forMs = wait === undefined ? 0 : (durationMs(wait) ?? 0);
  const { dimension, values, periodSeconds } = definitionOf(name);
  const threshold = dimension === 'enum' ? (values ?? []).indexOf(amount) : Number(amount) / (unit === '%' ? 100 : 1);
  if (dimension === 'enum' ? threshold < 0 : Number.isNaN(threshold)) return wrong(`${amount} is no value of ${name}`);
  const back = clear === null ? null : Number.parseFloat(clear) / (clear.endsWith('%') ? 100 : 1);
  const towards = relation.startsWith('>') ? -1 : 1;
  const margin = dimension === 'ratio' ? 0.05 : dimension === 'enum' ? 0 : Math.abs(threshold) * 0.05;
  const clearAt = back ?? threshold + towards * margin;
  const freshMs = periodSeconds === 0 ? Number.POSITIVE_INFINITY : 3 * periodSeconds * 1000;
  const holds = (value: number, limit: number) =>
    ({
      '>': value > limit,
      '>=': value >= limit,
      '<': value < limit,
      '<=': value <= limit,
      '==': value === limit,
      '!=': value !== limit,
    })[relation] ?? false;
  return {
    problems: [],
    clearProblems: [],
    rule: {
      requires: [name],
      forMs,
      windowMs: 0,
      explanation: condition,
      evaluate(view) {
        const outcomes: Outcome[] = [];
        for (const { series, entity, labels } of view.entities(name)) {
          if (kind !== undefined && entity.kind !== kind) continue;
          const latest = view.latest(series);
          if (latest === null || latest.ageMs > freshMs) {
            outcomes.push({ entity, labels, truth: null, isClear: null, value: null });
            continue;
          }
          const { value } = latest;
          outcomes.push({ entity, labels, truth: holds(value, threshold), isClear: !holds(value, clearAt), value });
        }
        return outcomes;
      },
    },
  };
}

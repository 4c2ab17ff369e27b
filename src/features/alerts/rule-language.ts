/** The one door to the rule language: everything else in this slice compiles and evaluates through it. */

import { formatFigure } from '#contract/figures.ts';
import type { MetricName } from '#contract/metric-catalogue.ts';
import type { Shape, Test } from '#contract/rules/checked.ts';
import { explain, limitText } from '#contract/rules/explain.ts';
import type { RuleProblem } from '#contract/rules/problem.ts';
import { checkRule } from '#contract/rules/rule.ts';
import type { Steps } from '#kernel/async.ts';
import { compileRule as compileExpressions } from './expressions/evaluate.ts';
import { TickIndex } from './expressions/tick-index.ts';
import type { Outcome, SampleView } from './expressions/view.ts';

export type { Labels, Outcome, SampleView, SeriesEntity } from './expressions/view.ts';

export interface RuleText {
  readonly condition: string;
  readonly clear: string | null;
  readonly desiredOnly: boolean;
}

/** The figures of one moment, laid out for all the rules that are evaluated at it. */
export type JudgedMoment = TickIndex;

export interface CompiledRule {
  /** The figures it looks at. */
  readonly requires: readonly MetricName[];
  readonly forMs: number;
  readonly explanation: string;
  /** Longest window that it looks back over. */
  readonly windowMs: number;
  /** Of things that the rule does not cover there is no outcome. */
  evaluate(moment: JudgedMoment): Steps<readonly Outcome[]>;
  /** What the figure is compared with; '' where that cannot be said in a word. */
  readonly limitText: string;
  /** The compared figure as people write it; '' where it tells nothing beyond the rule. */
  valueText(value: number): string;
}

export type Compilation =
  | { readonly rule: CompiledRule; readonly problems: readonly []; readonly clearProblems: readonly [] }
  | {
      readonly rule: null;
      readonly problems: readonly RuleProblem[];
      readonly clearProblems: readonly RuleProblem[];
    };

export function compileRule({ condition, clear, desiredOnly }: RuleText): Compilation {
  const { rule, errors, clearErrors } = checkRule(condition, { desiredOnly, clear });
  if (rule === null) return { rule: null, problems: errors, clearProblems: clearErrors };
  const compiled = compileExpressions(rule);
  const { dimension, values } = figureOf(rule.test);
  return {
    problems: [],
    clearProblems: [],
    rule: {
      requires: rule.requires,
      forMs: rule.forMs,
      windowMs: rule.windowMs,
      explanation: explain(rule),
      limitText: limitText(rule),
      evaluate: compiled.judge,
      // Of a figure that is 0 or 1 the rule says it all.
      valueText: (value) => (dimension === 'bool' ? '' : formatFigure(value, dimension, values)),
    },
  };
}

/** The view must not change while the moment is used. */
export function momentOf(view: SampleView): JudgedMoment {
  return new TickIndex(view);
}

const PLAIN: Pick<Shape, 'dimension' | 'values'> = { dimension: 'number', values: null };

/** What the comparisons compare, where all compare the same; which of them decided is not known to whoever writes the number. */
function figureOf(test: Test): Pick<Shape, 'dimension' | 'values'> {
  const [first, ...others] = comparedIn(test);
  return first !== undefined && others.every(({ dimension }) => dimension === first.dimension) ? first : PLAIN;
}

function comparedIn(test: Test): readonly Shape[] {
  switch (test.type) {
    case 'compare':
      return [test.left];
    case 'not':
      return comparedIn(test.inner);
    case 'absent':
      return [];
    default:
      return [...comparedIn(test.left), ...comparedIn(test.right)];
  }
}

/** What is wrong with a rule's text, where, and what was probably meant. */

/** Where something stands: columns count characters (UTF-16 units) from 1. */
export interface Span {
  readonly column: number;
  readonly length: number;
}

export const PROBLEM_CODES = [
  'syntax',
  'unit',
  'keyword_space',
  'too_long',
  'too_deep',
  'too_many_comparisons',
  'unknown_metric',
  'unknown_function',
  'unit_missing',
  'dimension',
  'enum_value',
  'enum_order',
  'not_a_counter',
  'not_a_timestamp',
  'not_a_gauge',
  'no_metric',
  'window_missing',
  'window_unexpected',
  'window_range',
  'for_range',
  'clear_wrong_side',
  'clear_misplaced',
  'label',
  'label_value',
  'glob',
  'join',
] as const;
export type ProblemCode = (typeof PROBLEM_CODES)[number];

export interface RuleProblem extends Span {
  readonly code: ProblemCode;
  readonly message: string;
  /** What was probably meant, as it would be written; null when nothing is near. */
  readonly suggestion: string | null;
}

/** Ends the parsing: what follows cannot be made sense of. */
export class SyntaxProblem extends Error {
  override readonly name = 'SyntaxProblem';
  readonly problem: RuleProblem;

  constructor(problem: RuleProblem) {
    super(problem.message);
    this.problem = problem;
  }
}

export function problemAt(
  { column, length }: Span,
  code: ProblemCode,
  message: string,
  suggestion: string | null = null,
): RuleProblem {
  return { code, column, length, message, suggestion };
}

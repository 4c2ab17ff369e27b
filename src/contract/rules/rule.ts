/** A rule's text looked at as a whole: what it means, or everything that is wrong with it. Pure, and bounded in its work for any text;
 *  used by the daemon, the command line and the editor in the browser. */

import { checkCompare } from './check-compare.ts';
import { checkSelector, type Findings, findingsInto } from './check-selector.ts';
import { timeText } from './check-value.ts';
import type { CheckedRule, Test } from './checked.ts';
import { joinByContainment, joinEqual } from './entities.ts';
import { LIMITS, LONGEST_FOR_MS } from './language.ts';
import { tokenize } from './lexer.ts';
import { parse, parseThreshold } from './parser.ts';
import { problemAt, type RuleProblem, type Span } from './problem.ts';
import { callsOf, metricsOf } from './reads.ts';
import type { RawRule, RawTest } from './syntax.ts';

export interface RuleOptions {
  /** false = comparisons of vm_state cover VMs that their owners stopped, too. */
  readonly desiredOnly?: boolean;
  /** The clear threshold of the rule's only comparison, where it stands apart from the condition. */
  readonly clear?: string | null;
}

export interface RuleCheck {
  /** Null when there are errors. */
  readonly rule: CheckedRule | null;
  readonly errors: readonly RuleProblem[];
  /** Those of the clear threshold that stands apart, with columns in its text. */
  readonly clearErrors: readonly RuleProblem[];
  /** What is allowed and perhaps not meant. */
  readonly notes: readonly RuleProblem[];
  /** Work done: characters and tokens taken. At most a small multiple of the length. */
  readonly steps: number;
}

export function checkRule(text: string, { desiredOnly = true, clear = null }: RuleOptions = {}): RuleCheck {
  if (text.length > LIMITS.chars) return refused([tooLong(text)], 0);
  const { tokens, problems, steps } = tokenize(text);
  const parsed = parse(tokens);
  const total = steps + parsed.steps;
  // A token that could not be read makes the parser stumble over what is not there.
  if (parsed.rule === null) return refused(problems.length > 0 ? problems : parsed.problems, total);
  const errors: RuleProblem[] = [...problems, ...parsed.problems];
  const notes: RuleProblem[] = [];
  const findings = findingsInto(errors, notes);
  const around = { isDesiredOnly: desiredOnly, canClear: true };
  const test = checkTest(parsed.rule.test, around, findings);
  checkFor(parsed.rule, findings);
  if (test === null || errors.length > 0) return { ...refused(errors, total), notes };
  const forMs = parsed.rule.for?.ms ?? 0;
  if (clear === null) return { rule: ruleOf(text, test, forMs), errors: [], clearErrors: [], notes, steps: total };
  const cleared = checkApart(clear, parsed.rule.test, around);
  const rule = cleared.test && ruleOf(text, cleared.test, forMs);
  return { rule, errors: [], clearErrors: cleared.errors, notes, steps: total + cleared.steps };
}

/** The condition is sound by now, so whatever is wrong with both together is wrong with the threshold. */
function checkApart(clear: string, test: RawTest, around: Surroundings) {
  if (clear.length > LIMITS.chars) return { test: null, errors: [tooLong(clear)], steps: 0 };
  const { tokens, problems, steps } = tokenize(clear);
  const parsed = parseThreshold(tokens);
  const errors: RuleProblem[] = problems.length > 0 ? [...problems] : [...parsed.problems];
  const total = steps + parsed.steps;
  if (parsed.value === null || errors.length > 0) return { test: null, errors, steps: total };
  if (test.type !== 'compare' || test.clear !== null) {
    const message =
      'a threshold apart belongs to a rule of one comparison: write clear behind the comparison it is for';
    errors.push(problemAt({ column: 1, length: clear.length }, 'clear_misplaced', message));
    return { test: null, errors, steps: total };
  }
  const checked = checkTest({ ...test, clear: parsed.value }, around, findingsInto(errors, []));
  return { test: errors.length > 0 ? null : checked, errors, steps: total };
}

function ruleOf(text: string, test: Test, forMs: number): CheckedRule {
  const windowMs = Math.max(0, ...callsOf(test).map(({ name, timeMs }) => (name === 'predict' ? 0 : timeMs)));
  return { text, test, forMs, windowMs, kinds: test.kinds, requires: [...new Set(metricsOf(test))] };
}

function tooLong(text: string): RuleProblem {
  const at = { column: LIMITS.chars + 1, length: text.length - LIMITS.chars };
  return problemAt(at, 'too_long', `a rule has at most ${LIMITS.chars} characters`);
}

function refused(errors: readonly RuleProblem[], steps: number): RuleCheck {
  const sorted = withoutEchoes(errors).sort((a, b) => a.column - b.column);
  return { rule: null, errors: sorted.slice(0, LIMITS.problems), clearErrors: [], notes: [], steps };
}

/** One problem a place; what could not be read is not told again for having no meaning, or for what it runs into. */
function withoutEchoes(errors: readonly RuleProblem[]): RuleProblem[] {
  const unread = errors.filter(({ code }) => code === 'unit');
  const isIn = (place: Span, { column, length }: Span) =>
    column <= place.column && place.column < column + Math.max(1, length);
  const isEcho = (error: RuleProblem) =>
    unread.some(
      (one) =>
        one !== error &&
        (isIn(one, error) || (error.code === 'keyword_space' && isIn(error, { ...one, length: one.length + 1 }))),
    );
  return errors.filter(
    (error, index) => errors.findIndex(({ column }) => column === error.column) === index && !isEcho(error),
  );
}

interface Surroundings {
  readonly isDesiredOnly: boolean;
  readonly canClear: boolean;
}

function checkTest(raw: RawTest, around: Surroundings, findings: Findings): Test | null {
  switch (raw.type) {
    case 'compare':
      return checkCompare(raw, around, findings);
    case 'absent': {
      const selector = checkSelector(raw.selector, findings);
      return selector && { type: 'absent', selector, kinds: selector.kinds };
    }
    case 'not': {
      const inner = checkTest(raw.inner, { ...around, canClear: false }, findings);
      return inner && { type: 'not', inner, kinds: inner.kinds };
    }
    default:
      return checkPair(raw, around, findings);
  }
}

function checkPair(
  raw: RawTest & { type: 'and' | 'or' | 'unless' },
  around: Surroundings,
  findings: Findings,
): Test | null {
  const left = checkTest(raw.left, around, findings);
  const rightAround = raw.type === 'unless' ? { ...around, canClear: false } : around;
  const right = checkTest(raw.right, rightAround, findings);
  if (left === null || right === null) return null;
  const kinds = (raw.type === 'or' ? joinEqual : joinByContainment)(left.kinds, right.kinds);
  if (kinds.length === 0) {
    const [a, b] = [left.kinds.join(', '), right.kinds.join(', ')];
    const why =
      raw.type === 'or'
        ? `or needs the same kind on both sides, not ${a} and ${b}`
        : `${a} and ${b} do not contain each other`;
    findings.error(raw.right, 'join', `${why}: write two rules`);
    return null;
  }
  return { type: raw.type, left, right, kinds };
}

function checkFor({ for: time }: RawRule, findings: Findings): void {
  if (time === null || time.ms <= LONGEST_FOR_MS) return;
  const most = timeText(LONGEST_FOR_MS);
  findings.error(time, 'for_range', `for is at most ${most}`, most);
}

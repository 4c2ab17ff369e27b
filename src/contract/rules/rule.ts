/** A rule's text looked at as a whole: what it means, or everything that is wrong with it. Pure, and bounded in its work for any text;
 *  used by the daemon, the command line and the editor in the browser. */

import { definitionOf, type MetricName } from '../metric-catalogue.ts';
import { checkCompare } from './check-compare.ts';
import { checkSelector, type Findings, findingsInto } from './check-selector.ts';
import { timeText } from './check-value.ts';
import type { CheckedRule, Comparison, Selector, Test, Value } from './checked.ts';
import { joinByContainment, joinEqual } from './entities.ts';
import { LIMITS, LONGEST_FOR_MS } from './language.ts';
import { tokenize } from './lexer.ts';
import { parse } from './parser.ts';
import { problemAt, type RuleProblem, type Span } from './problem.ts';
import type { RawRule, RawTest } from './syntax.ts';

export interface RuleOptions {
  /** false = comparisons of vm_state cover VMs that their owners stopped, too. */
  readonly desiredOnly?: boolean;
}

export interface RuleCheck {
  /** Null when there are errors. */
  readonly rule: CheckedRule | null;
  readonly errors: readonly RuleProblem[];
  /** What is allowed and perhaps not meant. */
  readonly notes: readonly RuleProblem[];
  /** Work done: characters and tokens taken. At most a small multiple of the length. */
  readonly steps: number;
}

export function checkRule(text: string, { desiredOnly = true }: RuleOptions = {}): RuleCheck {
  if (text.length > LIMITS.chars) {
    const at = { column: LIMITS.chars + 1, length: text.length - LIMITS.chars };
    return refused([problemAt(at, 'too_long', `a rule has at most ${LIMITS.chars} characters`)], 0);
  }
  const { tokens, problems, steps } = tokenize(text);
  const parsed = parse(tokens);
  const total = steps + parsed.steps;
  // A token that could not be read makes the parser stumble over what is not there.
  if (parsed.rule === null) return refused(problems.length > 0 ? problems : parsed.problems, total);
  const errors: RuleProblem[] = [...problems, ...parsed.problems];
  const notes: RuleProblem[] = [];
  const findings = findingsInto(errors, notes);
  const test = checkTest(parsed.rule.test, { isDesiredOnly: desiredOnly, canClear: true }, findings);
  checkFor(parsed.rule, findings);
  if (test === null || errors.length > 0) return { ...refused(errors, total), notes };
  const rule = {
    text,
    test,
    forMs: parsed.rule.for?.ms ?? 0,
    kinds: test.kinds,
    requires: [...new Set(metricsOf(test))],
  };
  return { rule, errors: [], notes, steps: total };
}

function refused(errors: readonly RuleProblem[], steps: number): RuleCheck {
  const sorted = withoutEchoes(errors).sort((a, b) => a.column - b.column);
  return { rule: null, errors: sorted.slice(0, LIMITS.problems), notes: [], steps };
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

/** Metrics that a test reads, in the order of the text; some more than once. */
function metricsOf(test: Test): readonly MetricName[] {
  switch (test.type) {
    case 'compare':
      return metricsOfComparison(test);
    case 'absent':
      return metricsOfAbsent(test.selector);
    case 'not':
      return metricsOf(test.inner);
    default:
      return [...metricsOf(test.left), ...metricsOf(test.right)];
  }
}

function metricsOfComparison(comparison: Comparison): readonly MetricName[] {
  const desired: readonly MetricName[] = comparison.isDesiredOnly ? ['vm_state_desired'] : [];
  return [...metricsOfValue(comparison.left), ...metricsOfValue(comparison.right), ...desired];
}

/** Whether a VM should have a sample depends on its state. */
function metricsOfAbsent({ metric, kinds }: Selector): readonly MetricName[] {
  return needsRunning(metric) &&
    kinds.some((kind) => kind === 'vm' || kind === 'vdisk' || kind === 'vnic' || kind === 'guestfs')
    ? [metric, 'vm_state']
    : [metric];
}

/** Figures of VMs that are there whether the VM runs or not. */
const ALWAYS: readonly MetricName[] = [
  'vm_state',
  'vm_state_desired',
  'vm_job',
  'vm_pause_reason',
  'snapshot_chain',
  'snapshot_age',
  'disk_allocated',
  'disk_capacity',
];

/** Whether a VM that does not run has no samples of it. Event metrics hold until they change, so their absence is judged by the VM's age. */
export function needsRunning(metric: MetricName): boolean {
  return !ALWAYS.includes(metric) && definitionOf(metric).periodSeconds > 0;
}

function metricsOfValue(value: Value): readonly MetricName[] {
  switch (value.type) {
    case 'constant':
      return [];
    case 'arithmetic':
      return [...metricsOfValue(value.left), ...metricsOfValue(value.right)];
    case 'count':
      return 'metric' in value.of ? [value.of.metric] : metricsOfComparison(value.of);
    default:
      return [value.selector.metric];
  }
}

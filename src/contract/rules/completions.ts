/** What may come next in a rule that is being written. It looks at the tokens before the cursor only, so it answers for unfinished text. */

import { definitionOf, type EntityKind, isMetric, METRIC_NAMES, METRICS } from '../metric-catalogue.ts';
import { allLabelsOf } from './entities.ts';
import { FUNCTIONS, type KEYWORDS, LIMITS, RELATIONS, UNITS } from './language.ts';
import { type Token, tokenize } from './lexer.ts';

export interface Completion {
  readonly text: string;
  readonly kind: 'metric' | 'function' | 'keyword' | 'label' | 'value' | 'unit' | 'operator';
  readonly detail: string;
}

export interface Completions {
  /** Offset from 0 of what is being written; the chosen text takes the place of all from there to the cursor. */
  readonly from: number;
  readonly items: readonly Completion[];
}

/** @param cursor offset from 0 */
export function completions(text: string, cursor: number): Completions {
  const before = text.slice(0, Math.min(cursor, LIMITS.chars));
  const start = startOfWord(before);
  const typed = before.slice(start).toLowerCase();
  const { tokens } = tokenize(before.slice(0, start));
  const known = tokens.filter(({ type }) => type !== 'end');
  const items = candidates(known).filter((one) => one.text.toLowerCase().startsWith(typed));
  return { from: start, items };
}

function startOfWord(text: string): number {
  const isIn = (index: number, pattern: RegExp) => pattern.test(text[index] ?? '');
  let start = text.length;
  while (start > 0 && isIn(start - 1, /^\w$/)) start -= 1;
  // `90k`: the unit is what is being written.
  while (start < text.length && isIn(start, /^\d$/)) start += 1;
  return start;
}

function candidates(tokens: readonly Token[]): readonly Completion[] {
  const last = tokens.at(-1);
  const brace = openBrace(tokens);
  if (brace !== null) return inBraces(brace, last, tokens.at(-2));
  if (last === undefined) return conditions();
  if (last.type === 'number')
    return [...(last.unit === null ? unitsFor(tokens) : []), ...keywords('and', 'or', 'unless', 'for', 'clear')];
  if (last.type === 'keyword') {
    if (last.text === 'for' || last.text === 'clear') return [];
    return last.text === 'by' ? groups() : conditions();
  }
  if (last.type === 'symbol') return afterSymbol(last.text, tokens);
  if (last.type === 'string') return keywords('and', 'or', 'unless', 'for');
  if (last.type === 'name' && isMetric(last.text)) return operators();
  return isAfterRelation(tokens) ? keywords('and', 'or', 'unless', 'for') : [];
}

function afterSymbol(symbol: string, tokens: readonly Token[]): readonly Completion[] {
  if (symbol === ')' || symbol === '}') return [...operators(), ...keywords('and', 'or', 'unless', 'for')];
  if (symbol === ',') return [];
  const before = tokens.at(-2);
  if (symbol === '(' && (before?.type === 'name' || before?.text === 'absent')) return metrics();
  if (RELATIONS.some((one) => one === symbol)) {
    if (before?.type === 'name' && isMetric(before.text)) {
      const { values } = definitionOf(before.text);
      if (values !== undefined) return values.map((text) => ({ text, kind: 'value', detail: '' }));
    }
    return [...metrics(), ...functions()];
  }
  return symbol === '(' ? conditions() : [...metrics(), ...functions()];
}

const isAfterRelation = (tokens: readonly Token[]) => RELATIONS.some((one) => one === tokens.at(-2)?.text);

/** The metric whose braces are open; null when none are. */
function openBrace(tokens: readonly Token[]): string | null {
  const at = tokens.findLastIndex(({ type, text }) => type === 'symbol' && (text === '{' || text === '}'));
  return tokens[at]?.text === '{' ? (tokens[at - 1]?.text ?? '') : null;
}

function inBraces(metric: string, last: Token | undefined, before: Token | undefined): readonly Completion[] {
  const kinds: readonly EntityKind[] = isMetric(metric) ? METRICS[metric].kinds : [];
  if (last?.text === '{' || last?.text === ',')
    return allLabelsOf(kinds).map((text) => ({ text, kind: 'label', detail: '' }));
  if (last?.type === 'word' && before?.type === 'symbol' && (before.text === '{' || before.text === ','))
    return ['=', '!=', '=~', '!~'].map((text) => ({ text, kind: 'operator', detail: '' }));
  if (last?.type === 'symbol' && before?.text === 'kind')
    return kinds.map((text) => ({ text, kind: 'value', detail: '' }));
  return [];
}

function metrics(): readonly Completion[] {
  return METRIC_NAMES.map((text) => ({ text, kind: 'metric', detail: METRICS[text].help }));
}

function functions(): readonly Completion[] {
  const found = Object.entries(FUNCTIONS).map(([text, { help }]) => ({
    text,
    kind: 'function' as const,
    detail: help,
  }));
  return [...found, { text: 'count', kind: 'function', detail: 'how many entities a comparison is true of' }];
}

const conditions = () => [...metrics(), ...functions(), ...keywords('not', 'absent')];
const groups = (): readonly Completion[] =>
  ['host', 'vm', 'project'].map((text) => ({ text, kind: 'label', detail: '' }));
const operators = (): readonly Completion[] =>
  [...RELATIONS, '+', '-', '*', '/'].map((text) => ({ text, kind: 'operator', detail: '' }));

function keywords(...wanted: readonly (typeof KEYWORDS)[number][]): readonly Completion[] {
  return wanted.map((text) => ({ text, kind: 'keyword', detail: '' }));
}

/** Units of the metric that the number is compared with; all when it is not clear which. */
function unitsFor(tokens: readonly Token[]): readonly Completion[] {
  const metric = tokens.findLast((token) => token.type === 'name' && isMetric(token.text))?.text ?? '';
  const dimension = isMetric(metric) ? definitionOf(metric).dimension : null;
  return [...UNITS]
    .filter(([, unit]) => dimension === null || unit.dimension === dimension)
    .map(([text]) => ({ text, kind: 'unit', detail: '' }));
}

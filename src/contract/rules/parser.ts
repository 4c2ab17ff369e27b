/** Reads tokens into a tree by recursive descent: each token is taken once, and depth is bounded, so the work grows with the length only.
 *  Mistakes that leave no doubt of what was meant, as `=` for `==`, are told and read on. */

import { KEYWORDS, type Keyword, LIMITS, RELATIONS, type Relation } from './language.ts';
import type { Token } from './lexer.ts';
import { type ProblemCode, problemAt, type RuleProblem, type Span, SyntaxProblem } from './problem.ts';
import type { RawCount, RawMatch, RawRule, RawSelector, RawTest, RawTime, RawValue } from './syntax.ts';

export interface Parsed {
  /** Null when the text breaks off or makes no sense; the problems say where. */
  readonly rule: RawRule | null;
  readonly problems: readonly RuleProblem[];
  readonly steps: number;
}

export function parse(tokens: readonly Token[]): Parsed {
  const parser = new Parser(tokens);
  const rule = orProblem(parser, () => parser.rule());
  return { rule, problems: parser.problems, steps: parser.steps };
}

/** The text of a clear threshold that stands apart from its rule. */
export function parseThreshold(tokens: readonly Token[]): Omit<Parsed, 'rule'> & { readonly value: RawValue | null } {
  const parser = new Parser(tokens);
  const value = orProblem(parser, () => parser.threshold());
  return { value, problems: parser.problems, steps: parser.steps };
}

function orProblem<Made>(parser: Parser, make: () => Made): Made | null {
  try {
    return make();
  } catch (error) {
    if (!(error instanceof SyntaxProblem)) throw error;
    parser.problems.push(error.problem);
    return null;
  }
}

const isTest = (node: RawTest | RawValue): node is RawTest =>
  node.type === 'compare' ||
  node.type === 'and' ||
  node.type === 'or' ||
  node.type === 'unless' ||
  node.type === 'not' ||
  node.type === 'absent';

class Parser {
  readonly problems: RuleProblem[] = [];
  steps = 0;
  readonly #tokens: readonly Token[];
  readonly #end: Token;
  #at = 0;
  #depth = 0;
  #comparisons = 0;

  /** @param tokens end with the end */
  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
    this.#end = tokens.at(-1) ?? { type: 'end', text: '', column: 1, length: 0, isApart: true };
  }

  rule(): RawRule {
    if (this.#next().type === 'end') this.#fail('a rule needs a condition, as vm_state != running');
    const test = this.#test(this.#or());
    const isLimited = this.#takeKeyword('for');
    const time = isLimited ? this.#time('for') : null;
    const rest = this.#next();
    if (rest.type !== 'end') this.#fail(`${shown(rest)} is too much here${afterRule(rest, isLimited)}`);
    return { test, for: time };
  }

  threshold(): RawValue {
    const value = this.#value(this.#sum());
    const rest = this.#next();
    if (rest.type !== 'end') this.#fail(`${shown(rest)} is too much here: a threshold is one value, as 80%`);
    return value;
  }

  #or(): RawTest | RawValue {
    let left = this.#and();
    while (this.#isKeyword('or')) {
      const first = this.#test(left);
      this.#takeKeyword('or');
      const right = this.#test(this.#and());
      left = { type: 'or', left: first, right, ...this.#from(first) };
    }
    return left;
  }

  #and(): RawTest | RawValue {
    let left = this.#not();
    for (;;) {
      const type = this.#isKeyword('and') ? 'and' : this.#isKeyword('unless') ? 'unless' : null;
      if (type === null) return left;
      const first = this.#test(left);
      this.#takeKeyword(type);
      const right = this.#test(this.#not());
      left = { type, left: first, right, ...this.#from(first) };
    }
  }

  #not(): RawTest | RawValue {
    const start = this.#next();
    if (!this.#takeKeyword('not')) return this.#compare();
    this.#deeper(start);
    const inner = this.#test(this.#not());
    this.#depth -= 1;
    return { type: 'not', inner, ...this.#from(start) };
  }

  #compare(): RawTest | RawValue {
    const left = this.#sum();
    const token = this.#next();
    const relation = this.#takeRelation();
    if (relation === null) return left;
    this.#comparisons += 1;
    if (this.#comparisons > LIMITS.comparisons)
      this.#fail(`a rule has at most ${LIMITS.comparisons} comparisons`, 'too_many_comparisons', token);
    const first = this.#value(left);
    const right = this.#value(this.#sum());
    const clear = this.#takeKeyword('clear') ? this.#value(this.#sum()) : null;
    const next = this.#next();
    if (next.type === 'symbol' && RELATIONS.some((one) => one === next.text))
      this.#fail('one comparison ends before the next begins: put and or or between them');
    return { type: 'compare', relation, relationSpan: token, left: first, right, clear, ...this.#from(first) };
  }

  #takeRelation(): Relation | null {
    const token = this.#next();
    if (token.type !== 'symbol') return null;
    if (token.text === '=') {
      this.problems.push(problemAt(token, 'syntax', 'a comparison is written ==: did you mean ==?', '=='));
      this.#take();
      return '==';
    }
    const relation = RELATIONS.find((one) => one === token.text);
    if (relation === undefined) return null;
    this.#take();
    return relation;
  }

  #sum(): RawTest | RawValue {
    return this.#arithmetic(['+', '-'], () => this.#arithmetic(['*', '/'], () => this.#atom()));
  }

  #arithmetic(operators: readonly ('+' | '-' | '*' | '/')[], operand: () => RawTest | RawValue): RawTest | RawValue {
    let left = operand();
    for (;;) {
      const token = this.#next();
      const operator = token.type === 'symbol' ? operators.find((one) => one === token.text) : undefined;
      if (operator === undefined) return left;
      this.#take();
      const first = this.#value(left);
      const right = this.#value(operand());
      left = { type: 'arithmetic', operator, operatorSpan: token, left: first, right, ...this.#from(first) };
    }
  }

  #atom(): RawTest | RawValue {
    const token = this.#next();
    if (token.type === 'symbol' && token.text === '(') {
      this.#open();
      const inner = this.#or();
      this.#close();
      return inner;
    }
    if (token.type === 'number') {
      this.#take();
      const { text, number, value, unit, column, length } = token;
      return { type: 'quantity', text, number, value, unit, column, length };
    }
    if (token.type === 'string') {
      this.#take();
      return { type: 'text', text: token.text, column: token.column, length: token.length };
    }
    if (token.type === 'keyword' && token.text === 'absent') {
      this.#take();
      this.#open();
      const selector = this.#selector('absent');
      this.#close();
      return { type: 'absent', selector, ...this.#from(token) };
    }
    if (token.type !== 'name') this.#fail(`${shown(token)} stands where a metric or a number is needed`);
    const following = this.#tokens[this.#at + 1];
    if (following?.type !== 'symbol' || following.text !== '(') return this.#selector('a comparison');
    return token.text === 'count' ? this.#count() : this.#call();
  }

  #count(): RawCount {
    const start = this.#take();
    this.#open();
    const inner = this.#compare();
    if (inner.type !== 'compare' && inner.type !== 'selector')
      this.#fail('count takes one comparison or one metric, as count(vm_state == paused)', 'syntax', inner);
    const by = this.#takeKeyword('by') ? this.#group() : null;
    this.#close();
    return { type: 'count', of: inner, by, ...this.#from(start) };
  }

  #group(): { name: string; span: Span } {
    const token = this.#next();
    if (token.type !== 'name') this.#fail('by needs a label, as by host');
    this.#take();
    return { name: token.text, span: token };
  }

  #call(): RawValue {
    const token = this.#take();
    this.#open();
    const selector = this.#selector(token.text);
    const time = this.#takeSymbol(',') ? this.#time(token.text) : null;
    const end = this.#next();
    this.#close();
    return {
      type: 'call',
      name: token.text,
      nameSpan: token,
      selector,
      time,
      endSpan: end,
      ...this.#from(token),
    };
  }

  #selector(of: string): RawSelector {
    const token = this.#next();
    if (token.type !== 'name') this.#fail(`${shown(token)} stands where ${of} needs the name of a metric`);
    this.#take();
    if (!this.#takeSymbol('{'))
      return { type: 'selector', name: token.text, nameSpan: token, matches: null, ...this.#from(token) };
    const matches: RawMatch[] = [];
    do matches.push(this.#match());
    while (this.#takeSymbol(','));
    if (!this.#takeSymbol('}')) this.#fail(`${shown(this.#next())} stands where , or } is needed`);
    return { type: 'selector', name: token.text, nameSpan: token, matches, ...this.#from(token) };
  }

  #match(): RawMatch {
    const label = this.#next();
    if (label.type !== 'word') this.#fail(`${shown(label)} stands where a label is needed, as {vm=db1}`);
    this.#take();
    const operator = this.#matchOperator();
    const value = this.#next();
    if (value.type !== 'word' && value.type !== 'string')
      this.#fail(`${shown(value)} stands where the value of ${label.text} is needed`);
    this.#take();
    return { label: label.text, labelSpan: label, operator, value: value.text, valueSpan: value };
  }

  #matchOperator(): RawMatch['operator'] {
    const token = this.#next();
    const { text } = token;
    if (token.type !== 'symbol') this.#fail(`${shown(token)} stands where =, !=, =~ or !~ is needed`);
    this.#take();
    if (text === '==') {
      this.problems.push(problemAt(token, 'syntax', 'inside braces it is written =', '='));
      return '=';
    }
    if (text === '=' || text === '!=' || text === '=~' || text === '!~') return text;
    this.#fail(`${shown(token)} stands where =, !=, =~ or !~ is needed`, 'syntax', token);
  }

  #time(of: string): RawTime {
    const token = this.#next();
    const isTime = token.type === 'number' && /^\d+\s*(?:ms|[smhdw])/.test(token.text);
    if (!isTime) this.#fail(`${shown(token)} is not a time: ${of} needs one as 30s, 5m or 1h30m`);
    this.#take();
    return { ms: Math.round(token.value * 1000), column: token.column, length: token.length };
  }

  #open(): void {
    const token = this.#next();
    if (!this.#takeSymbol('(')) this.#fail(`${shown(token)} stands where ( is needed`);
    this.#deeper(token);
  }

  #close(): void {
    if (!this.#takeSymbol(')')) this.#fail(`${shown(this.#next())} stands where ) is needed`);
    this.#depth -= 1;
  }

  #deeper(at: Span): void {
    this.#depth += 1;
    if (this.#depth > LIMITS.depth)
      this.#fail(`parentheses lie within each other at most ${LIMITS.depth} deep`, 'too_deep', at);
  }

  #next(): Token {
    return this.#tokens[this.#at] ?? this.#end;
  }

  #take(): Token {
    const token = this.#next();
    this.#at += 1;
    this.steps += 1;
    return token;
  }

  #takeSymbol(text: string): boolean {
    const token = this.#next();
    if (token.type !== 'symbol' || token.text !== text) return false;
    this.#take();
    return true;
  }

  #isKeyword(text: Keyword): boolean {
    const token = this.#next();
    return token.type === 'keyword' && token.text === text;
  }

  #takeKeyword(text: Keyword): boolean {
    if (!this.#isKeyword(text)) return false;
    const token = this.#take();
    const following = this.#next();
    const isApart = token.isApart || this.#tokens[this.#at - 2]?.text === '(';
    if (!isApart || !following.isApart) {
      const message = `put a space ${isApart ? 'behind' : 'before'} ${text}`;
      this.problems.push(problemAt(token, 'keyword_space', message, isApart ? `${text} ` : ` ${text}`));
    }
    return true;
  }

  #from({ column }: Span): Span {
    const last = this.#tokens[this.#at - 1] ?? this.#end;
    return { column, length: Math.max(0, last.column + last.length - column) };
  }

  #test(node: RawTest | RawValue): RawTest {
    if (isTest(node)) return node;
    this.#fail('a comparison is needed, as > 90%: this is only a value');
  }

  #value(node: RawTest | RawValue): RawValue {
    if (!isTest(node)) return node;
    this.#fail('a comparison is true or false: it is no number to reckon or compare with', 'syntax', node);
  }

  #fail(message: string, code: ProblemCode = 'syntax', at: Span = this.#next()): never {
    throw new SyntaxProblem(problemAt(at, code, message));
  }
}

function shown(token: Token): string {
  if (token.type === 'end') return 'the end';
  return token.type === 'string' ? `"${token.text}"` : token.text;
}

function afterRule(token: Token, isLimited: boolean): string {
  if (token.text === ')') return ': there is no ( for it';
  if (isLimited) return ': for stands at the very end';
  if (token.type === 'name') return `: write one of ${KEYWORDS.slice(0, 2).join(', ')}, unless between two conditions`;
  return '';
}

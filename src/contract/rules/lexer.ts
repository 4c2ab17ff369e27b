/** Cuts the text of a rule into tokens: one pass, one character after the other, no pattern of the user's is ever run. What cannot be
 *  read is told and passed over, so that one look finds all such places. */

import { nearestName } from '#kernel/names.ts';
import { KEYWORDS, type Keyword, UNIT_WORDS, UNITS } from './language.ts';
import { problemAt, type RuleProblem, type Span } from './problem.ts';

interface TokenPlace extends Span {
  /** White space stands before it. */
  readonly isApart: boolean;
}

export type Token = TokenPlace &
  (
    | { readonly type: 'name'; readonly text: string }
    | { readonly type: 'keyword'; readonly text: Keyword }
    /** A bare value or label inside braces. */
    | { readonly type: 'word'; readonly text: string }
    | { readonly type: 'string'; readonly text: string }
    /** `number` is as written, before its unit; `value` in the base unit of the dimension. */
    | {
        readonly type: 'number';
        readonly text: string;
        readonly number: number;
        readonly value: number;
        readonly unit: string | null;
      }
    | { readonly type: 'symbol'; readonly text: string }
    | { readonly type: 'end'; readonly text: '' }
  );

export interface Tokens {
  readonly tokens: readonly Token[];
  readonly problems: readonly RuleProblem[];
  /** Characters looked at, those looked at twice counted twice: the work done. */
  readonly steps: number;
}

const isSpace = (char: string) => char === ' ' || char === '\t' || char === '\n' || char === '\r';
const isDigit = (char: string) => char >= '0' && char <= '9';
const isLetter = (char: string) => (char >= 'a' && char <= 'z') || (char >= 'A' && char <= 'Z');
const isNameChar = (char: string) => isLetter(char) || isDigit(char) || char === '_';
const isWordChar = (char: string) => isNameChar(char) || '.:*?-'.includes(char);
const isControl = (char: string) => char < ' ' || char === '\u007f';

const MOST_DIGITS = 15;
const OUTSIDE_BRACES = ['>=', '<=', '==', '!=', '>', '<', '=', '(', ')', '{', '}', ',', '+', '-', '*', '/'];
const INSIDE_BRACES = ['=~', '!~', '!=', '==', '=', '{', '}', ','];

/** What other languages write, and what it is here. */
const FOREIGN: readonly (readonly [string, Keyword])[] = [
  ['&&', 'and'],
  ['||', 'or'],
  ['!', 'not'],
];

/** @param text not longer than the limit of the language */
export function tokenize(text: string): Tokens {
  const tokens: Token[] = [];
  const problems: RuleProblem[] = [];
  let at = 0;
  let steps = 0;
  let isInBraces = false;

  const charAt = (index: number): string => {
    steps += 1;
    return text[index] ?? '';
  };
  const runFrom = (start: number, belongs: (char: string) => boolean): string => {
    let end = start;
    for (let char = charAt(end); char !== '' && belongs(char); char = charAt(end)) end += 1;
    return text.slice(start, end);
  };
  const place = (start: number, length = at - start): TokenPlace => ({
    column: start + 1,
    length,
    isApart: start === 0 || isSpace(text[start - 1] ?? ''),
  });
  const tell = (start: number, length: number, message: string, suggestion: string | null = null): void => {
    problems.push(problemAt({ column: start + 1, length }, 'syntax', message, suggestion));
  };
  const tellUnit = (start: number, length: number, message: string, suggestion: string | null = null): void => {
    problems.push(problemAt({ column: start + 1, length }, 'unit', message, suggestion));
  };

  /** The unit that begins at `start`, without white space before it; null = there is none; false = there is one, and it is wrong. */
  const unitAt = (start: number, isApart: boolean): string | null | false => {
    const char = charAt(start);
    if (char === '%') {
      if (!isNameChar(charAt(start + 1))) return '%';
      tellUnit(start, 1, 'the unit % runs into the next word: put a space behind it', '% ');
      return false;
    }
    if (char === '°') {
      if (text.startsWith('°C', start) && !isNameChar(charAt(start + 2))) return '°C';
      tellUnit(start, 1, 'write °C for temperatures', '°C');
      return false;
    }
    const perSecond = (index: number) =>
      charAt(index) === '/' && charAt(index + 1) === 's' && !isNameChar(charAt(index + 2));
    if (perSecond(start)) return '/s';
    if (!isLetter(char) && char !== '_') return null;
    const letters = runFrom(start, isLetter);
    if (perSecond(start + letters.length) && UNITS.has(`${letters}/s`)) return `${letters}/s`;
    if (UNITS.has(letters) && !isNameChar(charAt(start + letters.length))) return letters;
    const word = runFrom(start, isNameChar);
    if (isApart && KEYWORDS.some((keyword) => keyword === word.toLowerCase())) return null;
    const isCompound = isTimeUnit(letters) && isDigit(charAt(start + letters.length));
    if (isCompound) return letters;
    const near = unitNear(word);
    tellUnit(start, word.length, `${word} is not a unit${near === null ? '' : `: did you mean ${near}?`}`, near);
    return false;
  };

  const takeNumber = (): void => {
    const start = at;
    if (charAt(at) === '-') at += 1;
    const whole = runFrom(at, isDigit);
    at += whole.length;
    let fraction = '';
    if (charAt(at) === '.' && isDigit(charAt(at + 1))) {
      fraction = runFrom(at + 1, isDigit);
      at += 1 + fraction.length;
    }
    if (whole.length + fraction.length > MOST_DIGITS) {
      tell(start, at - start, `a number has at most ${MOST_DIGITS} digits`);
    }
    const number = Number(text.slice(start, at));
    let unitStart = at;
    while (isSpace(charAt(unitStart))) unitStart += 1;
    const unit = unitAt(unitStart, unitStart > at);
    if (unit === false) {
      // Passed over with its number, so that the rest can be read.
      at = unitStart + Math.max(1, runFrom(unitStart, isNameChar).length);
      tokens.push({ ...place(start), type: 'number', text: text.slice(start, at), number, value: number, unit: null });
      return;
    }
    if (unit === null) {
      tokens.push({ ...place(start), type: 'number', text: text.slice(start, at), number, value: number, unit });
      return;
    }
    at = unitStart + unit.length;
    let value = inBaseUnit(number, unit);
    // 1h30m: times may be put together.
    while (isTimeUnit(unit) && isDigit(charAt(at))) {
      const more = runFrom(at, isDigit);
      const letters = runFrom(at + more.length, isLetter);
      if (!isTimeUnit(letters)) {
        tellUnit(at, more.length + letters.length, `${more}${letters} is not a time: write as 1h30m`);
        at += more.length + letters.length;
        break;
      }
      value += inBaseUnit(Number(more), letters) * (number < 0 ? -1 : 1);
      at += more.length + letters.length;
      if (isNameChar(charAt(at)) && !isDigit(charAt(at))) {
        const rest = runFrom(at, isNameChar);
        tellUnit(at, rest.length, `the unit ${letters} runs into the next word: put a space behind it`, `${letters} `);
        at += rest.length;
      }
    }
    tokens.push({ ...place(start), type: 'number', text: text.slice(start, at), number, value, unit });
  };

  const takeString = (): void => {
    const start = at;
    const content = runFrom(at + 1, (char) => char !== '"' && char !== '\\' && !isControl(char));
    at += 1 + content.length;
    if (charAt(at) === '"') {
      at += 1;
      tokens.push({ ...place(start), type: 'string', text: content });
    } else if (at >= text.length) {
      tell(start, at - start, 'the text has no closing quotation mark', `${text.slice(start)}"`);
    } else {
      tell(at, 1, 'a text holds no backslash and no control characters');
      at += 1 + runFrom(at + 1, (char) => char !== '"').length + 1;
    }
  };

  const takeSymbol = (): void => {
    const symbols = isInBraces ? INSIDE_BRACES : OUTSIDE_BRACES;
    const symbol = symbols.find((candidate) => text.startsWith(candidate, at));
    steps += symbols.length;
    if (symbol !== undefined) {
      const start = at;
      at += symbol.length;
      if (symbol === '{') isInBraces = true;
      if (symbol === '}') isInBraces = false;
      tokens.push({ ...place(start), type: 'symbol', text: symbol });
      return;
    }
    const foreign = isInBraces ? undefined : FOREIGN.find(([written]) => text.startsWith(written, at));
    if (foreign !== undefined) {
      const [written, meant] = foreign;
      tell(at, written.length, `write ${meant} instead of ${written}`, meant);
      const start = at;
      at += written.length;
      tokens.push({ ...place(start), isApart: true, type: 'keyword', text: meant });
      return;
    }
    const char = String.fromCodePoint(text.codePointAt(at) ?? 0);
    if (isInBraces && (char === '>' || char === '<')) {
      tell(at, 1, 'the braces are not closed: } is missing before the comparison', '}');
      tokens.push({ ...place(at, 0), type: 'symbol', text: '}' });
      isInBraces = false;
      return;
    }
    if (isInBraces) tell(at, char.length, `${shown(char)} stands only inside quotation marks: write label="…"`);
    else tell(at, char.length, `${shown(char)} has no meaning here`);
    at += char.length;
  };

  /** After a value a dash takes away, elsewhere it makes a number negative. */
  const isAfterValue = (): boolean => {
    const last = tokens.at(-1);
    return (
      last !== undefined && (last.type === 'name' || last.type === 'number' || last.text === ')' || last.text === '}')
    );
  };

  while (at < text.length) {
    const char = charAt(at);
    if (isSpace(char)) at += 1;
    else if (char === '"') takeString();
    else if (isInBraces && isWordChar(char)) {
      const start = at;
      const word = runFrom(at, isWordChar);
      at += word.length;
      tokens.push({ ...place(start), type: 'word', text: word });
    } else if (isDigit(char) || (char === '-' && isDigit(charAt(at + 1)) && !isAfterValue())) takeNumber();
    else if (isLetter(char) || char === '_') {
      const start = at;
      const name = runFrom(at, isNameChar);
      at += name.length;
      const keyword = KEYWORDS.find((candidate) => candidate === name.toLowerCase());
      tokens.push(
        keyword === undefined
          ? { ...place(start), type: 'name', text: name }
          : { ...place(start), type: 'keyword', text: keyword },
      );
    } else takeSymbol();
  }
  tokens.push({ column: text.length + 1, length: 0, isApart: true, type: 'end', text: '' });
  return { tokens, problems, steps };
}

function isTimeUnit(unit: string): boolean {
  return UNITS.get(unit)?.dimension === 'seconds';
}

function inBaseUnit(number: number, unit: string): number {
  const { factor, divisor } = UNITS.get(unit) ?? { factor: 1, divisor: 1 };
  return (number * factor) / divisor;
}

function unitNear(word: string): string | null {
  const meant = Object.hasOwn(UNIT_WORDS, word.toLowerCase()) ? UNIT_WORDS[word.toLowerCase()] : undefined;
  if (meant !== undefined) return meant;
  // Units of one letter are near to everything.
  return word.length > 8
    ? null
    : nearestName(
        word,
        [...UNITS.keys()].filter((name) => name.length > 1),
      );
}

function shown(char: string): string {
  return isControl(char) ? 'a control character' : char;
}

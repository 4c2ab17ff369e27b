/** What a rule's text says, before anybody asked whether it makes sense. */

import type { Relation } from './language.ts';
import type { Span } from './problem.ts';

export interface RawMatch {
  readonly label: string;
  readonly labelSpan: Span;
  readonly operator: '=' | '!=' | '=~' | '!~';
  readonly value: string;
  readonly valueSpan: Span;
}

export interface RawSelector extends Span {
  readonly type: 'selector';
  readonly name: string;
  /** Of the name alone. */
  readonly nameSpan: Span;
  /** Null = no braces, so that it may be the name of a state. */
  readonly matches: readonly RawMatch[] | null;
}

export interface RawTime extends Span {
  readonly ms: number;
}

export interface RawCall extends Span {
  readonly type: 'call';
  readonly name: string;
  readonly nameSpan: Span;
  readonly selector: RawSelector;
  readonly time: RawTime | null;
  /** The closing parenthesis: where a missing time belongs. */
  readonly endSpan: Span;
}

export interface RawCount extends Span {
  readonly type: 'count';
  readonly of: RawCompare | RawSelector;
  readonly by: { readonly name: string; readonly span: Span } | null;
}

export interface RawQuantity extends Span {
  readonly type: 'quantity';
  /** As written, unit included. */
  readonly text: string;
  readonly number: number;
  readonly value: number;
  readonly unit: string | null;
}

export interface RawArithmetic extends Span {
  readonly type: 'arithmetic';
  readonly operator: '+' | '-' | '*' | '/';
  readonly operatorSpan: Span;
  readonly left: RawValue;
  readonly right: RawValue;
}

export type RawValue =
  | RawSelector
  | RawCall
  | RawCount
  | RawQuantity
  | RawArithmetic
  | (Span & { readonly type: 'text'; readonly text: string });

export interface RawCompare extends Span {
  readonly type: 'compare';
  readonly relation: Relation;
  readonly relationSpan: Span;
  readonly left: RawValue;
  readonly right: RawValue;
  readonly clear: RawValue | null;
}

export type RawTest =
  | RawCompare
  | (Span & { readonly type: 'and' | 'or' | 'unless'; readonly left: RawTest; readonly right: RawTest })
  | (Span & { readonly type: 'not'; readonly inner: RawTest })
  | (Span & { readonly type: 'absent'; readonly selector: RawSelector });

export interface RawRule {
  readonly test: RawTest;
  readonly for: RawTime | null;
}

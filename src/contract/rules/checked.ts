/** A rule that makes sense: every name resolved, every number in its base unit, every part with the kinds of entities it is about. */

import type { Dimension, EntityKind, MetricName } from '../metric-catalogue.ts';
import type { SubjectKind } from './entities.ts';
import type { FunctionName, Relation } from './language.ts';

export interface Match {
  readonly label: string;
  readonly operator: '=' | '!=' | '=~' | '!~';
  readonly value: string;
}

export interface Selector {
  readonly metric: MetricName;
  /** What is left of the metric's kinds after the braces; never empty. */
  readonly kinds: readonly EntityKind[];
  /** Without those of `kind`, which `kinds` has followed. */
  readonly matches: readonly Match[];
}

export interface Shape {
  readonly dimension: Dimension;
  /** Names of an enum's numbers. */
  readonly values: readonly string[] | null;
  /** Null = any: a constant. */
  readonly kinds: readonly SubjectKind[] | null;
}

export type Value = Shape &
  (
    | { readonly type: 'constant'; readonly value: number /** As written. */; readonly text: string }
    | { readonly type: 'metric'; readonly selector: Selector }
    | {
        readonly type: 'call';
        readonly name: FunctionName;
        readonly selector: Selector;
        /** 0 = the function has none. */
        readonly timeMs: number;
      }
    | {
        readonly type: 'arithmetic';
        readonly operator: '+' | '-' | '*' | '/';
        readonly left: Value;
        readonly right: Value;
      }
    | { readonly type: 'count'; readonly of: Comparison | Selector; readonly by: 'host' | 'vm' | 'project' }
  );

export interface Comparison {
  readonly type: 'compare';
  readonly relation: Relation;
  /** Never a constant: `90% < cpu_usage` has become `cpu_usage > 90%`. */
  readonly left: Value;
  readonly right: Value;
  /** Null = the usual distance from the threshold. */
  readonly clear: Value | null;
  /** The trigger gives way to a clear threshold while the alert fires. */
  readonly hasClear: boolean;
  /** For two enums: the left number of each right number, or −1. */
  readonly translation: readonly number[] | null;
  /** Covers only VMs that should be running. */
  readonly isDesiredOnly: boolean;
  readonly kinds: readonly SubjectKind[];
}

export type Test =
  | Comparison
  | {
      readonly type: 'and' | 'or' | 'unless';
      readonly left: Test;
      readonly right: Test;
      readonly kinds: readonly SubjectKind[];
    }
  | { readonly type: 'not'; readonly inner: Test; readonly kinds: readonly SubjectKind[] }
  | { readonly type: 'absent'; readonly selector: Selector; readonly kinds: readonly EntityKind[] };

export interface CheckedRule {
  readonly text: string;
  readonly test: Test;
  /** How long the condition must hold, milliseconds; 0 = at once. */
  readonly forMs: number;
  /** How far back it looks, milliseconds: the longest time of its functions. What `predict` reads is not counted. */
  readonly windowMs: number;
  /** What its alerts are about. */
  readonly kinds: readonly SubjectKind[];
  /** Metrics that it reads. */
  readonly requires: readonly MetricName[];
}

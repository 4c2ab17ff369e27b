/** What the parts of a compiled rule look like. */

import type { SubjectKind } from '#contract/rules/entities.ts';
import type { Verdict } from './logic.ts';
import type { Subject, TickIndex } from './tick-index.ts';
import type { Figure } from './view.ts';

/** One judgement of one subject; used again for the next, since thousands are made each tick. */
export interface Judgement {
  readonly index: TickIndex;
  /** Clear thresholds instead of triggers. */
  isFiring: boolean;
  /** The figure that decided; NaN when there is none. */
  value: number;
  /** What the value is. */
  figure: Figure | null;
}

/** Puts the subjects that a part is about into `into`, by key. */
export type Collect = (index: TickIndex, into: Map<string, Subject>) => void;

export interface TestPart {
  readonly judge: (subject: Subject, judgement: Judgement) => Verdict;
  readonly collect: Collect;
}

export interface ValuePart {
  /** NaN = unknown; +Infinity = more than any number. */
  readonly read: (subject: Subject, index: TickIndex) => number;
  readonly covers: (subject: Subject) => boolean;
  readonly collect: Collect;
}

export const collectNothing: Collect = () => undefined;

/** @param at the kind that the part is about: that of the subjects, or of what they lie in
 *  @param kind of the subjects */
export type CompileTest<Checked> = (test: Checked, at: SubjectKind, kind: SubjectKind) => TestPart;

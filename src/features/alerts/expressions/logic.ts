/** Logic of four values: a part of a rule that does not cover an entity says nothing of it, which is not the same as unknown. */

export const FALSE = 0;
export const TRUE = 1;
export const UNKNOWN = 2;
/** The entity is none of those that the part is about. */
export const UNCOVERED = 3;

export type Verdict = typeof FALSE | typeof TRUE | typeof UNKNOWN | typeof UNCOVERED;

export function verdictAnd(left: Verdict, right: Verdict): Verdict {
  if (left === UNCOVERED || right === UNCOVERED) return UNCOVERED;
  if (left === FALSE || right === FALSE) return FALSE;
  return left === TRUE && right === TRUE ? TRUE : UNKNOWN;
}

/** What a side does not cover, it does not make true. */
export function verdictOr(left: Verdict, right: Verdict): Verdict {
  if (left === UNCOVERED) return right;
  if (right === UNCOVERED) return left;
  if (left === TRUE || right === TRUE) return TRUE;
  return left === FALSE && right === FALSE ? FALSE : UNKNOWN;
}

export function verdictNot(inner: Verdict): Verdict {
  if (inner === TRUE) return FALSE;
  return inner === FALSE ? TRUE : inner;
}

/** Only what is known to be true silences: missing data never does. */
export function verdictUnless(left: Verdict, right: Verdict): Verdict {
  return left === UNCOVERED || right !== TRUE ? left : FALSE;
}

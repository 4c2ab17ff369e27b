/** Which labels an entity has, and which entity contains which: what decides whether two figures can stand in one rule. */

import { type EntityKind, SUB_LABELS, VM_KINDS } from '../metric-catalogue.ts';

/** What an alert of a rule is about; `project` only through `count(… by project)`. */
export type SubjectKind = EntityKind | 'project';

/** The host first: what contains stands before what is contained. */
const HOST_LABELS = ['host', 'kind'] as const;
const VM_LABELS = ['host', 'vm', 'uuid', 'project', 'tag', 'kind'] as const;

export function labelsOfKind(kind: EntityKind): readonly string[] {
  const own = kind === 'host' || kind === 'vm' ? [] : [SUB_LABELS[kind]];
  return VM_KINDS.includes(kind) ? [...VM_LABELS, ...own] : [...HOST_LABELS, ...own];
}

export function allLabelsOf(kinds: readonly EntityKind[]): readonly string[] {
  return [...new Set(kinds.flatMap(labelsOfKind))];
}

/** The nearest of `kinds` that an entity of `kind` is or lies in; null when it lies in none. */
export function nearestKind(kind: SubjectKind, kinds: readonly SubjectKind[]): SubjectKind | null {
  if (kinds.includes(kind)) return kind;
  const isInVm = VM_KINDS.some((one) => one === kind);
  if (isInVm && kinds.includes('vm')) return 'vm';
  return kinds.includes('host') ? 'host' : null;
}

/** Kinds for which both sides say something: those that both have, else the finer ones of those that contain each other. */
export function joinByContainment(left: readonly SubjectKind[], right: readonly SubjectKind[]): readonly SubjectKind[] {
  const both = joinEqual(left, right);
  if (both.length > 0) return both;
  return [
    ...left.filter((kind) => nearestKind(kind, right) !== null),
    ...right.filter((kind) => nearestKind(kind, left) !== null),
  ];
}

export function joinEqual(left: readonly SubjectKind[], right: readonly SubjectKind[]): readonly SubjectKind[] {
  return left.filter((kind) => right.includes(kind));
}

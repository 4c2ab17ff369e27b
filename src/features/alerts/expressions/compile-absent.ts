/** `absent(…)`: true of an entity that exists, should have a fresh sample, and has none. */

import { definitionOf, type EntityKind, SUB_LABELS, VM_KINDS } from '#contract/metric-catalogue.ts';
import type { Selector } from '#contract/rules/checked.ts';
import { nearestKind, type SubjectKind } from '#contract/rules/entities.ts';
import { needsRunning } from '#contract/rules/reads.ts';
import { FALSE, TRUE, UNCOVERED, UNKNOWN } from './logic.ts';
import type { TestPart } from './parts.ts';
import { coversOf } from './selection.ts';
import { VM_RUNNING } from './states.ts';
import { FRESH_PERIODS, keyFor, type Subject, type TickIndex } from './tick-index.ts';

/** What happens now and then is missed only when it never happened to something this old. */
const EVENT_AGE_MS = 24 * 3_600_000;

export function compileAbsent(selector: Selector, at: SubjectKind, kind: SubjectKind): TestPart {
  const { metric } = selector;
  const own = selector.kinds.find((one) => one === nearestKind(at, selector.kinds)) ?? 'host';
  const { periodSeconds } = definitionOf(metric);
  const leastAgeMs = periodSeconds === 0 ? EVENT_AGE_MS : FRESH_PERIODS * periodSeconds * 1000;
  const mustRun = VM_KINDS.includes(own) && needsRunning(metric);
  const covers = coversOf(selector);
  return {
    judge(subject, { index }) {
      if (!covers(subject)) return UNCOVERED;
      const series = index.of(metric, own).get(keyFor(subject, own));
      if (series !== undefined && !Number.isNaN(series.value)) return FALSE;
      const sinceMs = existsSince(subject, own, index);
      if (sinceMs === null || index.view.nowMs - sinceMs < leastAgeMs) return FALSE;
      if (!mustRun) return TRUE;
      const state = index.of('vm_state', 'vm').get(subject.vmKey)?.value ?? Number.NaN;
      if (Number.isNaN(state)) return UNKNOWN;
      return state === VM_RUNNING ? TRUE : FALSE;
    },
    collect(index, into) {
      if (own !== kind) return;
      for (const { subject } of index.existing(own)) into.set(subject.key, subject);
      for (const { subject } of index.of(metric, own).values()) into.set(subject.key, subject);
      for (const subject of namedBy(selector, own, index)) into.set(subject.key, subject);
    },
  };
}

/** Parts of a VM or host exist as long as it does; what was deleted is not absent. */
function existsSince(subject: Subject, kind: EntityKind, index: TickIndex): number | null {
  const find = (of: EntityKind, key: string) =>
    index.existing(of).find(({ subject: { key: other } }) => other === key)?.sinceMs ?? null;
  const owner = VM_KINDS.includes(kind) ? 'vm' : 'host';
  return find(kind, keyFor(subject, kind)) ?? (kind === owner ? null : find(owner, keyFor(subject, owner)));
}

/** A file system that is not mounted is known to nobody: only a selector that names it exactly says that it should be there. */
function namedBy({ matches }: Selector, kind: EntityKind, index: TickIndex): readonly Subject[] {
  if (kind === 'host' || kind === 'vm') return [];
  const exact = (label: string) => matches.find((match) => match.label === label && match.operator === '=')?.value;
  const label = SUB_LABELS[kind];
  const sub = exact(label);
  const isOfVm = VM_KINDS.includes(kind);
  if (sub === undefined || (isOfVm && exact('vm') === undefined && exact('uuid') === undefined)) return [];
  return index
    .existing(isOfVm ? 'vm' : 'host')
    .map(({ subject: { entity, labels } }) =>
      index.subject({ owner: entity.owner, kind, sub }, { ...labels, kind, [label]: sub }),
    );
}

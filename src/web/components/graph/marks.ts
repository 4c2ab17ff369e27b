/** Marks of what happened: which kind an operation is of, and those that fall on the same place gathered, so that each can be hit. */

import type { AlertEvent } from '#contract/alerts.ts';
import { HEALER } from '#contract/healer.ts';
import type { TimelineItem } from '#contract/operations.ts';
import { text } from '../../text.ts';
import type { GraphMark, MarkKind, TimeRange } from './graph-data.ts';

/** What is no change like any other. */
const KINDS: Readonly<Record<string, MarkKind>> = {
  'backup.run': 'backup',
  'backup.run-stopped': 'backup',
  'system.backup': 'backup',
  'backup.restore': 'restore',
  'backup.restore-instant': 'restore',
  'backup.copy-behind': 'restore',
  'backup.overwrite': 'restore',
  'backup.disk': 'restore',
  'backup.verify': 'proof',
  'vm.migrate': 'migration',
  'vm.migrated': 'migration',
  'vm.reboot': 'restart',
  'vm.reset': 'restart',
};

export function markOfOperation(item: TimelineItem): GraphMark {
  return {
    id: item.id,
    kind: item.actor === HEALER ? 'healing' : (KINDS[item.kind] ?? 'operation'),
    label: `${item.title} (${item.actor})`,
    fromMs: Date.parse(item.createdAt),
    toMs: item.finishedAt === null ? null : Date.parse(item.finishedAt),
    outcome: outcomeOf(item),
    href: `/operations/${item.id}`,
  };
}

function outcomeOf({ state, verdict }: TimelineItem): GraphMark['outcome'] {
  if (state === 'cancelled') return 'cancelled';
  if (state === 'failed' || state === 'attention') return 'bad';
  if (state !== 'done') return 'open';
  // An operation that proved the opposite is done as well.
  return verdict === null || verdict === 'pass' ? 'good' : 'bad';
}

export function markOfAlert({ id, alertId, at, rule, entity, severity }: AlertEvent): GraphMark {
  const atMs = Date.parse(at);
  return {
    id: `alert-${id}`,
    kind: 'alert',
    label: text.graphs.alertMark(rule.name, entity.name, text.severities[severity]),
    fromMs: atMs,
    toMs: atMs,
    outcome: 'bad',
    href: `/alerts/${alertId}`,
  };
}

/** Marks so near to each other that one thing stands for all of them. */
export interface MarkGroup {
  /** From the left edge of what is drawn; where the first of them began, or the edge. */
  readonly xPx: number;
  /** By their beginning; one at least. */
  readonly marks: readonly GraphMark[];
}

/** Room that a finger or pointer needs to hit one of them. */
export const GROUP_PX = 24;

/** Whether any of it lies in what is shown. */
export const isIn = ({ fromMs, toMs }: GraphMark, range: TimeRange): boolean =>
  fromMs <= range.toMs && (toMs ?? range.toMs) >= range.fromMs;

/** @param widthPx of the time that is shown
 *  @returns by their place, each at least `GROUP_PX` right of the one before */
export function groupMarks(marks: readonly GraphMark[], range: TimeRange, widthPx: number): readonly MarkGroup[] {
  const pxPerMs = widthPx / (range.toMs - range.fromMs);
  const groups: { readonly xPx: number; readonly marks: GraphMark[] }[] = [];
  for (const mark of marks.filter((each) => isIn(each, range)).sort((a, b) => a.fromMs - b.fromMs)) {
    const xPx = Math.max(0, (mark.fromMs - range.fromMs) * pxPerMs);
    const last = groups.at(-1);
    if (last !== undefined && xPx - last.xPx < GROUP_PX) last.marks.push(mark);
    else groups.push({ xPx, marks: [mark] });
  }
  return groups;
}

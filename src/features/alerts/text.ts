/** Alerts in words: what a value is called and what a notice says. */

import type { Track } from './evaluation.ts';
import type { Mask } from './machine/machine.ts';
import type { Labels, SeriesEntity } from './rule-language.ts';

/** What people call a thing: `web1`, `web1 vda`, `/var/lib`, `host1`. */
export function entityName({ kind, sub }: SeriesEntity, labels: Labels): string {
  if (kind === 'vm') return labels['vm'] ?? labels['uuid'] ?? '';
  if (kind === 'host') return labels['host'] ?? '';
  const vm = labels['vm'];
  return vm === undefined ? sub : `${vm} ${sub}`;
}

/** The labels of an alert with what its rule adds; those of the thing win. */
export const labelsWith = (added: Labels, labels: Labels): Labels => ({ ...added, ...labels });

function clockText(atMs: number): string {
  return new Date(atMs).toISOString().slice(11, 16);
}

/** `was masked by "Start web1" from 02:00 to 02:31 UTC`. */
export function maskText({ title, fromAtMs }: Mask, toMs: number): string {
  return `was masked by "${title}" from ${clockText(fromAtMs)} to ${clockText(toMs)} UTC`;
}

const ENDINGS: Readonly<Record<string, string>> = {
  removed: 'it is gone',
  stopped: 'its owner stopped it',
  rule_removed: 'the rule was deleted',
  rule_changed: 'the condition of the rule was changed',
  rule_disabled: 'the rule was switched off',
  'no data': 'there are no figures any more',
};

export interface Sentence {
  readonly track: Pick<Track, 'entity' | 'labels' | 'machine'>;
  readonly ruleName: string;
  readonly valueText: string;
  readonly description: string | null;
  /** Why it ended or began, where not by its condition. */
  readonly reason: string | null;
}

/** What an alert says to people, in one or two sentences. */
export function sentenceOf(sentence: Sentence): string {
  const { track, ruleName, valueText } = sentence;
  const name = entityName(track.entity, track.labels);
  const first = `${name}: ${ruleName}${valueText === '' ? '' : `, now ${valueText}`}.`;
  const remarks = remarksOf(sentence);
  return remarks === '' ? first : `${first} ${remarks}`;
}

/** What there is to say beside thing, rule and value; '' for nothing. */
export function remarksOf({ track, description, reason }: Sentence): string {
  const { machine } = track;
  const parts: string[] = [];
  if (reason !== null) parts.push(`${machine.phase === 'ok' ? 'Over: ' : ''}${ENDINGS[reason] ?? reason}.`);
  if (machine.phase === 'firing' && machine.mask !== null)
    parts.push(`It ${maskText(machine.mask, machine.sinceAtMs)}.`);
  if (machine.isNoData) parts.push('Its figures stay away.');
  if (machine.phase === 'firing' && description !== null) parts.push(description);
  return parts.join(' ');
}

/** Alerts in words: what a value is called and what a notice says. */

import { type Dimension, definitionOf } from '#contract/metric-catalogue.ts';
import { formatBytes, formatDuration } from '#kernel/units.ts';
import type { Track } from './evaluation.ts';
import type { Mask } from './machine/machine.ts';
import type { CompiledRule, Labels, SeriesEntity } from './rule-language.ts';

const number = (value: number): string => String(Math.round(value * 100) / 100);

const IN_WORDS: Readonly<Record<Exclude<Dimension, 'enum'>, (value: number) => string>> = {
  ratio: (value) => `${Math.round(value * 1000) / 10} %`,
  bytes: formatBytes,
  bytes_per_second: (value) => `${formatBytes(value)}/s`,
  per_second: (value) => `${number(value)}/s`,
  seconds: (value) => (Math.abs(value) < 10 ? `${Math.round(value * 1e6) / 1e6} s` : formatDuration(value * 1000)),
  number,
  count: number,
  bool: (value) => (value === 0 ? 'no' : 'yes'),
  timestamp: (value) => new Date(value * 1000).toISOString(),
  celsius: (value) => `${number(value)} °C`,
};

/** The value of a rule's left side; plain where its figures do not say what it counts in. */
export function valueText(rule: CompiledRule, condition: string, value: number | null): string {
  if (value === null) return '';
  const [first] = rule.requires;
  if (first === undefined) return number(value);
  const { dimension, values } = definitionOf(first);
  const [, call] = /^\s*\(*\s*(\w+)\s*\(/.exec(condition) ?? [];
  if (call === 'age') return formatDuration(Math.abs(value) * 1000);
  if (call === 'count' || call === 'increase' || call === 'changes') return number(value);
  if (call === 'rate') return dimension === 'bytes' ? IN_WORDS.bytes_per_second(value) : IN_WORDS.per_second(value);
  if (rule.requires.length > 1) return number(value);
  return dimension === 'enum' ? (values?.[value]?.replaceAll('_', ' ') ?? number(value)) : IN_WORDS[dimension](value);
}

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
export function sentenceOf({ track, ruleName, valueText, description, reason }: Sentence): string {
  const { machine } = track;
  const name = entityName(track.entity, track.labels);
  const parts = [`${name}: ${ruleName}${valueText === '' ? '' : `, now ${valueText}`}.`];
  if (reason !== null) parts.push(`${machine.phase === 'ok' ? 'Over: ' : ''}${ENDINGS[reason] ?? reason}.`);
  if (machine.phase === 'firing' && machine.mask !== null)
    parts.push(`It ${maskText(machine.mask, machine.sinceAtMs)}.`);
  if (machine.isNoData) parts.push('Its figures stay away.');
  if (machine.phase === 'firing' && description !== null) parts.push(description);
  return parts.join(' ');
}

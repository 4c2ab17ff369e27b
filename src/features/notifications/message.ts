/** What is sent, before any service's format: one message about one or many alerts, or about an event. */

import type { Severity } from '#contract/alerts-config.ts';
import { formatDuration } from '#kernel/units.ts';
import { cleanLine } from './text.ts';

/** What an alert's state machine tells. A notice is one transition of one fingerprint. */
export interface AlertNotice {
  readonly fingerprint: string;
  readonly episode: number;
  readonly kind: 'firing' | 'severity_raised' | 'repeat' | 'resolved' | 'flapping';
  readonly rule: {
    readonly id: string;
    readonly name: string;
    readonly condition: string;
    /** The figures that it asks for. */
    readonly metrics: readonly string[];
    /** Its figures are events: it fires for a while after something happened. */
    readonly isEvent: boolean;
    /** Id of the project that it belongs to; null = the system. */
    readonly project: string | null;
    readonly cooldownMs: number;
    /** Names or ids; null = as the routing says. */
    readonly channels: readonly string[] | null;
  };
  readonly severity: Severity;
  readonly labels: Readonly<Record<string, string>>;
  readonly entity: { readonly kind: string; readonly name: string };
  readonly project: string | null;
  readonly host: string;
  readonly value: number | null;
  readonly valueText: string;
  readonly startedAtMs: number;
  readonly endedAtMs: number | null;
  /** What to do, and whatever else is not in the other fields; '' for nothing. */
  readonly text: string;
}

/** `was_firing`: it came and went before anybody was told; `still_firing`: it was kept back until now. */
export type TellingKind = AlertNotice['kind'] | 'was_firing' | 'still_firing';

export interface ToldAlert {
  readonly kind: TellingKind;
  readonly notice: AlertNotice;
}

export interface Message {
  /** The same for every attempt, so that a receiver can tell a repeated one. */
  readonly key: string;
  /** Messages of one thread belong together, as the firing and the resolve of one group. */
  readonly thread: string;
  readonly kind: 'alert' | 'event' | 'test' | 'digest';
  readonly severity: Severity;
  readonly title: string;
  /** Sentences of an event, a test or a digest; '' for alerts. */
  readonly text: string;
  readonly alerts: readonly ToldAlert[];
  readonly atMs: number;
  readonly host: string;
  /** Address of the dashboard. */
  readonly origin: string;
}

const RANK: Readonly<Record<Severity, number>> = { info: 0, warning: 1, critical: 2 };

export const isWorse = (one: Severity, other: Severity): boolean => RANK[one] > RANK[other];

export const worstOf = (severities: readonly Severity[]): Severity =>
  severities.reduce((worst, one) => (isWorse(one, worst) ? one : worst), 'info');

export const isOver = (kind: TellingKind): boolean => kind === 'resolved' || kind === 'was_firing';

/** Whether nothing in it fires any more. */
export const isResolved = ({ kind, alerts }: Message): boolean =>
  kind === 'alert' && alerts.length > 0 && alerts.every((alert) => isOver(alert.kind));

const KIND_WORDS: Readonly<Record<TellingKind, string>> = {
  firing: 'firing',
  severity_raised: 'worse now',
  repeat: 'still firing',
  still_firing: 'still firing',
  resolved: 'resolved',
  was_firing: 'was firing',
  flapping: 'flapping',
};

export const statusText = (kind: TellingKind): string => KIND_WORDS[kind];

/** `10:02`, with the date when it is another day than `nextToMs`; UTC. */
export function timeText(ms: number, nextToMs: number): string {
  const text = new Date(ms).toISOString();
  return text.slice(0, 10) === new Date(nextToMs).toISOString().slice(0, 10)
    ? text.slice(11, 16)
    : `${text.slice(0, 10)} ${text.slice(11, 16)}`;
}

/** `since 10:02 UTC`, or what it lasted. */
function spanText({ kind, notice }: ToldAlert, nowMs: number): string {
  const { startedAtMs, endedAtMs } = notice;
  const from = timeText(startedAtMs, nowMs);
  if (!isOver(kind) || endedAtMs === null) return `since ${from} UTC`;
  return `${from}–${timeText(endedAtMs, startedAtMs)} UTC (${formatDuration(endedAtMs - startedAtMs)})`;
}

export const entityText = ({ entity, host }: AlertNotice): string =>
  entity.name === host ? host : `${entity.name} on ${host}`;

/** Page of the dashboard about one alert. */
export const alertLink = (origin: string, { fingerprint }: AlertNotice): string =>
  `${origin}/alerts/${encodeURIComponent(fingerprint)}`;

/** Page of the dashboard about what a message tells; null where nobody can follow a link to it. */
export function linkOf({ origin, alerts }: Message): string | null {
  if (!origin.startsWith('https://')) return null;
  const [first, second] = alerts;
  if (first === undefined) return origin;
  return second === undefined ? alertLink(origin, first.notice) : `${origin}/alerts`;
}

/** One line about one alert, from untrusted names: escaping is the channel's business. */
function lineOf(alert: ToldAlert, message: Message): string {
  const { notice } = alert;
  const name = notice.host === message.host ? notice.entity.name : entityText(notice);
  const value = notice.valueText === '' ? '' : `, now ${notice.valueText}`;
  const span = spanText(alert, message.atMs);
  return cleanLine(`${name}: ${notice.rule.name} ${statusText(alert.kind)} ${span}${value} (${notice.severity})`, 600);
}

const MAX_LINES = 10;

/** What a message says in lines of plain text, at most ten alerts of it. Advice that is the same for several in a row
 *  stands below them once. */
export function linesOf(message: Message): string[] {
  const shown = message.alerts.slice(0, MAX_LINES);
  const more = message.alerts.length - shown.length;
  const lines = shown.flatMap((alert, n) => {
    const { text } = alert.notice;
    const isLastOfIts = text !== '' && shown[n + 1]?.notice.text !== text;
    const isLast = n === shown.length - 1;
    return [
      lineOf(alert, message),
      ...(isLast && more > 0 ? [`and ${more} more`] : []),
      ...(isLastOfIts ? [cleanLine(text, 600)] : []),
    ];
  });
  const text = message.text === '' ? [] : message.text.split('\n').map((line) => cleanLine(line, 1000));
  return [...text, ...lines];
}

const KIND_TITLES: Readonly<Record<string, string>> = {
  vm: 'VM',
  host: 'Host',
  vdisk: 'Disk',
  vnic: 'Network card',
  guestfs: 'File system',
  fs: 'File system',
  pool: 'Pool',
  disk: 'Disk',
  nic: 'Network card',
  sensor: 'Sensor',
};

/** Names and values of what a single alert is about; none for other messages. */
export function factsOf(message: Message): (readonly [name: string, value: string])[] {
  const [only] = message.alerts;
  if (only === undefined || message.alerts.length > 1) return [];
  const { notice } = only;
  const { kind, name } = notice.entity;
  const facts: (readonly [string, string])[] = [
    ...(name === notice.host ? [] : [[KIND_TITLES[kind] ?? kind, name] as const]),
    ['Host', notice.host],
    ['Project', notice.labels['project'] ?? ''],
    ['Rule', notice.rule.name],
    ['Condition', notice.rule.condition],
    ['Value', notice.valueText],
    ['Status', statusText(only.kind)],
    ['Time', spanText(only, message.atMs)],
    ['Severity', notice.severity],
  ];
  return facts.map(([title, value]) => [title, cleanLine(value, 250)] as const).filter(([, value]) => value !== '');
}

/** `12 VMs on node1`. */
function entitiesText(alerts: readonly ToldAlert[], host: string): string {
  const isAllVms = alerts.every(({ notice }) => notice.entity.kind === 'vm');
  return `${alerts.length} ${isAllVms ? 'VMs' : 'things'} on ${host}`;
}

/** The word that fits all, else how many of each: `1 firing, 2 resolved`. */
function statusesText(alerts: readonly ToldAlert[]): string {
  const counts = new Map<string, number>();
  for (const { kind } of alerts) counts.set(statusText(kind), (counts.get(statusText(kind)) ?? 0) + 1);
  const [first] = counts.keys();
  return counts.size === 1 && first !== undefined
    ? first
    : [...counts].map(([status, count]) => `${count} ${status}`).join(', ');
}

const TITLE = '[{severity}] {entity}: {rule} {status}';
/** In a full mailbox it shows at a glance that nothing is to be done. */
const OVER_TITLE = '[{status}] {entity}: {rule}';

/** The default title, and what a title of one's own may name. Whatever else stands in braces stays as it is. */
export function titleOf(template: string | null, alerts: readonly ToldAlert[]): string {
  const [first] = alerts;
  if (first === undefined) return '';
  const { notice } = first;
  const isAllOver = alerts.every(({ kind }) => isOver(kind));
  const values: Readonly<Record<string, string>> = {
    status: statusesText(alerts),
    severity: worstOf(alerts.map((alert) => alert.notice.severity)),
    rule: notice.rule.name,
    entity: alerts.length === 1 ? entityText(notice) : entitiesText(alerts, notice.host),
    host: notice.host,
    project: notice.labels['project'] ?? '',
    value: notice.valueText,
    count: String(alerts.length),
  };
  // One pass: what was put in is not looked at again.
  const text = (template ?? (isAllOver ? OVER_TITLE : TITLE)).replace(/\{([a-z]+)\}/g, (whole, name: string) =>
    Object.hasOwn(values, name) ? (values[name] ?? whole) : whole,
  );
  return cleanLine(text, 200);
}

/** What is sent, before any service's format: one message about one or many alerts, or about an event. */

import type { Severity } from '#contract/alerts-config.ts';
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

function spanText({ kind, notice }: ToldAlert, nowMs: number): string {
  const { startedAtMs, endedAtMs } = notice;
  if (isOver(kind) && endedAtMs !== null)
    return `${timeText(startedAtMs, nowMs)}–${timeText(endedAtMs, startedAtMs)} UTC`;
  return `since ${timeText(startedAtMs, nowMs)} UTC`;
}

export const entityText = ({ entity, host }: AlertNotice): string =>
  entity.name === host ? host : `${entity.name} on ${host}`;

/** One line about one alert, from untrusted names: escaping is the channel's business. */
export function lineOf(alert: ToldAlert, nowMs: number): string {
  const { notice } = alert;
  const value = notice.valueText === '' ? '' : `, ${notice.valueText}`;
  const more = notice.text === '' ? '' : ` – ${notice.text}`;
  return cleanLine(
    `${statusText(alert.kind)}: ${notice.rule.name}, ${entityText(notice)}${value} (${notice.severity}, ${spanText(alert, nowMs)})${more}`,
    600,
  );
}

const MAX_LINES = 10;

/** What a message says in lines of plain text, at most ten alerts of it. */
export function linesOf(message: Message): string[] {
  const lines = message.alerts.slice(0, MAX_LINES).map((alert) => lineOf(alert, message.atMs));
  const more = message.alerts.length - lines.length;
  const text = message.text === '' ? [] : message.text.split('\n').map((line) => cleanLine(line, 1000));
  return [...text, ...lines, ...(more > 0 ? [`and ${more} more`] : [])];
}

/** Names and values of what a single alert is about; none for other messages. */
export function factsOf(message: Message): (readonly [name: string, value: string])[] {
  const [only] = message.alerts;
  if (only === undefined || message.alerts.length > 1) return [];
  const { notice } = only;
  const facts: (readonly [string, string])[] = [
    ['Status', statusText(only.kind)],
    ['Severity', notice.severity],
    ['Rule', notice.rule.name],
    ['Condition', notice.rule.condition],
    [notice.entity.kind === 'vm' ? 'VM' : notice.entity.kind, notice.entity.name],
    ['Host', notice.host],
    ['Project', notice.project ?? ''],
    ['Value', notice.valueText],
    ['Time', spanText(only, message.atMs)],
  ];
  return facts.map(([name, value]) => [name, cleanLine(value, 250)] as const).filter(([, value]) => value !== '');
}

/** The default title, and what a title of one's own may name. Whatever else stands in braces stays as it is. */
export function titleOf(template: string | null, alerts: readonly ToldAlert[]): string {
  const [first] = alerts;
  if (first === undefined) return '';
  const { notice } = first;
  const status = alerts.every(({ kind }) => kind === first.kind)
    ? statusText(first.kind)
    : alerts.every(({ kind }) => isOver(kind))
      ? 'resolved'
      : 'firing';
  const entity = alerts.length === 1 ? entityText(notice) : `${alerts.length} on ${notice.host}`;
  const values: Readonly<Record<string, string>> = {
    status,
    severity: worstOf(alerts.map((alert) => alert.notice.severity)),
    rule: notice.rule.name,
    entity,
    host: notice.host,
    project: notice.project ?? '',
    value: notice.valueText,
    count: String(alerts.length),
  };
  // One pass: what was put in is not looked at again.
  const text = (template ?? '[{severity}] {rule} {status}: {entity}').replace(/\{([a-z]+)\}/g, (whole, name: string) =>
    Object.hasOwn(values, name) ? (values[name] ?? whole) : whole,
  );
  return cleanLine(text, 200);
}

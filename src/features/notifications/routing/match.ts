/** Whether a notice fits: globs, labels, severities, times of the day. */

import type { Route } from '#contract/notifications.ts';
import { matchesGlob } from '#kernel/glob.ts';
import type { AlertNotice } from '../message.ts';

/** Every label that a matcher may name. What the alert is about stands above what its rule calls it. */
function labelOf(notice: AlertNotice, name: string): string {
  const own: Readonly<Record<string, string>> = {
    host: notice.host,
    kind: notice.entity.kind,
    entity: notice.entity.name,
    rule: notice.rule.name,
    severity: notice.severity,
  };
  return (Object.hasOwn(own, name) ? own[name] : notice.labels[name]) ?? '';
}

export const labelsFit = (
  wanted: readonly { readonly label: string; readonly value: string; readonly isNot: boolean }[],
  notice: AlertNotice,
): boolean => wanted.every(({ label, value, isNot }) => matchesGlob(labelOf(notice, label), value) !== isNot);

function timeFits(times: NonNullable<Route['match']['times']>, now: Date): boolean {
  const { days, from = '00:00', to = '24:00' } = times;
  const clock = `${String(now.getHours()).padStart(2, '0')}:${String(now.getMinutes()).padStart(2, '0')}`;
  const isOvernight = from > to;
  const isInside = isOvernight ? clock >= from || clock < to : clock >= from && clock < to;
  // After midnight the night still belongs to the day on which it began.
  const day = isOvernight && clock < to ? (now.getDay() + 6) % 7 : now.getDay();
  return isInside && (days === undefined || days.includes(day));
}

/** Whether a route takes a notice. @param projectName of the notice's project */
export function routeFits(
  { match, mode, isInverted }: Pick<Route, 'match' | 'mode' | 'isInverted'>,
  notice: AlertNotice,
  projectName: string | null,
  now: Date,
): boolean {
  const answers: boolean[] = [];
  if (match.severities !== undefined) answers.push(match.severities.includes(notice.severity));
  if (match.labels !== undefined) answers.push(labelsFit(match.labels, notice));
  if (match.project !== undefined) answers.push(match.project === notice.project || match.project === projectName);
  if (match.rule !== undefined) answers.push(matchesGlob(notice.rule.name, match.rule));
  if (match.times !== undefined) answers.push(timeFits(match.times, now));
  const fits = mode === 'any' && answers.length > 0 ? answers.some(Boolean) : answers.every(Boolean);
  return fits !== isInverted;
}

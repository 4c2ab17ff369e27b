/** A route in words. */

import type { Route } from '#contract/notifications.ts';
import { projectName } from '../../state/projects.ts';
import { text } from '../../text.ts';
import { alertsText } from '../../text-alerts.ts';

const words = alertsText.routing;

/** What fits, where it goes, and what else it does. */
export function routeText(route: Route): {
  readonly fits: string;
  readonly goes: string;
  readonly more: readonly string[];
} {
  const { match, mode, isInverted, channels, escalation, goesOn } = route;
  const parts = [
    (match.severities ?? []).map((severity) => text.severities[severity]).join(words.any),
    match.rule === undefined ? '' : words.rule(match.rule),
    ...(match.labels ?? []).map(({ label, isNot, value }) => words.label(label, isNot, value)),
    match.project === undefined ? '' : words.project(projectName(match.project)),
    match.times === undefined
      ? ''
      : [
          (match.times.days ?? []).map((day) => words.days[day] ?? '').join(' '),
          match.times.from || match.times.to ? words.hours(match.times.from ?? '', match.times.to ?? '') : '',
        ]
          .filter(Boolean)
          .join(' '),
  ].filter(Boolean);
  const fits = parts.join(mode === 'all' ? words.all : words.any) || words.everything;
  return {
    fits: isInverted ? words.not(fits) : fits,
    goes: channels.join(', ') || words.nobody,
    more: [
      ...escalation.map(({ afterMinutes, channels: others }) => words.escalates(afterMinutes, others.join(', '))),
      ...(goesOn ? [words.goesOn] : []),
    ],
  };
}

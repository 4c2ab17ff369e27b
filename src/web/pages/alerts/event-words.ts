/** What happened to an alert, in words and colours. */

import type { AlertEvent } from '#contract/alerts.ts';
import type { Tone } from '../../components/state-mark.tsx';
import { alertsText } from '../../text-alerts.ts';

export const EVENT_TONES: Readonly<Record<AlertEvent['kind'], Tone>> = {
  firing: 'bad',
  resolved: 'good',
  suppressed: 'unknown',
  severity_raised: 'bad',
  flapping: 'warn',
  nodata: 'warn',
  acknowledged: 'accent',
};

/** Why, or who with what note; empty when there is nothing to say. */
export function reasonText({ reason, note }: Pick<AlertEvent, 'reason' | 'note'>): string {
  const why = reason === null ? '' : (alertsText.reasons[reason] ?? reason);
  return [why, note ?? ''].filter(Boolean).join(': ');
}

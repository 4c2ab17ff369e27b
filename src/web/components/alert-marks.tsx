/** Severities and states of alerts as shape, colour and word. */

import type { Alert } from '#contract/alerts.ts';
import type { Severity } from '#contract/alerts-config.ts';
import { text } from '../text.ts';
import { Glyph, Mark, type Shape, type Tone } from './state-mark.tsx';

const SEVERITY_MARKS: Readonly<Record<Severity, readonly [Tone, Shape]>> = {
  critical: ['bad', 'square'],
  warning: ['warn', 'triangle'],
  info: ['accent', 'dot'],
};

export const severityTone = (severity: Severity): Tone => SEVERITY_MARKS[severity][0];

export function SeverityMark({ severity }: { readonly severity: Severity }) {
  const [tone, shape] = SEVERITY_MARKS[severity];
  return (
    <Mark tone={tone} shape={shape}>
      {text.severities[severity]}
    </Mark>
  );
}

/** The glyph alone, with its word for screen readers. What is held back or acknowledged does not shout. */
export function AlertGlyph({ alert }: { readonly alert: Pick<Alert, 'severity' | 'state' | 'acknowledged'> }) {
  const [tone, shape] = SEVERITY_MARKS[alert.severity];
  const isQuiet = alert.acknowledged !== null || alert.state === 'suppressed';
  return (
    <>
      <Glyph tone={isQuiet ? 'unknown' : tone} shape={shape} />
      <span class="visually-hidden">{text.severities[alert.severity]}</span>
    </>
  );
}

/** The figure at the moment of a change, and what it was held against. */

import type { AlertEvent } from '#contract/alerts.ts';
import { alertsText } from '../../text-alerts.ts';

export function EventFigures({ event: { valueText, limitText } }: { readonly event: AlertEvent }) {
  return (
    <span class="small">
      <span class="mono">{valueText}</span>
      {limitText !== '' && <span class="muted"> {alertsText.history.limit(limitText)}</span>}
    </span>
  );
}

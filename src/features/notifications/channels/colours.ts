/** Colours of severities in chats, as #rrggbb. */

import type { Severity } from '#contract/alerts-config.ts';

export const COLOURS: Readonly<Record<Severity | 'resolved', string>> = {
  info: '#2f80ed',
  warning: '#e2a500',
  critical: '#d00000',
  resolved: '#27ae60',
};

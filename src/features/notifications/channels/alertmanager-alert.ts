/** An alert in the words of Prometheus, for Alertmanager and for webhooks of its shape. */

import type { AlertNotice } from '../message.ts';
import { cleanLine } from '../text.ts';

/** Label names are letters, digits and underscores; what would collide or is empty is left out. */
export function labelsOf(notice: AlertNotice): Record<string, string> {
  const labels: Record<string, string> = {};
  for (const [name, value] of Object.entries(notice.labels)) {
    const fitting = name.replace(/[^A-Za-z0-9_]/g, '_').replace(/^(?=\d)/, '_');
    if (fitting !== '' && !fitting.startsWith('__') && value !== '') labels[fitting] = value.toWellFormed();
  }
  return {
    ...labels,
    alertname: notice.rule.name,
    severity: notice.severity,
    host: notice.host,
    ...(notice.project === null ? {} : { project: notice.project }),
  };
}

export function annotationsOf(notice: AlertNotice): Record<string, string> {
  return {
    summary: cleanLine(`${notice.entity.name}: ${notice.rule.name} ${notice.valueText}`, 500),
    description: notice.text.toWellFormed(),
    condition: notice.rule.condition,
    value: notice.valueText,
  };
}

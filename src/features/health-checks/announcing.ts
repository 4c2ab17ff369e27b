/** When a check tells people: what stays bad over two runs, once; what gets worse, again; and that it is well again. */

import type { CheckStatus } from '#contract/common.ts';
import type { AnnouncedEvent } from '#features/notifications/index.ts';
import type { HealthCheck } from './check.ts';

export type Told = 'warn' | 'fail' | null;

export interface Telling {
  /** What people believe after this. */
  readonly told: Told;
  readonly event: AnnouncedEvent | null;
}

/** @param streak runs in a row with this status, this one included
 *  @param since when the status began: one stretch is told under one key */
export function tellingOf(
  check: Pick<HealthCheck, 'id' | 'title' | 'isAnnounced'>,
  found: { readonly status: CheckStatus; readonly evidence: string; readonly hint: string | null },
  { streak, told, since }: { readonly streak: number; readonly told: Told; readonly since: string },
): Telling {
  const { status, evidence, hint } = found;
  const event = (severity: AnnouncedEvent['severity'], title: string): AnnouncedEvent => ({
    key: `health:${check.id}:${status}:${since}`,
    severity,
    title,
    text: hint === null ? evidence : `${evidence} ${hint}`,
    project: null,
    labels: { rule: 'health_check', check: check.id, status },
  });
  // What is not known is neither told nor taken for well.
  if (check.isAnnounced !== true || status === 'unknown' || streak < 2) return { told, event: null };
  if (status === 'ok')
    return { told: null, event: told === null ? null : event('info', `Health: ${check.title} is well again`) };
  const isNews = told === null || (told === 'warn' && status === 'fail');
  if (!isNews) return { told, event: null };
  return { told: status, event: event(status === 'fail' ? 'critical' : 'warning', `Health: ${check.title}`) };
}

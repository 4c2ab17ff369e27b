/** What a channel takes in an hour: 30 messages, and 10 critical ones beside them. What is more goes into one
 *  digest every 15 minutes. */

import type { Severity } from '#contract/alerts-config.ts';

const IN_AN_HOUR = 30;
const CRITICAL_IN_AN_HOUR = 10;
const DIGEST_EVERY_MS = 15 * 60_000;
export const HOUR_MS = 3_600_000;

/** What went out in the last hour. */
export interface Sent {
  readonly critical: number;
  readonly other: number;
  readonly newestDigestMs: number | null;
}

export function isWithinCap(severity: Severity, { critical, other }: Sent): boolean {
  if (severity === 'critical' && critical < CRITICAL_IN_AN_HOUR) return true;
  return other + Math.max(0, critical - CRITICAL_IN_AN_HOUR) < IN_AN_HOUR;
}

export const isDigestDue = ({ newestDigestMs }: Sent, nowMs: number): boolean =>
  newestDigestMs === null || nowMs - newestDigestMs >= DIGEST_EVERY_MS;

/** Retention as people write it: `7 daily, 4 weekly`. */

import type { Retention } from '#contract/protection.ts';
import { usageFailure } from './failure.ts';
import { commaSeparated } from './values.ts';

const PERIODS = ['last', 'hourly', 'daily', 'weekly', 'monthly', 'yearly'] as const;

export function retentionText(retention: Retention): string {
  const parts = PERIODS.filter((period) => retention[period] > 0).map((period) => `${retention[period]} ${period}`);
  return parts.join(', ') || 'everything';
}

/** @throws a usage failure for other words */
export function retentionOf(text: string): Retention {
  const none = { last: 0, hourly: 0, daily: 0, weekly: 0, monthly: 0, yearly: 0 };
  if (text.trim() === 'everything') return none;
  const parts = commaSeparated(text).map((part) => {
    const [, count, name] = /^(\d{1,5}) ?([a-z]+)$/.exec(part.trim()) ?? [];
    const period = PERIODS.find((one) => one === name);
    if (period === undefined)
      throw usageFailure(`"${part}" is no retention`, `Use ${PERIODS.join(', ')}: --keep "7 daily, 4 weekly".`);
    return [period, Number(count)] as const;
  });
  return { ...none, ...Object.fromEntries(parts) };
}

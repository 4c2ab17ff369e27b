/** hyperd itself: measuring, keeping, telling. */

import type { HealthItem } from '#contract/health.ts';
import { formatBytes } from '#kernel/units.ts';
import { conclude, type Finding, type HealthCheck, type HealthContext, levelOf, MINUTE_MS, unknown } from '../check.ts';
import { plural, seconds } from '../text.ts';

const TEN_MINUTES_MS = 10 * MINUTE_MS;

async function hyperd(context: HealthContext): Promise<Finding> {
  const { figures, facts, limit } = context;
  const [missed] = figures.fresh('collector_missed_total', 'host');
  const [size] = figures.fresh('metrics_db_size', 'host');
  if (missed === undefined)
    return unknown('hyperd measures nothing.', 'Look at the log of hyperd; restart it when it says nothing.');
  const { oldestWaitingMs, dead, hasDeadMan } = await facts.messages();
  const left = figures.growth(missed, TEN_MINUTES_MS);
  const waiting = levelOf(oldestWaitingMs / 1000, limit('self.outbox'));
  const items: readonly HealthItem[] = [
    {
      name: 'measuring',
      status: left > 0 ? 'warn' : 'ok',
      detail: `${plural(left, 'measurement')} left out in ten minutes`,
    },
    {
      name: 'history',
      status: size !== undefined && size.value > facts.historyMaxBytes ? 'warn' : 'ok',
      detail:
        size === undefined
          ? 'its size is not known yet'
          : `${formatBytes(size.value)} of ${formatBytes(facts.historyMaxBytes)}`,
    },
    ...facts
      .historyProblems()
      .map(({ title, severity, detail }): HealthItem => ({ name: title, status: severity, detail })),
    { name: 'messages', status: waiting, detail: `the oldest waits for ${seconds(oldestWaitingMs / 1000)}` },
    { name: 'messages given up', status: dead > 0 ? 'fail' : 'ok', detail: String(dead) },
    {
      name: 'sign of life',
      status: hasDeadMan ? 'ok' : 'warn',
      detail: hasDeadMan ? 'is sent' : 'is not set up: nobody hears when this machine is down',
    },
  ];
  return conclude(
    items,
    'hyperd measures, keeps and tells.',
    'Messages: `hv notice list`, `hv channel test NAME`. Sign of life: set `notifications.deadManUrl` (docs/guides/notifications.md).',
  );
}

export const selfChecks: readonly HealthCheck[] = [
  {
    id: 'self.hyperd',
    number: 46,
    title: 'hyperd itself',
    meaning:
      'Whether it measures in time, its history fits, messages get out, and a sign of life is sent to a service outside.',
    warnsWhen: 'measurements were left out, the history is too large, or no sign of life is set up',
    failsWhen: 'messages were given up',
    limits: ['self.outbox'],
    everyMs: MINUTE_MS,
    run: hyperd,
  },
];

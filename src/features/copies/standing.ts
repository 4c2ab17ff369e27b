/** How far copies are behind, for who watches over them: health checks, alert rules, other systems. */

import type { Collector, Owner } from '#features/metrics/index.ts';
import type { Clock } from '#kernel/clock.ts';
import type { MetricFamily } from '#platform/feature.ts';

export interface CopyStanding {
  readonly repositoryId: string;
  readonly name: string;
  /** It is made by itself; otherwise nothing is late there. */
  readonly isEnabled: boolean;
  /** Restore points and states that should be there and are not. */
  readonly missing: number;
  /** Since when the oldest of them could have been copied, in milliseconds since the epoch; null = none is missing. */
  readonly waitingSinceMs: number | null;
  readonly succeededAtMs: number | null;
  /** Why the last copy failed, for people. */
  readonly problem: string | null;
}

const EVERY_MS = 60_000;

/** How long the restore point that waits longest has waited; null where no copy is made by itself. */
export function longestWaitSeconds(copies: readonly CopyStanding[], nowMs: number): number | null {
  const watched = copies.filter(({ isEnabled }) => isEnabled);
  if (watched.length === 0) return null;
  return Math.max(...watched.map((copy) => waitSeconds(copy, nowMs)));
}

/** Points from ahead of a clock that was set back have not waited yet. */
const waitSeconds = ({ waitingSinceMs }: CopyStanding, nowMs: number): number =>
  waitingSinceMs === null ? 0 : Math.max(0, (nowMs - waitingSinceMs) / 1000);

/** Once a minute: copies are late by hours. */
export function copyCollector(host: Owner, clock: Clock, standing: () => readonly CopyStanding[]): Collector {
  let lastMs = Number.NEGATIVE_INFINITY;
  return {
    name: 'copies',
    collect(sink) {
      if (clock.monotonicMs() - lastMs < EVERY_MS) return;
      lastMs = clock.monotonicMs();
      const all = standing();
      const seconds = longestWaitSeconds(all, clock.now().getTime());
      sink.put(host, 'host', '', 'backup_copy_wait', seconds, EVERY_MS);
      const failed = all.filter(({ problem }) => problem !== null).length;
      sink.put(host, 'host', '', 'backup_copies_failed', all.length === 0 ? null : failed, EVERY_MS);
    },
  };
}

export function copyMetrics(copies: readonly CopyStanding[], nowMs: number): MetricFamily[] {
  const gauge = (name: string, unit: 'seconds' | null, help: string, value: (copy: CopyStanding) => number | null) => ({
    name: `hyper_backup_copy_${name}`,
    type: 'gauge' as const,
    unit,
    help,
    samples: copies.flatMap((copy) => {
      const figure = value(copy);
      return figure === null ? [] : [{ labels: { repository: copy.name }, value: figure }];
    }),
  });
  return [
    gauge(
      'missing_points',
      null,
      'Restore points and states that should be in the copy and are not.',
      ({ missing }) => missing,
    ),
    gauge('wait_seconds', 'seconds', 'How long the oldest of them has waited.', (copy) => waitSeconds(copy, nowMs)),
    gauge('last_success_timestamp_seconds', 'seconds', 'When the copy last had all that belongs there.', (copy) =>
      copy.succeededAtMs === null ? null : copy.succeededAtMs / 1000,
    ),
    gauge('failed', null, '1 after a copy that failed.', ({ problem }) => (problem === null ? 0 : 1)),
  ];
}

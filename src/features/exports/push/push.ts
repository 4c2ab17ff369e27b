/** All targets: each measurement is offered to every one of them. */

import type { PushStatus } from '#contract/metrics.ts';
import type { Overview } from '#contract/system.ts';
import type { Clock } from '#kernel/clock.ts';
import type { Logger } from '#kernel/logger.ts';
import { formatDuration } from '#kernel/units.ts';
import type { MetricFamily } from '#platform/feature.ts';
import { createPusher, type Pusher } from './pusher.ts';
import { createSnapshots } from './snapshot.ts';
import type { OpenTarget } from './target.ts';

export interface PushParts {
  readonly clock: Clock;
  readonly log: Logger;
  /** All that is exported. */
  families(): readonly MetricFamily[];
  hostName(): string;
}

/** A target that restarts is no problem yet. */
const PROBLEM_MS = 10 * 60_000;

export function createPush({ clock, log, families, hostName }: PushParts) {
  const snapshots = createSnapshots();
  let pushers: readonly Pusher[] = [];

  return {
    open(targets: readonly OpenTarget[]): void {
      pushers = targets.map((target) => createPusher({ target, clock, log, random: Math.random }));
    },
    run: (signal: AbortSignal): Promise<unknown> => Promise.all(pushers.map((pusher) => pusher.run(signal))),
    /** @param atMs wall time of the measurement */
    ticked(atMs: number): void {
      if (pushers.length === 0) return;
      const snapshot = snapshots.take(families(), hostName(), atMs);
      for (const pusher of pushers) pusher.offer(snapshot);
    },
    status: (): readonly PushStatus[] => pushers.map((pusher) => pusher.status()),
    problems: (): Overview['problems'] =>
      pushers.flatMap((pusher) => {
        const failingMs = pusher.failingMs();
        const { name, address, error, droppedTicks } = pusher.status();
        if (failingMs < PROBLEM_MS) return [];
        const lost = droppedTicks === 0 ? '' : ` ${droppedTicks} measurements were given up since the start.`;
        return [
          {
            id: `metrics.push:${name}`,
            severity: 'warn' as const,
            title: `${name} takes no figures`,
            detail: `${address} has not taken any for ${formatDuration(failingMs)}: ${error ?? ''}.${lost} The history here is whole.`,
            hint: `Look at that program, and at metrics.push of the configuration. \`hv metrics targets\` tells how it goes.`,
            link: null,
          },
        ];
      }),
    families: (): readonly MetricFamily[] => {
      const all = pushers.map((pusher) => pusher.status());
      const of = (
        name: string,
        type: 'counter' | 'gauge',
        help: string,
        value: (status: PushStatus) => number,
      ): MetricFamily => ({
        name,
        type,
        help,
        samples: all.map((status) => ({ labels: { target: status.name }, value: value(status) })),
      });
      return [
        of('hyper_push_up', 'gauge', '1 = the target takes figures.', ({ state }) => Number(state === 'ok')),
        of('hyper_push_queued_ticks', 'gauge', 'Measurements that wait to be sent.', (status) => status.queuedTicks),
        of('hyper_push_dropped_ticks_total', 'counter', 'Measurements given up.', (status) => status.droppedTicks),
        of('hyper_push_sent_samples_total', 'counter', 'Figures that were taken.', (status) => status.sentSamples),
      ];
    },
  };
}

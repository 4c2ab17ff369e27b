/** Turns a step's frequent reports into calm figures for people: rate, ratio, at most four updates a second. */

import type { Operation } from '#contract/operations.ts';
import type { Clock } from '#kernel/clock.ts';
import type { StepProgress } from './definition.ts';

const UPDATE_EVERY_MS = 250;
/** The rate is a mean over about this long. */
const RATE_WINDOW_MS = 5000;

export interface ProgressMeter {
  /** True when it is time to tell clients. */
  report(progress: StepProgress): boolean;
  current(): Operation['progress'];
  reset(): void;
}

export function createProgress(clock: Clock): ProgressMeter {
  let latest: StepProgress | null = null;
  let lastToldMs = Number.NEGATIVE_INFINITY;
  let samples: { atMs: number; bytes: number }[] = [];

  return {
    report(progress) {
      const nowMs = clock.monotonicMs();
      latest = { ...latest, ...progress };
      if (progress.doneBytes !== undefined) {
        samples.push({ atMs: nowMs, bytes: progress.doneBytes });
        while (samples.length > 2 && nowMs - (samples[0]?.atMs ?? nowMs) > RATE_WINDOW_MS) samples.shift();
      }
      const isDue = nowMs - lastToldMs >= UPDATE_EVERY_MS;
      if (isDue) lastToldMs = nowMs;
      return isDue;
    },
    current() {
      if (!latest) return null;
      const first = samples[0];
      const last = samples.at(-1);
      const spanMs = first && last ? last.atMs - first.atMs : 0;
      const byteRatio =
        latest.totalBytes && latest.doneBytes !== undefined ? Math.min(1, latest.doneBytes / latest.totalBytes) : null;
      return {
        ratio: latest.ratio ?? byteRatio,
        doneBytes: latest.doneBytes ?? null,
        totalBytes: latest.totalBytes ?? null,
        bytesPerSecond:
          first && last && spanMs >= 500 ? Math.round(((last.bytes - first.bytes) * 1000) / spanMs) : null,
        note: latest.note ?? null,
      };
    },
    reset() {
      latest = null;
      samples = [];
      lastToldMs = Number.NEGATIVE_INFINITY;
    },
  };
}

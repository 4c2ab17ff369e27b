/** Work on the files of the history, whose failures end here: figures of the moment go on. The ticks and the hours have each their own
 *  state, because one may be written while the other cannot. */

import type { Clock } from '#kernel/clock.ts';
import { messageOf } from '#kernel/errors.ts';
import type { Logger } from '#kernel/logger.ts';
import { isDamagedFile } from './file.ts';

export type FileWork = 'ticks' | 'hours';

export interface FileWorks {
  /** Never rejects. @param what for people, as in "writing a tick" */
  run(kind: FileWork, what: string, work: () => Promise<void>): Promise<void>;
  /** False for a while after a failure. */
  mayTry(kind: FileWork): boolean;
  /** What cannot be written, the longest first; null = everything can. */
  failing(): { readonly why: string; readonly sinceMs: number } | null;
}

interface Failing {
  readonly why: string;
  readonly sinceMs: number;
  readonly untilMs: number;
}

const RETRY_MS = 60_000;

/** @param beginAnew puts a damaged file aside; false when that is not possible either */
export function createFileWorks(options: {
  readonly clock: Pick<Clock, 'monotonicMs'>;
  readonly log: Logger;
  /** Rejects while the disk does not answer. */
  readonly diskAnswers: () => Promise<void>;
  readonly beginAnew: (damage: unknown) => boolean;
}): FileWorks {
  const { clock, log, diskAnswers, beginAnew } = options;
  const states = new Map<FileWork, Failing>();
  return {
    async run(kind, what, work) {
      const before = states.get(kind);
      try {
        await diskAnswers();
        await work();
        if (before !== undefined) log.info({}, `${what} works again`);
        states.delete(kind);
      } catch (error) {
        if (isDamagedFile(error) && beginAnew(error)) return;
        if (before === undefined) log.warn({ err: error }, `${what} failed; figures stay in memory for an hour`);
        const nowMs = clock.monotonicMs();
        states.set(kind, {
          why: messageOf(error),
          sinceMs: before?.sinceMs ?? nowMs,
          untilMs: nowMs + RETRY_MS,
        });
      }
    },
    mayTry: (kind) => clock.monotonicMs() >= (states.get(kind)?.untilMs ?? Number.NEGATIVE_INFINITY),
    failing: () => [...states.values()].sort((a, b) => a.sinceMs - b.sinceMs)[0] ?? null,
  };
}

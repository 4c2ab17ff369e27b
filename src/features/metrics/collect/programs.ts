/** Programs that tell of storage and hardware: asked with a deadline, and only where they are installed. */

import type { Clock } from '#kernel/clock.ts';
import { AppError } from '#kernel/errors.ts';
import { type RunOptions, type RunResult, run } from '#platform/process.ts';

export interface Programs {
  /** What the program said, whatever its exit status; null where it is not installed.
   *  @throws timeout after 10 s, program_output_too_large, the signal's reason */
  ask(argv: readonly string[], signal?: AbortSignal): Promise<RunResult | null>;
}

const DEADLINE_MS = 10_000;
const MAX_OUTPUT_BYTES = 2 ** 20;
/** A program that was not there is looked for again after this. */
const ABSENT_MS = 600_000;

export function createPrograms(
  clock: Clock,
  start: (argv: readonly string[], options: RunOptions) => Promise<RunResult> = run,
): Programs {
  const absentSinceMs = new Map<string, number>();
  return {
    async ask(argv, signal) {
      const [program = ''] = argv;
      const sinceMs = absentSinceMs.get(program);
      if (sinceMs !== undefined && clock.monotonicMs() - sinceMs < ABSENT_MS) return null;
      try {
        const options = { timeoutMs: DEADLINE_MS, maxOutputBytes: MAX_OUTPUT_BYTES };
        const result = await start(argv, signal === undefined ? options : { ...options, signal });
        absentSinceMs.delete(program);
        return result;
      } catch (error) {
        if (!(error instanceof AppError) || error.code !== 'program_missing') throw error;
        absentSinceMs.set(program, clock.monotonicMs());
        return null;
      }
    },
  };
}

/** The last ten minutes in steps of five seconds. A step that was not measured is null, never 0. */

export const STEP_SECONDS = 5;
export const KEPT_STEPS = (10 * 60) / STEP_SECONDS;

export interface Sample {
  readonly cpuRatio: number | null;
  readonly memoryRatio: number | null;
}

export interface History {
  /** Puts a sample into the step of this moment; steps left out since the last one become gaps. */
  add(monotonicMs: number, sample: Sample): void;
  /** Always `KEPT_STEPS` long, oldest first, ending with the step of this moment. */
  read(monotonicMs: number): { readonly cpuRatio: (number | null)[]; readonly memoryRatio: (number | null)[] };
}

const stepOf = (monotonicMs: number) => Math.floor(monotonicMs / (STEP_SECONDS * 1000));

export function createHistory(): History {
  const steps = new Map<number, Sample>();
  return {
    add(monotonicMs, sample) {
      const now = stepOf(monotonicMs);
      steps.set(now, sample);
      for (const step of steps.keys()) if (step <= now - KEPT_STEPS) steps.delete(step);
    },
    read(monotonicMs) {
      const now = stepOf(monotonicMs);
      // The present step may not be measured yet; then the picture ends one step earlier instead of with a false gap.
      const last = steps.has(now) ? now : now - 1;
      const kept = Array.from({ length: KEPT_STEPS }, (_, index) => steps.get(last - KEPT_STEPS + 1 + index));
      return {
        cpuRatio: kept.map((sample) => sample?.cpuRatio ?? null),
        memoryRatio: kept.map((sample) => sample?.memoryRatio ?? null),
      };
    },
  };
}

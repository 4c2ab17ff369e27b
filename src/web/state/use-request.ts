/** A change that a dialog asks for: whether it is under way, and why it was refused. */

import { type ReadonlySignal, useSignal } from '@preact/signals';
import type { Problem } from '#contract/common.ts';
import { problemOf } from './api.ts';

export interface RequestState {
  readonly isBusy: ReadonlySignal<boolean>;
  readonly problem: ReadonlySignal<Problem | null>;
  /** Answers true when it was done. A second one waits for nothing: it is not begun while the first is under way. */
  run(work: () => Promise<void>): Promise<boolean>;
}

export function useRequest(): RequestState {
  const isBusy = useSignal(false);
  const problem = useSignal<Problem | null>(null);
  return {
    isBusy,
    problem,
    async run(work) {
      if (isBusy.peek()) return false;
      isBusy.value = true;
      problem.value = null;
      try {
        await work();
        return true;
      } catch (error) {
        problem.value = problemOf(error);
        return false;
      } finally {
        isBusy.value = false;
      }
    },
  };
}

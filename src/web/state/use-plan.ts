/** Asks for the plan of what a form would do, a moment after the last change, and forgets answers that came too late. */

import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { Problem } from '#contract/common.ts';
import type { VmPlan } from '#contract/vms.ts';
import { problemOf } from './api.ts';

export interface PlanState {
  readonly plan: VmPlan | null;
  readonly problem: Problem | null;
  /** The plan on screen is not that of what is typed yet. */
  readonly isBusy: boolean;
}

const SETTLE_MS = 350;

/** @param input what is planned, as JSON; null = nothing to plan
 *  @param ask one request for the plan of that input */
export function usePlan<Input>(
  input: Input | null,
  ask: (input: Input, signal: AbortSignal) => Promise<VmPlan>,
): PlanState {
  const state = useSignal<PlanState>({ plan: null, problem: null, isBusy: input !== null });
  const key = JSON.stringify(input);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the key stands for the input, and `ask` is the same question in each drawing
  useEffect(() => {
    if (input === null) {
      state.value = { plan: null, problem: null, isBusy: false };
      return;
    }
    state.value = { ...state.peek(), isBusy: true };
    const stop = new AbortController();
    const timer = window.setTimeout(async () => {
      try {
        const plan = await ask(input, stop.signal);
        if (!stop.signal.aborted) state.value = { plan, problem: null, isBusy: false };
      } catch (error) {
        if (!stop.signal.aborted) state.value = { plan: null, problem: problemOf(error), isBusy: false };
      }
    }, SETTLE_MS);
    return () => {
      window.clearTimeout(timer);
      stop.abort();
    };
  }, [key]);
  return state.value;
}

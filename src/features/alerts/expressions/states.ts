/** The numbers of the states that the meaning of rules depends on. */

import { METRICS } from '#contract/metric-catalogue.ts';

export const VM_RUNNING = METRICS.vm_state.values.indexOf('running');
export const DESIRED_RUNNING = METRICS.vm_state_desired.values.indexOf('running');

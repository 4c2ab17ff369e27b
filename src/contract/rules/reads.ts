/** What a rule reads: metrics, and functions over time. */

import { definitionOf, type MetricName } from '../metric-catalogue.ts';
import type { Comparison, Selector, Test, Value } from './checked.ts';

type Call = Value & { readonly type: 'call' };

export function callsOf(test: Test): readonly Call[] {
  if (test.type === 'compare') return [...callsIn(test.left), ...callsIn(test.right)];
  if (test.type === 'absent') return [];
  return test.type === 'not' ? callsOf(test.inner) : [...callsOf(test.left), ...callsOf(test.right)];
}

function callsIn(value: Value): readonly Call[] {
  if (value.type === 'call') return [value];
  if (value.type === 'arithmetic') return [...callsIn(value.left), ...callsIn(value.right)];
  return value.type === 'count' && 'left' in value.of ? callsOf(value.of) : [];
}

/** Metrics that a test reads, in the order of the text; some more than once. */
export function metricsOf(test: Test): readonly MetricName[] {
  switch (test.type) {
    case 'compare':
      return metricsOfComparison(test);
    case 'absent':
      return metricsOfAbsent(test.selector);
    case 'not':
      return metricsOf(test.inner);
    default:
      return [...metricsOf(test.left), ...metricsOf(test.right)];
  }
}

function metricsOfComparison(comparison: Comparison): readonly MetricName[] {
  const desired: readonly MetricName[] = comparison.isDesiredOnly ? ['vm_state_desired'] : [];
  return [...metricsOfValue(comparison.left), ...metricsOfValue(comparison.right), ...desired];
}

/** Whether a VM should have a sample depends on its state. */
function metricsOfAbsent({ metric, kinds }: Selector): readonly MetricName[] {
  return needsRunning(metric) &&
    kinds.some((kind) => kind === 'vm' || kind === 'vdisk' || kind === 'vnic' || kind === 'guestfs')
    ? [metric, 'vm_state']
    : [metric];
}

/** Figures of VMs that are there whether the VM runs or not. */
const ALWAYS: readonly MetricName[] = [
  'vm_state',
  'vm_state_desired',
  'vm_job',
  'vm_pause_reason',
  'snapshot_chain',
  'snapshot_age',
  'disk_allocated',
  'disk_capacity',
];

/** Whether a VM that does not run has no samples of it. Event metrics hold until they change, so their absence is judged by the VM's age. */
export function needsRunning(metric: MetricName): boolean {
  return !ALWAYS.includes(metric) && definitionOf(metric).periodSeconds > 0;
}

function metricsOfValue(value: Value): readonly MetricName[] {
  switch (value.type) {
    case 'constant':
      return [];
    case 'arithmetic':
      return [...metricsOfValue(value.left), ...metricsOfValue(value.right)];
    case 'count':
      return 'metric' in value.of ? [value.of.metric] : metricsOfComparison(value.of);
    default:
      return [value.selector.metric];
  }
}

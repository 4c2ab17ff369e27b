/** Showing a plan: what a create or an edit will do, before it does it. */

import type { VmPlan } from '#contract/vms.ts';
import { formatBytes } from '#kernel/units.ts';
import type { CommandContext } from './context.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';
import type { Colour } from './output.ts';
import { type Column, printHeading, printTable } from './table.ts';
import { safeText } from './text.ts';

const EFFECTS: Readonly<Record<VmPlan['changes'][number]['effect'], readonly [text: string, colour: Colour]>> = {
  live: ['● at once', 'green'],
  next_boot: ['◐ at the next boot', 'blue'],
  restart: ['▲ needs a restart', 'yellow'],
  destroys_data: ['■ destroys data', 'red'],
};

type Change = VmPlan['changes'][number];

const FIELD: Column<Change> = { title: 'FIELD', value: (change) => safeText(change.field) };
const EDIT_COLUMNS: readonly Column<Change>[] = [
  FIELD,
  { title: 'NOW', value: (change) => safeText(change.now ?? '–'), flexibleTo: 6 },
  { title: 'AFTER', value: (change) => safeText(change.after ?? '–'), flexibleTo: 6 },
  {
    title: 'EFFECT',
    value: (change) => EFFECTS[change.effect][0],
    colour: (text, change, paint) => paint(EFFECTS[change.effect][1], text),
  },
];
/** For something that is not there yet. */
const CREATE_COLUMNS: readonly Column<Change>[] = [
  FIELD,
  { title: 'VALUE', value: (change) => safeText(change.after ?? '–'), flexibleTo: 10 },
];

/** Prints a plan, its warnings to stderr. */
export function showPlan({ output }: CommandContext, plan: VmPlan): ExitCode {
  if (output.isJson) {
    output.json(plan);
    return EXIT.done;
  }
  const isCreate = plan.changes.every(({ now }) => now === null);
  printTable(output, isCreate ? CREATE_COLUMNS : EDIT_COLUMNS, plan.changes, 'Nothing would change.');
  if (plan.steps.length > 0) {
    printHeading(output, 'Steps');
    for (const [index, { title }] of plan.steps.entries()) output.line(`${index + 1}. ${safeText(title)}`);
  }
  const { memoryBytes, diskBytes, freeMemoryBytes, freeDiskBytes } = plan.needs;
  const free = (bytes: number | null) => (bytes === null ? '' : ` of ${formatBytes(bytes)} free`);
  if (memoryBytes > 0 || diskBytes > 0) {
    printHeading(output, 'Needs');
    output.line(
      `memory ${formatBytes(memoryBytes)}${free(freeMemoryBytes)}, disk ${formatBytes(diskBytes)}${free(freeDiskBytes)}, runs with ${plan.accel === 'kvm' ? 'KVM' : 'software emulation (TCG)'}`,
    );
  }
  for (const warning of plan.warnings) output.message(`${output.paintMessage('yellow', '▲')} ${safeText(warning)}`);
  return EXIT.done;
}

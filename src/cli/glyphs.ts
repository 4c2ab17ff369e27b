/** The glyph and colour of every state. State is never colour alone: each has a shape and a word. */

import type { CheckStatus } from '#contract/common.ts';
import type { OperationState } from '#contract/operations.ts';
import type { VmState } from '#contract/vms.ts';
import type { Colour } from './output.ts';

export interface Mark {
  readonly glyph: string;
  readonly colour: Colour;
}

const GOOD: Mark = { glyph: '●', colour: 'green' };
const QUIET: Mark = { glyph: '○', colour: 'grey' };
const MOVING: Mark = { glyph: '◐', colour: 'blue' };
const WARNING: Mark = { glyph: '▲', colour: 'yellow' };
const BROKEN: Mark = { glyph: '■', colour: 'red' };
const UNKNOWN: Mark = { glyph: '?', colour: 'yellow' };

export const VM_MARKS: Readonly<Record<VmState, Mark>> = {
  running: GOOD,
  idle: GOOD,
  paused: MOVING,
  shutting_down: MOVING,
  suspended: MOVING,
  off: QUIET,
  crashed: BROKEN,
  unknown: UNKNOWN,
};

export const OPERATION_MARKS: Readonly<Record<OperationState, Mark>> = {
  pending: QUIET,
  running: MOVING,
  compensating: MOVING,
  done: GOOD,
  failed: BROKEN,
  cancelled: QUIET,
  attention: WARNING,
};

export const CHECK_MARKS: Readonly<Record<CheckStatus, Mark>> = {
  ok: GOOD,
  warn: WARNING,
  fail: BROKEN,
  unknown: UNKNOWN,
};

const OTHER_MARKS: Readonly<Record<string, Mark>> = {
  active: GOOD,
  connected: GOOD,
  ready: GOOD,
  connecting: MOVING,
  building: MOVING,
  receiving: MOVING,
  checking: MOVING,
  inactive: QUIET,
  trashed: QUIET,
  degraded: WARNING,
  missing: BROKEN,
  disconnected: BROKEN,
};

/** Mark of a state of any object; `?` for a state that this version does not know. */
export function markOf(state: string): Mark {
  const marks: Readonly<Record<string, Mark>> = { ...OTHER_MARKS, ...OPERATION_MARKS, ...CHECK_MARKS, ...VM_MARKS };
  return (Object.hasOwn(marks, state) ? marks[state] : undefined) ?? UNKNOWN;
}

/** `● running`, `◐ shutting down`. */
export function stateText(state: string, mark: Mark = markOf(state)): string {
  return `${mark.glyph} ${state.replaceAll('_', ' ')}`;
}

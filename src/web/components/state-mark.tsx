/** States as shape, colour and word; never colour alone. */

import type { ComponentChildren } from 'preact';
import type { CheckStatus } from '#contract/common.ts';
import type { Operation } from '#contract/operations.ts';
import type { Vm, VmState } from '#contract/vms.ts';
import { text } from '../text.ts';

export type Tone = 'good' | 'warn' | 'bad' | 'unknown' | 'accent';
export type Shape = 'dot' | 'ring' | 'half' | 'triangle' | 'square' | 'question';

/** The bare glyph. */
export function Glyph({ tone, shape }: { readonly tone: Tone; readonly shape: Shape }) {
  return (
    <svg class={`glyph tone-${tone}`} width="10" height="10" viewBox="0 0 10 10" aria-hidden="true">
      {shape === 'dot' && <circle cx="5" cy="5" r="4" fill="currentColor" />}
      {shape === 'ring' && <circle cx="5" cy="5" r="3.4" fill="none" stroke="currentColor" stroke-width="1.3" />}
      {shape === 'half' && (
        <>
          <circle cx="5" cy="5" r="3.4" fill="none" stroke="currentColor" stroke-width="1.3" />
          <path d="M5 1.600a3.4 3.4 0 0 0 0 6.800z" fill="currentColor" />
        </>
      )}
      {shape === 'triangle' && <path d="M5 .8 9.7 9.200H.3z" fill="currentColor" />}
      {shape === 'square' && <rect x="1" y="1" width="8" height="8" rx="1" fill="currentColor" />}
      {shape === 'question' && (
        <path
          d="M2.8 3.200C2.9 1.9 3.8 1 5.1 1c1.3 0 2.2.8 2.2 1.900C7.3 4.6 5 4.6 5 6.300M5 8.600v.01"
          fill="none"
          stroke="currentColor"
          stroke-width="1.6"
          stroke-linecap="round"
        />
      )}
    </svg>
  );
}

export function Mark({
  tone,
  shape,
  children,
}: {
  readonly tone: Tone;
  readonly shape: Shape;
  readonly children: ComponentChildren;
}) {
  return (
    <span class={`mark tone-${tone}`}>
      <Glyph tone={tone} shape={shape} />
      <span>{children}</span>
    </span>
  );
}

const VM_MARKS: Readonly<Record<VmState, readonly [Tone, Shape]>> = {
  running: ['good', 'dot'],
  idle: ['good', 'dot'],
  paused: ['warn', 'half'],
  shutting_down: ['warn', 'half'],
  suspended: ['unknown', 'half'],
  off: ['unknown', 'ring'],
  crashed: ['bad', 'square'],
  unknown: ['unknown', 'question'],
};

export function vmTone(state: VmState): readonly [Tone, Shape] {
  return VM_MARKS[state];
}

/** The state of a VM, and what the user wanted when that differs. */
export function VmStateMark({ vm }: { readonly vm: Pick<Vm, 'state' | 'desired' | 'staleSince'> }) {
  const [tone, shape] = vm.staleSince ? (['unknown', 'question'] as const) : VM_MARKS[vm.state];
  const isOn = vm.state === 'running' || vm.state === 'idle' || vm.state === 'shutting_down';
  const differs =
    (vm.desired === 'running' && !isOn && vm.state !== 'paused' && vm.state !== 'unknown') ||
    (vm.desired === 'off' && vm.state === 'crashed');
  return (
    <Mark tone={tone} shape={shape}>
      {text.vmStates[vm.state]}
      {differs && <span class="wanted"> {text.vm.wanted(text.desired[vm.desired])}</span>}
    </Mark>
  );
}

const CHECK_MARKS: Readonly<Record<CheckStatus, readonly [Tone, Shape]>> = {
  ok: ['good', 'dot'],
  warn: ['warn', 'triangle'],
  fail: ['bad', 'square'],
  unknown: ['unknown', 'question'],
};

export function CheckMark({
  status,
  children,
}: {
  readonly status: CheckStatus;
  readonly children?: ComponentChildren;
}) {
  const [tone, shape] = CHECK_MARKS[status];
  return (
    <Mark tone={tone} shape={shape}>
      {children ?? text.checkStates[status]}
    </Mark>
  );
}

const OPERATION_MARKS: Readonly<Record<Operation['state'], readonly [Tone, Shape]>> = {
  pending: ['accent', 'ring'],
  running: ['accent', 'half'],
  compensating: ['warn', 'half'],
  done: ['good', 'dot'],
  failed: ['bad', 'square'],
  cancelled: ['unknown', 'ring'],
  attention: ['warn', 'triangle'],
};

export function OperationMark({ state }: { readonly state: Operation['state'] }) {
  const [tone, shape] = OPERATION_MARKS[state];
  return (
    <Mark tone={tone} shape={shape}>
      {text.operationStates[state]}
    </Mark>
  );
}

/** Networks, pools and hosts: working, resting or in trouble. */
export function ActiveMark({ state }: { readonly state: keyof typeof text.activeStates }) {
  const marks = {
    active: ['good', 'dot'],
    connected: ['good', 'dot'],
    inactive: ['unknown', 'ring'],
    building: ['warn', 'half'],
    connecting: ['warn', 'half'],
    degraded: ['bad', 'square'],
    disconnected: ['bad', 'square'],
    unknown: ['unknown', 'question'],
  } as const;
  const [tone, shape] = marks[state];
  return (
    <Mark tone={tone} shape={shape}>
      {text.activeStates[state]}
    </Mark>
  );
}

/** Users and tokens: usable or not. */
export function AccountMark({ state }: { readonly state: keyof typeof text.access.states }) {
  return (
    <Mark tone={state === 'active' ? 'good' : 'unknown'} shape={state === 'active' ? 'dot' : 'ring'}>
      {text.access.states[state]}
    </Mark>
  );
}

/** Whether something that a setting switches is on. */
export function SwitchMark({ isOn }: { readonly isOn: boolean }) {
  return (
    <Mark tone={isOn ? 'good' : 'unknown'} shape={isOn ? 'dot' : 'ring'}>
      {isOn ? text.access.signIn.on : text.access.signIn.off}
    </Mark>
  );
}

/** The answer to "may he?". */
export function AnswerMark({ isYes, children }: { readonly isYes: boolean; readonly children: ComponentChildren }) {
  return (
    <Mark tone={isYes ? 'good' : 'bad'} shape={isYes ? 'dot' : 'square'}>
      {children}
    </Mark>
  );
}

/** A short word in a frame. */
export function Badge({
  tone = 'unknown',
  title,
  children,
}: {
  readonly tone?: Tone;
  readonly title?: string;
  readonly children: ComponentChildren;
}) {
  return (
    <span class={`badge tone-${tone}`} title={title}>
      {children}
    </span>
  );
}

/** What is special about a VM, in a fixed order. */
export function VmBadges({
  vm,
}: {
  readonly vm: Pick<Vm, 'accel' | 'isProtected' | 'managed' | 'hasVnc' | 'pending' | 'persistent'>;
}) {
  return (
    <>
      {vm.accel === 'tcg' && (
        <Badge tone="warn" title={text.badges.tcgHint}>
          {text.badges.tcg}
        </Badge>
      )}
      {!vm.hasVnc && <Badge title={text.badges.headlessHint}>{text.badges.headless}</Badge>}
      {vm.isProtected && (
        <Badge tone="accent" title={text.badges.protectedHint}>
          {text.badges.protected}
        </Badge>
      )}
      {!vm.managed && <Badge title={text.badges.unmanagedHint}>{text.badges.unmanaged}</Badge>}
      {!vm.persistent && (
        <Badge tone="warn" title={text.badges.transientHint}>
          {text.badges.transient}
        </Badge>
      )}
      {vm.pending.length > 0 && (
        <Badge tone="warn" title={text.badges.pendingHint}>
          {text.badges.pending}
        </Badge>
      )}
    </>
  );
}

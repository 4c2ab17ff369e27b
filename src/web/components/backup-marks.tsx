/** How well a VM is protected, and what a proof found, as shape, colour and word. */

import type { ComponentChildren } from 'preact';
import type { BackupRound, Posture, RoundVm } from '#contract/protection.ts';
import type { ProofVerdict } from '#contract/verification.ts';
import { text } from '../text.ts';
import { Mark, type Shape, type Tone } from './state-mark.tsx';

const POSTURE_MARKS: Readonly<Record<Posture, readonly [Tone, Shape]>> = {
  protected: ['good', 'dot'],
  attention: ['warn', 'triangle'],
  unknown: ['unknown', 'question'],
  unprotected: ['bad', 'square'],
};

export const postureGlyph = (posture: Posture): readonly [Tone, Shape] => POSTURE_MARKS[posture];

export function PostureMark({
  posture,
  children,
}: {
  readonly posture: Posture;
  readonly children?: ComponentChildren;
}) {
  const [tone, shape] = POSTURE_MARKS[posture];
  return (
    <Mark tone={tone} shape={shape}>
      {children ?? text.backups.postures[posture]}
    </Mark>
  );
}

const VERDICT_MARKS: Readonly<Record<ProofVerdict, readonly [Tone, Shape]>> = {
  pass: ['good', 'dot'],
  fail: ['bad', 'square'],
  inconclusive: ['unknown', 'question'],
};

export const verdictGlyph = (verdict: ProofVerdict): readonly [Tone, Shape] => VERDICT_MARKS[verdict];

/** @param verdict null = no proof */
export function VerdictMark({
  verdict,
  children,
}: {
  readonly verdict: ProofVerdict | null;
  readonly children?: ComponentChildren;
}) {
  const [tone, shape] = verdict === null ? (['unknown', 'ring'] as const) : VERDICT_MARKS[verdict];
  return (
    <Mark tone={tone} shape={shape}>
      {children ?? (verdict === null ? text.backups.notProven : text.backups.verdicts[verdict])}
    </Mark>
  );
}

const ROUND_MARKS: Readonly<Record<BackupRound['state'], readonly [Tone, Shape]>> = {
  running: ['accent', 'half'],
  done: ['good', 'dot'],
  failed: ['bad', 'square'],
  cancelled: ['unknown', 'ring'],
  skipped: ['unknown', 'ring'],
};

export const roundGlyph = (state: BackupRound['state']): readonly [Tone, Shape] => ROUND_MARKS[state];

const ROUND_VM_MARKS: Readonly<Record<RoundVm['state'], readonly [Tone, Shape]>> = {
  waiting: ['accent', 'ring'],
  running: ['accent', 'half'],
  done: ['good', 'dot'],
  failed: ['bad', 'square'],
  not_reached: ['warn', 'triangle'],
  gone: ['unknown', 'ring'],
};

export const roundVmGlyph = (state: RoundVm['state']): readonly [Tone, Shape] => ROUND_VM_MARKS[state];

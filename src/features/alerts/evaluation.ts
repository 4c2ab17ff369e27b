/** One rule at one moment: its outcomes drive the state machines of its alerts. Pure; the live engine and the backtest both run it. */

import { createHash } from 'node:crypto';
import type { AlertRuleSpec } from '#contract/alert-rule-spec.ts';
import { durationMs } from '#contract/alerts-config.ts';
import { definitionOf, VM_KINDS } from '#contract/metric-catalogue.ts';
import type { Steps } from '#kernel/async.ts';
import {
  type Closing,
  type Effect,
  isIdle,
  type Machine,
  type Mask,
  type Moment,
  newMachine,
  type Observation,
  type Policy,
  TICK_MS,
} from './machine/machine.ts';
import { step } from './machine/step.ts';
import { isOverWhenStopped } from './masks.ts';
import type { CompiledRule, JudgedMoment, Labels, Outcome, SeriesEntity } from './rule-language.ts';

/** A rule that can be evaluated. */
export interface RunningRule {
  readonly id: string;
  readonly spec: AlertRuleSpec;
  readonly compiled: CompiledRule;
  readonly policy: Policy;
}

/** One alert: a rule and a thing. */
export interface Track {
  /** The same for the same rule and thing, for ever. */
  readonly id: string;
  readonly ruleId: string;
  readonly entity: SeriesEntity;
  readonly labels: Labels;
  /** Id of the project that owns it; null = the system's. */
  readonly project: string | null;
  readonly machine: Machine;
}

/** By the key of the thing. */
export type Tracks = ReadonlyMap<string, Track>;

/** `unknown` while it cannot be said whether it is there; `unwanted`: it runs although its owner wants it off or paused. */
export type VmStanding = 'unknown' | 'gone' | 'stopped' | 'unwanted' | 'there';

/** What the world beside the figures is like at this moment. */
export interface Surroundings {
  /** The operation that hides this rule on this VM now. */
  maskOf(rule: RunningRule, vmId: string): Mask | null;
  /** Whether the source of the figures of this owner is lost. */
  isLost(owner: SeriesEntity['owner']): boolean;
  canResolve(owner: SeriesEntity['owner']): boolean;
  vm(id: string): VmStanding;
  /** Of a VM; undefined when it is not known. */
  projectOf(vmId: string): string | undefined;
  /** Why all alerts of the rule end, where they do. */
  readonly closing: Closing | null;
}

export interface Change {
  readonly key: string;
  readonly before: Track | null;
  readonly after: Track;
  readonly effects: readonly Effect[];
}

const KEEP_FIRING_MS = 60_000;
/** A part of something, as a disk or a mount, without figures for so long is gone. */
const PART_GONE_MS = 3_600_000;

const periodsOf = ({ requires }: Pick<CompiledRule, 'requires'>): readonly number[] =>
  requires.map((metric) => definitionOf(metric).periodSeconds);

/** Whether all its figures are events, as crashes, which come when they happen. */
export function isAboutEvents(compiled: Pick<CompiledRule, 'requires'>): boolean {
  const periods = periodsOf(compiled);
  return periods.length > 0 && periods.every((seconds) => seconds === 0);
}

export function runningRule(id: string, spec: AlertRuleSpec, compiled: CompiledRule): RunningRule {
  const forMs = compiled.forMs;
  return {
    id,
    spec,
    compiled,
    policy: {
      severity: spec.severity,
      forMs,
      keepFiringMs: spec.keepFiring === null ? KEEP_FIRING_MS : durationMs(spec.keepFiring),
      noData: spec.noData,
      periodMs: Math.max(TICK_MS, ...periodsOf(compiled).map((seconds) => seconds * 1000)),
      isAtOnce: isAboutEvents(compiled),
    },
  };
}

/** All rules of a moment are about the same things: each key is written once. */
const keys = new WeakMap<SeriesEntity, string>();

export function entityKey(entity: SeriesEntity): string {
  let key = keys.get(entity);
  if (key === undefined) {
    key = `${entity.owner.type} ${entity.owner.id} ${entity.kind} ${entity.sub}`;
    keys.set(entity, key);
  }
  return key;
}

/** Depends on what names change nothing of. */
export const alertId = (ruleId: string, key: string): string =>
  createHash('sha256').update(`${ruleId}\n${key}`).digest('hex').slice(0, 24);

const LOOKED_PER_STEP = 64;

const UNSEEN = { truth: null, isClear: null, value: null } as const;

/** What changes; tracks that stay as they are, or of which only the time goes on, are among it too. */
export function* evaluate(
  rule: RunningRule,
  moment: JudgedMoment,
  tracks: Tracks,
  around: Surroundings,
  now: Moment,
): Steps<Change[]> {
  const changes: Change[] = [];
  const seen = new Set<string>();
  const { spec, policy, compiled } = rule;
  const outcomes = around.closing === null ? yield* compiled.evaluate(moment) : [];

  const advance = (key: string, track: Track | null, outcome: Pick<Outcome, 'entity' | 'labels'> & Facts) => {
    const { owner } = outcome.entity;
    const project = owner.type === 'vm' ? around.projectOf(owner.id) : undefined;
    const machine = track?.machine ?? newMachine(policy.severity, now);
    const periodMs = moment.longestPeriodMs(outcome.entity, outcome.labels, compiled.requires);
    const own = periodMs > policy.periodMs ? { ...policy, periodMs } : policy;
    const taken = step(machine, observe(rule, machine, outcome, around, now), own, now);
    const after: Track = {
      id: track?.id ?? alertId(rule.id, key),
      ruleId: rule.id,
      entity: outcome.entity,
      labels: outcome.labels,
      project: project ?? track?.project ?? null,
      machine: taken.machine,
    };
    changes.push({ key, before: track, after, effects: taken.effects });
  };

  let looked = 0;
  for (const outcome of outcomes) {
    looked += 1;
    if (looked % LOOKED_PER_STEP === 0) yield;
    if (spec.project !== null && !isOfProject(outcome.entity.owner, spec.project, around)) continue;
    const isQuiet = outcome.truth === false || (outcome.truth === null && policy.noData !== 'alert');
    // Most things are well and always were.
    if (isQuiet && tracks.size === 0) continue;
    const key = entityKey(outcome.entity);
    const track = tracks.get(key) ?? null;
    if (track !== null) seen.add(key);
    const isAsBefore = outcome.truth === null || (track?.machine.unknownSinceMs ?? null) === null;
    if (isQuiet && (track === null || (isIdle(track.machine) && isAsBefore))) continue;
    advance(key, track, outcome);
  }
  for (const [key, track] of tracks) {
    if (seen.has(key)) continue;
    if (!isIdle(track.machine)) advance(key, track, { entity: track.entity, labels: track.labels, ...UNSEEN });
    // It waited for figures of something that is gone: nothing is left to remember.
    else if (track.machine.unknownSinceMs !== null)
      changes.push({ key, before: track, after: { ...track, machine: calm(track.machine, now) }, effects: [] });
  }
  return changes;
}

const calm = (machine: Machine, { monotonicMs }: Moment): Machine => ({
  ...machine,
  evaluatedMs: monotonicMs,
  knownMs: monotonicMs,
  unknownSinceMs: null,
  isNoData: false,
});

const isOfProject = (owner: SeriesEntity['owner'], project: string, around: Surroundings): boolean =>
  owner.type === 'vm' && around.projectOf(owner.id) === project;

type Facts = Pick<Outcome, 'truth' | 'isClear' | 'value'>;

function observe(
  rule: RunningRule,
  machine: Machine,
  { entity, truth, isClear, value }: Pick<Outcome, 'entity'> & Facts,
  around: Surroundings,
  now: Moment,
): Observation {
  const { owner } = entity;
  const isOfVm = owner.type === 'vm' && VM_KINDS.includes(entity.kind);
  const vm = isOfVm ? around.vm(owner.id) : 'there';
  const isPartGone =
    entity.sub !== '' && machine.unknownSinceMs !== null && now.monotonicMs - machine.unknownSinceMs > PART_GONE_MS;
  return {
    truth,
    isClear,
    value,
    mask: isOfVm ? around.maskOf(rule, owner.id) : null,
    isFrozen: around.isLost(owner),
    canResolve: around.canResolve(owner),
    closing: around.closing ?? (vm === 'gone' || isPartGone ? 'removed' : closedByOwner(rule, vm)),
  };
}

function closedByOwner({ spec, compiled }: RunningRule, vm: VmStanding): Closing | null {
  if (compiled.requires.includes('vm_state'))
    return spec.desiredOnly && (vm === 'stopped' || vm === 'unwanted') ? 'stopped' : null;
  return vm === 'stopped' && isOverWhenStopped(compiled.requires) ? 'stopped' : null;
}

/** What a rule would have done: the evaluation and the state machine of the live engine, run over stored samples with the time of then. */

import type { AlertRuleSpec } from '#contract/alert-rule-spec.ts';
import type { Backtest } from '#contract/alerts.ts';
import { durationMs } from '#contract/alerts-config.ts';
import { METRICS, type MetricName } from '#contract/metric-catalogue.ts';
import { createBreather, withBreaths } from '#kernel/async.ts';
import { formatDuration } from '#kernel/units.ts';
import { type Change, evaluate, type RunningRule, runningRule, type Surroundings, type Track } from '../evaluation.ts';
import type { Figures } from '../figures.ts';
import { isWorthKeeping } from '../live/kept.ts';
import { TICK_MS } from '../machine/machine.ts';
import { masks } from '../masks.ts';
import { type CompiledRule, momentOf, type Outcome } from '../rule-language.ts';
import type { MaskRow } from '../store.ts';
import { entityName } from '../text.ts';
import { countMessages, type Transition } from './count-messages.ts';
import { type PastFigures, readPast } from './past-figures.ts';
import { createStoredView, type StoredSeries, type StoredView } from './stored-view.ts';

export interface BacktestDependencies {
  readonly figures: Pick<Figures, 'read' | 'labelsOf'>;
  readonly masksWithin: (fromMs: number, toMs: number) => Promise<readonly MaskRow[]>;
  /** As it is now. */
  readonly projectOf: (vmId: string) => string | undefined;
}

export interface BacktestRequest {
  /** Without problems. */
  readonly spec: AlertRuleSpec;
  readonly compiled: CompiledRule;
  readonly fromMs: number;
  readonly toMs: number;
  readonly signal: AbortSignal;
}

/** Beside what the rule asks for: whether VMs run and should, and when there were ticks. */
const ALWAYS: readonly MetricName[] = ['vm_state', 'vm_state_desired', 'libvirt_up'];
const STATES = METRICS.vm_state.values;
const DESIRED = METRICS.vm_state_desired.values;
const OFF: readonly string[] = ['off', 'crashed'];
const MAX_EPISODES = 1000;
const SLICE_MS = 25;

export async function backtest(request: BacktestRequest, dependencies: BacktestDependencies): Promise<Backtest> {
  const { spec, compiled, fromMs, toMs, signal } = request;
  const breathe = createBreather(SLICE_MS, signal);
  const past = await readPast(
    {
      metrics: new Set([...compiled.requires, ...ALWAYS]),
      requires: compiled.requires,
      fromMs,
      toMs,
      windowMs: compiled.windowMs,
      isLowest: looksBelow(spec.condition),
      signal,
    },
    dependencies.figures,
    breathe,
  );
  const { series, stepMs, tier } = past;
  const view = createStoredView(series);
  const replay = createReplay(spec, compiled, view, stepMs);
  const rows = await dependencies.masksWithin(fromMs, toMs);
  const around = pastOf(view, series, rows, dependencies.projectOf);
  for (const atMs of past.ticks) {
    view.moveTo(atMs);
    around.moveTo(atMs);
    await replay.step(atMs, around.surroundings, breathe);
  }
  const found = replay.result(toMs);
  return {
    from: new Date(fromMs).toISOString(),
    to: new Date(toMs).toISOString(),
    tier,
    stepSeconds: stepMs / 1000,
    ...found,
    notes: notesOf(spec, compiled, past, found.episodeCount),
  };
}

/** Whether the rule waits for low values: then the lowest of a longer step counts, else the highest. */
const looksBelow = (condition: string): boolean => condition.includes('<') && !condition.includes('>');

/** What was around the figures then, as far as it is known. */
function pastOf(
  view: StoredView,
  series: readonly StoredSeries[],
  rows: readonly MaskRow[],
  projectOf: BacktestDependencies['projectOf'],
) {
  let nowMs = 0;
  const idOf = new Map(series.map(({ key }, id) => [`${key.metric} ${key.owner.id}`, id]));
  const newest = (metric: MetricName, ownerId: string) => {
    const id = idOf.get(`${metric} ${ownerId}`);
    return id === undefined ? null : view.latest(id);
  };
  const rowsOf = Map.groupBy(rows, ({ vm_id }) => vm_id);
  const hosts = series.filter(({ key }) => key.metric === 'libvirt_up').map(({ key }) => key.owner.id);
  const surroundings: Surroundings = {
    closing: null,
    isLost: ({ type }) => type === 'vm' && hosts.some((id) => newest('libvirt_up', id)?.value === 0),
    canResolve: () => true,
    projectOf,
    vm(id) {
      const state = newest('vm_state', id);
      const desired = newest('vm_state_desired', id);
      if (state === null || desired === null) return 'unknown';
      if (projectOf(id) === undefined && state.ageMs > 0) return 'gone';
      if (DESIRED[desired.value] === 'running') return 'there';
      return OFF.includes(STATES[state.value] ?? '') ? 'stopped' : 'unwanted';
    },
    maskOf(rule, vmId) {
      const row = rowsOf
        .get(vmId)
        ?.find(
          ({ from_ms, until_ms, operation_kind }) =>
            from_ms <= nowMs &&
            (until_ms === null || nowMs < until_ms) &&
            masks(operation_kind, rule.compiled.requires),
        );
      return row === undefined ? null : { operationId: row.operation_id, title: row.title, fromAtMs: row.from_ms };
    },
  };
  return {
    surroundings,
    moveTo(ms: number) {
      nowMs = ms;
    },
  };
}

type Episode = { -readonly [Key in keyof Backtest['episodes'][number]]: Backtest['episodes'][number][Key] };

function createReplay(spec: AlertRuleSpec, compiled: CompiledRule, view: StoredView, stepMs: number) {
  const judged = { known: 0, unknown: 0 };
  const seen = new Set<string>();
  const counting: CompiledRule = {
    ...compiled,
    *evaluate(at) {
      const outcomes = yield* compiled.evaluate(at);
      for (const outcome of outcomes) count(outcome);
      return outcomes;
    },
  };
  const count = ({ entity, truth }: Outcome) => {
    judged[truth === null ? 'unknown' : 'known'] += 1;
    seen.add(`${entity.owner.id} ${entity.kind} ${entity.sub}`);
  };
  const plain = runningRule('backtest', spec, counting);
  const rule: RunningRule = {
    ...plain,
    policy: { ...plain.policy, periodMs: Math.max(plain.policy.periodMs, stepMs) },
  };
  const isBelow = looksBelow(spec.condition);
  const tracks = new Map<string, Track>();
  const episodes: Episode[] = [];
  const open = new Map<string, Episode>();
  const transitions: Transition[] = [];
  let maskedMs = 0;

  const takeEpisode = (change: Change, atMs: number) => {
    const { after, effects } = change;
    const { machine, labels, entity } = after;
    for (const effect of effects) {
      if (effect.type === 'notice')
        transitions.push({ atMs, id: after.id, group: labels['host'] ?? '', kind: effect.kind });
      else if (effect.kind === 'firing') {
        const episode: Episode = {
          entity: { kind: entity.kind, name: entityName(entity, labels) },
          labels,
          startedAt: new Date(machine.startedAtMs ?? atMs).toISOString(),
          firedAt: new Date(atMs).toISOString(),
          endedAt: null,
          peak: null,
          peakText: '',
          masked: machine.mask?.title ?? null,
        };
        episodes.push(episode);
        open.set(after.id, episode);
      } else if (effect.kind === 'resolved') {
        const episode = open.get(after.id);
        if (episode !== undefined) episode.endedAt = new Date(atMs).toISOString();
        open.delete(after.id);
      }
    }
    const episode = open.get(after.id);
    if (episode === undefined || machine.value === null) return;
    const isFurther = episode.peak === null || (isBelow ? machine.value < episode.peak : machine.value > episode.peak);
    if (isFurther) episode.peak = machine.value;
  };

  return {
    async step(atMs: number, around: Surroundings, breathe: () => Promise<void> | undefined) {
      const steps = evaluate(rule, momentOf(view), tracks, around, { monotonicMs: atMs, wallMs: atMs });
      for (const change of await withBreaths(steps, breathe)) {
        if (isWorthKeeping(change.after.machine)) tracks.set(change.key, change.after);
        else tracks.delete(change.key);
        if (change.after.machine.phase === 'suppressed') maskedMs += stepMs;
        takeEpisode(change, atMs);
      }
    },
    result(toMs: number) {
      const all = judged.known + judged.unknown;
      return {
        episodes: episodes.slice(0, MAX_EPISODES).map((episode) => ({
          ...episode,
          peakText: episode.peak === null ? '' : compiled.valueText(episode.peak),
        })),
        episodeCount: episodes.length,
        notices: countMessages(transitions, durationMs(spec.cooldown), toMs),
        maskedMinutes: Math.round(maskedMs / 6000) / 10,
        unknownRatio: all === 0 ? 1 : judged.unknown / all,
        entities: seen.size,
      };
    },
  };
}

function notesOf(
  spec: AlertRuleSpec,
  { forMs }: CompiledRule,
  { stepMs, things, isCoarser }: PastFigures,
  episodes: number,
): string[] {
  const notes: string[] = [];
  if (things === 0) notes.push('There are no figures of this kind in this range.');
  if (stepMs > TICK_MS) {
    const which = looksBelow(spec.condition) ? 'lowest' : 'highest';
    const why = isCoarser
      ? `as they were measured those of ${things} things are too many for one answer. A shorter range, or fewer things in the condition, makes it exact.`
      : 'the older ones are no longer kept whole.';
    notes.push(`Samples of ${formatDuration(stepMs)} were used, the ${which} value of each: ${why}`);
    if (forMs > 0 && forMs < stepMs) notes.push('`for` is shorter than that, so when it fired is approximate.');
  }
  if (spec.condition.includes('predict('))
    notes.push('Forecasts are not made for the past, so `predict` is unknown here.');
  if (episodes > MAX_EPISODES) notes.push(`Only the first ${MAX_EPISODES} of ${episodes} episodes are listed.`);
  return notes;
}

/** What a rule would have done: the evaluation and the state machine of the live engine, run over stored samples with the time of then. */

import type { AlertRuleSpec } from '#contract/alert-rule-spec.ts';
import type { Backtest } from '#contract/alerts.ts';
import { durationMs } from '#contract/alerts-config.ts';
import { METRICS, type MetricName } from '#contract/metric-catalogue.ts';
import { AppError } from '#kernel/errors.ts';
import { type Change, evaluate, type RunningRule, runningRule, type Surroundings, type Track } from '../evaluation.ts';
import type { Figures } from '../figures.ts';
import { isWorthKeeping } from '../live/kept.ts';
import { TICK_MS } from '../machine/machine.ts';
import { masks } from '../masks.ts';
import { type CompiledRule, momentOf, type Outcome } from '../rule-language.ts';
import type { MaskRow } from '../store.ts';
import { entityName } from '../text.ts';
import { countMessages, type Transition } from './count-messages.ts';
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
/** Things × ticks; more takes too long for one answer. */
const MAX_JUDGEMENTS = 20_000_000;
const SLICE_MS = 25;
const FRESH_MS = 3_600_000;

export async function backtest(request: BacktestRequest, dependencies: BacktestDependencies): Promise<Backtest> {
  const { spec, compiled, fromMs, toMs, signal } = request;
  const { series, stepMs } = await readSeries(request, dependencies.figures);
  const view = createStoredView(series);
  const ticks = ticksOf(series, fromMs, toMs, stepMs);
  const things = series.filter(({ key }) => compiled.requires.includes(key.metric)).length;
  if (things * ticks.length > MAX_JUDGEMENTS)
    throw new AppError('invalid_input', {
      detail: `That is ${things} things at ${ticks.length} moments: too many for one answer.`,
      hint: 'Choose a shorter range, or name fewer things in the condition, as {vm="web1"}.',
    });
  const replay = createReplay(spec, compiled, view, stepMs);
  const rows = await dependencies.masksWithin(fromMs, toMs);
  const around = pastOf(view, series, rows, dependencies.projectOf);
  let sliceMs = performance.now();
  for (const atMs of ticks) {
    view.moveTo(atMs);
    around.moveTo(atMs);
    replay.step(atMs, around.surroundings);
    if (performance.now() - sliceMs < SLICE_MS) continue;
    await new Promise((resolve) => setImmediate(resolve));
    signal.throwIfAborted();
    sliceMs = performance.now();
  }
  const found = replay.result(toMs);
  return {
    from: new Date(fromMs).toISOString(),
    to: new Date(toMs).toISOString(),
    stepSeconds: stepMs / 1000,
    ...found,
    notes: notesOf(spec, compiled, stepMs, things, found.episodeCount),
  };
}

async function readSeries(
  { compiled, spec, fromMs, toMs, signal }: BacktestRequest,
  figures: BacktestDependencies['figures'],
) {
  const series: StoredSeries[] = [];
  let stepMs = TICK_MS;
  const isBelow = looksBelow(spec.condition);
  for (const metric of new Set([...compiled.requires, ...ALWAYS])) {
    const answer = await figures.read({ metric, fromMs: fromMs - compiled.windowMs - FRESH_MS, toMs, signal });
    if (answer.tier !== 'raw') stepMs = Math.max(stepMs, answer.stepMs);
    for (const { key, atMs, min, max } of answer.series) {
      // A month of samples of one series takes some milliseconds.
      await new Promise((resolve) => setImmediate(resolve));
      signal.throwIfAborted();
      const known = (isBelow ? min : max).flatMap((value, n) => (value === null ? [] : [{ value, at: atMs[n] ?? 0 }]));
      series.push({
        key,
        labels: figures.labelsOf(key),
        atMs: known.map(({ at }) => at),
        values: known.map(({ value }) => value),
      });
    }
  }
  return { series, stepMs };
}

/** Whether the rule waits for low values: then the lowest of a longer step counts, else the highest. */
const looksBelow = (condition: string): boolean => condition.includes('<') && !condition.includes('>');

/** The moments at which figures were measured; every ten seconds where that is not known. */
function ticksOf(series: readonly StoredSeries[], fromMs: number, toMs: number, stepMs: number): readonly number[] {
  const within = (atMs: number) => atMs >= fromMs && atMs <= toMs;
  const measured = series.filter(({ key }) => key.metric === 'libvirt_up').flatMap(({ atMs }) => atMs.filter(within));
  if (measured.length > 0) return [...new Set(measured)].sort((a, b) => a - b);
  const ticks: number[] = [];
  for (let at = Math.ceil(fromMs / stepMs) * stepMs; at <= toMs; at += stepMs) ticks.push(at);
  return ticks;
}

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
    evaluate(at) {
      const outcomes = compiled.evaluate(at);
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
    step(atMs: number, around: Surroundings) {
      for (const change of evaluate(rule, momentOf(view), tracks, around, { monotonicMs: atMs, wallMs: atMs })) {
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
  stepMs: number,
  things: number,
  episodes: number,
): string[] {
  const notes: string[] = [];
  if (things === 0) notes.push('There are no figures of this kind in this range.');
  if (stepMs > TICK_MS) {
    const minutes = Math.round(stepMs / 60_000);
    const which = looksBelow(spec.condition) ? 'lowest' : 'highest';
    notes.push(
      `Samples of ${minutes} min were used, the ${which} value of each: the older ones are no longer kept whole.`,
    );
    if (forMs > 0 && forMs < stepMs) notes.push('`for` is shorter than that, so when it fired is approximate.');
  }
  if (spec.condition.includes('predict('))
    notes.push('Forecasts are not made for the past, so `predict` is unknown here.');
  if (episodes > MAX_EPISODES) notes.push(`Only the first ${MAX_EPISODES} of ${episodes} episodes are listed.`);
  return notes;
}

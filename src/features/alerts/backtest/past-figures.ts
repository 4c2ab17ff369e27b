/** The figures of a past time that a rule asks for, as they were measured, or, where those are too many for one answer, of coarser steps.
 *  All of one answer have the same step as far as they are kept. */

import type { Backtest } from '#contract/alerts.ts';
import type { MetricName } from '#contract/metric-catalogue.ts';
import { AppError } from '#kernel/errors.ts';
import type { Figures } from '../figures.ts';
import { TICK_MS } from '../machine/machine.ts';
import type { StoredSeries } from './stored-view.ts';

export interface PastRequest {
  readonly metrics: ReadonlySet<MetricName>;
  /** Those that the rule asks for. */
  readonly requires: readonly MetricName[];
  readonly fromMs: number;
  readonly toMs: number;
  /** Longest window of the rule. */
  readonly windowMs: number;
  /** The lowest value of a coarser step counts, not the highest. */
  readonly isLowest: boolean;
  readonly signal: AbortSignal;
}

export interface PastFigures {
  readonly series: readonly StoredSeries[];
  readonly stepMs: number;
  readonly tier: Backtest['tier'];
  /** Moments at which the rule is judged, in their order. */
  readonly ticks: readonly number[];
  /** How many series the rule asks for. */
  readonly things: number;
  /** Finer ones are there, but too many. */
  readonly isCoarser: boolean;
}

/** Asked for in this order, until what is read and done with it fits into one answer. */
const STEPS_MS = [TICK_MS, 300_000, 3_600_000];
/** Things × ticks, a window of so many samples as one thing more; more takes too long for one answer. */
const MAX_JUDGEMENTS = 20_000_000;
const SAMPLES_LIKE_ONE_THING = 100;
/** What was measured before the beginning is known at it. */
const FRESH_MS = 3_600_000;

/** @throws invalid_input when even hours are too many */
export async function readPast(
  request: PastRequest,
  figures: Pick<Figures, 'read' | 'labelsOf'>,
  breathe: () => Promise<void> | undefined,
): Promise<PastFigures> {
  for (const askedMs of STEPS_MS) {
    const past = await readAt(askedMs, request, figures, breathe);
    if (past !== null) return { ...past, isCoarser: askedMs > TICK_MS };
  }
  throw new AppError('invalid_input', {
    detail: 'Those are too many things at too many moments for one answer.',
    hint: 'Choose a shorter range, or name fewer things in the condition, as {vm="web1"}.',
  });
}

/** @returns null when that is too much */
async function readAt(
  askedMs: number,
  { metrics, requires, fromMs, toMs, windowMs, isLowest, signal }: PastRequest,
  figures: Pick<Figures, 'read' | 'labelsOf'>,
  breathe: () => Promise<void> | undefined,
): Promise<Omit<PastFigures, 'isCoarser'> | null> {
  const startMs = Math.floor((fromMs - windowMs - FRESH_MS) / askedMs) * askedMs;
  const endMs = Math.ceil(toMs / askedMs) * askedMs;
  const span =
    askedMs === TICK_MS
      ? { fromMs: fromMs - windowMs - FRESH_MS, toMs }
      : { fromMs: startMs, toMs: endMs, points: (endMs - startMs) / askedMs };
  const series: StoredSeries[] = [];
  let [stepMs, things]: [number, number] = [askedMs, 0];
  let tier: Backtest['tier'] = 'raw';
  for (const metric of metrics) {
    const answer = await figures.read({ metric, ...span, signal }).catch(nullWhenTooMany);
    if (answer === null) return null;
    if (answer.stepMs >= stepMs) [stepMs, tier] = [answer.stepMs, answer.tier];
    if (requires.includes(metric)) things += answer.series.length;
    if (isTooMuch(things, (toMs - fromMs) / stepMs, windowMs / stepMs)) return null;
    for (const { key, atMs, min, max } of answer.series) {
      series.push({ key, labels: figures.labelsOf(key), ...known(atMs, isLowest ? min : max) });
      await breathe();
    }
  }
  const ticks = ticksOf(series, fromMs, toMs, stepMs);
  await breathe();
  return { series, stepMs, tier, ticks, things };
}

const isTooMuch = (things: number, ticks: number, windowSamples: number): boolean =>
  things * ticks * (1 + windowSamples / SAMPLES_LIKE_ONE_THING) > MAX_JUDGEMENTS;

function nullWhenTooMany(error: unknown): null {
  if (error instanceof AppError && error.code === 'metrics_budget') return null;
  throw error;
}

const isWhole = (values: readonly (number | null)[]): values is readonly number[] => !values.includes(null);

/** Samples that are there. A month of one series is a quarter of a million: what is whole is not copied. */
function known(atMs: readonly number[], values: readonly (number | null)[]): Pick<StoredSeries, 'atMs' | 'values'> {
  if (isWhole(values)) return { atMs, values };
  const found = { atMs: [] as number[], values: [] as number[] };
  for (const [n, value] of values.entries()) {
    if (value === null) continue;
    found.atMs.push(atMs[n] ?? 0);
    found.values.push(value);
  }
  return found;
}

/** The moments at which figures were measured; every step where that is not known. */
function ticksOf(series: readonly StoredSeries[], fromMs: number, toMs: number, stepMs: number): readonly number[] {
  const hosts = series.filter(({ key }) => key.metric === 'libvirt_up');
  const measured = hosts.map(({ atMs }) => atMs.filter((at) => at >= fromMs && at <= toMs));
  const [first = [], ...others] = measured;
  if (others.length > 0) return [...Float64Array.from(new Set(measured.flat())).sort()];
  if (first.length > 0) return first;
  const ticks: number[] = [];
  for (let at = Math.ceil(fromMs / stepMs) * stepMs; at <= toMs; at += stepMs) ticks.push(at);
  return ticks;
}

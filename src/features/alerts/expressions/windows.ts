/** Figures over the samples of a time. Each gives null where the samples do not suffice to say anything. */

import type { FunctionName } from '#contract/rules/language.ts';
import type { Window } from './view.ts';

/** The share of the expected samples that averages and growths need. */
export const ENOUGH = 0.8;

export interface WindowFacts {
  readonly windowMs: number;
  /** 0 = written when it changes: each sample holds until the next. */
  readonly periodMs: number;
}

export type WindowFunction = (window: Window, facts: WindowFacts) => number | null;

export const WINDOW_FUNCTIONS: Readonly<Record<Exclude<FunctionName, 'age' | 'predict'>, WindowFunction>> = {
  avg: whenEnough(({ values }) => values.reduce((sum, value) => sum + value, 0) / values.length),
  min: whenEnough(({ values }) => values.reduce((least, value) => Math.min(least, value))),
  max: whenEnough(({ values }) => values.reduce((most, value) => Math.max(most, value))),
  increase: ({ values }, { periodMs }) => (values.length < leastSamples(periodMs) ? null : growth(values)),
  changes: ({ values }, { periodMs }) =>
    values.length < leastSamples(periodMs)
      ? null
      : values.reduce((sum, value, n) => sum + (n > 0 && value !== values[n - 1] ? 1 : 0), 0),
  rate: whenEnough(slope),
};

/** Growth per second of a count: what it grew by, of the time in which it was seen. */
export const countRate: WindowFunction = (window, facts) => {
  const { values, atMs } = window;
  // Written when it changes: it held all the time, or it would have been written.
  if (facts.periodMs === 0) return values.length === 0 ? null : growth(values) / (facts.windowMs / 1000);
  if (!isEnough(window, facts) || values.length < 2) return null;
  return growth(values) / (((atMs.at(-1) ?? 0) - (atMs[0] ?? 0)) / 1000);
};

function leastSamples(periodMs: number): number {
  return periodMs === 0 ? 1 : 2;
}

/** A count that went back began anew: what it lost is no growth, and what it had then is none of this time for certain. */
function growth(values: readonly number[]): number {
  let sum = 0;
  for (let n = 1; n < values.length; n += 1) sum += Math.max(0, (values[n] ?? 0) - (values[n - 1] ?? 0));
  return sum;
}

function whenEnough(make: (window: Window) => number | null): WindowFunction {
  return (window, facts) => (isEnough(window, facts) ? make(window) : null);
}

function isEnough({ values }: Window, { windowMs, periodMs }: WindowFacts): boolean {
  if (values.length === 0) return false;
  return periodMs === 0 || values.length >= ENOUGH * Math.floor(windowMs / periodMs);
}

/** Least squares, per second: one stray sample at an end does not make a trend. */
function slope({ atMs, values }: Window): number | null {
  const count = values.length;
  if (count < 2) return null;
  const start = atMs[0] ?? 0;
  let sumT = 0;
  let sumV = 0;
  for (let n = 0; n < count; n += 1) {
    sumT += (atMs[n] ?? 0) - start;
    sumV += values[n] ?? 0;
  }
  const meanT = sumT / count;
  const meanV = sumV / count;
  let covariance = 0;
  let variance = 0;
  for (let n = 0; n < count; n += 1) {
    const t = (atMs[n] ?? 0) - start - meanT;
    covariance += t * ((values[n] ?? 0) - meanV);
    variance += t * t;
  }
  return variance === 0 ? null : (covariance / variance) * 1000;
}

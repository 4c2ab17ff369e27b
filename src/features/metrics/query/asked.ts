/** What a question says, checked: figures, times and whose figures they are. Each refusal names the field and what was meant. */

import { type EntityKind, isMetric, METRIC_NAMES, type MetricName } from '#contract/metric-catalogue.ts';
import { MAX_METRICS } from '#contract/metrics.ts';
import { AppError } from '#kernel/errors.ts';
import { nearestName } from '#kernel/names.ts';
import { parseDuration } from '#kernel/units.ts';

const wrong = (field: string, problem: string, mend: string): AppError =>
  new AppError('invalid_input', {
    detail: `query.${field}: ${problem}`,
    hint: mend,
    fields: [{ path: `query.${field}`, problem, mend }],
  });

/** @throws invalid_input with the nearest name */
export function metricsAsked(text: string): readonly MetricName[] {
  const names = [...new Set(text.split(',').map((name) => name.trim()))].filter((name) => name !== '');
  if (names.length === 0)
    throw wrong('metric', 'No figure is named.', 'Name one, as cpu_usage; `hv metrics list` shows all.');
  if (names.length > MAX_METRICS)
    throw wrong('metric', `${names.length} figures are too many.`, `Name at most ${MAX_METRICS} at once.`);
  return names.map((name) => {
    if (isMetric(name)) return name;
    const near = nearestName(name, METRIC_NAMES);
    throw wrong(
      'metric',
      `There is no figure "${name.slice(0, 60)}".`,
      `${near === null ? '' : `Did you mean "${near}"? `}\`hv metrics list\` shows all.`,
    );
  });
}

/** @returns a figure that this kind of thing has. @throws invalid_input */
export function checkKind(metric: MetricName, kinds: readonly EntityKind[], kind: EntityKind | undefined): void {
  if (kind === undefined || kinds.includes(kind)) return;
  throw wrong('kind', `${metric} is not a figure of ${kind}.`, `Use one of: ${kinds.join(', ')}.`);
}

/** Milliseconds since 1970 of a date, or of a time ago as `6h`.
 *  @throws invalid_input */
export function timeAsked(field: 'from' | 'to', text: string, nowMs: number): number {
  const agoMs = parseDuration(text.trim().replace(/^-/, ''));
  if (agoMs !== null) return nowMs - agoMs;
  const at = /^\d{4}-\d{2}-\d{2}/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(at))
    throw wrong(
      field,
      `"${text.slice(0, 40)}" is no time.`,
      'Write a date as 2026-11-26T10:00:00Z, or a time ago as 30min, 6h or 7d.',
    );
  return at;
}

/** @throws invalid_input when the span has no length */
export function spanAsked(
  query: { readonly from: string; readonly to: string },
  nowMs: number,
): { readonly fromMs: number; readonly toMs: number } {
  const fromMs = Math.max(0, timeAsked('from', query.from, nowMs));
  const toMs = Math.min(nowMs, timeAsked('to', query.to, nowMs));
  if (fromMs >= toMs)
    throw wrong(
      'from',
      'The span ends before it begins, or lies ahead.',
      'Give a `from` that is earlier than `to` and not in the future.',
    );
  return { fromMs, toMs };
}

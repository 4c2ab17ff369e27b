/** Checks that hold one figure of each thing against one limit. */

import type { LimitName } from '#contract/health-limits.ts';
import { HEALTH_WAITS_FOR_LIBVIRT } from '#contract/libvirt-away.ts';
import { type EntityKind, type MetricName, VM_KINDS } from '#contract/metric-catalogue.ts';
import {
  conclude,
  type Finding,
  type HealthCheck,
  type HealthContext,
  levelOf,
  MINUTE_MS,
  ok,
  unknown,
} from './check.ts';
import type { Figure } from './figures.ts';

export interface LevelCheck extends Pick<HealthCheck, 'id' | 'number' | 'title' | 'meaning'> {
  readonly metric: MetricName;
  readonly kind?: EntityKind;
  readonly limit: LimitName;
  readonly everyMs?: number;
  /** Only these; all when it is not there. */
  isMeant?(figure: Figure): boolean;
  /** What is held against the limit; the newest figure when it is not there. */
  measure?(context: HealthContext, figure: Figure): number;
  show(value: number): string;
  /** What the numbers are of, as `processors in use`. */
  readonly what: string;
  readonly hint: string;
  /** A machine without such figures is no machine that can be judged; else the check is not for it. */
  readonly isExpected: boolean;
}

/** What is said when nothing fresh was measured; null = there is nothing of the kind here. */
export function notMeasured(
  { figures, facts }: Pick<HealthContext, 'figures' | 'facts'>,
  metric: MetricName,
  kind: EntityKind | undefined,
  isExpected: boolean,
): Finding | null {
  const isOfVms = kind !== undefined && VM_KINDS.includes(kind);
  if (figures.wasMeasured(metric, kind) && isOfVms && !facts.isCurrent())
    return unknown('libvirt does not answer, so nothing is measured of VMs.', HEALTH_WAITS_FOR_LIBVIRT);
  if (figures.wasMeasured(metric, kind))
    return unknown(
      'It was measured in the last hour, and is not any more.',
      'Look at `hv metrics list` and at the log of hyperd.',
    );
  return isExpected
    ? unknown(
        'It was not measured.',
        'The first figures come ten seconds after the start; then look at the log of hyperd.',
      )
    : null;
}

export function levelCheck(spec: LevelCheck): HealthCheck {
  const { id, number, title, meaning, metric, kind, limit, hint, what, show } = spec;
  return {
    id,
    number,
    title,
    meaning,
    limits: [limit],
    everyMs: spec.everyMs ?? MINUTE_MS,
    run(context) {
      const meant = context.figures.fresh(metric, kind).filter((figure) => spec.isMeant?.(figure) ?? true);
      if (meant.length === 0) return notMeasured(context, metric, kind, spec.isExpected);
      const bounds = context.limit(limit);
      const judged = meant.map((figure) => ({ figure, value: spec.measure?.(context, figure) ?? figure.value }));
      const [only] = judged;
      const items = judged.map(({ figure, value }) => ({
        name: figure.name,
        status: levelOf(value, bounds),
        detail: `${show(value)} ${what}`,
      }));
      if (only !== undefined && only.figure.kind === 'host') {
        const status = levelOf(only.value, bounds);
        const evidence = `${show(only.value)} ${what}.`;
        return status === 'ok' ? ok(evidence) : { status, evidence, hint, items: [] };
      }
      const sorted = judged.map(({ value }) => value).toSorted((a, b) => (bounds.side === 'above' ? b - a : a - b));
      const allWell = `${judged.length} looked at, ${show(sorted[0] ?? 0)} ${what} at worst.`;
      return conclude(items, allWell, hint);
    },
  };
}

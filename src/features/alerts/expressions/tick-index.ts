/** One moment's samples, laid out so that a rule finds the sample of an entity at once; shared by all rules that are judged at that
 *  moment. Nothing is read that no rule asks for. */

import { definitionOf, type EntityKind, type MetricName, VM_KINDS } from '#contract/metric-catalogue.ts';
import type { SubjectKind } from '#contract/rules/entities.ts';
import type { Labels, SampleView, SeriesEntity } from './view.ts';

/** A sample older than this many periods says nothing of now. */
export const FRESH_PERIODS = 3;

export interface Subject {
  readonly entity: SeriesEntity;
  readonly labels: Labels;
  readonly kind: SubjectKind;
  readonly key: string;
  /** Keys of what it lies in; its own for what it is itself. '' = it lies in no VM. */
  readonly vmKey: string;
  readonly hostKey: string;
  readonly tags: readonly string[];
}

export interface IndexedSeries {
  readonly series: number;
  readonly subject: Subject;
  /** The newest sample; NaN when it is not fresh. */
  readonly value: number;
  readonly periodMs: number;
}

/** Of one metric, by the key of their entity. */
type SeriesByKind = ReadonlyMap<SubjectKind, ReadonlyMap<string, IndexedSeries>>;

const NOTHING: ReadonlyMap<string, IndexedSeries> = new Map();

export class TickIndex {
  readonly view: SampleView;
  readonly #byMetric = new Map<MetricName, SeriesByKind>();
  readonly #longest = new Map<MetricName, number>();
  readonly #subjects = new Map<string, Subject>();
  /** By the very object that a subject was made of, as outcomes hand it back. */
  readonly #subjectOf = new Map<SeriesEntity, Subject>();
  readonly #existing = new Map<EntityKind, readonly { readonly subject: Subject; readonly sinceMs: number }[]>();

  constructor(view: SampleView) {
    this.view = view;
  }

  /** Series of a metric by the key of their entity. */
  of(metric: MetricName, kind: SubjectKind): ReadonlyMap<string, IndexedSeries> {
    return this.#kindsOf(metric).get(kind) ?? NOTHING;
  }

  existing(kind: EntityKind): readonly { readonly subject: Subject; readonly sinceMs: number }[] {
    let found = this.#existing.get(kind);
    if (found === undefined) {
      found = [...this.view.existing(kind)].map(({ entity, labels, sinceMs }) => ({
        subject: this.subject(entity, labels),
        sinceMs,
      }));
      this.#existing.set(kind, found);
    }
    return found;
  }

  subject(entity: SeriesEntity, labels: Labels): Subject {
    const own = this.#subjectOf.get(entity);
    if (own !== undefined) return own;
    const key = keyOf(entity, labels);
    let subject = this.#subjects.get(key);
    if (subject === undefined) {
      const isOfVm = VM_KINDS.includes(entity.kind);
      subject = {
        entity,
        labels,
        kind: entity.kind,
        key,
        vmKey: isOfVm ? vmKey(entity.owner.id) : '',
        hostKey: hostKey(labels),
        tags: (labels['tags'] ?? '').split(',').filter((tag) => tag !== ''),
      };
      this.#subjects.set(key, subject);
      this.#subjectOf.set(entity, subject);
    }
    return subject;
  }

  /** The longest period of the figures that are read of a thing; of what is counted among many, the longest of them. */
  longestPeriodMs(entity: SeriesEntity, labels: Labels, metrics: readonly MetricName[]): number {
    const subject = this.subject(entity, labels);
    let longestMs = 0;
    for (const metric of metrics) {
      const kinds = this.#kindsOf(metric);
      let hasOwn = false;
      for (const [kind, series] of kinds) {
        const own = series.get(keyFor(subject, kind));
        if (own === undefined) continue;
        hasOwn = true;
        longestMs = Math.max(longestMs, own.periodMs);
      }
      if (!hasOwn) longestMs = Math.max(longestMs, this.#longestOf(metric, kinds));
    }
    return longestMs;
  }

  #longestOf(metric: MetricName, kinds: SeriesByKind): number {
    let longestMs = this.#longest.get(metric);
    if (longestMs === undefined) {
      longestMs = 0;
      for (const series of kinds.values())
        for (const { periodMs } of series.values()) longestMs = Math.max(longestMs, periodMs);
      this.#longest.set(metric, longestMs);
    }
    return longestMs;
  }

  #kindsOf(metric: MetricName): SeriesByKind {
    let kinds = this.#byMetric.get(metric);
    if (kinds === undefined) {
      kinds = this.#read(metric);
      this.#byMetric.set(metric, kinds);
    }
    return kinds;
  }

  #read(metric: MetricName): SeriesByKind {
    const kinds = new Map<SubjectKind, Map<string, IndexedSeries>>();
    const periodSeconds = definitionOf(metric).periodSeconds;
    for (const { series, entity, labels } of this.view.entities(metric)) {
      const subject = this.subject(entity, labels);
      const latest = this.view.latest(series);
      const periodMs = this.view.periodMs(series);
      // What is written when it changes holds until then.
      const isFresh = latest !== null && (periodSeconds === 0 || latest.ageMs <= FRESH_PERIODS * periodMs);
      const value = isFresh ? latest.value : Number.NaN;
      const found = kinds.get(entity.kind) ?? new Map<string, IndexedSeries>();
      found.set(subject.key, { series, subject, value, periodMs });
      kinds.set(entity.kind, found);
    }
    return kinds;
  }
}

/** The key under which the figures of the subject itself, its VM or its host are found. */
export function keyFor(subject: Subject, kind: SubjectKind): string {
  if (kind === subject.kind) return subject.key;
  return kind === 'vm' ? subject.vmKey : kind === 'host' ? subject.hostKey : '';
}

function keyOf({ owner, kind, sub }: SeriesEntity, labels: Labels): string {
  if (kind === 'host') return hostKey(labels);
  return kind === 'vm' ? vmKey(owner.id) : `${kind}/${owner.id}/${sub}`;
}

const vmKey = (id: string) => `vm/${id}`;

/** By its label: a VM knows its host by no other name. */
const hostKey = (labels: Labels) => `host/${labels['host'] ?? ''}`;

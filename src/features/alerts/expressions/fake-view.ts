/** Samples made for tests: a host with VMs, set by name. */

import { definitionOf, type EntityKind, type MetricName, SUB_LABELS, VM_KINDS } from '#contract/metric-catalogue.ts';
import type { Labels, SampleView, SeriesEntity, ViewedSeries, Window } from './view.ts';

export interface FakeVm {
  readonly name: string;
  readonly host: string;
  readonly project: string;
  readonly tags: string;
}

interface FakeSeries extends ViewedSeries {
  readonly metric: MetricName;
  readonly atMs: number[];
  readonly values: number[];
}

const DAY_MS = 86_400_000;

export class FakeView implements SampleView {
  nowMs = 1_700_000_000_000;
  readonly #hosts = new Map<string, number>();
  readonly #vms = new Map<string, FakeVm & { readonly sinceMs: number }>();
  readonly #series = new Map<string, FakeSeries>();
  readonly #byId: FakeSeries[] = [];
  readonly #forecasts = new Map<number, number>();

  host(name: string, ageMs = 30 * DAY_MS): this {
    this.#hosts.set(name, this.nowMs - ageMs);
    return this;
  }

  vm(name: string, change: Partial<FakeVm & { ageMs: number }> = {}): this {
    const { host = 'h1', project = 'default', tags = '', ageMs = 30 * DAY_MS } = change;
    this.#vms.set(name, { name, host, project, tags, sinceMs: this.nowMs - ageMs });
    return this;
  }

  forget(vm: string): void {
    this.#vms.delete(vm);
  }

  /** Puts the newest sample, `ageMs` ago. */
  put(metric: MetricName, kind: EntityKind, owner: string, value: number, ageMs = 0, sub = ''): this {
    const series = this.#seriesOf(metric, kind, owner, sub);
    series.atMs.push(this.nowMs - ageMs);
    series.values.push(value);
    return this;
  }

  /** Samples that end now, `periodMs` apart; null = none. */
  history(
    metric: MetricName,
    kind: EntityKind,
    owner: string,
    values: readonly (number | null)[],
    periodMs = 10_000,
  ): this {
    for (const [n, value] of values.entries())
      if (value !== null) this.put(metric, kind, owner, value, (values.length - 1 - n) * periodMs);
    return this;
  }

  willBe(metric: MetricName, kind: EntityKind, owner: string, value: number): this {
    this.#forecasts.set(this.#seriesOf(metric, kind, owner, '').series, value);
    return this;
  }

  *entities(metric: MetricName): Iterable<ViewedSeries> {
    for (const series of this.#series.values()) if (series.metric === metric) yield series;
  }

  latest(id: number): { value: number; ageMs: number } | null {
    const { atMs, values } = this.#byId[id] ?? { atMs: [], values: [] };
    const at = atMs.at(-1);
    const value = values.at(-1);
    return at === undefined || value === undefined ? null : { value, ageMs: this.nowMs - at };
  }

  periodMs(id: number): number {
    const metric = this.#byId[id]?.metric;
    return metric === undefined ? 0 : definitionOf(metric).periodSeconds * 1000;
  }

  window(id: number, ms: number): Window {
    const { atMs, values } = this.#byId[id] ?? { atMs: [], values: [] };
    const from = atMs.findIndex((at) => at > this.nowMs - ms);
    return from < 0 ? { atMs: [], values: [] } : { atMs: atMs.slice(from), values: values.slice(from) };
  }

  *existing(kind: EntityKind): Iterable<{ entity: SeriesEntity; labels: Labels; sinceMs: number }> {
    if (kind === 'host')
      for (const [name, sinceMs] of this.#hosts) yield { ...this.describe('host', name, ''), sinceMs };
    if (kind === 'vm')
      for (const { name, sinceMs } of this.#vms.values()) yield { ...this.describe('vm', name, ''), sinceMs };
  }

  forecast(id: number): number | null {
    return this.#forecasts.get(id) ?? null;
  }

  /** @param owner name of a host, or of a VM, which must be known */
  describe(kind: EntityKind, owner: string, sub: string): { entity: SeriesEntity; labels: Labels } {
    const named: Labels = kind === 'host' || kind === 'vm' ? {} : { [SUB_LABELS[kind]]: sub };
    if (!VM_KINDS.includes(kind))
      return { entity: { owner: { type: 'host', id: owner }, kind, sub }, labels: { host: owner, kind, ...named } };
    const { host = 'h1', project = '', tags = '' } = this.#vms.get(owner) ?? {};
    return {
      entity: { owner: { type: 'vm', id: `id-${owner}` }, kind, sub },
      labels: { host, vm: owner, uuid: `id-${owner}`, project, tags, kind, ...named },
    };
  }

  #seriesOf(metric: MetricName, kind: EntityKind, owner: string, sub: string): FakeSeries {
    const key = `${metric} ${kind} ${owner} ${sub}`;
    const known = this.#series.get(key);
    if (known !== undefined) return known;
    const made: FakeSeries = {
      metric,
      series: this.#byId.length,
      ...this.describe(kind, owner, sub),
      atMs: [],
      values: [],
    };
    this.#series.set(key, made);
    this.#byId.push(made);
    return made;
  }
}

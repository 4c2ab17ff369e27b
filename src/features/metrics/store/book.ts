/** The book of series: which number stands for which line of which graph. Numbers are given once and kept in the file; those of owners
 *  that exist are in memory, so that thousands of samples find theirs in a millisecond. */

import { definitionOf, type EntityKind, isMetric, type MetricName } from '#contract/metric-catalogue.ts';
import type { Owner, Series } from '../sample.ts';
import { averageDigits } from './rollup.ts';
import type { SeriesRow, SeriesRows } from './series-rows.ts';

export interface Entry extends Series {
  readonly ownerNumber: number;
  readonly metricNumber: number;
  /** Digits behind the point that its whole numbers stand for; as they were when the series began. */
  readonly decimals: number;
  /** Ten to the power of the decimals. */
  readonly factor: number;
  /** Told when it changes, and holds until then. */
  readonly isHeld: boolean;
  /** What whole numbers it may have; one object for all of a figure, so that thousands of samples find it near. */
  readonly limits: Limits;
}

interface Limits {
  readonly lowest: number;
  readonly highest: number;
}

export interface OwnerBook {
  readonly number: number;
  readonly owner: Owner;
  readonly entries: Entry[];
  readonly entities: Map<EntityKind, Map<string, Map<MetricName, Entry>>>;
}

export interface Book {
  /** The owner's part; begun when there is none. */
  owner(owner: Owner): OwnerBook;
  /** The owner's part in memory, or of an owner of the past from the file; null when nobody knows it. */
  recall(owner: Owner): OwnerBook | null;
  owners(): Iterable<OwnerBook>;
  entry(id: number): Entry | null;
  ofMetric(metric: MetricName): readonly Entry[];
  /** What the file calls by this number; null for figures that this version does not know. */
  metricName(number: number): MetricName | null;
  /** The number of a figure in the file; null while it has none. */
  metricNumber(metric: MetricName): number | null;
  /** Begins a series. */
  add(book: OwnerBook, kind: EntityKind, sub: string, metric: MetricName): Entry;
  /** Series in memory. */
  readonly size: number;
  /** Writes a part of what is new; inside a transaction of the caller, who says afterwards that it is on disk.
   *  @param hour that the new owners are seen in, hours since 1970 */
  write(hour: number): void;
  written(): void;
  /** Whether something is not written yet. */
  readonly hasNews: boolean;
  /** Reads the owners that had samples since this hour. */
  load(sinceHour: number): void;
  /** Grows whenever entries left. */
  readonly generation: number;
  /** Takes owners out of memory that are gone. */
  forget(isGone: (owner: Owner) => boolean): void;
  /** Goes on with another, empty file: all that is in memory counts as new. */
  moveTo(rows: SeriesRows): void;
}

/** A first tick of many VMs begins thousands of series. */
const WRITTEN_AT_ONCE = 1000;

const keyOf = (owner: Owner) => (owner.type === 'vm' ? owner.id : `host ${owner.id}`);

export function createBook(first: SeriesRows): Book {
  let rows = first;
  const owners = new Map<string, OwnerBook>();
  const entries: (Entry | undefined)[] = [];
  const byMetric = new Map<MetricName, Entry[]>();
  const metricNumbers = new Map<string, number>(rows.metrics().map(({ name, id }) => [name, id]));
  const metricNames = new Map(rows.metrics().map(({ name, id }) => [id, name]));
  const last = { ...rows.maxima() };
  let freshOwners: OwnerBook[] = [];
  let freshMetrics: MetricName[] = [];
  let freshEntries: Entry[] = [];
  let size = 0;
  let generation = 0;

  const numberOf = (name: MetricName): number => {
    const known = metricNumbers.get(name);
    if (known !== undefined) return known;
    last.metric += 1;
    metricNumbers.set(name, last.metric);
    metricNames.set(last.metric, name);
    freshMetrics.push(name);
    return last.metric;
  };

  const limits = new Map<MetricName, Limits>();
  const newEntry = (book: OwnerBook, row: SeriesRow, kind: EntityKind, metric: MetricName): Entry => {
    const shared = limits.get(metric) ?? limitsOf(metric);
    limits.set(metric, shared);
    return {
      id: row.id,
      owner: book.owner,
      kind,
      sub: row.sub,
      metric,
      ownerNumber: book.number,
      metricNumber: row.metric,
      decimals: row.decimals,
      factor: 10 ** row.decimals,
      isHeld: definitionOf(metric).periodSeconds === 0,
      limits: shared,
    };
  };
  /** Null for a figure that this version does not know any more. */
  const entryOf = (book: OwnerBook, row: SeriesRow): Entry | null => {
    const metric = metricNames.get(row.metric) ?? '';
    if (!isMetric(metric)) return null;
    const kind = definitionOf(metric).kinds.find((each) => each === row.kind);
    return kind === undefined ? null : newEntry(book, row, kind, metric);
  };

  const publish = (entry: Entry): void => {
    entries[entry.id] = entry;
    const list = byMetric.get(entry.metric);
    if (list === undefined) byMetric.set(entry.metric, [entry]);
    else list.push(entry);
    size += 1;
  };

  /** As the file has it, without making it known. */
  const read = (number: number, owner: Owner): OwnerBook => {
    const book: OwnerBook = { number, owner, entries: [], entities: new Map() };
    for (const row of rows.series(number)) {
      const entry = entryOf(book, row);
      if (entry !== null) enter(book, entry);
    }
    return book;
  };
  const fromFile = (owner: Owner): OwnerBook | null => {
    const number = rows.ownerNumber(owner);
    return number === null ? null : read(number, owner);
  };
  const keep = (book: OwnerBook): OwnerBook => {
    owners.set(keyOf(book.owner), book);
    for (const entry of book.entries) publish(entry);
    return book;
  };

  return {
    owner(owner) {
      const known = owners.get(keyOf(owner));
      if (known !== undefined) return known;
      const old = fromFile(owner);
      if (old !== null) return keep(old);
      last.owner += 1;
      const book: OwnerBook = { number: last.owner, owner, entries: [], entities: new Map() };
      freshOwners.push(book);
      return keep(book);
    },
    recall: (owner) => owners.get(keyOf(owner)) ?? fromFile(owner),
    owners: () => owners.values(),
    entry: (id) => entries[id] ?? null,
    ofMetric: (metric) => byMetric.get(metric) ?? [],
    metricName(number) {
      const name = metricNames.get(number) ?? '';
      return isMetric(name) ? name : null;
    },
    metricNumber: (metric) => metricNumbers.get(metric) ?? null,
    add(book, kind, sub, metric) {
      last.series += 1;
      const { decimals } = definitionOf(metric);
      const entry = newEntry(book, { id: last.series, metric: numberOf(metric), kind, sub, decimals }, kind, metric);
      enter(book, entry);
      publish(entry);
      freshEntries.push(entry);
      return entry;
    },
    get size() {
      return size;
    },
    write(hour) {
      for (const { number, owner } of freshOwners) rows.insertOwner(number, owner, hour);
      for (const name of freshMetrics) rows.insertMetric(numberOf(name), name);
      for (const entry of freshEntries.slice(0, WRITTEN_AT_ONCE))
        rows.insertSeries(entry.ownerNumber, { ...entry, metric: entry.metricNumber });
    },
    written() {
      freshOwners = [];
      freshMetrics = [];
      freshEntries = freshEntries.slice(WRITTEN_AT_ONCE);
    },
    get hasNews() {
      return freshOwners.length + freshMetrics.length + freshEntries.length > 0;
    },
    load(sinceHour) {
      for (const { number, owner } of rows.ownersSince(sinceHour))
        if (!owners.has(keyOf(owner))) keep(read(number, owner));
    },
    get generation() {
      return generation;
    },
    forget(isGone) {
      const gone = [...owners.values()].filter(({ owner }) => isGone(owner));
      if (gone.length === 0) return;
      generation += 1;
      const ids = new Set(gone.flatMap((book) => book.entries.map(({ id }) => id)));
      for (const { owner } of gone) owners.delete(keyOf(owner));
      for (const id of ids) delete entries[id];
      for (const [metric, list] of byMetric)
        byMetric.set(
          metric,
          list.filter(({ id }) => !ids.has(id)),
        );
      size -= ids.size;
    },
    moveTo(other) {
      rows = other;
      freshOwners = [...owners.values()];
      freshMetrics = [...metricNumbers.keys()].filter(isMetric);
      freshEntries = freshOwners.flatMap((book) => book.entries);
    },
  };
}

/** Numbers of an enum name one of its values; others are exact, and so are their means. */
function limitsOf(metric: MetricName): Limits {
  const definition = definitionOf(metric);
  const exact = Math.floor(Number.MAX_SAFE_INTEGER / 10 ** averageDigits(definition));
  return definition.values === undefined
    ? { lowest: -exact, highest: exact }
    : { lowest: 0, highest: definition.values.length - 1 };
}

function enter(book: OwnerBook, entry: Entry): void {
  book.entries.push(entry);
  const subs = book.entities.get(entry.kind) ?? new Map<string, Map<MetricName, Entry>>();
  book.entities.set(entry.kind, subs);
  const metrics = subs.get(entry.sub) ?? new Map<MetricName, Entry>();
  subs.set(entry.sub, metrics);
  metrics.set(entry.metric, entry);
}

/** Takes what collectors put, gives each its series, and refuses what is too much or no number. A guest decides how many file systems
 *  and network cards it shows, so series are counted: beyond the caps they are dropped. */

import { definitionOf, type EntityKind, type MetricName, VM_KINDS } from '#contract/metric-catalogue.ts';
import type { Logger } from '#kernel/logger.ts';
import type { Owner, SampleSink } from '../sample.ts';
import type { Book, Entry, OwnerBook } from './book.ts';
import { createTakenList, type Taken } from './taken.ts';

export const MAX_SERIES = 20_000;
export const MAX_SERIES_OF_VM = 200;
/** Names of mount points come from guests. */
const MAX_SUB_LENGTH = 255;

/** One moment while it is filled. */
export interface OpenTick {
  readonly sink: SampleSink;
  /** What was put so far; later ones are ignored. */
  close(): Taken;
}

export interface Intake {
  open(): OpenTick;
  /** Since the start of the daemon. */
  readonly counts: { readonly rejected: number; readonly dropped: number };
}

export interface IntakeOptions {
  readonly book: Book;
  readonly log: Logger;
  /** Whether a series has had a sample in the last hour; only those count against the caps. */
  isActive(entry: Entry): boolean;
  /** A collector says how often the series is measured. */
  onPeriod(entry: Entry, periodMs: number): void;
}

export function createIntake({ book, log, isActive, onPeriod }: IntakeOptions): Intake {
  const counts = { rejected: 0, dropped: 0 };
  let moment = 0;
  let fullAt = -1;
  /** The moment at which a series was last put, by its id. */
  const putAt: number[] = [];
  /** The moment at which a series began: it has no sample yet, and counts all the same. */
  const begunAt: number[] = [];
  const toldOf = new Set<string>();
  const used: Lookup = { owner: null, book: null, kind: null, sub: '', metrics: null };

  const hasRoom = (own: OwnerBook): boolean => {
    const isFull = (entries: Iterable<Entry>, most: number) => {
      let active = 0;
      for (const entry of entries) if (isActive(entry) || begunAt[entry.id] === moment) active += 1;
      return active >= most;
    };
    if (own.owner.type === 'vm' && own.entries.length >= MAX_SERIES_OF_VM && isFull(own.entries, MAX_SERIES_OF_VM))
      return false;
    if (book.size < MAX_SERIES) return true;
    // Counting all of them is done once for a moment.
    if (
      fullAt !== moment &&
      isFull(
        [...book.owners()].flatMap(({ entries }) => entries),
        MAX_SERIES,
      )
    )
      fullAt = moment;
    return fullAt !== moment;
  };

  const begin = (own: OwnerBook, kind: EntityKind, sub: string, metric: MetricName): Entry | null => {
    checkKind(own.owner, kind, metric);
    if (sub.length <= MAX_SUB_LENGTH && hasRoom(own)) {
      const entry = book.add(own, kind, sub, metric);
      begunAt[entry.id] = moment;
      return entry;
    }
    counts.dropped += 1;
    const who = own.owner.type === 'vm' ? `VM ${own.owner.id}` : 'the host';
    if (!toldOf.has(who)) {
      toldOf.add(who);
      log.warn(
        { metric, kind, series: own.entries.length },
        `${who} has more figures than are kept (${MAX_SERIES_OF_VM} of a VM, ${MAX_SERIES} in all); further ones are dropped`,
      );
    }
    return null;
  };

  const search = (owner: Owner, kind: EntityKind, sub: string, metric: MetricName): Entry | null => {
    if (used.metrics === null || used.owner?.id !== owner.id || used.kind !== kind || used.sub !== sub) {
      if (used.book === null || used.owner?.id !== owner.id) used.book = book.owner(owner);
      used.owner = owner;
      used.kind = kind;
      used.sub = sub;
      used.metrics = used.book.entities.get(kind)?.get(sub) ?? null;
    }
    const known = used.metrics?.get(metric);
    if (known !== undefined) return known;
    const begun = used.book === null ? null : begin(used.book, kind, sub, metric);
    used.metrics = used.book?.entities.get(kind)?.get(sub) ?? null;
    return begun;
  };

  /** Collectors put the same figures in the same order each time, so what came after a figure the last time is likely to come now. */
  const expected: (Entry | null)[] = [];
  let generation = book.generation;
  const list = createTakenList();

  return {
    counts,
    open() {
      // A moment that was never closed is forgotten.
      list.take();
      let place = 0;
      let taken: Taken | null = null;
      moment += 1;
      const now = moment;
      // What is remembered of the moment before may have left the book.
      used.owner = null;
      used.book = null;
      used.metrics = null;
      return {
        sink: {
          put(owner, kind, sub, metric, value, periodMs) {
            if (taken !== null || moment !== now) return;
            if (generation !== book.generation) {
              generation = book.generation;
              expected.fill(null);
            }
            const likely = expected[place];
            place += 1;
            if (value === null || !Number.isFinite(value)) {
              // Keeps the places of those that follow.
              if (likely === undefined) expected.push(null);
              return;
            }
            const entry =
              likely?.metric === metric &&
              likely.sub === sub &&
              likely.kind === kind &&
              (likely.owner === owner || likely.owner.id === owner.id)
                ? likely
                : search(owner, kind, sub, metric);
            if (entry !== likely) expected[place - 1] = entry;
            if (entry === null || putAt[entry.id] === now) return;
            // Adding zero turns the negative zero into the usual one.
            const scaled = Math.round(value * entry.factor) + 0;
            if (scaled < entry.limits.lowest || scaled > entry.limits.highest) {
              counts.rejected += 1;
              return;
            }
            putAt[entry.id] = now;
            if (periodMs !== undefined) onPeriod(entry, periodMs);
            list.add(entry, scaled);
          },
        },
        close() {
          if (taken === null) {
            expected.length = Math.min(expected.length, place);
            taken = list.take();
          }
          return taken;
        },
      };
    },
  };
}

interface Lookup {
  owner: Owner | null;
  book: OwnerBook | null;
  kind: EntityKind | null;
  sub: string;
  metrics: Map<MetricName, Entry> | null;
}

/** @throws TypeError for a figure that this entity cannot have: a mistake in a collector */
function checkKind(owner: Owner, kind: EntityKind, metric: MetricName): void {
  if (!definitionOf(metric).kinds.includes(kind)) throw new TypeError(`${kind} has no figure ${metric}`);
  if (VM_KINDS.includes(kind) !== (owner.type === 'vm'))
    throw new TypeError(`${kind} does not belong to a ${owner.type}`);
}

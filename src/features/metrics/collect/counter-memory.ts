/** Remembers counters from look to look and tells how they grew. What cannot be said is null: the first look, a counter that went back,
 *  another run of its owner, or a gap of more than three periods. */

export interface Growth {
  readonly amount: number;
  readonly seconds: number;
}

export interface OwnCounters {
  /** @param atMs monotonic time of the look; a second look at the same moment tells nothing
   *  @param periodMs how often this counter is looked at when nothing hinders */
  growth(key: string, value: number | null, atMs: number, periodMs: number): Growth | null;
  /** Growth per second. */
  rate(key: string, value: number | null, atMs: number, periodMs: number): number | null;
}

export interface CounterMemory {
  /** The counters of one owner. @param runId another one makes it forget all: counters begin anew then */
  of(owner: string, runId?: number | null): OwnCounters;
  /** Forgets the others. */
  keep(owners: ReadonlySet<string>): void;
}

const MAX_PERIODS = 3;

interface Known {
  runId: number | null;
  readonly looks: Map<string, { readonly value: number; readonly atMs: number }>;
}

export function createCounterMemory(): CounterMemory {
  const known = new Map<string, Known>();

  const of = (owner: string, runId: number | null = null): OwnCounters => {
    const mine = known.get(owner) ?? { runId, looks: new Map() };
    if (mine.runId !== runId) {
      mine.looks.clear();
      mine.runId = runId;
    }
    known.set(owner, mine);
    const growth: OwnCounters['growth'] = (key, value, atMs, periodMs) => {
      // Numbers that cannot be told exactly would make rates of rounding errors.
      if (value === null || !Number.isSafeInteger(Math.round(value))) return null;
      const before = mine.looks.get(key);
      if (before && atMs <= before.atMs) return null;
      mine.looks.set(key, { value, atMs });
      if (!before || value < before.value || atMs - before.atMs > periodMs * MAX_PERIODS) return null;
      return { amount: value - before.value, seconds: (atMs - before.atMs) / 1000 };
    };
    return {
      growth,
      rate(key, value, atMs, periodMs) {
        const grown = growth(key, value, atMs, periodMs);
        return grown === null ? null : grown.amount / grown.seconds;
      },
    };
  };

  return {
    of,
    keep(owners) {
      for (const owner of known.keys()) if (!owners.has(owner)) known.delete(owner);
    },
  };
}

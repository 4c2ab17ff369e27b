/** The last hour and a little more, in memory. Ticks are counted by the monotonic clock, so a step of the wall clock moves nothing here.
 *  Slots lie in pages, tick after tick, so that the thousands of values of one tick are written beside each other; four bytes for
 *  each while the numbers of a series fit, then eight. */

/** An hour, and ten minutes in which the hour before can still be written to the disk. */
export const HEAD_TICKS = 420;

/** Series of a page. */
const PAGE_SERIES = 128;
/** Stands for no value in pages of four bytes; in the others it is NaN. */
const MISSING = -(2 ** 31);
const LARGEST = 2 ** 31 - 1;
const NEVER = -1;

interface Page {
  readonly slots: Int32Array | Float64Array;
  readonly missing: number;
  /** The newest tick of each series. */
  readonly lastTicks: Float64Array;
  /** The newest tick of all; slots up to it are clean. */
  last: number;
}

interface Place {
  readonly page: Page;
  /** Of the series inside a tick's row. */
  readonly at: number;
}

/** One for many series: memory of each alone costs more than what is put into it. */
export interface Room {
  readonly offsets: Int32Array;
  readonly values: Float64Array;
  used: number;
}

export interface Head {
  /** Puts a scaled value. */
  put(series: number, tick: number, scaled: number): void;
  /** Puts the values of a tick; each series is there at most once. */
  putAll(tick: number, series: Float64Array, scaled: Float64Array): void;
  /** Null when the series has no value in the ring. */
  latest(series: number): { readonly tick: number; readonly scaled: number } | null;
  /** The newest tick with a value; null when there is none. Cheap. */
  lastTick(series: number): number | null;
  /** Calls back for each value from `from` to `to`, both included, oldest first. */
  read(series: number, from: number, to: number, take: (tick: number, scaled: number) => void): void;
  /** Appends the values from `from` to `to`, both included, oldest first, with their distance from `from` in ticks, counted from `first`. */
  copy(series: number, from: number, to: number, first: number, room: Room): void;
  /** Gives back the memory of series without a value since this tick. */
  forgetBefore(tick: number): void;
}

export function createHead(): Head {
  const places: (Place | undefined)[] = [];
  const free: { narrow: Place[]; wide: Place[] } = { narrow: [], wide: [] };

  const placeOf = (kind: 'narrow' | 'wide', tick: number): Place => {
    if (free[kind].length === 0) {
      const page = newPage(kind, tick);
      // The first is given first, so that series that began together lie together.
      for (let at = PAGE_SERIES - 1; at >= 0; at -= 1) free[kind].push({ page, at });
    }
    const place = free[kind].pop();
    if (place === undefined) throw new RangeError('a new page has no room');
    return place;
  };
  const giveBack = ({ page, at }: Place): void => {
    for (let row = 0; row < HEAD_TICKS; row += 1) page.slots[row * PAGE_SERIES + at] = page.missing;
    page.lastTicks[at] = NEVER;
    free[page.missing === MISSING ? 'narrow' : 'wide'].push({ page, at });
  };
  const eachOf = ({ page, at }: Place, from: number, to: number, take: (tick: number, scaled: number) => void) => {
    const end = Math.min(to, page.lastTicks[at] ?? NEVER);
    for (let tick = Math.max(from, page.last - HEAD_TICKS + 1, 0); tick <= end; tick += 1) {
      const scaled = page.slots[(tick % HEAD_TICKS) * PAGE_SERIES + at] ?? Number.NaN;
      if (scaled !== page.missing && !Number.isNaN(scaled)) take(tick, scaled);
    }
  };
  const widened = (place: Place, tick: number): Place => {
    const wide = placeOf('wide', tick);
    eachOf(place, 0, Number.MAX_SAFE_INTEGER, (each, scaled) => write(wide, each, scaled));
    giveBack(place);
    return wide;
  };

  const put = (series: number, tick: number, scaled: number): void => {
    let place = places[series];
    if (place === undefined) {
      place = placeOf('narrow', tick);
      places[series] = place;
    }
    if (place.page.missing === MISSING && (scaled > LARGEST || scaled <= MISSING)) {
      place = widened(place, tick);
      places[series] = place;
    }
    write(place, tick, scaled);
  };

  return {
    put,
    putAll(tick, series, scaled) {
      const row = (tick % HEAD_TICKS) * PAGE_SERIES;
      for (let n = 0; n < series.length; n += 1) {
        const id = series[n] ?? NEVER;
        const value = scaled[n] ?? 0;
        const place = places[id];
        // The page has this tick's row already, and the value fits: so it is for all but a few.
        if (place !== undefined && place.page.last === tick && value <= LARGEST && value > MISSING) {
          place.page.slots[row + place.at] = value;
          place.page.lastTicks[place.at] = tick;
        } else put(id, tick, value);
      }
    },
    latest(series) {
      const place = places[series];
      if (place === undefined) return null;
      const tick = place.page.lastTicks[place.at] ?? NEVER;
      if (tick <= place.page.last - HEAD_TICKS) return null;
      return { tick, scaled: place.page.slots[(tick % HEAD_TICKS) * PAGE_SERIES + place.at] ?? 0 };
    },
    lastTick(series) {
      const place = places[series];
      return place === undefined ? null : (place.page.lastTicks[place.at] ?? null);
    },
    read(series, from, to, take) {
      const place = places[series];
      if (place !== undefined) eachOf(place, from, to, take);
    },
    copy(series, from, to, first, room) {
      const place = places[series];
      if (place === undefined) return;
      const { page, at } = place;
      const begin = Math.max(from, page.last - HEAD_TICKS + 1, 0);
      const end = Math.min(to, page.lastTicks[at] ?? NEVER);
      const stretch = {
        slot: (begin % HEAD_TICKS) * PAGE_SERIES + at,
        count: end - begin + 1,
        offset: begin - from + first,
      };
      if (page.slots instanceof Int32Array) copyNarrow(page.slots, stretch, room);
      else copyWide(page.slots, stretch, room);
    },
    forgetBefore(tick) {
      for (const [series, place] of places.entries()) {
        if (place === undefined || (place.page.lastTicks[place.at] ?? NEVER) >= tick) continue;
        giveBack(place);
        delete places[series];
      }
    },
  };
}

function newPage(kind: 'narrow' | 'wide', tick: number): Page {
  const length = HEAD_TICKS * PAGE_SERIES;
  const lastTicks = new Float64Array(PAGE_SERIES).fill(NEVER);
  return kind === 'narrow'
    ? { slots: new Int32Array(length).fill(MISSING), missing: MISSING, lastTicks, last: tick }
    : { slots: new Float64Array(length).fill(Number.NaN), missing: Number.NaN, lastTicks, last: tick };
}

interface Stretch {
  /** Of the first tick. */
  readonly slot: number;
  /** Ticks. */
  readonly count: number;
  readonly offset: number;
}

/** The same twice: a loop that has seen both kinds of pages takes three times as long. */
function copyNarrow(slots: Int32Array, { slot, count, offset }: Stretch, room: Room): void {
  const { offsets, values } = room;
  let used = room.used;
  for (let n = 0, at = slot; n < count; n += 1) {
    const scaled = slots[at] ?? MISSING;
    at += PAGE_SERIES;
    if (at >= slots.length) at -= slots.length;
    if (scaled === MISSING) continue;
    offsets[used] = offset + n;
    values[used] = scaled;
    used += 1;
  }
  room.used = used;
}

function copyWide(slots: Float64Array, { slot, count, offset }: Stretch, room: Room): void {
  const { offsets, values } = room;
  let used = room.used;
  for (let n = 0, at = slot; n < count; n += 1) {
    const scaled = slots[at] ?? Number.NaN;
    at += PAGE_SERIES;
    if (at >= slots.length) at -= slots.length;
    if (Number.isNaN(scaled)) continue;
    offsets[used] = offset + n;
    values[used] = scaled;
    used += 1;
  }
  room.used = used;
}

/** What is older than the ring is left out. */
function write({ page, at }: Place, tick: number, scaled: number): void {
  for (let next = Math.max(page.last + 1, tick - HEAD_TICKS + 1); next <= tick; next += 1) {
    const row = (next % HEAD_TICKS) * PAGE_SERIES;
    page.slots.fill(page.missing, row, row + PAGE_SERIES);
  }
  if (tick > page.last) page.last = tick;
  if (tick <= page.last - HEAD_TICKS) return;
  page.slots[(tick % HEAD_TICKS) * PAGE_SERIES + at] = scaled;
  if (tick > (page.lastTicks[at] ?? NEVER)) page.lastTicks[at] = tick;
}

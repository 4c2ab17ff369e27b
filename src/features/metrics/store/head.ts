/** The last hour and a little more, in memory: a ring of slots for each series, one slot for each tick. Ticks are counted by the
 *  monotonic clock, so a step of the wall clock moves nothing here. Four bytes a slot while the numbers fit. */

/** An hour, and ten minutes in which the hour before can still be written to the disk. */
export const HEAD_TICKS = 420;

const MISSING = -(2 ** 31);
const LARGEST = 2 ** 31 - 1;

interface Ring {
  slots: Int32Array | Float64Array;
  /** The newest tick that has a value. */
  last: number;
}

export interface Head {
  /** Puts a scaled value. Ticks of one series grow. */
  put(series: number, tick: number, scaled: number): void;
  /** Null when the series has no value in the ring. */
  latest(series: number): { readonly tick: number; readonly scaled: number } | null;
  /** The newest tick with a value; null when it has left the ring. Cheap. */
  lastTick(series: number): number | null;
  /** Calls back for each value from `from` to `to`, both included, oldest first. */
  read(series: number, from: number, to: number, take: (tick: number, scaled: number) => void): void;
  /** Gives back the memory of series without a value since this tick. */
  forgetBefore(tick: number): void;
}

export function createHead(): Head {
  const rings: (Ring | undefined)[] = [];

  return {
    put(series, tick, scaled) {
      let ring = rings[series];
      if (ring === undefined || tick - ring.last >= HEAD_TICKS) {
        ring = { slots: new Int32Array(HEAD_TICKS).fill(MISSING), last: tick };
        rings[series] = ring;
      }
      for (let skipped = ring.last + 1; skipped < tick; skipped += 1)
        ring.slots[skipped % HEAD_TICKS] = ring.slots instanceof Int32Array ? MISSING : Number.NaN;
      if (ring.slots instanceof Int32Array && (scaled > LARGEST || scaled <= MISSING)) ring.slots = widened(ring.slots);
      ring.slots[tick % HEAD_TICKS] = scaled;
      ring.last = tick;
    },
    latest(series) {
      const ring = rings[series];
      return ring === undefined ? null : { tick: ring.last, scaled: ring.slots[ring.last % HEAD_TICKS] ?? 0 };
    },
    lastTick: (series) => rings[series]?.last ?? null,
    read(series, from, to, take) {
      const ring = rings[series];
      if (ring === undefined) return;
      const end = Math.min(to, ring.last);
      for (let tick = Math.max(from, ring.last - HEAD_TICKS + 1); tick <= end; tick += 1) {
        const scaled = ring.slots[tick % HEAD_TICKS];
        if (scaled !== undefined && scaled !== MISSING && !Number.isNaN(scaled)) take(tick, scaled);
      }
    },
    forgetBefore(tick) {
      for (const [series, ring] of rings.entries()) if (ring !== undefined && ring.last < tick) delete rings[series];
    },
  };
}

function widened(slots: Int32Array): Float64Array {
  return Float64Array.from(slots, (value) => (value === MISSING ? Number.NaN : value));
}

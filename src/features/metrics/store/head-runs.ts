/** Which stretches of the head belong to which hour of the wall clock. A run is a stretch of ticks without a step of the wall clock
 *  inside one hour; an hour that was lived through twice, because the clock was set back, has two. */

export const TICKS_PER_HOUR = 360;

export interface Run {
  /** Hours since 1970. */
  readonly hour: number;
  /** First tick of the head. */
  readonly first: number;
  /** Ticks from the beginning of the hour to the first. */
  readonly offset: number;
  last: number;
}

export interface HeadRuns {
  /** Notes a tick of the head with its place on the wall, in ticks since 1970. */
  add(tick: number, wallTick: number): void;
  /** Runs that are over, oldest first. */
  readonly finished: Run[];
  readonly current: Run | null;
}

export function createHeadRuns(): HeadRuns {
  const finished: Run[] = [];
  let current: Run | null = null;
  return {
    finished,
    get current() {
      return current;
    },
    add(tick, wallTick) {
      const hour = Math.floor(wallTick / TICKS_PER_HOUR);
      const offset = wallTick - hour * TICKS_PER_HOUR;
      if (current !== null && current.hour === hour && offset - current.offset === tick - current.first) {
        current.last = tick;
        return;
      }
      if (current !== null) finished.push(current);
      current = { hour, first: tick, offset, last: tick };
    },
  };
}

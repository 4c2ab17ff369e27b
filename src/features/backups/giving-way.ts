/** A backup gives way to its guest: while the guest's requests to its disks take long, fewer chunks are read at once, and when one is still
 *  too many, with pauses between. It never stands still, because what the guest overwrites is kept in scratch until the backup is over. */

/** Chunks of a disk that are asked for at once while the guest is not in the way. */
export const MOST_AT_ONCE = 6;
const FIRST_PAUSE_MS = 50;
/** At least five chunks a second: storage that is always slow must not make a night of each backup. */
const LONGEST_PAUSE_MS = 200;

/** What the guest's disks did since it was started, all of them together. */
export interface GuestRequests {
  /** Reads, writes and flushes that are done. */
  readonly count: number;
  /** Time that these took, in ms. */
  readonly totalMs: number;
}

export interface Breadth {
  readonly atOnce: number;
  /** Before each chunk. */
  readonly pauseMs: number;
}

export interface GivingWay {
  /** How the next chunk is read. */
  readonly breadth: Breadth;
  /** Takes the newest look; null = not known, which changes nothing. */
  look(requests: GuestRequests | null): void;
}

/** @param slowMs mean time of the guest's requests from one look to the next above which the backup gives way; null = it never does */
export function createGivingWay(slowMs: number | null): GivingWay {
  let breadth: Breadth = { atOnce: MOST_AT_ONCE, pauseMs: 0 };
  let before: GuestRequests | null = null;
  return {
    get breadth() {
      return breadth;
    },
    look(requests) {
      if (requests === null || slowMs === null) return;
      const known = before;
      before = requests;
      const count = known === null ? 0 : requests.count - known.count;
      if (known === null || count < 0) return;
      // A guest that asked for nothing waits for nothing.
      const meanMs = count === 0 ? 0 : (requests.totalMs - known.totalMs) / count;
      breadth = meanMs > slowMs ? narrower(breadth) : wider(breadth);
    },
  };
}

function narrower({ atOnce, pauseMs }: Breadth): Breadth {
  if (atOnce > 1) return { atOnce: Math.floor(atOnce / 2), pauseMs: 0 };
  return { atOnce: 1, pauseMs: Math.min(LONGEST_PAUSE_MS, Math.max(FIRST_PAUSE_MS, pauseMs * 2)) };
}

function wider({ atOnce, pauseMs }: Breadth): Breadth {
  if (pauseMs > FIRST_PAUSE_MS) return { atOnce, pauseMs: pauseMs / 2 };
  return { atOnce: pauseMs > 0 ? atOnce : Math.min(MOST_AT_ONCE, atOnce + 1), pauseMs: 0 };
}

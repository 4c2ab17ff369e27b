/** The last lines of the log, kept in memory for whoever has to find out what went wrong. */

export interface RecentLines {
  push(line: string): void;
  /** Oldest first. */
  all(): readonly string[];
}

const MOST_LINES = 500;
const MOST_CHARS = 4_000;

export function createRecentLines(): RecentLines {
  const lines: string[] = [];
  return {
    push(line) {
      lines.push(line.length > MOST_CHARS ? `${line.slice(0, MOST_CHARS)}…` : line);
      if (lines.length > MOST_LINES) lines.shift();
    },
    all: () => [...lines],
  };
}

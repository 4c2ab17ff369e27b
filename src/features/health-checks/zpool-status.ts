/** What `zpool status -p` says of errors and scrubs. Format: zpool-status(8). */

export interface ZpoolStatus {
  readonly name: string;
  readonly state: string;
  /** Of reads, writes and checksums, of the pool and each of its devices. */
  readonly errors: number;
  /** When the last scrub ended; null = never, or one is under way. */
  readonly scrubbedAt: Date | null;
  readonly isScrubbing: boolean;
}

export function zpoolStatuses(output: string): readonly ZpoolStatus[] {
  return output
    .split(/^\s*pool:\s*/m)
    .slice(1)
    .map((text) => {
      const name = text.split('\n', 1)[0]?.trim() ?? '';
      const state = /^\s*state:\s*(\S+)/m.exec(text)?.[1] ?? 'unknown';
      // As `sda  ONLINE  0  0  0`.
      const rows = [...text.matchAll(/^\s+\S+\s+[A-Z]+\s+(\d+)\s+(\d+)\s+(\d+)/gm)];
      const errors = rows.reduce((sum, row) => sum + Number(row[1]) + Number(row[2]) + Number(row[3]), 0);
      // As `scan: scrub repaired 0B in 00:10:12 with 0 errors on Sun Nov  8 00:34:13 2026`.
      const ended = Date.parse(/scan: scrub repaired .* on \w+ (\w+ +\d+ [\d:]+ \d{4})/.exec(text)?.[1] ?? '');
      return {
        name,
        state,
        errors,
        scrubbedAt: Number.isNaN(ended) ? null : new Date(ended),
        isScrubbing: /scan: scrub in progress/.test(text),
      };
    });
}

/** Whether the kernel had to end programs for want of memory: a guest that died of that is not started again at once. */

import { readFile } from 'node:fs/promises';

export interface OomWatch {
  /** Looks at the kernel's count. */
  look(): Promise<void>;
  /** How long ago it was seen to grow; null = not since it is watched. */
  sinceLastMs(): number | null;
  /** The count; null = the kernel does not tell it. */
  readonly kills: number | null;
}

/** @param before the count when an earlier life of hyperd looked last in this boot; null = not known */
export function createOomWatch(
  nowMs: () => number,
  before: () => number | null,
  readVmstat: () => Promise<string> = () => readFile('/proc/vmstat', 'utf8'),
): OomWatch {
  let kills: number | null = null;
  let lastMs: number | null = null;
  return {
    async look() {
      const text = /^oom_kill (\d+)$/m.exec(await readVmstat())?.[1];
      if (text === undefined) return;
      const count = Number(text);
      if (count > (kills ?? before() ?? count)) lastMs = nowMs();
      kills = count;
    },
    sinceLastMs: () => (lastMs === null ? null : nowMs() - lastMs),
    get kills() {
      return kills;
    },
  };
}

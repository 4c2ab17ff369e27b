/** Whether the disk of the database answers. SQLite writes in our only thread: on a device that hangs, reading would hang with it. So each
 *  transaction is preceded by a small durable write that another thread makes, with a deadline. */

import { type FileHandle, open } from 'node:fs/promises';
import { type Clock, systemClock } from '#kernel/clock.ts';
import { AppError } from '#kernel/errors.ts';

const BLOCK = Buffer.alloc(512, 0x2e);
/** How long an answer holds: what is asked within it is not asked again. */
const FRESH_MS = 500;
const DEADLINE_MS = 5000;

export interface Pulse {
  /** Resolves when the disk answered just now, be it with an error: SQLite names those better. @throws unavailable when it is silent */
  check(): Promise<void>;
  close(): Promise<void>;
}

/** @param path a file that is written over and over in place, so that it works on a full disk too */
export function createPulse(path: string, clock: Clock = systemClock): Pulse {
  let file: FileHandle | null = null;
  let answeredMs = Number.NEGATIVE_INFINITY;
  /** The beat that has no answer yet, and since when it is waited for. */
  let beat: { readonly done: Promise<void>; readonly sinceMs: number } | null = null;

  const write = async () => {
    file ??= await open(path, 'r+').catch(() => open(path, 'w+', 0o600));
    await file.write(BLOCK, 0, BLOCK.length, 0);
    await file.datasync();
  };

  const begin = () => {
    const settle = () => {
      answeredMs = clock.monotonicMs();
      beat = null;
    };
    const started = { done: write().then(settle, settle), sinceMs: clock.monotonicMs() };
    beat = started;
    return started;
  };

  return {
    async check() {
      if (beat === null && clock.monotonicMs() - answeredMs < FRESH_MS) return;
      const { done, sinceMs } = beat ?? begin();
      const leftMs = DEADLINE_MS - (clock.monotonicMs() - sinceMs);
      const timer = new AbortController();
      const isSilent =
        leftMs <= 0 ||
        (await Promise.race([
          done.then(() => false),
          // The abort ends the sleep when the disk was first; that rejection is the expected way out.
          clock.sleep(leftMs, timer.signal).then(
            () => true,
            () => false,
          ),
        ]));
      timer.abort();
      if (isSilent)
        throw new AppError('unavailable', {
          detail: `The disk of the state folder has not answered for ${DEADLINE_MS / 1000} seconds, so nothing was changed.`,
          hint: 'Look at `dmesg` and at the device of the state folder. It goes on by itself when the disk answers.',
        });
    },
    async close() {
      // A hanging device would keep the daemon from ending.
      if (beat === null) await file?.close();
    },
  };
}

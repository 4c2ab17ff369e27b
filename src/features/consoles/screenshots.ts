/** Pictures of screens for thumbnails: one capture per VM each five seconds however many ask, a few at once over all VMs. */

import { createHash } from 'node:crypto';
import type { Clock } from '#kernel/clock.ts';
import { AppError } from '#kernel/errors.ts';
import { asPng, PictureError, pngSize, readPicture, scaleDown, writePng } from './picture.ts';

export interface Screenshot {
  readonly png: Buffer;
  /** Quoted, for the ETag header; same picture, same text. */
  readonly etag: string;
}

export interface Screenshots {
  /** At most five seconds old. `width` makes it narrower, never wider.
   *  @throws AppError of the capture, `unavailable` when the host's picture cannot be read or too many wait */
  get(vmId: string, width: number | null): Promise<Screenshot>;
  /** Forgets a VM's picture, as when it starts anew. */
  drop(vmId: string): void;
}

export interface ScreenshotsOptions {
  /** The screen as PNG or PPM. */
  readonly capture: (vmId: string) => Promise<Uint8Array>;
  readonly clock: Clock;
}

export const FRESH_MS = 5_000;
/** Captures run in QEMU's main loop and cost a connection each. */
const MAX_CAPTURES = 4;
const MAX_WAITING = 64;
/** VMs whose last picture is kept; at 100 KiB each. */
const MAX_KEPT = 256;
/** Widths in use are few: thumbnail, preview, whole. */
const MAX_WIDTHS = 4;

interface Entry {
  readonly takenMs: number;
  readonly source: Promise<Screenshot>;
  readonly scaled: Map<number, Promise<Screenshot>>;
}

function screenshotOf(png: Buffer): Screenshot {
  return { png, etag: `"${createHash('sha256').update(png).digest('base64url').slice(0, 22)}"` };
}

export function createScreenshots({ capture, clock }: ScreenshotsOptions): Screenshots {
  const entries = new Map<string, Entry>();
  const waiting: (() => void)[] = [];
  let running = 0;

  const withSlot = async <Result>(work: () => Promise<Result>): Promise<Result> => {
    if (running >= MAX_CAPTURES) {
      if (waiting.length >= MAX_WAITING)
        throw new AppError('unavailable', { detail: 'Too many screens are being captured.' });
      await new Promise<void>((resolve) => waiting.push(resolve));
    } else running += 1;
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next) next();
      else running -= 1;
    }
  };

  const take = (vmId: string): Promise<Screenshot> =>
    withSlot(async () => {
      return screenshotOf(await asPng(await capture(vmId)));
    });

  const scale = async (source: Promise<Screenshot>, width: number): Promise<Screenshot> => {
    const whole = await source;
    if ((pngSize(whole.png)?.width ?? 0) <= width) return whole;
    return screenshotOf(await writePng(scaleDown(await readPicture(whole.png), width)));
  };

  const entryFor = (vmId: string): Entry => {
    const known = entries.get(vmId);
    if (known && clock.monotonicMs() - known.takenMs < FRESH_MS) return known;
    const entry: Entry = { takenMs: clock.monotonicMs(), source: take(vmId), scaled: new Map() };
    // A failure is not kept: the next request asks again.
    entry.source.catch(() => {
      if (entries.get(vmId) === entry) entries.delete(vmId);
    });
    entries.delete(vmId);
    entries.set(vmId, entry);
    for (const oldest of entries.keys()) {
      if (entries.size <= MAX_KEPT) break;
      entries.delete(oldest);
    }
    return entry;
  };

  return {
    async get(vmId, width) {
      const entry = entryFor(vmId);
      try {
        if (width === null) return await entry.source;
        const known = entry.scaled.get(width);
        if (known) return await known;
        const scaled = scale(entry.source, width);
        if (entry.scaled.size < MAX_WIDTHS) entry.scaled.set(width, scaled);
        return await scaled;
      } catch (error) {
        if (!(error instanceof PictureError)) throw error;
        throw new AppError('unavailable', { detail: 'The host gave a picture that cannot be read.', cause: error });
      }
    },
    drop: (vmId) => entries.delete(vmId),
  };
}

/** Reads a response body under limits: size, silence, slowness. Bytes arrive as sent; nothing is decompressed. */

import type { Clock } from '#kernel/clock.ts';
import { AppError } from '#kernel/errors.ts';
import { formatBytes } from '#kernel/units.ts';
import { type Exchange, toFetchError } from './exchange.ts';

export interface BodyLimits {
  /** The most bytes that may come, counted from the body's begin. */
  readonly maxBytes: number;
  /** No byte for so long ends it. */
  readonly idleMs: number;
  /** Fewer than `minBytesPerSecond` over so much waiting ends it. Time that the reader of the bytes takes is not counted. */
  readonly rateWindowMs: number;
  readonly minBytesPerSecond: number;
}

export function tooLarge(exchange: Exchange, maxBytes: number): AppError {
  return new AppError('download_too_large', {
    detail: `${exchange.url.host} sends more than the ${formatBytes(maxBytes)} allowed.`,
    params: { limitBytes: maxBytes },
  });
}

/** Yields the body's chunks. The caller's `signal` must be the one the exchange was opened with.
 *  @throws AppError `download_too_large`, `download_stalled`, `download_failed`, or the signal's reason */
export async function* readBody(
  exchange: Exchange,
  limits: BodyLimits,
  clock: Clock,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void> {
  const { host } = exchange.url;
  const encoding = exchange.header('content-encoding');
  if (encoding !== null && encoding.toLowerCase() !== 'identity') {
    throw new AppError('download_failed', {
      detail: `${host} sends it compressed (${encoding.slice(0, 40)}), which was not asked for.`,
    });
  }
  const announced = Number(exchange.header('content-length') ?? Number.NaN);
  if (announced > limits.maxBytes) throw tooLarge(exchange, limits.maxBytes);

  const chunks = exchange.body[Symbol.asyncIterator]();
  let total = 0;
  let waitedMs = 0;
  let windowBytes = 0;
  let stalled: AppError | null = null;
  try {
    for (;;) {
      const before = clock.monotonicMs();
      const timer = setTimeout(() => {
        stalled = new AppError('download_stalled', {
          detail: `${host} sent nothing for ${limits.idleMs / 1000} s.`,
          params: { receivedBytes: total },
        });
        exchange.body.destroy(stalled);
      }, limits.idleMs);
      const step = await chunks.next().finally(() => clearTimeout(timer));
      signal.throwIfAborted();
      if (step.done) return;
      const chunk: Uint8Array = step.value;
      total += chunk.byteLength;
      if (total > limits.maxBytes) throw tooLarge(exchange, limits.maxBytes);
      waitedMs += clock.monotonicMs() - before;
      windowBytes += chunk.byteLength;
      if (waitedMs >= limits.rateWindowMs) {
        if (windowBytes < (limits.minBytesPerSecond * waitedMs) / 1000) {
          throw new AppError('download_stalled', {
            detail: `${host} sent less than ${formatBytes(limits.minBytesPerSecond)} per second for ${limits.rateWindowMs / 1000} s.`,
            params: { receivedBytes: total },
          });
        }
        waitedMs = 0;
        windowBytes = 0;
      }
      yield chunk;
    }
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    throw stalled ?? toFetchError(error, exchange.url);
  } finally {
    exchange.close();
  }
}

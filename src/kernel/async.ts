/** Bounded waiting: deadlines and limited parallel work. Nothing waits on the outside without one of these. */

import type { Clock } from './clock.ts';
import { AppError } from './errors.ts';

/** Rejects with `timeout` when `work` has not settled after `ms`. The work itself is told through the signal.
 *  @param what names the work in the message, as `libvirt define`. */
export async function withDeadline<T>(
  what: string,
  ms: number,
  work: (signal: AbortSignal) => Promise<T>,
  outer?: AbortSignal,
): Promise<T> {
  const controller = new AbortController();
  const onOuterAbort = () => controller.abort(outer?.reason);
  if (outer?.aborted) controller.abort(outer.reason);
  outer?.addEventListener('abort', onOuterAbort, { once: true });
  const timer = setTimeout(
    () => controller.abort(new AppError('timeout', { detail: `${what} took longer than ${ms} ms` })),
    ms,
  );
  const aborted = new Promise<never>((_resolve, reject) => {
    const fail = () => reject(controller.signal.reason);
    if (controller.signal.aborted) fail();
    else controller.signal.addEventListener('abort', fail, { once: true });
  });
  try {
    return await Promise.race([work(controller.signal), aborted]);
  } finally {
    clearTimeout(timer);
    outer?.removeEventListener('abort', onOuterAbort);
  }
}

/** Like `Promise.all(items.map(work))` with at most `limit` at once. The first failure rejects; work already begun goes on. */
export async function mapLimit<Item, Result>(
  items: readonly Item[],
  limit: number,
  work: (item: Item, index: number) => Promise<Result>,
): Promise<Result[]> {
  const results = new Array<Result>(items.length);
  let next = 0;
  const lane = async () => {
    while (next < items.length) {
      const index = next;
      next += 1;
      const item = items[index];
      if (item !== undefined) results[index] = await work(item, index);
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, lane));
  return results;
}

/** Runs what it is given one after the other; each waits for the one before, however that ended. */
export function createQueue(): <Value>(work: () => Promise<Value>) => Promise<Value> {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const done = last.then(work);
    // Its own caller hears how it ended.
    last = done.catch(() => undefined);
    return done;
  };
}

/** Sleeps until the time is over or the signal is aborted, which for a loop that looks at its signal next are both the expected way out. */
export async function nap(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  await clock.sleep(ms, signal).catch(() => undefined);
}

/** Long reckoning in pieces: each `yield` is a place where others may have their turn. */
export type Steps<Result> = Generator<void, Result>;

/** All steps at once, where there are few. */
export function atOnce<Result>(steps: Steps<Result>): Result {
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
  }
}

/** Lets others have their turn when so much time has passed since they had it, else goes straight on.
 *  @throws what the signal was aborted with */
export function createBreather(sliceMs: number, signal?: AbortSignal): () => Promise<void> | undefined {
  let sinceMs = performance.now();
  const breathe = async () => {
    await new Promise((resolve) => setImmediate(resolve));
    signal?.throwIfAborted();
    sinceMs = performance.now();
  };
  return () => (performance.now() - sinceMs < sliceMs ? undefined : breathe());
}

/** Runs steps to their end, with a breath between two where one is due. @param breathe from `createBreather` */
export async function withBreaths<Result>(
  steps: Steps<Result>,
  breathe: () => Promise<void> | undefined,
): Promise<Result> {
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
    const breath = breathe();
    if (breath !== undefined) await breath;
  }
}

/** Sleep of a loop that has its own time and can be called for earlier. */
interface Waker {
  wake(): void;
  /** Resolves after `ms`, when it is woken (also before the call), or at the abort. */
  wait(ms: number, signal: AbortSignal): Promise<void>;
}

export function createWaker(clock: Clock): Waker {
  let isWoken = false;
  let interrupt: (() => void) | null = null;
  return {
    wake() {
      isWoken = true;
      interrupt?.();
    },
    async wait(ms, signal) {
      if (!isWoken && !signal.aborted) {
        const early = new AbortController();
        interrupt = () => early.abort();
        // Being woken and the end of the process are the expected ways out of a sleep.
        await clock.sleep(ms, AbortSignal.any([early.signal, signal])).catch(() => undefined);
        interrupt = null;
      }
      isWoken = false;
    },
  };
}

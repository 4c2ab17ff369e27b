/** Restore points that are being read, each in an appliance of its own: what was asked for last stays ready for a while. Bounded in number
 *  and by the memory of the host. */

import { AppError } from '#kernel/errors.ts';
import type { Reader } from './reader.ts';

export interface Readers {
  /** Works with the reader of a point, which is made when there is none.
   *  @throws file_reader_busy, and what making it throws */
  use<Result>(pointId: string, signal: AbortSignal, work: (reader: Reader) => Promise<Result>): Promise<Result>;
  /** As `use`, until it is released. */
  hold(pointId: string, signal: AbortSignal): Promise<{ readonly reader: Reader; release(): void }>;
  close(): Promise<void>;
}

export interface ReaderLimits {
  readonly parallel: number;
  readonly idleMs: number;
  /** For one that gets idle, when there are as many as may be: who has just got his answer holds its reader for a moment more. */
  readonly waitMs: number;
  /** @throws file_reader_no_memory */
  requireMemory(): void;
  /** Ends by the signal. */
  make(pointId: string, signal: AbortSignal): Promise<Reader>;
}

interface Held {
  readonly pointId: string;
  readonly reader: Promise<Reader>;
  readonly stop: AbortController;
  users: number;
  idle: NodeJS.Timeout | null;
  ending: Promise<void> | null;
}

export function createReaders({ parallel, idleMs, waitMs, requireMemory, make }: ReaderLimits): Readers {
  /** By point; those that are ending are no longer here. */
  const held = new Map<string, Held>();
  const all = new Set<Held>();
  const waiting = new Set<() => void>();
  let isClosed = false;
  const tellWaiting = () => {
    for (const go of waiting) go();
  };

  const end = (entry: Held): Promise<void> => {
    if (held.get(entry.pointId) === entry) held.delete(entry.pointId);
    if (entry.idle !== null) clearTimeout(entry.idle);
    entry.stop.abort(new AppError('file_reader_failed', { detail: 'Reading files of this restore point was ended.' }));
    entry.ending ??= entry.reader
      .then(
        (reader) => reader.close(),
        () => undefined,
      )
      .finally(() => {
        all.delete(entry);
        tellWaiting();
      });
    return entry.ending;
  };

  const release = (entry: Held) => {
    entry.users -= 1;
    if (entry.users > 0 || held.get(entry.pointId) !== entry) return;
    entry.idle = setTimeout(() => void end(entry), idleMs);
    entry.idle.unref();
    tellWaiting();
  };

  /** Ends one that is idle when there are as many as may be. @throws file_reader_busy when none gets idle soon */
  const makeRoom = async (signal: AbortSignal): Promise<void> => {
    const deadline = AbortSignal.any([signal, AbortSignal.timeout(waitMs)]);
    while (all.size >= parallel) {
      const idle = [...held.values()].find(({ users }) => users === 0);
      if (idle) await end(idle);
      else {
        signal.throwIfAborted();
        if (deadline.aborted) throw new AppError('file_reader_busy');
        await new Promise<void>((resolve) => {
          const go = () => {
            waiting.delete(go);
            deadline.removeEventListener('abort', go);
            resolve();
          };
          waiting.add(go);
          deadline.addEventListener('abort', go, { once: true });
        });
      }
    }
  };

  const begin = async (pointId: string, signal: AbortSignal): Promise<Held> => {
    await makeRoom(signal);
    const known = held.get(pointId);
    if (known) return known;
    if (isClosed) throw stops();
    requireMemory();
    const stop = new AbortController();
    const entry: Held = { pointId, stop, users: 0, idle: null, ending: null, reader: make(pointId, stop.signal) };
    held.set(pointId, entry);
    all.add(entry);
    void entry.reader.then(
      (reader) => reader.ended.then(() => end(entry)),
      () => end(entry),
    );
    return entry;
  };

  const readers: Readers = {
    async hold(pointId, signal) {
      if (isClosed) throw stops();
      const entry = held.get(pointId) ?? (await begin(pointId, signal));
      if (entry.idle !== null) clearTimeout(entry.idle);
      entry.idle = null;
      entry.users += 1;
      let isHeld = true;
      const letGo = () => {
        if (isHeld) release(entry);
        isHeld = false;
      };
      try {
        // Another one may wait for the same reader: that this one leaves does not end it.
        return { reader: await Promise.race([entry.reader, abortOf(signal)]), release: letGo };
      } catch (error) {
        letGo();
        throw error;
      }
    },
    async use(pointId, signal, work) {
      const { reader, release: letGo } = await readers.hold(pointId, signal);
      try {
        return await work(reader);
      } finally {
        letGo();
      }
    },
    async close() {
      isClosed = true;
      await Promise.all([...all].map(end));
    },
  };
  return readers;
}

const stops = () => new AppError('unavailable', { detail: 'hyperd stops.' });

function abortOf(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}

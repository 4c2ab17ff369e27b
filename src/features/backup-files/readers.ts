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
  /** Ends that of a point. */
  end(pointId: string): Promise<void>;
  count(): number;
  close(): Promise<void>;
}

export interface ReaderLimits {
  readonly parallel: number;
  readonly idleMs: number;
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
}

export function createReaders({ parallel, idleMs, requireMemory, make }: ReaderLimits): Readers {
  const held = new Map<string, Held>();
  const ending = new Set<Promise<void>>();
  let isClosed = false;

  const end = async (entry: Held): Promise<void> => {
    if (held.get(entry.pointId) === entry) held.delete(entry.pointId);
    if (entry.idle !== null) clearTimeout(entry.idle);
    entry.stop.abort(new AppError('file_reader_failed', { detail: 'Reading files of this restore point was ended.' }));
    const work = entry.reader.then(
      (reader) => reader.close(),
      () => undefined,
    );
    ending.add(work);
    await work.finally(() => ending.delete(work));
  };

  const release = (entry: Held) => {
    entry.users -= 1;
    if (entry.users > 0 || held.get(entry.pointId) !== entry) return;
    entry.idle = setTimeout(() => void end(entry), idleMs);
    entry.idle.unref();
  };

  const begin = async (pointId: string): Promise<Held> => {
    if (held.size + ending.size >= parallel) {
      const idle = [...held.values()].find(({ users }) => users === 0);
      if (idle) await end(idle);
      else throw new AppError('file_reader_busy');
    }
    const known = held.get(pointId);
    if (known) return known;
    requireMemory();
    const stop = new AbortController();
    const entry: Held = { pointId, stop, users: 0, idle: null, reader: make(pointId, stop.signal) };
    held.set(pointId, entry);
    void entry.reader.then(
      (reader) => reader.ended.then(() => end(entry)),
      () => {
        if (held.get(pointId) === entry) held.delete(pointId);
      },
    );
    return entry;
  };

  const readers: Readers = {
    async hold(pointId, signal) {
      if (isClosed) throw new AppError('unavailable', { detail: 'hyperd stops.' });
      const entry = held.get(pointId) ?? (await begin(pointId));
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
    async end(pointId) {
      const entry = held.get(pointId);
      if (entry) await end(entry);
    },
    count: () => held.size,
    async close() {
      isClosed = true;
      await Promise.all([...[...held.values()].map(end), ...ending]);
    },
  };
  return readers;
}

function abortOf(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}

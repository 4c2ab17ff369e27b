/** The history of figures: the head in memory, the file behind it, and the way from one to the other. Nobody else writes the file.
 *  What cannot be written stays in memory for an hour; nothing that goes wrong with the file stops the figures of the moment. */

import { dirname, join } from 'node:path';
import { TICK_MS } from '#contract/metric-catalogue.ts';
import type { Clock } from '#kernel/clock.ts';
import type { Logger } from '#kernel/logger.ts';
import type { Owner, Tick } from '../sample.ts';
import { type Book, createBook, type OwnerBook } from './book.ts';
import type { Column } from './chunk.ts';
import { createChunks, mergeColumns } from './chunks.ts';
import { type MetricsFile, openOrBeginAnew, putAside } from './file.ts';
import { createFileWorks } from './file-work.ts';
import { type FlushParts, flushHour } from './flush.ts';
import { createHead, HEAD_TICKS, type Head } from './head.ts';
import { columnsOfRun } from './head-columns.ts';
import { createHeadRuns, type Run, TICKS_PER_HOUR } from './head-runs.ts';
import { createHeld } from './held.ts';
import { flushFromLog, refill } from './recovery.ts';
import { createRetention, type RetentionLimits } from './retention.ts';
import { createRollups, type Rollups } from './rollups.ts';
import { createSeriesRows } from './series-rows.ts';
import { type Taken, withFigures } from './taken.ts';
import { createTickLog, type TickLog } from './tick-log.ts';
import type { TickValues } from './tick-row.ts';

export { TICK_MS };

/** Steps of deleting after one tick, so that a full file does not keep the daemon busy. */
const RETENTION_STEPS = 20;
/** Owners that had samples within this time are in memory from the start. */
const LOADED_HOURS = 25;
/** Beside the file. */
const TICKS_FOLDER = 'metrics-ticks';

/** What people should know of the history. */
export type HistoryTrouble =
  | { readonly kind: 'aside'; readonly path: string }
  | { readonly kind: 'not_written'; readonly why: string; readonly sinceMs: number }
  | { readonly kind: 'damaged'; readonly blocks: number };

export interface History {
  readonly book: Book;
  readonly head: Head;
  rollups(): Rollups;
  /** Takes what was measured at a moment. Answers it with what holds from before, as everybody gets it.
   *  @param wallTick ticks since 1970 */
  take(taken: Taken, wallTick: number, monotonicMs: number): Tick;
  /** Writes the last tick to the disk. Never rejects. */
  persist(): Promise<void>;
  /** Writes hours that are over and forgets old ones. Never rejects. */
  maintain(isDateBelieved: boolean): Promise<void>;
  /** Columns of an hour, from disk and memory. @param wanted series; null = all of the owner */
  columns(owner: OwnerBook, hour: number, wanted: ReadonlySet<number> | null): readonly Column[];
  /** Hours of which memory knows more than the disk, oldest first. */
  unwrittenHours(): readonly number[];
  /** The first and the last hour of which there are samples; null when there are none. */
  rawHours(): { readonly first: number; readonly last: number } | null;
  /** Of a tick of the head. */
  monotonicMsOf(tick: number): number;
  /** The newest tick, and its time by the wall clock as it is now. */
  readonly now: { readonly tick: number; readonly wallMs: number };
  readonly sizeBytes: number;
  /** Parts of the file that could not be read since the start. */
  readonly damagedBlocks: number;
  troubles(): readonly HistoryTrouble[];
  start(): Promise<void>;
  close(): void;
}

export interface HistoryOptions {
  readonly path: string;
  readonly clock: Clock;
  readonly log: Logger;
  limits(): RetentionLimits;
  /** Whether an owner does not exist any more. */
  isGone(owner: Owner): boolean;
  /** Rejects while the disk does not answer. */
  diskAnswers(): Promise<void>;
}

interface Opened extends FlushParts {
  readonly file: MetricsFile;
  readonly ticks: TickLog;
  readonly retention: ReturnType<typeof createRetention>;
}

const breathe = () => new Promise<void>((resolve) => setImmediate(resolve));

export function createHistory(options: HistoryOptions): History {
  const { path, clock, log, limits, isGone, diskAnswers } = options;
  const open = (file: MetricsFile): Opened => {
    const rows = createSeriesRows(file);
    return {
      file,
      rows,
      chunks: createChunks(file, log),
      rollups: createRollups(file, log),
      ticks: createTickLog(join(dirname(path), TICKS_FOLDER), file.id, log),
      retention: createRetention(file, rows, limits),
    };
  };
  const found = openOrBeginAnew(path);
  let aside = found.aside;
  let opened = open(found.file);
  const book = createBook(opened.rows);
  const held = createHeld(found.file, book);
  const head = createHead();
  const runs = createHeadRuns();
  let unwritten: (TickValues & { readonly wallTick: number }) | null = null;
  /** Hours of which the log may know more than the head: of an earlier life, or because the ring has lost it. */
  const behind = new Set<number>(opened.ticks.hours());
  /** Series of the file are in memory. */
  let isLoaded = false;
  /** There is more to forget. */
  let isUntidy = true;
  let tidiedHour = 0;
  let wasBelieved = false;
  const nowMs = () => clock.now().getTime();
  const wallTickNow = Math.floor(nowMs() / TICK_MS);
  const newest = {
    tick: wallTickNow,
    wallTick: wallTickNow,
    monotonicMs: clock.monotonicMs() - (nowMs() - wallTickNow * TICK_MS),
  };

  /** False when that is not possible either. */
  const beginAnew = (damage: unknown): boolean => {
    try {
      opened.ticks.close();
      opened.file.close();
      aside = putAside(path);
      opened = open(openOrBeginAnew(path).file);
      behind.clear();
      book.moveTo(opened.rows);
      held.moveTo(opened.file);
      log.error({ err: damage, aside }, 'the history of figures is damaged; it was put aside and begins anew');
      return true;
    } catch (error) {
      log.error({ err: error }, 'the history of figures is damaged, and no new one could be begun');
      return false;
    }
  };

  const works = createFileWorks({ clock, log, diskAnswers, beginAnew });

  /** What the file knows of the last day; once. */
  const load = () => {
    if (isLoaded) return;
    const hour = Math.floor(wallTickNow / TICKS_PER_HOUR);
    book.load(Math.min(hour, ...behind) - LOADED_HOURS);
    held.load();
    isLoaded = true;
  };

  const flushRun = async (run: Run): Promise<void> => {
    const owners = [...book.owners()].map(({ number, entries }) => ({
      number,
      entries,
      columns: () => columnsOfRun(head, entries, run),
    }));
    await flushHour(opened, { hour: run.hour, owners }, breathe);
  };

  /** An hour goes on while it is the present one, and again when the clock is set back into it. */
  const isPresent = (hour: number) => hour === runs.current?.hour;

  const flushLogged = async (hour: number): Promise<void> => {
    if (!behind.has(hour)) return;
    await flushFromLog({ ...opened, book }, hour, breathe);
    if (!isPresent(hour)) behind.delete(hour);
  };

  const flushAll = async (): Promise<void> => {
    load();
    for (let run = runs.finished[0]; run !== undefined; run = runs.finished[0]) {
      // What was measured first is written first, and stays.
      await flushLogged(run.hour);
      // What the ring has lost is in the log, if it could be written at all.
      if (newest.tick - run.first < HEAD_TICKS) await flushRun(run);
      else behind.add(run.hour);
      runs.finished.shift();
    }
    for (const hour of opened.ticks.hours()) {
      if (isPresent(hour)) continue;
      await flushLogged(hour);
      if (!isPresent(hour)) opened.ticks.remove(hour);
    }
  };

  const headRuns = () => [...runs.finished, ...(runs.current === null ? [] : [runs.current])];
  const unwrittenHours = () => [...new Set(headRuns().map(({ hour }) => hour))].sort((a, b) => a - b);
  const damagedBlocks = () => opened.chunks.damaged + opened.rollups.damaged;

  return {
    book,
    head,
    rollups: () => opened.rollups,
    take(taken, wallTick, monotonicMs) {
      const tick = newest.tick + Math.max(1, Math.round((monotonicMs - newest.monotonicMs) / TICK_MS));
      head.putAll(tick, taken.ids, taken.scaled);
      held.note(taken.held);
      const repeated = held.due(tick).filter(({ entry }) => head.lastTick(entry.id) !== tick);
      for (const { entry, scaled } of repeated) head.put(entry.id, tick, scaled);
      const all = withFigures(taken, repeated);
      runs.add(tick, wallTick);
      Object.assign(newest, { tick, wallTick, monotonicMs });
      unwritten = { wallTick, ids: all.ids, scaled: all.scaled };
      return { atMs: wallTick * TICK_MS, monotonicMs, ids: all.ids, values: all.values };
    },
    persist: () =>
      works.run('ticks', 'writing a tick of the history', async () => {
        const tick = unwritten;
        if (tick === null) return;
        // Series first, and on the storage: after a power cut the numbers of those that are lost are given to others, to which the rows of
        // the log would then belong.
        while (book.hasNews) {
          opened.file.transaction(() => book.write(Math.floor(tick.wallTick / TICKS_PER_HOUR)), { isSynced: true });
          book.written();
          await breathe();
        }
        if (held.hasNews) {
          opened.file.transaction(() => held.write());
          held.written();
        }
        opened.ticks.insert(tick.wallTick, tick);
        unwritten = null;
      }),
    async maintain(isDateBelieved) {
      if (!works.mayTry('hours')) return;
      const hour = Math.floor(newest.wallTick / TICKS_PER_HOUR);
      if (
        runs.finished.length === 0 &&
        [...behind].every(isPresent) &&
        !isUntidy &&
        hour === tidiedHour &&
        isDateBelieved === wasBelieved
      )
        return;
      const hadFinished = runs.finished.length > 0;
      await works.run('hours', 'writing an hour of the history', async () => {
        await flushAll();
        const today = hour - (hour % 24);
        while (opened.rollups.packDay(today, book.metricName)) await breathe();
        isUntidy = true;
        for (let left = RETENTION_STEPS; left > 0 && isUntidy; left -= 1) {
          isUntidy = opened.retention.step(hour, isDateBelieved);
          await breathe();
        }
        tidiedHour = hour;
        wasBelieved = isDateBelieved;
      });
      if (!hadFinished) return;
      held.forget(isGone);
      const isIdle = (owner: Owner) =>
        isGone(owner) &&
        book.owner(owner).entries.every(({ id }) => newest.tick - (head.lastTick(id) ?? 0) > HEAD_TICKS);
      book.forget(isIdle);
      head.forgetBefore(newest.tick - HEAD_TICKS);
    },
    columns(owner, hour, wanted) {
      const entries = wanted === null ? owner.entries : owner.entries.filter(({ id }) => wanted.has(id));
      const inHead = headRuns().filter((run) => run.hour === hour);
      return inHead.reduce<readonly Column[]>(
        (columns, run) => mergeColumns(columns, columnsOfRun(head, entries, run)),
        opened.chunks.read(owner.number, hour, wanted),
      );
    },
    unwrittenHours,
    rawHours() {
      const onDisk = opened.chunks.hours();
      const hours = [...unwrittenHours(), ...(onDisk === null ? [] : [onDisk.first, onDisk.last])];
      return hours.length === 0 ? null : { first: Math.min(...hours), last: Math.max(...hours) };
    },
    monotonicMsOf: (tick) => newest.monotonicMs - (newest.tick - tick) * TICK_MS,
    get now() {
      return { tick: newest.tick, wallMs: newest.wallTick * TICK_MS };
    },
    get sizeBytes() {
      const { usedBytes, freeBytes } = opened.file.size();
      return usedBytes + freeBytes;
    },
    get damagedBlocks() {
      return damagedBlocks();
    },
    troubles() {
      const damaged = damagedBlocks();
      const failing = works.failing();
      return [
        ...(aside === null ? [] : [{ kind: 'aside' as const, path: aside }]),
        ...(failing === null ? [] : [{ kind: 'not_written' as const, why: failing.why, sinceMs: failing.sinceMs }]),
        ...(damaged === 0 ? [] : [{ kind: 'damaged' as const, blocks: damaged }]),
      ];
    },
    async start() {
      if (aside !== null)
        log.error({ aside }, 'the history of figures could not be read; it was put aside and begins anew');
      await works.run('hours', 'reading the history', async () => {
        load();
        const hour = Math.floor(wallTickNow / TICKS_PER_HOUR);
        for (const each of opened.ticks.hours()) {
          if (each === hour) continue;
          await flushLogged(each);
          opened.ticks.remove(each);
        }
        await refill({ ...opened, book, head, runs }, wallTickNow, breathe);
      });
    },
    close() {
      opened.ticks.close();
      opened.file.close();
    },
  };
}

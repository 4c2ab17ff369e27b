/** The log of ticks that are in no chunk yet: what a crash leaves of the present hour. */

import { messageOf } from '#kernel/errors.ts';
import type { Logger } from '#kernel/logger.ts';
import type { MetricsFile } from './file.ts';
import { TICKS_PER_HOUR } from './head-runs.ts';
import { createTickEncoder, decodeTick, type TickValues } from './tick-row.ts';

/** Rows deleted in one step: each frees some thirty pages. */
const DELETE_ROWS = 60;

export interface TickLog {
  /** The first with a time wins: an hour that is lived through twice is not stored twice. */
  insert(wallTick: number, values: TickValues): void;
  /** Hours that have rows, oldest first. */
  hours(): readonly number[];
  /** Rows of an hour, oldest first; a damaged one is left out and told of. */
  read(hour: number): Iterable<{ readonly wallTick: number; readonly values: TickValues }>;
  /** Deletes some rows of a stretch, both ends included. Answers whether there are more. */
  deleteSome(from: number, to: number): boolean;
}

export function createTickLog({ sqlite }: MetricsFile, log: Logger): TickLog {
  const insert = sqlite.prepare('INSERT OR IGNORE INTO tick(at, bytes) VALUES(?, ?)');
  const hours = sqlite.prepare('SELECT DISTINCT at / CAST(? AS INTEGER) AS hour FROM tick ORDER BY hour');
  const ofHour = sqlite.prepare('SELECT at, bytes FROM tick WHERE at >= ? AND at < ? ORDER BY at');
  const remove = sqlite.prepare(
    'DELETE FROM tick WHERE at IN (SELECT at FROM tick WHERE at BETWEEN ? AND ? ORDER BY at LIMIT ?)',
  );
  const encode = createTickEncoder();
  return {
    insert: (wallTick, values) => void insert.run(wallTick, encode(values)),
    hours: () => hours.all(TICKS_PER_HOUR).map((row) => Number(row['hour'])),
    *read(hour) {
      for (const row of ofHour.iterate(hour * TICKS_PER_HOUR, (hour + 1) * TICKS_PER_HOUR)) {
        const [wallTick, bytes] = [Number(row['at']), row['bytes']];
        try {
          if (bytes instanceof Uint8Array) yield { wallTick, values: decodeTick(bytes) };
        } catch (error) {
          log.warn(
            { at: new Date(wallTick * 10_000).toISOString() },
            `a tick of the history is damaged and is left out: ${messageOf(error)}`,
          );
        }
      }
    },
    deleteSome: (from, to) => remove.run(from, to, DELETE_ROWS).changes === DELETE_ROWS,
  };
}

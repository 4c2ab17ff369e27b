/** Owners, metrics and series as rows of the file. */

import type { Owner } from '../sample.ts';
import type { MetricsFile } from './file.ts';

export interface SeriesRow {
  readonly id: number;
  readonly metric: number;
  readonly kind: string;
  readonly sub: string;
  readonly decimals: number;
}

export interface SeriesRows {
  /** The largest numbers given so far. */
  maxima(): { readonly owner: number; readonly metric: number; readonly series: number };
  metrics(): readonly { readonly id: number; readonly name: string }[];
  series(owner: number): readonly SeriesRow[];
  ownerNumber(owner: Owner): number | null;
  /** Owners that had samples since this hour. */
  ownersSince(hour: number): readonly { readonly number: number; readonly owner: Owner }[];
  insertOwner(number: number, owner: Owner, hour: number): void;
  insertMetric(id: number, name: string): void;
  insertSeries(owner: number, row: SeriesRow): void;
  markSeen(owner: number, hour: number): void;
  /** Removes owners without samples since this hour, at most so many, with their series. Answers how many. */
  deleteOwnersBefore(hour: number, limit: number): number;
}

export function createSeriesRows({ sqlite }: MetricsFile): SeriesRows {
  const insertOwner = sqlite.prepare('INSERT OR IGNORE INTO owner(id, type, uuid, seen_hour) VALUES(?, ?, ?, ?)');
  const insertMetric = sqlite.prepare('INSERT OR IGNORE INTO metric(id, name) VALUES(?, ?)');
  const insertSeries = sqlite.prepare(
    'INSERT OR IGNORE INTO series(id, owner, metric, kind, sub, decimals) VALUES(?, ?, ?, ?, ?, ?)',
  );
  const markSeen = sqlite.prepare('UPDATE owner SET seen_hour = max(seen_hour, ?) WHERE id = ?');
  const seriesOf = sqlite.prepare('SELECT id, metric, kind, sub, decimals FROM series WHERE owner = ? ORDER BY id');
  const ownerRow = sqlite.prepare('SELECT id FROM owner WHERE type = ? AND uuid = ?');
  const since = sqlite.prepare('SELECT id, type, uuid FROM owner WHERE seen_hour >= ?');
  const before = sqlite.prepare('SELECT id FROM owner WHERE seen_hour < ? LIMIT ?');
  const deleteSeries = sqlite.prepare('DELETE FROM series WHERE owner = ?');
  const deleteHeld = sqlite.prepare('DELETE FROM held WHERE series IN (SELECT id FROM series WHERE owner = ?)');
  const deleteOwner = sqlite.prepare('DELETE FROM owner WHERE id = ?');
  const maxOf = (question: string) => Number(sqlite.prepare(question).get()?.['n']);

  return {
    maxima: () => ({
      owner: maxOf('SELECT coalesce(max(id), 0) AS n FROM owner'),
      metric: maxOf('SELECT coalesce(max(id), 0) AS n FROM metric'),
      series: maxOf('SELECT coalesce(max(id), 0) AS n FROM series'),
    }),
    metrics: () =>
      sqlite
        .prepare('SELECT id, name FROM metric')
        .all()
        .map((row) => ({ id: Number(row['id']), name: String(row['name']) })),
    series: (owner) =>
      seriesOf.all(owner).map((row) => ({
        id: Number(row['id']),
        metric: Number(row['metric']),
        kind: String(row['kind']),
        sub: String(row['sub']),
        decimals: Number(row['decimals']),
      })),
    ownerNumber(owner) {
      const row = ownerRow.get(owner.type, owner.id);
      return row === undefined ? null : Number(row['id']);
    },
    ownersSince: (hour) =>
      since.all(hour).map((row) => {
        const id = String(row['uuid']);
        return { number: Number(row['id']), owner: row['type'] === 'vm' ? { type: 'vm', id } : { type: 'host', id } };
      }),
    insertOwner: (number, owner, hour) => void insertOwner.run(number, owner.type, owner.id, hour),
    insertMetric: (id, name) => void insertMetric.run(id, name),
    insertSeries: (owner, { id, metric, kind, sub, decimals }) =>
      void insertSeries.run(id, owner, metric, kind, sub, decimals),
    markSeen: (owner, hour) => void markSeen.run(hour, owner),
    deleteOwnersBefore(hour, limit) {
      const rows = before.all(hour, limit);
      for (const row of rows) {
        const id = Number(row['id']);
        deleteHeld.run(id);
        deleteSeries.run(id);
        deleteOwner.run(id);
      }
      return rows.length;
    },
  };
}

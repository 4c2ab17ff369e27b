/** The rows of the raw tier. */

import { messageOf } from '#kernel/errors.ts';
import type { Logger } from '#kernel/logger.ts';
import { unpack } from './block.ts';
import { type Column, encodeChunk, readColumns } from './chunk.ts';
import type { MetricsFile } from './file.ts';
import { DamagedBytes } from './varints.ts';

export interface Chunks {
  /** Columns of an owner in an hour; empty when nothing is there. A damaged chunk is told of and counts as not there.
   *  @param wanted only these series; null = all */
  read(owner: number, hour: number, wanted: ReadonlySet<number> | null): readonly Column[];
  /** Adds to what is there; what is there wins. Answers the columns as they are now. */
  merge(owner: number, hour: number, columns: readonly Column[]): readonly Column[];
  /** The first and the last hour that has chunks; null when there are none. */
  hours(): { readonly first: number; readonly last: number } | null;
  /** Chunks that could not be read since the start. */
  readonly damaged: number;
}

/** About a megabyte: a day of one VM, and more. */
const KEPT_CHUNKS = 40;

export function createChunks({ sqlite }: MetricsFile, log: Logger): Chunks {
  const select = sqlite.prepare('SELECT bytes FROM chunk WHERE owner = ? AND hour = ?');
  const upsert = sqlite.prepare(
    'INSERT INTO chunk(hour, owner, bytes) VALUES(?, ?, ?) ON CONFLICT(hour, owner) DO UPDATE SET bytes = excluded.bytes',
  );
  // Two questions: SQLite looks one of them up in the index, and walks through it for both together.
  const extremes = sqlite.prepare(
    'SELECT (SELECT min(hour) FROM chunk) AS first, (SELECT max(hour) FROM chunk) AS last',
  );
  const toldOf = new Set<string>();
  /** Those read last, without their hull: a page asks for one figure after the other of the same hours. */
  const unpacked = new Map<string, Uint8Array>();

  const read: Chunks['read'] = (owner, hour, wanted) => {
    const name = `${owner} ${hour}`;
    try {
      const known = unpacked.get(name);
      if (known !== undefined) return readColumns(known, wanted);
      const bytes = select.get(owner, hour)?.['bytes'];
      if (!(bytes instanceof Uint8Array)) return [];
      const plain = unpack(bytes);
      if (unpacked.size >= KEPT_CHUNKS) for (const oldest of [...unpacked.keys()].slice(0, 1)) unpacked.delete(oldest);
      unpacked.set(name, plain);
      return readColumns(plain, wanted);
    } catch (error) {
      if (!(error instanceof DamagedBytes)) throw error;
      if (!toldOf.has(name)) {
        toldOf.add(name);
        const at = new Date(hour * 3_600_000).toISOString();
        log.warn({ owner, at }, `an hour of the history of one owner is damaged and is left out: ${messageOf(error)}`);
      }
      return [];
    }
  };

  return {
    read,
    merge(owner, hour, columns) {
      const merged = mergeColumns(read(owner, hour, null), columns);
      upsert.run(hour, owner, encodeChunk(merged));
      unpacked.delete(`${owner} ${hour}`);
      return merged;
    },
    hours() {
      const row = extremes.get();
      return typeof row?.['first'] === 'number' ? { first: row['first'], last: Number(row['last']) } : null;
    },
    get damaged() {
      return toldOf.size;
    },
  };
}

/** Both, by series, growing; where both have a value the known one wins. */
export function mergeColumns(known: readonly Column[], added: readonly Column[]): readonly Column[] {
  if (known.length === 0) return added;
  const bySeries = new Map(known.map((column) => [column.series, column]));
  for (const column of added) {
    const there = bySeries.get(column.series);
    bySeries.set(column.series, there === undefined ? column : mergeColumn(there, column));
  }
  return [...bySeries.values()].sort((a, b) => a.series - b.series);
}

function mergeColumn(known: Column, added: Column): Column {
  const values = new Map<number, number>();
  for (const [n, offset] of added.offsets.entries()) values.set(offset, added.values[n] ?? 0);
  for (const [n, offset] of known.offsets.entries()) values.set(offset, known.values[n] ?? 0);
  const offsets = Int32Array.from(values.keys()).sort();
  return { series: known.series, offsets, values: Float64Array.from(offsets, (offset) => values.get(offset) ?? 0) };
}

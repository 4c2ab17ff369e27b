/** The rows of the coarser tiers: an hour's row for each metric, put together to a day's row when the day is over. */

import { definitionOf, type MetricName } from '#contract/metric-catalogue.ts';
import { messageOf } from '#kernel/errors.ts';
import type { Logger } from '#kernel/logger.ts';
import type { MetricsFile } from './file.ts';
import { averageDigits, type Bucket, type Rollup } from './rollup.ts';
import { decodeRollups, encodeRollups, type RollupBlock } from './rollup-block.ts';
import { DamagedBytes } from './varints.ts';

const HOURS_PER_DAY = 24;

/** Length of a bucket in seconds, and how many of them an hour has. */
export const TIERS = [
  { name: '5m', seconds: 300, perHour: 12 },
  { name: '1h', seconds: 3600, perHour: 1 },
] as const;
export type Tier = (typeof TIERS)[number];

export interface MetricId {
  readonly name: MetricName;
  readonly number: number;
}

export interface RollupRow {
  /** First hour since 1970. */
  readonly hour: number;
  readonly block: RollupBlock;
}

export interface Rollups {
  /** Puts what an hour of some series came to in the place of what is there of them. */
  merge(tier: Tier, metric: MetricId, hour: number, rollups: readonly Rollup[]): void;
  /** Rows that touch the hours from `from` to `to`, both included, oldest first. */
  read(tier: Tier, metric: MetricId, from: number, to: number, wanted: ReadonlySet<number> | null): Iterable<RollupRow>;
  /** Makes one day's row of one metric and tier; answers false when no day before this hour is left to be made.  */
  packDay(beforeHour: number, nameOf: (metric: number) => MetricName | null): boolean;
  oldestHour(tier: Tier): number | null;
  readonly damaged: number;
}

export function createRollups({ sqlite, transaction }: MetricsFile, log: Logger): Rollups {
  const covering = sqlite.prepare(
    `SELECT hour, hours, bytes FROM rollup WHERE tier = ? AND metric = ? AND hour IN (?, ?) AND hour + hours > ?`,
  );
  const between = sqlite.prepare(
    `SELECT id, hour FROM rollup WHERE tier = ? AND metric = ? AND hour BETWEEN ? AND ? AND hour + hours > ? ORDER BY hour`,
  );
  const bytesOf = sqlite.prepare('SELECT bytes FROM rollup WHERE id = ?');
  const upsert = sqlite.prepare(
    `INSERT INTO rollup(tier, metric, hour, hours, bytes) VALUES(?, ?, ?, ?, ?)
     ON CONFLICT(tier, metric, hour) DO UPDATE SET hours = excluded.hours, bytes = excluded.bytes`,
  );
  const single = sqlite.prepare(
    'SELECT tier, metric, hour FROM rollup WHERE hours = 1 AND hour < ? ORDER BY hour LIMIT 1',
  );
  const remove = sqlite.prepare('DELETE FROM rollup WHERE tier = ? AND metric = ? AND hour >= ? AND hour < ?');
  const oldest = sqlite.prepare('SELECT min(hour) AS hour FROM rollup WHERE tier = ?');
  let damaged = 0;

  const decode = (bytes: unknown, metric: MetricName, hour: number, wanted: ReadonlySet<number> | null) => {
    if (!(bytes instanceof Uint8Array)) return null;
    try {
      return decodeRollups(bytes, averageDigits(definitionOf(metric)), wanted);
    } catch (error) {
      if (!(error instanceof DamagedBytes)) throw error;
      damaged += 1;
      const at = new Date(hour * 3_600_000).toISOString();
      log.warn({ metric, at }, `a block of the history is damaged and is left out: ${messageOf(error)}`);
      return null;
    }
  };
  const write = (tier: Tier, metric: MetricId, hour: number, hours: number, rollups: readonly Rollup[]) => {
    const block = { length: tier.perHour * hours, rollups };
    upsert.run(
      tier.seconds,
      metric.number,
      hour,
      hours,
      encodeRollups(block, averageDigits(definitionOf(metric.name))),
    );
  };

  function* read(
    tier: Tier,
    metric: MetricId,
    from: number,
    to: number,
    wanted: ReadonlySet<number> | null,
  ): Iterable<RollupRow> {
    const firstDay = from - (from % HOURS_PER_DAY);
    // Row by row: the reader pauses in between, and all of them at once would be tens of megabytes.
    for (const row of between.all(tier.seconds, metric.number, firstDay, to, from)) {
      const hour = Number(row['hour']);
      const block = decode(bytesOf.get(Number(row['id']))?.['bytes'], metric.name, hour, wanted);
      if (block !== null) yield { hour, block };
    }
  }

  return {
    merge(tier, metric, hour, rollups) {
      const day = hour - (hour % HOURS_PER_DAY);
      const row = covering.all(tier.seconds, metric.number, day, hour, hour).at(-1);
      const rowHour = row === undefined ? hour : Number(row['hour']);
      const hours = row === undefined ? 1 : Number(row['hours']);
      const known = row === undefined ? null : decode(row['bytes'], metric.name, rowHour, null);
      const merged = new Map(known?.rollups.map((rollup) => [rollup.series, rollup.buckets]));
      const at = (hour - rowHour) * tier.perHour;
      for (const { series, buckets } of rollups) {
        const whole: (Bucket | null)[] = [...(merged.get(series) ?? emptyOf(tier.perHour * hours))];
        whole.splice(at, buckets.length, ...buckets);
        merged.set(series, whole);
      }
      write(tier, metric, rowHour, hours, bySeries(merged));
    },
    read,
    packDay(beforeHour, nameOf) {
      const found = single.get(beforeHour);
      if (found === undefined) return false;
      const [number, hour] = [Number(found['metric']), Number(found['hour'])];
      const tier = TIERS.find(({ seconds }) => seconds === found['tier']);
      const day = hour - (hour % HOURS_PER_DAY);
      const name = nameOf(number);
      transaction(() => {
        const metric = name === null || tier === undefined ? null : { name, number };
        const whole = new Map<number, (Bucket | null)[]>();
        if (tier !== undefined && metric !== null) {
          for (const { hour: at, block } of read(tier, metric, day, day + HOURS_PER_DAY - 1, null)) {
            for (const { series, buckets } of block.rollups) {
              const line = whole.get(series) ?? emptyOf(tier.perHour * HOURS_PER_DAY);
              line.splice((at - day) * tier.perHour, buckets.length, ...buckets);
              whole.set(series, line);
            }
          }
        }
        remove.run(Number(found['tier']), number, day, day + HOURS_PER_DAY);
        if (tier !== undefined && metric !== null && whole.size > 0)
          write(tier, metric, day, HOURS_PER_DAY, bySeries(whole));
      });
      return true;
    },
    oldestHour(tier) {
      const hour = oldest.get(tier.seconds)?.['hour'];
      return typeof hour === 'number' ? hour : null;
    },
    get damaged() {
      return damaged;
    },
  };
}

const emptyOf = (length: number): (Bucket | null)[] => new Array<Bucket | null>(length).fill(null);

const bySeries = (lines: ReadonlyMap<number, readonly (Bucket | null)[]>): Rollup[] =>
  [...lines].map(([series, buckets]) => ({ series, buckets })).sort((a, b) => a.series - b.series);

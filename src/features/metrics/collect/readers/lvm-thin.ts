/** Thin pools of LVM by `lvs --reportformat json`. Format: lvmreport(7); numbers come as texts, empty where a volume has none. */

import { z } from 'zod';
import type { Owner } from '../measuring.ts';
import { labelOf } from '../names.ts';
import type { Programs } from '../programs.ts';
import type { SlowReader } from '../slow-reader.ts';

export interface ThinPool {
  /** As `vg0/thin`. */
  readonly name: string;
  readonly sizeBytes: number;
  readonly dataRatio: number | null;
  readonly tablesRatio: number | null;
  /** Sizes of its volumes together. */
  readonly promisedBytes: number;
}

const COLUMNS = 'vg_name,lv_name,segtype,lv_size,data_percent,metadata_percent,pool_lv';

const reportSchema = z.object({
  report: z.array(
    z.object({
      lv: z
        .array(
          z.object({
            vg_name: z.string(),
            lv_name: z.string(),
            segtype: z.string(),
            lv_size: z.string(),
            data_percent: z.string(),
            metadata_percent: z.string(),
            pool_lv: z.string(),
          }),
        )
        .default([]),
    }),
  ),
});

/** @throws SyntaxError, ZodError for what is no report */
export function thinPools(json: string): readonly ThinPool[] {
  const volumes = reportSchema.parse(JSON.parse(json)).report.flatMap(({ lv }) => lv);
  return volumes
    .filter(({ segtype }) => segtype === 'thin-pool')
    .map((pool) => ({
      name: `${pool.vg_name}/${pool.lv_name}`,
      sizeBytes: Number(pool.lv_size),
      dataRatio: ratioOf(pool.data_percent),
      tablesRatio: ratioOf(pool.metadata_percent),
      promisedBytes: volumes
        .filter(({ vg_name, pool_lv }) => vg_name === pool.vg_name && pool_lv === pool.lv_name)
        .reduce((sum, { lv_size }) => sum + Number(lv_size), 0),
    }));
}

function ratioOf(percent: string): number | null {
  const value = Number.parseFloat(percent);
  return Number.isNaN(value) ? null : value / 100;
}

export function lvmThinReader(host: Owner, programs: Programs): SlowReader<readonly ThinPool[]> {
  return {
    name: 'thin pools',
    periodMs: 60_000,
    async read(signal) {
      const result = await programs.ask(
        ['lvs', '--reportformat', 'json', '--units', 'b', '--nosuffix', '--readonly', '-o', COLUMNS],
        signal,
      );
      return result === null || result.code !== 0 ? null : thinPools(result.stdout);
    },
    put(sink, pools) {
      for (const { name, sizeBytes, dataRatio, tablesRatio, promisedBytes } of pools) {
        const sub = labelOf(`lvm:${name}`);
        sink.put(host, 'pool', sub, 'thin_data_usage', dataRatio);
        sink.put(host, 'pool', sub, 'thin_meta_usage', tablesRatio);
        sink.put(host, 'pool', sub, 'disk_usage', dataRatio);
        sink.put(host, 'pool', sub, 'disk_size', sizeBytes);
        sink.put(host, 'pool', sub, 'disk_used', dataRatio === null ? null : dataRatio * sizeBytes);
        sink.put(host, 'pool', sub, 'disk_free', dataRatio === null ? null : (1 - dataRatio) * sizeBytes);
        sink.put(host, 'pool', sub, 'overcommit', sizeBytes > 0 ? promisedBytes / sizeBytes : null);
      }
    },
  };
}

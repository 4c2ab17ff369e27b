/** What hyperd takes while nobody asks anything: memory and CPU over one round of all its periodic work. */

import { setTimeout as sleep } from 'node:timers/promises';
import { MIB } from '#kernel/units.ts';
import type { TestDaemon } from '#test/support/daemon.ts';
import type { Measurement } from '../../../scripts/test/bench.ts';
import { cpuSecondsOf, residentBytesOf } from './figures.ts';

/** After the start: the first readings, the first run of all health checks half a minute later, and those of them that are asked again
 *  until there are figures, for three minutes. */
const SETTLE_MS = 190_000;
/** The slowest periodic work comes once a minute. */
const WINDOW_MS = 60_000;

/** Measures all hosts in the same minute. */
export async function measureIdle(hosts: Readonly<Record<string, TestDaemon>>): Promise<Measurement[]> {
  await sleep(SETTLE_MS);
  const rows = await Promise.all(
    Object.entries(hosts).map(async ([name, { pid }]): Promise<Measurement[]> => {
      const before = await cpuSecondsOf(pid);
      await sleep(WINDOW_MS);
      const percent = (((await cpuSecondsOf(pid)) - before) / (WINDOW_MS / 1000)) * 100;
      const resident = (await residentBytesOf(pid)) / MIB;
      return [
        { name: `resident with ${name}`, ours: resident, rival: null, ratio: null, bar: '≤ 120', unit: 'MiB' },
        { name: `idle CPU with ${name}`, ours: percent, rival: null, ratio: null, bar: '< 1', unit: '% of a core' },
      ];
    }),
  );
  return rows.flat();
}

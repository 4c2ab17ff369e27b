/** What a week of figures and alerts leaves in the memory of a process that does nothing else. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { z } from 'zod';
import { MIB } from '#kernel/units.ts';
import type { Measurement } from '../../scripts/test/bench.ts';

const resultSchema = z.object({
  afterADay: z.number(),
  afterAWeek: z.number(),
  ticks: z.number(),
  changes: z.number(),
});

/** Takes about five minutes: 60,480 ticks on a clock of its own. */
export async function run(): Promise<Measurement[]> {
  const child = spawn(process.execPath, ['--expose-gc', join(import.meta.dirname, 'growth/week.ts')], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [output, [code]] = await Promise.all([text(child.stdout), once(child, 'exit')]);
  if (code !== 0) throw new Error(`the week ended with code ${code}`);
  const { afterADay, afterAWeek, ticks, changes } = resultSchema.parse(JSON.parse(output));
  return [
    {
      name: `memory after ${ticks.toLocaleString('en')} ticks with alerts (${changes} changes), more than after the first day`,
      ours: (afterAWeek - afterADay) / MIB,
      rival: null,
      ratio: null,
      bar: '< 20',
      unit: 'MiB',
    },
  ];
}

/** What a week of figures and alerts of a large host leaves in the memory of a process that does nothing else. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { z } from 'zod';
import { MIB } from '#kernel/units.ts';
import type { Measurement } from '../../scripts/test/bench.ts';

const daySchema = z.object({ usedBytes: z.number(), tick: z.number(), changes: z.number() });

/** Takes about twenty minutes: 60,480 ticks on a clock of its own. */
export async function run(): Promise<Measurement[]> {
  const child = spawn(process.execPath, ['--expose-gc', join(import.meta.dirname, 'growth/week.ts')], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  const days: z.infer<typeof daySchema>[] = [];
  for await (const line of createInterface(child.stdout)) {
    const day = daySchema.parse(JSON.parse(line));
    days.push(day);
    process.stderr.write(
      `day ${days.length}: ${(day.usedBytes / MIB).toFixed(1)} MiB, ${day.changes} changes of alerts\n`,
    );
  }
  const [code] = await exited;
  const [first, last] = [days[0], days.at(-1)];
  if (code !== 0 || first === undefined || last === undefined) throw new Error(`the week ended with code ${code}`);
  return [
    {
      name: `memory after ${last.tick.toLocaleString('en')} ticks of 200 VMs (${last.changes} changes of alerts), more than after the first day`,
      ours: (last.usedBytes - first.usedBytes) / MIB,
      rival: null,
      ratio: null,
      bar: '< 20',
      unit: 'MiB',
    },
  ];
}

/** How long a person waits for `./hv status`, beside a Node that does nothing. */

import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { TestDaemon } from '#test/support/daemon.ts';
import type { Measurement } from '../../../scripts/test/bench.ts';
import { median } from './figures.ts';

const run = promisify(execFile);
const HV = join(import.meta.dirname, '../../../hv');
const TIMES = 11;

export async function measureStatus(daemon: TestDaemon): Promise<Measurement[]> {
  const status = () => run(HV, ['status'], { env: { ...process.env, HV_RUNTIME_DIR: daemon.runtimeDir } });
  await status();
  const ours: number[] = [];
  const rival: number[] = [];
  for (let n = 0; n < TIMES; n += 1) {
    ours.push(await msOf(status));
    rival.push(await msOf(() => run(process.execPath, ['-e', '0'])));
  }
  const [a, b] = [median(ours), median(rival)];
  return [{ name: 'hv status, median | node -e 0', ours: a, rival: b, ratio: a / b, bar: '< 250 ms', unit: 'ms' }];
}

async function msOf(act: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await act();
  return performance.now() - start;
}

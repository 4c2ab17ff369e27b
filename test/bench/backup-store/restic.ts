/** The same disk through Debian's restic, as it would be backed up by it: over its standard input. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { openSync } from 'node:fs';
import { join } from 'node:path';
import { run, runChecked } from '#platform/process.ts';

const LONGEST_MS = 30 * 60_000;

export interface ResticFigures {
  readonly writeSeconds: number;
  readonly readSeconds: number;
  readonly checkSeconds: number;
  readonly storedBytes: number;
}

/** Null when restic is not installed. */
export async function measureRestic(folder: string, image: string): Promise<ResticFigures | null> {
  const isThere = await run(['restic', 'version'], { timeoutMs: 60_000 }).then(
    ({ code }) => code === 0,
    () => false,
  );
  if (!isThere) return null;
  const repository = join(folder, 'restic');
  const env = { RESTIC_PASSWORD: 'bench', RESTIC_CACHE_DIR: join(folder, 'restic-cache') };
  const options = ['-q', '-r', repository, '--repository-version', '2'];
  await runChecked(['restic', 'init', ...options], { timeoutMs: LONGEST_MS, env });
  const write = ['backup', '-q', '-r', repository, '--stdin', '--stdin-filename', 'disk.raw'];
  const writeSeconds = await secondsOf(write, env, openSync(image, 'r'));
  const readSeconds = await secondsOf(['dump', '-q', '-r', repository, 'latest', 'disk.raw'], env, 'ignore');
  const checkSeconds = await secondsOf(['check', '-q', '-r', repository, '--read-data'], env, 'ignore');
  const { stdout } = await runChecked(['du', '-s', '-B1', repository], { timeoutMs: LONGEST_MS });
  return { writeSeconds, readSeconds, checkSeconds, storedBytes: Number(stdout.split('\t')[0]) };
}

async function secondsOf(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  stdin: number | 'ignore',
): Promise<number> {
  const beginMs = performance.now();
  const child = spawn('restic', args, { env: { ...process.env, ...env }, stdio: [stdin, 'ignore', 'inherit'] });
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`restic ${args[0]} ended with ${code}`);
  return (performance.now() - beginMs) / 1000;
}

/** `hv audit verify` over the long log, beside `sha256sum` over the same bytes; and how much memory it takes. */

import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { run } from '#platform/process.ts';
import type { LongChain } from '#test/support/audit-chain.ts';
import type { Measurement } from '../../../scripts/test/bench.ts';

const HV = join(import.meta.dirname, '../../../src/cli/main.ts');
const exec = promisify(execFile);

/** Seconds, and the largest resident memory in MiB as the kernel counted it. */
async function measure(argv: readonly string[]): Promise<{ seconds: number; peakMib: number }> {
  const start = performance.now();
  const script =
    'import sys,os,resource,subprocess; r=subprocess.run(sys.argv[1:],stdout=subprocess.DEVNULL); print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(r.returncode)';
  const { stdout } = await exec('python3', ['-c', script, ...argv]);
  return { seconds: (performance.now() - start) / 1000, peakMib: Number(stdout.trim()) / 1024 };
}

export async function measureVerify(chain: LongChain): Promise<Measurement[]> {
  const { records, exported, database } = chain;
  await run(['sha256sum', exported], { timeoutMs: 120_000 });
  const file = await measure([process.execPath, HV, 'audit', 'verify', '--file', exported]);
  const rival = await measure(['sha256sum', exported]);
  const copy = await measure([process.execPath, HV, 'audit', 'verify', '--file', database]);
  const [ours, theirs] = [records / file.seconds, records / rival.seconds];
  return [
    {
      name: `hv audit verify, export of ${records} records | sha256sum of the file`,
      ours,
      rival: theirs,
      ratio: ours / theirs,
      bar: '≥ 100,000/s',
      unit: 'records/s',
    },
    {
      name: `hv audit verify, database of ${records} records`,
      ours: records / copy.seconds,
      rival: null,
      ratio: null,
      bar: '≥ 100,000/s',
      unit: 'records/s',
    },
  ];
}

/** The largest memory over a log three times as long, beside the memory over this one: it must not grow with the log. */
export async function measureVerifyMemory(short: LongChain, long: LongChain): Promise<Measurement[]> {
  const ways = {
    export: ({ exported }: LongChain) => ['--file', exported],
    database: ({ database }: LongChain) => ['--file', database],
    'export beside a mirror': ({ exported }: LongChain) => ['--file', exported, '--mirror', exported],
    'database beside a mirror': ({ database, exported }: LongChain) => ['--file', database, '--mirror', exported],
  };
  const rows: Measurement[] = [];
  for (const [name, optionsOf] of Object.entries(ways)) {
    const peakOf = async (chain: LongChain) =>
      (await measure([process.execPath, HV, 'audit', 'verify', ...optionsOf(chain)])).peakMib;
    const [ours, rival] = [await peakOf(long), await peakOf(short)];
    rows.push({
      name: `hv audit verify, largest memory, ${name}: ${long.records} records | ${short.records}`,
      ours,
      rival,
      ratio: ours / rival,
      bar: '≤ 1.25×',
      unit: 'MiB',
    });
  }
  return rows;
}

/** The test runner behind `./hv test`: runs the suites one after the other, says what could not run and why, and ends with
 *  the counts. `./hv test [suite] [part of a file name …] [--full] [--seed N]`. */

import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { runBench } from './test/bench.ts';
import { runChecks } from './test/checks.ts';
import type { SuiteResult } from './test/results.ts';
import { runSuite, SUITES, type SuiteName } from './test/suites.ts';
import { summaryOf } from './test/summary.ts';

const USAGE = `Usage: hv test [${['check', ...SUITES.map(({ name }) => name), 'bench'].join('|')}] [PART OF A FILE NAME …] [--full] [--seed N]
Without a name: all but bench. --full runs all of a suite instead of a seeded slice; --seed repeats a slice.`;

async function main(): Promise<number> {
  const { values, positionals } = parseArguments();
  if (values.help) {
    process.stdout.write(`${USAGE}\n`);
    return 0;
  }
  const seed = values.seed === undefined ? randomInt(1, 2 ** 31) : Number(values.seed);
  if (!Number.isSafeInteger(seed) || seed < 0) return usageProblem(`--seed ${values.seed} is not a whole number`);
  const [wanted, ...filters] = positionals;
  const names = namesOf(wanted);
  if (names === null) return usageProblem(`there is no suite "${wanted}"`);
  prepareEnvironment(seed, values.full === true);

  if (wanted === 'bench') return await runBench(filters);
  const results: SuiteResult[] = [];
  for (const name of names) {
    process.stdout.write(`\n── ${name} ──\n`);
    results.push(name === 'check' ? await runChecks() : await runSuite(name, filters));
  }
  process.stdout.write(`${summaryOf(results, seed)}\n`);
  return results.some(({ failed }) => failed > 0) ? 1 : 0;
}

function parseArguments() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: { full: { type: 'boolean' }, seed: { type: 'string' }, help: { type: 'boolean', short: 'h' } },
    });
  } catch (error) {
    process.exit(usageProblem(error instanceof Error ? error.message : String(error)));
  }
}

function namesOf(wanted: string | undefined): readonly ('check' | SuiteName)[] | null {
  const all = ['check' as const, ...SUITES.map(({ name }) => name)];
  if (wanted === undefined) return all;
  if (wanted === 'bench') return [];
  const found = all.find((name) => name === wanted);
  return found === undefined ? null : [found];
}

/** Tests get their seed and nothing of the machine's own hyperd, which they must never reach. */
function prepareEnvironment(seed: number, isFull: boolean): void {
  for (const name of Object.keys(process.env))
    if (name.startsWith('HV_') && !name.startsWith('HV_TEST_')) delete process.env[name];
  process.env['HV_TEST_SEED'] = String(seed);
  if (isFull) process.env['HV_TEST_FULL'] = '1';
}

function usageProblem(message: string): number {
  process.stderr.write(`hv test: ${message}\n${USAGE}\n`);
  return 2;
}

process.exit(await main());

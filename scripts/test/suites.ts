/** The suites of tests, each run file by file in processes of their own by Node's test runner. */

import { glob } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { messageOf } from '#kernel/errors.ts';
import { run as runProgram } from '#platform/process.ts';
import { buildBundle } from '#test/support/bundle.ts';
import { helloDisk } from '#test/support/guest.ts';
import type { SuiteResult } from './results.ts';
import { runFiles } from './run-files.ts';

const ROOT = join(import.meta.dirname, '../..');
interface Suite {
  readonly name: 'unit' | 'integration' | 'e2e' | 'fault' | 'hostile';
  readonly pattern: string;
  /** Parts of the names of files that take minutes: they begin first, so that no core waits for one of them at the end. */
  readonly longest?: readonly string[];
  /** Longest life of one test, and of one file. */
  readonly timeoutMs: number;
  /** Programs without which the suite cannot run; any of a group will do. */
  readonly programs: readonly (readonly string[])[];
}

/** Files at once. They wait for half of their time, also those with guests, so one more than there are cores keeps these busy; more would
 *  take the cores from what has a time limit. */
const FILES_AT_ONCE = Math.min(5, availableParallelism() + 1);

export type SuiteName = Suite['name'];

const LONG_MS = 15 * 60_000;
/** Twenty starts of a slow guest, beside others. */
const LONGEST_MS = 25 * 60_000;
/** With all that is otherwise a seeded slice. */
const FULL_MS = 6 * 60 * 60_000;
const LIBVIRT = [['libvirtd'], ['qemu-system-x86_64'], ['unshare']] as const;

export const SUITES: readonly Suite[] = [
  {
    name: 'unit',
    pattern: '{src,scripts,test/support}/**/*.test.ts',
    timeoutMs: 120_000,
    programs: [],
  },
  {
    name: 'integration',
    pattern: 'test/integration/**/*.test.ts',
    // The first two wait for clocks with guests that have to answer in time, so what runs beside them is light.
    longest: [
      '/alerting.',
      '/metrics-collect.',
      '/docs.',
      '/launcher.',
      '/nbd.',
      '/images.',
      '/verification.',
      '/vms.',
      '/backups.',
      '/backups-installed.',
    ],
    timeoutMs: LONGEST_MS,
    programs: LIBVIRT,
  },
  {
    name: 'e2e',
    pattern: 'test/e2e/**/*.test.ts',
    longest: ['/pages.', '/alerts.', '/security.', '/journey.', '/metrics.'],
    timeoutMs: LONG_MS,
    programs: [...LIBVIRT, ['chromium', 'google-chrome', 'chromium-browser']],
  },
  {
    name: 'fault',
    pattern: 'test/fault/**/*.test.ts',
    longest: ['/backups-kill.', '/vms-kill.', '/store-', '/quota-kill.', '/vms-stall.'],
    timeoutMs: LONG_MS,
    programs: LIBVIRT,
  },
  {
    name: 'hostile',
    pattern: 'test/hostile/**/*.test.ts',
    longest: ['/nic-filters.', '/permissions-matrix.', '/consoles.', '/vms.', '/projects.', '/quota.'],
    timeoutMs: LONG_MS,
    programs: LIBVIRT,
  },
];

/** @param filters only files whose path holds one of these texts; all when empty */
export async function runSuite(name: SuiteName, filters: readonly string[]): Promise<SuiteResult> {
  const startedMs = performance.now();
  const suite = SUITES.find((candidate) => candidate.name === name);
  if (!suite) throw new TypeError(`no suite ${name}`);
  const files = await filesOf(suite, filters);
  const obstacle = files.length === 0 ? 'there are no such files' : await missingProgram(suite);
  const empty = { name, passed: 0, failed: 0, skipped: 0, counts: [], files: [], notRun: [], failures: [] };
  if (obstacle !== null) {
    process.stdout.write(`﹣ ${name} # ${obstacle}\n`);
    const what = files.length === 0 ? suite.pattern : `${files.length} files`;
    return { ...empty, skipped: Math.max(1, files.length), durationMs: 0, notRun: [{ what, why: obstacle }] };
  }
  if (suite.programs.length > 0 && files.length > 1) await makeShared();
  const timeoutMs = process.env['HV_TEST_FULL'] === '1' ? FULL_MS : suite.timeoutMs;
  const tally = await runFiles(files, { timeoutMs, atOnce: FILES_AT_ONCE });
  return { ...empty, ...tally, durationMs: performance.now() - startedMs };
}

/** Makes what many files use, as each would do by itself, before two of them do it at the same time. */
async function makeShared(): Promise<void> {
  for (const make of [buildBundle, helloDisk])
    await make().catch((error: unknown) => process.stdout.write(`﹣ ${make.name}: ${messageOf(error)}\n`));
}

async function filesOf({ pattern, longest = [] }: Suite, filters: readonly string[]): Promise<string[]> {
  const files: string[] = [];
  for await (const file of glob(pattern, { cwd: ROOT })) {
    if (filters.length === 0 || filters.some((filter) => file.includes(filter))) files.push(join(ROOT, file));
  }
  const rank = (file: string) => {
    const at = longest.findIndex((part) => file.includes(part));
    return at === -1 ? longest.length : at;
  };
  return files.sort().sort((a, b) => rank(a) - rank(b));
}

async function missingProgram({ programs }: Suite): Promise<string | null> {
  for (const group of programs) {
    const found = await Promise.all(
      group.map((program) => runProgram(['sh', '-c', 'command -v -- "$1"', 'sh', program], { timeoutMs: 10_000 })),
    );
    if (found.every(({ code }) => code !== 0)) return `${group.join(' or ')} is not installed`;
  }
  return null;
}

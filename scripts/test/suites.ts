/** The suites of tests, each run file by file in processes of their own by Node's test runner. */

import { glob } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join, relative } from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { pathToFileURL } from 'node:url';
import { messageOf } from '#kernel/errors.ts';
import { run as runProgram } from '#platform/process.ts';
import { buildBundle } from '#test/support/bundle.ts';
import { helloDisk } from '#test/support/guest.ts';
import type { FileTime, NotRun, SuiteResult } from './results.ts';

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

/** Files at once. Also those with guests wait for half of their time; more would take the cores from what has a time limit. */
const FILES_AT_ONCE = Math.min(4, Math.max(2, availableParallelism()));

/** Characters. */
const LONGEST_REASON = 400;

export type SuiteName = Suite['name'];

const LONG_MS = 15 * 60_000;
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
    longest: ['/alerting.', '/metrics-collect.', '/vms.', '/docs.', '/launcher.', '/images.'],
    timeoutMs: LONG_MS,
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
    longest: ['/vms-kill.', '/quota-kill.', '/vms-stall.'],
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
  return { ...empty, ...(await execute(suite, files)), durationMs: performance.now() - startedMs };
}

/** Makes what many files use, as each would do by itself, before two of them do it at the same time. */
async function makeShared(): Promise<void> {
  for (const make of [buildBundle, helloDisk])
    await make().catch((error: unknown) => process.stdout.write(`﹣ ${make.name}: ${messageOf(error)}\n`));
}

async function execute(suite: Suite, files: readonly string[]) {
  const counts: string[] = [];
  const times: FileTime[] = [];
  const notRun: NotRun[] = [];
  const failures: string[] = [];
  let [passed, failed, skipped] = [0, 0, 0];

  const stream = run({
    files,
    concurrency: FILES_AT_ONCE,
    timeout: suite.timeoutMs,
    execArgv: ['--import', pathToFileURL(join(import.meta.dirname, 'properties.ts')).href],
  });
  const place = (file: string | undefined) => (file === undefined ? '' : `${relative(ROOT, file)}: `);
  const tried = { properties: 0, cases: 0 };
  const count = (text: string) => {
    for (const match of text.matchAll(/^#? ?count: (.+)$/gm)) counts.push(match[1] ?? '');
    for (const match of text.matchAll(/^# properties: (\d+) tried with (\d+) cases$/gm)) {
      tried.properties += Number(match[1]);
      tried.cases += Number(match[2]);
    }
  };
  stream.on('test:stdout', ({ message }) => count(message));
  stream.on('test:diagnostic', ({ message }) => count(message));
  stream.on('test:pass', ({ name, file, skip, todo, details }) => {
    if (details.type === 'suite') return;
    if (skip === undefined && todo === undefined) {
      passed += 1;
      return;
    }
    skipped += 1;
    const reason = skip ?? todo;
    notRun.push({ what: `${place(file)}${name}`, why: typeof reason === 'string' ? reason : 'no reason given' });
  });
  // Node tells of a file as of a test with its name.
  stream.on('test:complete', ({ name, file, details }) => {
    if (file !== undefined && name === file)
      times.push({ file: relative(ROOT, file), durationMs: details.duration_ms });
  });
  stream.on('test:fail', ({ name, file, details }) => {
    // A suite fails because a test in it did, which was counted; unless its own hook failed.
    if (details.type === 'suite' && details.error.cause === undefined) return;
    if (details.type === 'suite' && /subtests? failed/.test(String(details.error.message))) return;
    failed += 1;
    failures.push(`${place(file)}${name}: ${reasonOf(details.error)}`);
  });
  for await (const chunk of stream.compose(new spec())) process.stdout.write(String(chunk));
  if (tried.properties > 0) counts.push(`${tried.properties} properties tried with ${tried.cases} random cases`);
  return { passed, failed, skipped, counts, files: times, notRun, failures };
}

/** The first lines of what was thrown: enough to know it again where the whole output is cut. */
function reasonOf(error: Error): string {
  const text = messageOf(error.cause ?? error).replaceAll(/\s+/g, ' ');
  return text.length > LONGEST_REASON ? `${text.slice(0, LONGEST_REASON)}…` : text;
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

/** The static checks: types, style and import rules, unused code, generated files. Each counts as one test. */

import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '#kernel/errors.ts';
import { run, runChecked } from '#platform/process.ts';
import type { NotRun, SuiteResult } from './results.ts';

const ROOT = join(import.meta.dirname, '../..');
const BIN = join(ROOT, 'node_modules/.bin');
const TIMEOUT_MS = 300_000;

interface StaticCheck {
  readonly title: string;
  /** Text of what is wrong, or null when all is well. */
  find(): Promise<string | null>;
  /** Why it cannot run here, or null. */
  obstacle?(): Promise<string | null>;
}

const CHECKS: readonly StaticCheck[] = [
  { title: 'types (tsc)', find: () => complaintsOf([join(BIN, 'tsc')]) },
  {
    title: 'style and import rules (biome)',
    find: () => complaintsOf([join(BIN, 'biome'), 'check', '--error-on-warnings', '.']),
  },
  { title: 'unused files, exports and packages (knip)', find: () => complaintsOf([join(BIN, 'knip')]) },
  { title: 'generated files are up to date', find: staleGeneratedFiles, obstacle: generatorObstacle },
];

export async function runChecks(): Promise<SuiteResult> {
  const startedMs = performance.now();
  const failures: string[] = [];
  const notRun: NotRun[] = [];
  for (const { title, find, obstacle } of CHECKS) {
    const why = (await obstacle?.()) ?? null;
    if (why !== null) {
      notRun.push({ what: title, why });
      process.stdout.write(`﹣ ${title} # ${why}\n`);
      continue;
    }
    const complaint = await find().catch(messageOf);
    if (complaint !== null) failures.push(title);
    process.stdout.write(complaint === null ? `✔ ${title}\n` : `✖ ${title}\n${complaint}\n`);
  }
  return {
    name: 'check',
    passed: CHECKS.length - failures.length - notRun.length,
    failed: failures.length,
    skipped: notRun.length,
    durationMs: performance.now() - startedMs,
    counts: [],
    files: [],
    notRun,
    failures,
  };
}

async function complaintsOf(argv: readonly string[]): Promise<string | null> {
  const { code, stdout, stderr } = await run(argv, { timeoutMs: TIMEOUT_MS, cwd: ROOT });
  return code === 0 ? null : `${stdout}${stderr}`.trim();
}

async function generatorObstacle(): Promise<string | null> {
  const isThere = await access(join(ROOT, 'scripts/generate.ts')).then(
    () => true,
    () => false,
  );
  if (!isThere) return 'nothing is generated yet';
  const { code } = await run(['git', '-C', ROOT, 'rev-parse', '--git-dir'], { timeoutMs: TIMEOUT_MS });
  return code === 0 ? null : 'needs a git checkout to compare with';
}

/** Makes all generated files again and compares the working tree before and after, so that other changes do not matter. */
async function staleGeneratedFiles(): Promise<string | null> {
  const before = await workingTree();
  await runChecked([process.execPath, join(ROOT, 'scripts/generate.ts')], { timeoutMs: TIMEOUT_MS, cwd: ROOT });
  const after = await workingTree();
  if (before === after) return null;
  return 'Generated files were out of date; they have been made again: look at `git status` and commit them.';
}

async function workingTree(): Promise<string> {
  const [changes, untracked] = await Promise.all([
    runChecked(['git', '-C', ROOT, 'diff', '--no-ext-diff', 'HEAD'], {
      timeoutMs: TIMEOUT_MS,
      maxOutputBytes: 256 * 2 ** 20,
    }),
    runChecked(['git', '-C', ROOT, 'ls-files', '--others', '--exclude-standard'], { timeoutMs: TIMEOUT_MS }),
  ]);
  return changes.stdout + untracked.stdout;
}

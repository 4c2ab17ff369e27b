/** Test files, each in a process of its own by Node's test runner, and what they come to. */

import { join, relative } from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { pathToFileURL } from 'node:url';
import { messageOf } from '#kernel/errors.ts';
import type { FileTime, NotRun, SuiteResult } from './results.ts';

const ROOT = join(import.meta.dirname, '../..');
/** Characters. */
const LONGEST_REASON = 400;

type Tally = Pick<SuiteResult, 'passed' | 'failed' | 'skipped' | 'counts' | 'files' | 'notRun' | 'failures'>;

export async function runFiles(
  files: readonly string[],
  { timeoutMs, atOnce }: { readonly timeoutMs: number; readonly atOnce: number },
): Promise<Tally> {
  const counts: string[] = [];
  const times: FileTime[] = [];
  const notRun: NotRun[] = [];
  const failures: string[] = [];
  let [passed, failed, skipped] = [0, 0, 0];
  const stream = run({
    files,
    concurrency: atOnce,
    timeout: timeoutMs,
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

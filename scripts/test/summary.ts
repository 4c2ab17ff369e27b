/** The end of a test run as text: a table, the slowest files, how many of how many cases ran, what did not run and why, what failed, the totals. */

import { formatDuration } from '#kernel/units.ts';
import type { FileTime, SuiteResult } from './results.ts';

const SLOWEST = 10;

/** The last line is always `N passed, N failed, N skipped`: programs read it. */
export function summaryOf(results: readonly SuiteResult[], seed: number): string {
  const lines = ['', 'suite         passed  failed  skipped  time'];
  for (const { name, passed, failed, skipped, durationMs } of results) {
    const columns = [String(passed).padStart(6), String(failed).padStart(7), String(skipped).padStart(8)].join(' ');
    lines.push(`${name.padEnd(13)} ${columns}  ${formatDuration(durationMs)}`);
  }
  for (const { file, durationMs } of slowestOf(results)) lines.push(`slowest: ${file}: ${formatDuration(durationMs)}`);
  for (const { name, counts } of results) for (const count of counts) lines.push(`${name}: ${count}`);
  for (const { name, notRun } of results)
    for (const { what, why } of notRun) lines.push(`not run: ${name}: ${what}: ${why}`);
  for (const { name, failures } of results) for (const failure of failures) lines.push(`failed: ${name}: ${failure}`);
  const sum = (pick: (result: SuiteResult) => number) => results.reduce((total, result) => total + pick(result), 0);
  lines.push('', `seed ${seed} (repeat with: ./hv test --seed ${seed})`);
  lines.push(
    `${sum(({ passed }) => passed)} passed, ${sum(({ failed }) => failed)} failed, ${sum(({ skipped }) => skipped)} skipped`,
  );
  return lines.join('\n');
}

/** Where to look when the whole run takes too long. */
function slowestOf(results: readonly SuiteResult[]): readonly FileTime[] {
  const files = results.flatMap((result) => result.files);
  return files.sort((a, b) => b.durationMs - a.durationMs).slice(0, SLOWEST);
}

/** Runs the measurements in `test/bench` and prints ours beside the rival's. Nothing fails on time: the numbers are for people. */

import { glob } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { messageOf } from '#kernel/errors.ts';

/** One line of the table. */
export interface Measurement {
  readonly name: string;
  readonly ours: number;
  /** Null when there is nothing to compare with. */
  readonly rival: number | null;
  /** Ours to the rival's, the way round that `bar` names. */
  readonly ratio: number | null;
  /** What should be reached, as `≤ 1.0×`. */
  readonly bar: string;
  readonly unit: string;
}

interface BenchModule {
  run(): Promise<readonly Measurement[]>;
}

const ROOT = join(import.meta.dirname, '../..');

/** Returns the exit code: 1 when a measurement could not be made. */
export async function runBench(filters: readonly string[]): Promise<number> {
  const rows: string[][] = [['measurement', 'ours', 'rival', 'ratio', 'bar', 'unit']];
  const problems: string[] = [];
  for await (const file of glob('test/bench/*.ts', { cwd: ROOT })) {
    if (filters.length > 0 && !filters.some((filter) => file.includes(filter))) continue;
    process.stderr.write(`measuring ${file}\n`);
    try {
      const found: unknown = await import(pathToFileURL(join(ROOT, file)).href);
      if (isBench(found)) for (const measurement of await found.run()) rows.push(rowOf(measurement));
    } catch (error) {
      problems.push(`${file}: ${messageOf(error)}`);
    }
  }
  printTable(rows);
  for (const problem of problems) process.stdout.write(`not measured: ${problem}\n`);
  return problems.length > 0 ? 1 : 0;
}

/** Other modules in the folder are shared pieces. */
function isBench(found: unknown): found is BenchModule {
  return typeof found === 'object' && found !== null && 'run' in found && typeof found.run === 'function';
}

function rowOf({ name, ours, rival, ratio, bar, unit }: Measurement): string[] {
  return [
    name,
    figure(ours),
    rival === null ? '–' : figure(rival),
    ratio === null ? '–' : `${figure(ratio)}×`,
    bar,
    unit,
  ];
}

function figure(value: number): string {
  return value >= 100 ? value.toFixed(0) : Number(value.toPrecision(3)).toString();
}

function printTable(rows: readonly string[][]): void {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  for (const row of rows) {
    const cells = row.map((cell, column) =>
      column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
    );
    process.stdout.write(`${cells.join('  ')}\n`);
  }
}

/** What work costs: seconds on the clock, and seconds of processor, which depend less on who else works on the machine. */

import { readFile } from 'node:fs/promises';
import { runChecked } from '#platform/process.ts';

export interface Cost {
  readonly seconds: number;
  readonly processorSeconds: number;
}

const LONGEST_MS = 60 * 60_000;
/** Of /proc/PID/stat, on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

/** Of a program and what it started and waited for. */
export async function costOfProgram(argv: readonly string[]): Promise<Cost> {
  const beginMs = performance.now();
  const timed = ['bash', '-c', 'TIMEFORMAT="%U %S"; time "$@"', 'bash', ...argv];
  const { stderr } = await runChecked(timed, { timeoutMs: LONGEST_MS });
  const [user = '0', system = '0'] = (stderr.trim().split('\n').at(-1) ?? '').split(' ');
  return { seconds: (performance.now() - beginMs) / 1000, processorSeconds: Number(user) + Number(system) };
}

/** Of a process that goes on, while `work` is done by it. */
export async function costOfProcess<Value>(
  pid: number,
  work: () => Promise<Value>,
): Promise<Cost & { readonly value: Value }> {
  const before = await processorOf(pid);
  const beginMs = performance.now();
  const value = await work();
  return {
    value,
    seconds: (performance.now() - beginMs) / 1000,
    processorSeconds: (await processorOf(pid)) - before,
  };
}

async function processorOf(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** The most memory that a process took while `work` was done, looked at ten times a second. */
export async function mostMemoryOf<Value>(
  pid: number,
  work: () => Promise<Value>,
): Promise<{ readonly value: Value; readonly mostBytes: number }> {
  let mostBytes = 0;
  const look = async () => {
    const kib = /VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1] ?? '0';
    mostBytes = Math.max(mostBytes, Number(kib) * 1024);
  };
  await look();
  const timer = setInterval(() => void look().catch(() => undefined), 100);
  try {
    const value = await work();
    return { value, mostBytes };
  } finally {
    clearInterval(timer);
  }
}

/** Starts a program that goes on when we end, also by kill -9: what guests read through must not end with hyperd. Under systemd it gets a
 *  unit of its own, because all that is left in the unit of a service ends with the service. Whoever starts one has to be able to find and
 *  end it later: it is not followed here. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { open, stat } from 'node:fs/promises';
import { hasErrno } from '#kernel/errors.ts';
import { type RunOptions, type RunResult, run } from './process.ts';

export interface LastingProcess {
  readonly argv: readonly [string, ...string[]];
  /** The whole of it. */
  readonly env: Readonly<Record<string, string>>;
  /** Takes what it prints, behind what is there. */
  readonly logPath: string;
  /** Of its unit under systemd, as `hyper-export-…`; letters, digits, dashes. */
  readonly unit: string;
}

/** It is there exactly where systemd is process 1: sd_booted(3). */
const BOOTED = '/run/systemd/system';
const START_MS = 20_000;

/** Returns when it was started; how it fares then is its own matter.
 *  @throws system errors of the log file, of the program */
export async function startLasting(
  order: LastingProcess,
  { runProgram = run, booted = BOOTED }: { readonly runProgram?: Run; readonly booted?: string } = {},
): Promise<void> {
  if ((await isFolder(booted)) && (await startUnit(order, runProgram))) return;
  const [program, ...args] = order.argv;
  const log = await open(order.logPath, 'a', 0o600);
  try {
    const child = spawn(program, args, { detached: true, stdio: ['ignore', log.fd, log.fd], env: order.env });
    await once(child, 'spawn');
    child.unref();
  } finally {
    await log.close();
  }
}

type Run = (argv: readonly string[], options: RunOptions) => Promise<RunResult>;

/** False where systemd lets us start none, as when we are not root: then it lives in the same unit as we do. */
async function startUnit({ argv, env, logPath, unit }: LastingProcess, runProgram: Run): Promise<boolean> {
  const { code } = await runProgram(
    [
      'systemd-run',
      '--quiet',
      '--collect',
      '--no-ask-password',
      `--unit=${unit}`,
      `--property=StandardOutput=append:${logPath}`,
      `--property=StandardError=append:${logPath}`,
      ...Object.entries(env).map(([name, value]) => `--setenv=${name}=${value}`),
      '--',
      ...argv,
    ],
    { timeoutMs: START_MS },
  );
  return code === 0;
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'ENOTDIR')) return false;
    throw error;
  }
}

/** Services of systemd by `systemctl`: how they stand, and starting one that failed. Nothing is ever stopped here. */

import { stat } from 'node:fs/promises';
import { AppError, hasErrno } from '#kernel/errors.ts';
import { type RunOptions, type RunResult, run } from './process.ts';

export interface UnitState {
  /** As `virtlogd.service`. */
  readonly name: string;
  /** systemd's own word: active, inactive, failed, activating … `failed` is what systemd gave up on; stopped by somebody is `inactive`. */
  readonly active: string;
  /** Whether there is such a unit on this machine. */
  readonly isKnown: boolean;
}

export interface ServiceUnits {
  /** @returns null where systemd does not run this machine, or does not answer */
  states(names: readonly string[], signal?: AbortSignal): Promise<readonly UnitState[] | null>;
  /** Starts a unit that failed, and waits until systemd says that it runs or that it does not. Does nothing to one that runs.
   *  @throws program_failed with what systemctl said, timeout */
  start(name: string, signal?: AbortSignal): Promise<void>;
}

/** It is there exactly where systemd is process 1: sd_booted(3). */
const BOOTED = '/run/systemd/system';
const SHOW_MS = 10_000;
/** systemd itself gives a service 90 s to start. */
const START_MS = 120_000;

/** Blocks of `NAME=value` as `systemctl show` prints them, an empty line between units. */
export function unitStates(output: string): readonly UnitState[] {
  return output.split(/\n\s*\n/).flatMap((block) => {
    const values = new Map(
      block.split('\n').flatMap((line) => {
        const [, name, value] = /^(\w+)=(.*)$/.exec(line) ?? [];
        return name === undefined || value === undefined ? [] : [[name, value] as const];
      }),
    );
    const [name, active] = [values.get('Id'), values.get('ActiveState')];
    return name === undefined || active === undefined
      ? []
      : [{ name, active, isKnown: values.get('LoadState') === 'loaded' }];
  });
}

export function createServiceUnits(
  start: (argv: readonly string[], options: RunOptions) => Promise<RunResult> = run,
  booted = BOOTED,
): ServiceUnits {
  const isSystemd = async (): Promise<boolean> => {
    try {
      return (await stat(booted)).isDirectory();
    } catch (error) {
      if (hasErrno(error, 'ENOENT', 'ENOTDIR')) return false;
      throw error;
    }
  };
  const systemctl = (args: readonly string[], timeoutMs: number, signal: AbortSignal | undefined) =>
    start(['systemctl', '--no-ask-password', ...args], { timeoutMs, ...(signal === undefined ? {} : { signal }) });

  return {
    async states(names, signal) {
      if (names.length === 0) return [];
      if (!(await isSystemd())) return null;
      const args = ['show', '--no-pager', '--property=Id,LoadState,ActiveState', '--', ...names];
      const result = await systemctl(args, SHOW_MS, signal);
      return result.code === 0 ? unitStates(result.stdout) : null;
    },
    async start(name, signal) {
      // One that was started too often is not started again before this.
      await systemctl(['reset-failed', '--', name], SHOW_MS, signal);
      const { code, stderr } = await systemctl(['start', '--', name], START_MS, signal);
      if (code !== 0)
        throw new AppError('program_failed', {
          detail: `systemd could not start ${name}.`,
          hint: `See why: \`journalctl -b -u ${name}\`.`,
          cause: new Error(stderr.slice(-2000).trim()),
        });
    },
  };
}

/** The machine that is set up: programs, files and accounts. Runs as root, on the machine itself; nothing here goes through hyperd. */

import { execFile } from 'node:child_process';
import { chmod, mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { hasErrno } from '#kernel/errors.ts';
import { EXIT } from '../exit-codes.ts';
import { Failure } from '../failure.ts';

const PROGRAM_MS = 120_000;
const PATH = '/usr/sbin:/usr/bin:/sbin:/bin:/run/current-system/sw/bin';

/** Exit code and output of a program; -1 when there is no such program. */
export function tryRun(
  ...argv: readonly [string, ...string[]]
): Promise<{ readonly code: number; readonly text: string }> {
  const [program, ...args] = argv;
  return new Promise((resolve) => {
    const child = execFile(
      program,
      args,
      { timeout: PROGRAM_MS, env: { PATH, LC_ALL: 'C.UTF-8' } },
      (_error, out, err) => resolve({ code: child.exitCode ?? -1, text: `${out}${err}`.trim() }),
    );
  });
}

/** @throws Failure with what the program said */
export async function mustRun(...argv: readonly [string, ...string[]]): Promise<string> {
  const { code, text } = await tryRun(...argv);
  if (code === 0) return text;
  throw new Failure(`\`${argv.join(' ')}\` failed: ${text || `it ended with ${code}`}`, {
    exit: EXIT.failed,
    code: 'program_failed',
    hint: 'Mend that and run `hv system access-setup` again: it goes on where it stopped.',
  });
}

/** Text of a file, or null when there is none. */
export async function textOf(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'ENOTDIR')) return null;
    throw error;
  }
}

/** Replaces a file at once: whoever reads it sees the old or the new one, never half of it. Keeps the mode of the one that was there. */
export async function replaceFile(path: string, text: string, mode: number): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o755 });
  const before = await stat(path).catch(() => null); // none there yet
  // Not a name that polkitd or libvirtd would read.
  const fresh = `${path}.hyper-new`;
  await writeFile(fresh, text, { mode });
  await chmod(fresh, before === null ? mode : before.mode & 0o7777);
  await rename(fresh, path);
}

export const removeFile = (path: string): Promise<void> => rm(path, { force: true });

export interface Account {
  readonly uid: number;
  readonly gid: number;
}

export async function accountOf(name: string): Promise<Account | null> {
  const { code, text } = await tryRun('getent', 'passwd', name);
  const fields = text.split(':');
  return code === 0 ? { uid: Number(fields[2]), gid: Number(fields[3]) } : null;
}

/** Members as the group itself lists them; null when there is no such group. */
export async function membersOf(group: string): Promise<readonly string[] | null> {
  const { code, text } = await tryRun('getent', 'group', group);
  if (code !== 0) return null;
  return (text.split(':')[3] ?? '').split(',').filter((name) => name !== '');
}

export const isThere = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false, // missing, or behind something that is no folder
  );

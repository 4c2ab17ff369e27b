/** Runs a program on untrusted files inside bubblewrap: no network, no other file than those named, no privileges,
 *  limits on memory, processor time and written bytes. Measured: about 45 ms more than running it bare. */

import { lstat, readlink } from 'node:fs/promises';
import { isAbsolute } from 'node:path';
import { AppError, hasErrno } from '#kernel/errors.ts';
import { GIB } from '#kernel/units.ts';
import { type RunOptions, type RunResult, run } from './process.ts';

export interface SandboxOptions extends RunOptions {
  /** Absolute paths of files or folders that the program sees, at the same place, read-only. Nothing else of the host but /usr is there. */
  readonly readOnly: readonly string[];
  /** Absolute paths that it may also write. They must exist. */
  readonly writable?: readonly string[];
  /** Device files that it may use. */
  readonly devices?: readonly string[];
  /** Address space, default 1 GiB. */
  readonly memoryBytes?: number;
  /** Processor time, default 20 s. */
  readonly cpuSeconds?: number;
  /** Largest file that it may write, default 0 without writable paths, else 64 GiB. */
  readonly fileSizeBytes?: number;
}

/** User and group inside: nobody's, so that even a shared file is read by its mode for others or for our own user only. */
const NOBODY = '65534';

/** Where distributions keep programs and libraries; each is a real folder or a link into /usr. */
const RUNTIME_FOLDERS = ['/bin', '/sbin', '/lib', '/lib64', '/lib32'];

/** Runs `argv` in the sandbox. Program, exit status and output are as in `run`.
 *  @throws sandbox_unavailable when the machine forbids user namespaces; program_missing, program_output_too_large, timeout */
export async function runSandboxed(argv: readonly string[], options: SandboxOptions): Promise<RunResult> {
  const writable = options.writable ?? [];
  for (const path of [...options.readOnly, ...writable]) {
    if (!isAbsolute(path)) throw new TypeError(`the sandbox needs absolute paths, not "${path}"`);
  }
  const fileSizeBytes = options.fileSizeBytes ?? (writable.length > 0 ? 64 * GIB : 0);
  const result = await run(
    [
      'prlimit',
      `--as=${options.memoryBytes ?? GIB}`,
      `--cpu=${options.cpuSeconds ?? 20}`,
      `--fsize=${fileSizeBytes}`,
      '--nofile=256',
      '--core=0',
      'bwrap',
      '--unshare-all',
      '--die-with-parent',
      '--new-session',
      '--clearenv',
      ...['--setenv', 'PATH', '/usr/bin:/usr/sbin:/bin:/sbin:/run/current-system/sw/bin'],
      ...['--setenv', 'LC_ALL', 'C.UTF-8'],
      ...Object.entries(options.env ?? {}).flatMap(([name, value]) => ['--setenv', name, value]),
      ...['--cap-drop', 'ALL', '--uid', NOBODY, '--gid', NOBODY],
      ...(await runtimeBinds()),
      ...['--proc', '/proc', '--dev', '/dev', '--tmpfs', '/tmp'],
      ...(options.devices ?? []).flatMap((path) => ['--dev-bind', path, path]),
      ...options.readOnly.flatMap((path) => ['--ro-bind', path, path]),
      ...writable.flatMap((path) => ['--bind', path, path]),
      ...['--chdir', '/', '--'],
      ...argv,
    ],
    withoutCwd(options),
  );
  if (result.code !== 0 && result.stderr.startsWith('bwrap: ')) throw sandboxFailure(argv[0] ?? '', result);
  return result;
}

async function runtimeBinds(): Promise<string[]> {
  const binds = [
    '--ro-bind',
    '/usr',
    '/usr',
    '--ro-bind-try',
    '/etc/ld.so.cache',
    '/etc/ld.so.cache',
    '--ro-bind-try',
    '/etc/alternatives',
    '/etc/alternatives',
  ];
  // NixOS has its programs in the store and only links elsewhere.
  binds.push(
    '--ro-bind-try',
    '/nix/store',
    '/nix/store',
    '--ro-bind-try',
    '/run/current-system/sw',
    '/run/current-system/sw',
  );
  for (const folder of RUNTIME_FOLDERS) {
    try {
      const kind = await lstat(folder);
      if (kind.isSymbolicLink()) binds.push('--symlink', await readlink(folder), folder);
      else binds.push('--ro-bind', folder, folder);
    } catch (error) {
      // Not every machine has every folder: /lib32 is rare.
      if (!hasErrno(error, 'ENOENT')) throw error;
    }
  }
  return binds;
}

function withoutCwd({ timeoutMs, signal, stdin, maxOutputBytes }: SandboxOptions): RunOptions {
  return {
    timeoutMs,
    ...(signal === undefined ? {} : { signal }),
    ...(stdin === undefined ? {} : { stdin }),
    ...(maxOutputBytes === undefined ? {} : { maxOutputBytes }),
  };
}

function sandboxFailure(program: string, result: RunResult): AppError {
  const cause = new Error(result.stderr.slice(0, 1000).trim());
  if (/execvp .*: No such file/.test(result.stderr)) {
    return new AppError('program_missing', {
      detail: `${program} cannot be started in the sandbox: it is not installed`,
      params: { program },
      cause,
    });
  }
  return new AppError('sandbox_unavailable', { cause });
}

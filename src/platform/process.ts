/** Starts programs: argument arrays only, never a shell, always a deadline and a cap on output.
 *  The sandboxed form (`sandbox.ts`) is for programs that read bytes from strangers. */

import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { constants } from 'node:os';
import type { Readable, Writable } from 'node:stream';
import { AppError, defineErrors, hasErrno, registerErrors } from '#kernel/errors.ts';
import { formatDuration } from '#kernel/units.ts';

export const processErrors = defineErrors({
  program_missing: {
    status: 503,
    title: 'A program that this needs is not installed',
    hint: 'Install the named package, or run `./hv up` which does.',
  },
  program_failed: {
    status: 500,
    title: 'A program ended with an error',
    hint: 'The log has its output; `hv preflight` checks the installed programs.',
  },
  program_output_too_large: {
    status: 500,
    title: 'A program printed more than it should',
    hint: 'Report it with the request id.',
  },
  sandbox_unavailable: {
    status: 503,
    title: 'The sandbox for untrusted files does not start',
    hint: 'Allow unprivileged user namespaces for bubblewrap (`sysctl kernel.unprivileged_userns_clone=1`), then try again.',
  },
});
registerErrors(processErrors);

export interface RunOptions {
  /** Whole life of the program; then its process group is killed and the call fails with `timeout`. */
  readonly timeoutMs: number;
  /** Kills the process group; the call fails with the signal's reason. */
  readonly signal?: AbortSignal;
  readonly stdin?: string | Uint8Array;
  /** Added to a small clean environment (PATH, HOME, LC_ALL); nothing else of ours is passed on. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Cap for stdout and stderr each, default 4 MiB. */
  readonly maxOutputBytes?: number;
}

export interface RunResult {
  /** Exit status; 128 + the signal's number when a signal ended it, as shells count. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Debian's package for each program that we start, for the message when it is missing. */
const PACKAGE_OF: Readonly<Record<string, string>> = {
  'apt-cache': 'apt',
  'apt-get': 'apt',
  busybox: 'busybox-static',
  bwrap: 'bubblewrap',
  cpio: 'cpio',
  dmidecode: 'dmidecode',
  'dpkg-deb': 'dpkg',
  fallocate: 'util-linux',
  ip: 'iproute2',
  mcopy: 'mtools',
  mke2fs: 'e2fsprogs',
  'mkfs.vfat': 'dosfstools',
  mmd: 'mtools',
  nft: 'nftables',
  prlimit: 'util-linux',
  setpriv: 'util-linux',
  'qemu-img': 'qemu-utils',
  'qemu-system-x86_64': 'qemu-system-x86',
  sfdisk: 'fdisk',
  swtpm: 'swtpm',
  syslinux: 'syslinux',
  virsh: 'libvirt-clients',
  xorriso: 'xorriso',
  xz: 'xz-utils',
};

const LAST_WILL = ['setpriv', '--pdeathsig', 'KILL', '--'] as const;
/** What setpriv ends with when it cannot start the program. */
const NOT_STARTED = 127;
const DEFAULT_MAX_OUTPUT_BYTES = 4 * 2 ** 20;

/** Programs of the administrator lie in sbin, which is not on the PATH of every user. */
const SEARCH_PATH = [process.env['PATH'], '/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/bin', '/bin']
  .filter(Boolean)
  .join(':');

/** Runs `argv` to its end and returns what it printed, whatever its exit status.
 *  @throws program_missing, program_output_too_large, timeout, the signal's reason */
export async function run(argv: readonly string[], options: RunOptions): Promise<RunResult> {
  const [program, ...args] = argv;
  if (program === undefined) throw new TypeError('run() needs a program');
  options.signal?.throwIfAborted();
  // The kernel ends the program with us, even after kill -9: what the next start does anew must not still be running.
  const child = spawn(LAST_WILL[0], [...LAST_WILL.slice(1), program, ...args], {
    detached: true, // its own process group, so that the deadline reaches its children too
    stdio: ['pipe', 'pipe', 'pipe'],
    env: {
      PATH: SEARCH_PATH,
      HOME: process.env['HOME'] ?? '/',
      LC_ALL: 'C.UTF-8',
      ...options.env,
    },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  return await follow(child, program, options);
}

/** Like `run`, and an exit status other than 0 is an error whose log text holds the end of stderr.
 *  @throws program_failed besides the errors of `run` */
export async function runChecked(argv: readonly string[], options: RunOptions): Promise<RunResult> {
  const result = await run(argv, options);
  if (result.code !== 0) throw programFailed(argv[0] ?? '', result);
  return result;
}

/** The error for a program that ended badly. The arguments and the output go to the log only: they may hold host paths. */
export function programFailed(program: string, result: RunResult): AppError {
  return new AppError('program_failed', {
    detail: `${baseName(program)} ended with status ${result.code}`,
    params: { program: baseName(program), exitStatus: result.code },
    cause: new Error(result.stderr.slice(-2000).trim() || result.stdout.slice(-2000).trim() || 'no output'),
  });
}

function follow(
  child: ChildProcessByStdio<Writable, Readable, Readable>,
  program: string,
  options: RunOptions,
): Promise<RunResult> {
  return new Promise((resolve, reject) => {
    const maxOutputBytes = options.maxOutputBytes ?? DEFAULT_MAX_OUTPUT_BYTES;
    let failure: unknown;
    const killWith = (reason: unknown) => {
      failure ??= reason;
      killGroup(child.pid);
    };
    const timer = setTimeout(
      () =>
        killWith(
          new AppError('timeout', {
            detail: `${baseName(program)} did not end within ${formatDuration(options.timeoutMs)}`,
          }),
        ),
      options.timeoutMs,
    );
    const onAbort = () => killWith(options.signal?.reason);
    options.signal?.addEventListener('abort', onAbort, { once: true });
    const settle = () => {
      clearTimeout(timer);
      options.signal?.removeEventListener('abort', onAbort);
    };

    const collect = (stream: Readable) => {
      const chunks: Buffer[] = [];
      let size = 0;
      stream.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size <= maxOutputBytes) chunks.push(chunk);
        else
          killWith(
            new AppError('program_output_too_large', {
              detail: `${baseName(program)} printed more than ${maxOutputBytes} bytes`,
            }),
          );
      });
      return () => Buffer.concat(chunks).toString('utf8');
    };
    const stdout = collect(child.stdout);
    const stderr = collect(child.stderr);

    // A program may end without reading its input; its exit status tells whether that was a failure.
    child.stdin.on('error', (error) => {
      if (!hasErrno(error, 'EPIPE', 'ECONNRESET')) killWith(error);
    });
    child.stdin.end(options.stdin ?? '');

    child.on('error', (error) => {
      settle();
      reject(hasErrno(error, 'ENOENT', 'EACCES') ? programMissing(LAST_WILL[0], options.cwd, error) : error);
    });
    child.on('close', (status, signalName) => {
      settle();
      if (failure !== undefined) reject(failure);
      else if (status === NOT_STARTED && stderr().startsWith('setpriv: failed to execute'))
        reject(programMissing(program, options.cwd, new Error(stderr().trim())));
      else
        resolve({
          code: status ?? 128 + (signalName ? constants.signals[signalName] : 0),
          stdout: stdout(),
          stderr: stderr(),
        });
    });
  });
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch (error) {
    // The group ended between the deadline and the signal: what we wanted.
    if (!hasErrno(error, 'ESRCH')) throw error;
  }
}

function programMissing(program: string, cwd: string | undefined, cause: unknown): AppError {
  const name = baseName(program);
  const packageName = PACKAGE_OF[name];
  return new AppError('program_missing', {
    detail:
      cwd === undefined
        ? `${name} cannot be started: it is not installed`
        : `${name} cannot be started: it is not installed, or its working folder is missing`,
    ...(packageName
      ? {
          hint: `Install the Debian package \`${packageName}\` (\`apt-get install ${packageName}\`), or run \`./hv up\` which does.`,
        }
      : {}),
    params: { program: name, ...(packageName ? { package: packageName } : {}) },
    cause,
  });
}

function baseName(program: string): string {
  return program.slice(program.lastIndexOf('/') + 1);
}

/** Debian's sshd as a program of a test: own host key, own port, SFTP only. Ended and removed by `close`. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runChecked } from '#platform/process.ts';
import { freePort } from './free-port.ts';

const SSHD = '/usr/sbin/sshd';
const READY_MS = 20_000;

/** Why it cannot run here, or null. */
export const missingForSshd = (): string | null =>
  !existsSync(SSHD) ? 'missing programs: sshd' : process.getuid?.() === 0 ? null : 'sshd needs root to let somebody in';

export interface Sshd {
  readonly port: number;
  readonly user: string;
  /** Lets `user` in. */
  readonly privateKey: string;
  /** A key that it does not know. */
  readonly otherKey: string;
  /** `SHA256:…` of its host key. */
  readonly hostKey: string;
  /** Ends it and every connection. */
  stop(): Promise<void>;
  start(): Promise<void>;
  /** A new host key, as after a new installation. @returns its fingerprint */
  changeHostKey(): Promise<string>;
  close(): Promise<void>;
}

/** @param options.deny requests of SFTP that it refuses, as `remove`
 *  @param options.enter begins programs where it is to be reached from: in the namespaces of a libvirtd of a test */
export async function startSshd(
  options: {
    readonly deny?: readonly string[];
    readonly enter?: (argv: readonly string[]) => readonly [string, ...string[]];
  } = {},
): Promise<Sshd> {
  const folder = await mkdtemp(join(tmpdir(), 'hv-sshd-'));
  const port = await freePort();
  const at = (name: string) => join(folder, name);
  const newKey = async (name: string) => {
    await rm(at(name), { force: true });
    await runChecked(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', 'test', '-f', at(name)], {
      timeoutMs: 10_000,
    });
    const { stdout } = await runChecked(['ssh-keygen', '-lf', `${at(name)}.pub`], { timeoutMs: 10_000 });
    return stdout.split(' ')[1] ?? '';
  };
  const hostKey = await newKey('host');
  await newKey('user');
  await newKey('other');
  await writeFile(at('authorized'), await readFile(`${at('user')}.pub`), { mode: 0o600 });
  const deny = options.deny === undefined ? '' : ` -P ${options.deny.join(',')}`;
  await writeFile(
    at('config'),
    `ListenAddress 127.0.0.1
Port ${port}
HostKey ${at('host')}
PidFile none
UsePAM no
StrictModes no
PermitRootLogin prohibit-password
PasswordAuthentication no
AuthorizedKeysFile ${at('authorized')}
MaxStartups 100
Subsystem sftp internal-sftp${deny}
`,
  );
  let child: ChildProcess | null = null;

  const stop = async () => {
    const running = child;
    child = null;
    if (!running?.pid) return;
    const exited = running.exitCode === null && running.signalCode === null ? once(running, 'exit') : null;
    // Its sessions are processes of its group.
    process.kill(-running.pid, 'SIGKILL');
    await exited;
  };
  const enter = options.enter ?? (([program = '', ...args]: readonly string[]) => [program, ...args] as const);
  const start = async () => {
    // sshd insists on its empty folder for what it separates.
    const [program, ...args] = enter([
      'sh',
      '-c',
      'mkdir -p /run/sshd && exec "$@"',
      'sh',
      SSHD,
      '-D',
      '-e',
      '-f',
      at('config'),
    ]);
    const started = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'], detached: true });
    child = started;
    let said = '';
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`sshd does not listen: ${said}`)), READY_MS);
      started.stderr.on('data', (part: Buffer) => {
        said = `${said}${part.toString()}`.slice(-2000);
        if (!said.includes('Server listening')) return;
        clearTimeout(timer);
        resolve();
      });
      started.once('exit', () => reject(new Error(`sshd ended: ${said}`)));
    });
  };
  await start();
  return {
    port,
    user: 'root',
    privateKey: await readFile(at('user'), 'utf8'),
    otherKey: await readFile(at('other'), 'utf8'),
    hostKey,
    stop,
    start,
    async changeHostKey() {
      await stop();
      const changed = await newKey('host');
      await start();
      return changed;
    },
    async close() {
      await stop();
      await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
    },
  };
}

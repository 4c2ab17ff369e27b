/** libvirt over SSH: `ssh HOST virt-ssh-helper URI`, whose standard input and output are the connection. */

import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { Duplex } from 'node:stream';
import { type ConnectOptions, overStream, type Transport } from './transport.ts';

export interface SshOptions {
  /** The ssh program, default `ssh`. */
  readonly program?: string;
  /** Private key file; default: what ssh finds. */
  readonly identityFile?: string;
  /** Known-hosts file; default: ssh's own. Unknown hosts are always refused. */
  readonly knownHostsFile?: string;
}

export interface SshTarget {
  readonly host: string;
  readonly user: string | null;
  readonly port: number | null;
  readonly openUri: string;
  readonly isReadOnly: boolean;
}

const STDERR_LIMIT = 2_000;

/** Resolves at once: whether ssh gets through shows when the connection is opened. The host name has been checked, so it is no option. */
export async function connectSsh(
  target: SshTarget,
  options: SshOptions,
  { signal }: ConnectOptions,
): Promise<Transport> {
  signal.throwIfAborted();
  const child = spawn(options.program ?? 'ssh', sshArguments(target, options), { stdio: ['pipe', 'pipe', 'pipe'] });
  return overStream(new ProcessStream(child), `ssh:${target.host}`);
}

/** Standard input and output of a process. Ends when the process has ended, so that its complaint is known by then. */
class ProcessStream extends Duplex {
  readonly #child: ChildProcessWithoutNullStreams;

  constructor(child: ChildProcessWithoutNullStreams) {
    super();
    this.#child = child;
    let complaint = '';
    child.stderr.on('data', (chunk: Buffer) => {
      if (complaint.length < STDERR_LIMIT) complaint += chunk.toString();
    });
    child.stdout.on('data', (chunk: Buffer) => {
      if (!this.push(chunk)) child.stdout.pause();
    });
    // A write fails before the process's end tells why it failed; the end is what counts.
    child.stdin.on('error', () => undefined);
    child.on('error', (error) => this.destroy(error));
    child.on('close', (code) => {
      if (code === 0) this.push(null);
      else this.destroy(new Error(`ssh ended with ${code}: ${complaint.trim().slice(0, STDERR_LIMIT)}`));
    });
  }

  override _read(): void {
    this.#child.stdout.resume();
  }

  override _write(chunk: Buffer, encoding: BufferEncoding, done: () => void): void {
    this.#child.stdin.write(chunk, encoding, () => done());
  }

  override _final(done: () => void): void {
    this.#child.stdin.end(() => done());
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#child.kill();
    done(error);
  }
}

function sshArguments(target: SshTarget, options: SshOptions): string[] {
  return [
    '-T',
    ...['-o', 'BatchMode=yes', '-o', 'StrictHostKeyChecking=yes', '-o', 'ConnectTimeout=10'],
    ...(options.identityFile ? ['-i', options.identityFile, '-o', 'IdentitiesOnly=yes'] : []),
    ...(options.knownHostsFile ? ['-o', `UserKnownHostsFile=${options.knownHostsFile}`] : []),
    ...(target.port === null ? [] : ['-p', String(target.port)]),
    ...(target.user === null ? [] : ['-l', target.user]),
    '--',
    target.host,
    'virt-ssh-helper',
    ...(target.isReadOnly ? ['-r'] : []),
    target.openUri,
  ];
}

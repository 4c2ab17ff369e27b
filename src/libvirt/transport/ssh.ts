/** libvirt over SSH: `ssh HOST virt-ssh-helper URI`, whose standard input and output are the connection. */

import { spawn } from 'node:child_process';
import { Duplex } from 'node:stream';
import type { ConnectOptions, Transport } from './transport.ts';

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
  let complaint = '';
  child.stderr.on('data', (chunk: Buffer) => {
    if (complaint.length < STDERR_LIMIT) complaint += chunk.toString();
  });
  const bytes = Duplex.from({ readable: child.stdout, writable: child.stdin });
  child.on('error', (error) => bytes.destroy(error));
  child.on('exit', (code) => {
    if (code !== 0 && code !== null)
      bytes.destroy(new Error(`ssh ended with ${code}: ${complaint.trim().slice(0, STDERR_LIMIT)}`));
  });
  bytes.on('close', () => child.kill());
  return { bytes, describe: () => `ssh:${target.host}` };
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

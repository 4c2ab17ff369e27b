/** Pebble, Let's Encrypt's own test server for ACME, with a name server that leads every name to this machine. */

import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeCertificates } from './certificates.ts';

const READY_MS = 20_000;

export interface Pebble {
  readonly directoryUrl: string;
  /** Of the server's own certificate. */
  readonly caFile: string;
  /** The authority that it signs with, PEM. */
  root(): Promise<string>;
  readonly output: () => string;
  close(): Promise<void>;
}

/** Why it cannot run here; null when it can. */
export function missingForPebble(): string | null {
  const isThere = ['pebble', 'pebble-challtestsrv'].every((name) => existsSync(`/usr/bin/${name}`));
  return isThere ? null : 'pebble is not installed (Debian package pebble)';
}

/** A port that was free a moment ago. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

/** @param httpPort where it looks for proofs instead of port 80
 *  @param env as PEBBLE_WFE_NONCEREJECT */
export async function startPebble(httpPort: number, env: Readonly<Record<string, string>> = {}): Promise<Pebble> {
  const dir = await mkdtemp(join(tmpdir(), 'hv-pebble-'));
  const certificates = await makeCertificates(dir, 'localhost');
  const [port, management, dns, challenges, tls] = await Promise.all(Array.from({ length: 5 }, freePort));
  const config = {
    pebble: {
      listenAddress: `127.0.0.1:${port}`,
      managementListenAddress: `127.0.0.1:${management}`,
      certificate: certificates.hostCertFile,
      privateKey: certificates.hostKeyFile,
      httpPort,
      tlsPort: tls,
      ocspResponderURL: '',
      externalAccountBindingRequired: false,
    },
  };
  await writeFile(join(dir, 'config.json'), JSON.stringify(config));
  let output = '';
  const start = (program: string, args: readonly string[]): ChildProcess => {
    const child = spawn(program, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, PEBBLE_VA_NOSLEEP: '1', ...env },
    });
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (data: Buffer) => {
        output += data.toString();
      });
    return child;
  };
  const children = [
    start('pebble-challtestsrv', [
      ...['-dns01', `127.0.0.1:${dns}`, '-management', `127.0.0.1:${challenges}`],
      ...['-http01', '', '-https01', '', '-tlsalpn01', '', '-defaultIPv4', '127.0.0.1', '-defaultIPv6', ''],
    ]),
    start('pebble', ['-config', join(dir, 'config.json'), '-strict', '-dnsserver', `127.0.0.1:${dns}`]),
  ];
  const close = async () => {
    for (const child of children) {
      const ended = new Promise((resolve) => child.on('exit', resolve));
      if (child.exitCode === null && child.kill('SIGTERM')) await ended;
    }
    await rm(dir, { recursive: true, maxRetries: 20, retryDelay: 100 });
  };
  const ca = await readFile(certificates.caFile, 'utf8');
  const get = (url: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const call = request(url, { ca }, (response) => {
        let body = '';
        response.on('data', (part: Buffer) => {
          body += part.toString();
        });
        response.on('end', () => resolve(body));
      });
      call.on('error', reject).end();
    });
  const directoryUrl = `https://127.0.0.1:${port}/dir`;
  const deadline = performance.now() + READY_MS;
  while (!(await get(directoryUrl).then(Boolean, () => false))) {
    if (performance.now() > deadline) {
      await close();
      throw new Error(`pebble did not get ready:\n${output}`);
    }
    await sleep(50);
  }
  return {
    directoryUrl,
    caFile: certificates.caFile,
    root: () => get(`https://127.0.0.1:${management}/roots/0`),
    output: () => output,
    close,
  };
}

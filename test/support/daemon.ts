/** A real hyperd for tests: its own state and runtime folders, its own port, optionally inside the namespaces of a private libvirtd.
 *  Everything it made is removed by `close()`. */

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ApiClient, createApiClient } from '#contract/client.ts';
import { FINAL_STATES, type Operation } from '#contract/operations.ts';
import type { PrivateLibvirtd } from './libvirtd.ts';

const READY_MS = 60_000;
const MAIN = new URL('../../src/daemon/main.ts', import.meta.url).pathname;

export interface TestDaemonOptions {
  /** Runs hyperd inside this libvirtd's namespaces, where libvirt's own paths hold. Without it no libvirt is reachable. */
  readonly libvirtd?: PrivateLibvirtd;
  /** Use this state folder (kept by close) instead of a new one. */
  readonly stateDir?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** The configuration file's document. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Do not wait for readiness: the daemon is expected to die by a kill point, or to start without libvirt. */
  readonly waitFor?: 'ready' | 'doors' | 'nothing';
}

export interface TestDaemon {
  /** Client with all rights, over the admin socket. */
  readonly admin: ApiClient;
  /** Read-only client, over the operator socket. */
  readonly operator: ApiClient;
  /** `https://127.0.0.1:PORT`; inside the libvirtd's network namespace when there is one. */
  readonly origin: string;
  readonly stateDir: string;
  readonly runtimeDir: string;
  readonly pid: number;
  /** Everything written to stdout and stderr so far. */
  output(): string;
  /** Resolves with the exit code, or the signal's name. */
  readonly exited: Promise<number | string>;
  kill(signal: NodeJS.Signals): Promise<void>;
  /** SIGTERM and wait. */
  stop(): Promise<void>;
  /** Stops it if it runs and removes its folders. */
  close(): Promise<void>;
  /** Follows an operation to its end. Rejects when it did not end as `done`, unless told otherwise. */
  finish(operation: Operation, expected?: Operation['state']): Promise<Operation>;
}

/** The answer of one plain HTTP request over a unix socket. */
export function overSocket(
  socketPath: string,
  request: {
    method: string;
    path: string;
    headers?: Readonly<Record<string, string>>;
    body?: string | Uint8Array | null;
  },
): Promise<{ status: number; headers: NodeJS.Dict<string | string[]>; body: Buffer }> {
  return new Promise((resolve, reject) => {
    const outgoing = httpRequest(
      {
        socketPath,
        method: request.method,
        path: request.path,
        headers: { host: 'localhost', ...request.headers },
        timeout: 60_000,
      },
      (response) => {
        const parts: Buffer[] = [];
        response.on('data', (part: Buffer) => parts.push(part));
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(parts) }),
        );
        response.on('error', reject);
      },
    );
    outgoing.on('error', reject);
    outgoing.on('timeout', () => outgoing.destroy(new Error('no answer within 60 s')));
    outgoing.end(request.body ?? undefined);
  });
}

function clientOver(socketPath: string): ApiClient {
  return createApiClient(async ({ method, path, headers, body }) => {
    const response = await overSocket(socketPath, { method, path, headers, body });
    return { status: response.status, body: response.body.toString('utf8') };
  });
}

const NO_MIRROR = join(import.meta.dirname, 'no-mirror');

/** Starts hyperd. Rejects with its output when it does not get ready. */
export async function startDaemon(options: TestDaemonOptions = {}): Promise<TestDaemon> {
  const { libvirtd } = options;
  const base = await mkdtemp(join(libvirtd?.dir ?? tmpdir(), 'hv-'));
  const stateDir = options.stateDir ?? join(base, 'state');
  const runtimeDir = join(base, 'run');
  const configFile = join(base, 'config.json');
  // The probe of KVM would load a core for ten seconds in each test, and a check of file systems for some in each proof; their own tests
  // switch them on.
  const config = { accel: 'tcg', verification: { checkFilesystems: false }, ...options.config };
  await writeFile(configFile, JSON.stringify(config), { mode: 0o600 });
  const argv = [process.execPath, MAIN];
  // The libvirtd's /proc is that of its process namespace, where the daemon is not: it needs one that shows itself.
  const [program = process.execPath, ...args] = libvirtd ? libvirtd.enter(['unshare', '--mount-proc', ...argv]) : argv;
  const child: ChildProcess = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...process.env,
      ...(libvirtd ? { PATH: `${NO_MIRROR}:${process.env['PATH']}` } : {}),
      HV_CONFIG: configFile,
      HV_STATE_DIR: stateDir,
      HV_RUNTIME_DIR: runtimeDir,
      HV_LISTEN: '127.0.0.1:0',
      HV_LIBVIRT_URI: libvirtd ? 'qemu:///system' : `qemu:///system?socket=${join(base, 'none.sock')}`,
      ...options.env,
    },
  });
  let output = '';
  child.stdout?.on('data', (data: Buffer) => {
    output += data.toString();
  });
  child.stderr?.on('data', (data: Buffer) => {
    output += data.toString();
  });
  const removeBase = () => rm(base, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  const exited = new Promise<number | string>((resolve) => {
    child.on('exit', async (code, signal) => {
      // With its state elsewhere the next daemon begins a folder of its own; nothing comes back to this one.
      if (options.stateDir !== undefined) await removeBase();
      resolve(signal ?? code ?? -1);
    });
  });
  let isRunning = true;
  void exited.then(() => {
    isRunning = false;
  });
  const adminSocket = join(runtimeDir, 'admin.sock');
  const admin = clientOver(adminSocket);

  const stop = async () => {
    if (isRunning) child.kill('SIGTERM');
    await exited;
  };
  const close = async () => {
    if (isRunning) child.kill('SIGKILL');
    await exited;
    await removeBase();
  };

  const isUp = async (): Promise<boolean> => {
    try {
      const path = options.waitFor === 'doors' ? '/api/v1/system/status' : '/readyz';
      return (await overSocket(adminSocket, { method: 'GET', path })).status === 200;
    } catch {
      // Not listening yet: exactly what this loop waits for.
      return false;
    }
  };
  if (options.waitFor !== 'nothing') {
    const deadline = performance.now() + READY_MS;
    while (!(await isUp())) {
      if (!isRunning || performance.now() > deadline) {
        await close();
        throw new Error(`hyperd did not get ready:\n${output.slice(-4000)}`);
      }
      await sleep(50);
    }
  }
  const status = options.waitFor === 'nothing' ? null : await admin('GET /system/status');

  return {
    admin,
    operator: clientOver(join(runtimeDir, 'operator.sock')),
    origin: status?.address ?? '',
    stateDir,
    runtimeDir,
    pid: child.pid ?? 0,
    output: () => output,
    exited,
    kill: async (signal) => {
      child.kill(signal);
      await exited;
    },
    stop,
    close,
    async finish(operation, expected = 'done') {
      let current = operation;
      while (!FINAL_STATES.includes(current.state) && current.state !== 'attention') {
        current = await admin('GET /operations/{id}', { params: { id: operation.id }, query: { waitSeconds: 20 } });
      }
      if (current.state !== expected) {
        throw new Error(
          `${current.title} ended as ${current.state}: ${JSON.stringify(current.error)}\n${output.slice(-2000)}`,
        );
      }
      return current;
    },
  };
}

/** The daemon's certificate authority, for clients that check it. */
export function authorityOf(daemon: TestDaemon): Promise<string> {
  return readFile(join(daemon.stateDir, 'ca', 'ca.pem'), 'utf8');
}

/** A small typed stand-in for hyperd on a unix socket, and a way to run the real `hv` against it: for the tests of the
 *  command line. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import type { IncomingMessage, Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Answer, ApiKey } from '#contract/api.ts';
import type { Problem } from '#contract/common.ts';
import type { Operation } from '#contract/operations.ts';
import type { Vm } from '#contract/vms.ts';
import { http } from '#kernel/node-http.ts';

export interface Call {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
  /** The last part of the path that the route left open. */
  readonly id: string;
}

interface Reply {
  readonly status: number;
  readonly body: string | Buffer;
}

type Respond = (call: Call) => Reply;

export interface RunResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
  /** Called with stderr so far each time it grows; `kill` sends a signal. */
  onStderr?(text: string, kill: (signal: NodeJS.Signals) => void): void;
}

export interface FakeDaemon {
  readonly runtimeDir: string;
  readonly server: Server;
  readonly calls: readonly Call[];
  /** Answers a route; `id` parts are written as `{id}`. */
  on<Key extends ApiKey>(key: Key, answer: (call: Call) => Answer<Key>, status?: number): void;
  /** Answers a route with bytes, or in a way that the contract does not know. */
  onRaw(key: ApiKey, respond: Respond): void;
  refuse(key: ApiKey, problem: Partial<Problem> & { readonly status: number; readonly code: string }): void;
  hv(args: readonly string[], options?: RunOptions): Promise<RunResult>;
  close(): Promise<void>;
}

const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url));

/** Runs the real command line as its own process. */
export async function runHv(runtimeDir: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const child = spawn(process.execPath, [MAIN, ...args], {
    env: { PATH: process.env['PATH'], HOME: runtimeDir, HV_RUNTIME_DIR: runtimeDir, TZ: 'UTC', ...options.env },
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk.toString('utf8');
  });
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString('utf8');
    options.onStderr?.(stderr, (signal) => child.kill(signal));
  });
  child.stdin.end(options.input ?? '');
  const [code] = await once(child, 'close');
  return { code: typeof code === 'number' ? code : null, stdout, stderr };
}

/** Starts a daemon that knows no route yet. */
export async function startFakeDaemon(): Promise<FakeDaemon> {
  const runtimeDir = await mkdtemp(join(tmpdir(), 'hv-cli-'));
  const routes: { readonly method: string; readonly pattern: RegExp; readonly respond: Respond }[] = [];
  const calls: Call[] = [];
  const server = http.createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(Buffer.from(chunk));
    const url = new URL(request.url ?? '/', 'http://localhost');
    const method = request.method ?? 'GET';
    const route = routes.findLast((each) => each.method === method && each.pattern.test(url.pathname));
    const id = decodeURIComponent(route?.pattern.exec(url.pathname)?.[1] ?? '');
    const call: Call = {
      method,
      path: url.pathname,
      query: url.searchParams,
      headers: request.headers,
      body: Buffer.concat(chunks),
      id,
    };
    calls.push(call);
    const reply =
      route?.respond(call) ?? problemReply({ status: 404, code: 'not_found', detail: `no ${url.pathname}` });
    response.writeHead(reply.status, { 'content-type': 'application/json' });
    response.end(reply.body);
  });
  server.listen(join(runtimeDir, 'admin.sock'));
  await once(server, 'listening');

  const onRaw = (key: ApiKey, respond: Respond) => {
    const [method = '', path = ''] = key.split(' ');
    const pattern = new RegExp(`^/api/v1${path.replaceAll('.', '\\.').replace(/\{\w+\}/g, '([^/]+)')}$`);
    routes.push({ method, pattern, respond });
  };
  return {
    runtimeDir,
    server,
    calls,
    on: (key, answer, status = 200) => {
      onRaw(key, (call) => {
        const body = answer(call);
        return { status, body: body === undefined ? '' : JSON.stringify(body) };
      });
    },
    onRaw,
    refuse: (key, problem) => onRaw(key, () => problemReply(problem)),
    hv: (args, options) => runHv(runtimeDir, args, options),
    close: async () => {
      server.close();
      server.closeAllConnections();
      await rm(runtimeDir, { recursive: true, force: true });
    },
  };
}

function problemReply(problem: Partial<Problem> & { readonly status: number; readonly code: string }): Reply {
  const whole: Problem = {
    type: 'about:blank',
    title: 'Refused',
    detail: 'refused',
    hint: 'Do something else.',
    requestId: 'req-1',
    ...problem,
  };
  return { status: problem.status, body: JSON.stringify(whole) };
}

/** A page with all items. */
export function pageWith<Item>(items: Item[]): { items: Item[]; next: null; total: number } {
  return { items, next: null, total: items.length };
}

export const exampleVm: Vm = {
  id: '11111111-2222-4333-8444-555555555555',
  name: 'web-1',
  project: 'default',
  state: 'running',
  stateReason: null,
  desired: 'running',
  managed: true,
  isProtected: false,
  tags: [],
  accel: 'tcg',
  title: null,
  description: null,
  vcpus: 2,
  memoryBytes: 2 * 2 ** 30,
  autostart: false,
  persistent: true,
  arch: 'x86_64',
  machine: 'q35',
  firmware: 'uefi',
  hasTpm: false,
  hasVnc: true,
  hasSerial: true,
  agent: 'connected',
  disks: [
    {
      target: 'vda',
      device: 'disk',
      bus: 'virtio',
      format: 'qcow2',
      source: 'web-1.qcow2',
      imageId: null,
      sizeBytes: 20 * 2 ** 30,
      allocatedBytes: 2 ** 30,
      readOnly: false,
      bootOrder: 1,
    },
  ],
  nics: [
    {
      mac: '52:54:00:12:34:56',
      model: 'virtio',
      sourceType: 'network',
      source: 'default',
      linkUp: true,
      filter: 'mac_ip',
      addresses: [{ address: '192.168.122.10', prefix: 24, from: 'lease' }],
      bootOrder: null,
      device: 'vnet0',
    },
  ],
  bootOrder: ['vda'],
  pending: [],
  startedAt: '2026-01-01T00:00:00Z',
  createdAt: '2026-01-01T00:00:00Z',
  usage: null,
  operationId: null,
  staleSince: null,
  etag: 'e1',
};

export const exampleOperation: Operation = {
  id: 'op-1',
  kind: 'vm.start',
  title: 'Start web-1',
  state: 'running',
  actor: 'root',
  objectType: 'vm',
  objectId: exampleVm.id,
  objectName: 'web-1',
  vmId: exampleVm.id,
  project: 'default',
  steps: [
    { name: 'define', title: 'Define it', state: 'done' },
    { name: 'boot', title: 'Boot it', state: 'running' },
  ],
  progress: null,
  canCancel: true,
  isDismissed: false,
  error: null,
  result: null,
  createdAt: '2026-01-01T00:00:00Z',
  finishedAt: null,
  requestId: 'req-1',
};

/** The launcher as a person uses it, with folders of its own beside whatever runs on the machine. */

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type RunResult, run } from '#platform/process.ts';
import { missingForLibvirtd, type PrivateLibvirtd, startPrivateLibvirtd } from '../support/libvirtd.ts';

const HV = join(import.meta.dirname, '../../hv');
const limits = { timeoutMs: 180_000 };
const skip = missingForLibvirtd() ?? false;

let libvirtd: PrivateLibvirtd;
let folder = '';

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hv-up-'));
  if (skip === false) libvirtd = await startPrivateLibvirtd();
});
after(async () => {
  if (skip === false) await libvirtd.close();
  await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
});

/** An instance with folders of its own and a free port. */
async function instance(name: string) {
  const port = await freePort();
  const env = {
    HV_STATE_DIR: join(folder, name, 'state'),
    HV_RUNTIME_DIR: join(folder, name, 'run'),
    HV_LISTEN: `127.0.0.1:${port}`,
    HV_LIBVIRT_URI: libvirtd.uri,
  };
  await mkdir(join(folder, name));
  return { env, port, hv: (...args: string[]): Promise<RunResult> => run([HV, ...args], { ...limits, env }) };
}

test('what hv up does not know is refused with the usage', async () => {
  const result = await run([HV, 'up', '--colour'], limits);
  assert.equal(result.code, 2);
  assert.match(result.stderr, /does not know --colour\nUsage: hv up/);
});

test('a runtime folder that is too long for sockets is refused alike by launcher, daemon and client', async () => {
  const env = { HV_RUNTIME_DIR: join(folder, 'x'.repeat(100)), HV_STATE_DIR: join(folder, 'long') };
  const texts: string[] = [];
  for (const [code, argv] of [
    [1, [HV, 'up', '--no-demo']],
    [1, [process.execPath, join(import.meta.dirname, '../../src/daemon/main.ts')]],
    [6, [HV, 'status']],
  ] as const) {
    const result = await run(argv, { ...limits, env });
    assert.equal(result.code, code, result.stderr);
    texts.push(result.stderr.replace(/^\w+: /, '').replace(/\n +/, '\n'));
  }
  assert.match(texts[0] ?? '', /bytes long and sockets take 93 at most: .*\nSet HV_RUNTIME_DIR to a shorter path/);
  assert.deepEqual(new Set(texts).size, 1, texts.join());
});

test('hv down never stops a process that hv up did not start, whatever the pid file says', async () => {
  const foreign = spawn('sleep', ['60']);
  try {
    const runtime = join(folder, 'foreign');
    await mkdir(join(runtime, 'launcher'), { recursive: true });
    await writeFile(join(runtime, 'launcher/hyperd.pid'), `${foreign.pid}\n`);
    const result = await run([HV, 'down'], { ...limits, env: { HV_RUNTIME_DIR: runtime, HV_STATE_DIR: runtime } });
    assert.equal(result.code, 0);
    assert.match(result.stderr, /nothing to stop/);
    assert.equal(foreign.exitCode, null);
  } finally {
    foreign.kill();
  }
});

test('up answers one line of JSON, a second up the same daemon and a fresh link, down ends it', { skip }, async () => {
  const { env, port, hv } = await instance('detached');
  const first = await hv('up', '--json', '--detach', '--no-demo');
  assert.equal(first.code, 0, first.stderr);
  const answer = JSON.parse(first.stdout);
  assert.equal(first.stdout.trim().split('\n').length, 1);
  assert.deepEqual(Object.keys(answer), ['url', 'login', 'version', 'accel', 'pid']);
  assert.equal(new URL(answer.url).port, String(port));
  assert.match(answer.accel, /^(kvm|tcg)$/);
  assert.match(await commandLineOf(answer.pid), /src\/daemon\/main\.ts/);
  try {
    const second = await hv('up', '--json', '--no-demo');
    const again = JSON.parse(second.stdout);
    assert.equal(again.pid, answer.pid);
    assert.notEqual(again.login, answer.login);

    const status = await hv('status', '--json');
    assert.equal(JSON.parse(status.stdout).pid, answer.pid);
  } finally {
    const down = await hv('down');
    assert.match(down.stderr, /Guests keep running/);
  }
  assert.equal(await commandLineOf(answer.pid), '');
  assert.equal((await hv('status')).code, 6);
  assert.match((await run([HV, 'down'], { ...limits, env })).stderr, /nothing to stop/);
});

test('a port that is taken is named together with the mend, and nothing is left running', { skip }, async () => {
  const { port, hv, env } = await instance('taken');
  const other = createServer().listen(port, '127.0.0.1');
  await once(other, 'listening');
  try {
    const result = await hv('up', '--detach', '--no-demo');
    assert.equal(result.code, 1);
    assert.match(result.stderr, new RegExp(`Port ${port} on 127\\.0\\.0\\.1 is taken by another program`));
    assert.match(result.stderr, /--listen 127\.0\.0\.1:/);
    await assert.rejects(readFile(join(env.HV_RUNTIME_DIR, 'launcher/hyperd.pid')));
  } finally {
    other.close();
  }
});

test('in the foreground, Ctrl-C stops hyperd and the launcher ends', { skip }, async () => {
  const { env } = await instance('foreground');
  const child = spawn(HV, ['up', '--no-demo'], { env: { ...process.env, ...env }, detached: true, stdio: 'pipe' });
  const said = collect(child);
  await until(
    () => /Sign in/.test(said()),
    () => said(),
  );
  const pid = Number(await readFile(join(env.HV_RUNTIME_DIR, 'launcher/hyperd.pid'), 'utf8'));
  // A terminal sends the interrupt to the whole group in the foreground.
  process.kill(-(child.pid ?? 0), 'SIGINT');
  await once(child, 'exit');
  assert.equal(await commandLineOf(pid), '');
});

test('in the foreground, a hyperd that was killed is told as killed, with what to do', { skip }, async () => {
  const { env } = await instance('killed');
  const child = spawn(HV, ['up', '--no-demo'], { env: { ...process.env, ...env }, detached: true, stdio: 'pipe' });
  const said = collect(child);
  await until(
    () => /Ctrl-C stops hyperd/.test(said()),
    () => said(),
  );
  process.kill(Number(await readFile(join(env.HV_RUNTIME_DIR, 'launcher/hyperd.pid'), 'utf8')), 'SIGKILL');
  const [code] = await once(child, 'exit');
  assert.equal(code, 1);
  assert.match(said(), /hyperd was killed: it ended without a word\n +`hv up` starts it again/);
});

/** Empty for a process that is gone, or dead and not yet waited for. */
async function commandLineOf(pid: number): Promise<string> {
  return await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
}

function collect(child: ChildProcess): () => string {
  let text = '';
  child.stdout?.on('data', (chunk) => {
    text += chunk;
  });
  child.stderr?.on('data', (chunk) => {
    text += chunk;
  });
  return () => text;
}

async function until(condition: () => boolean, describe: () => string): Promise<void> {
  for (let tries = 1800; tries > 0; tries -= 1) {
    if (condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.fail(`it did not happen: ${describe()}`);
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address !== null ? address.port : 0;
}

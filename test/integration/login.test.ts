/** `hv login` as its users meet it: the real program, ssh-agent and ssh-keygen against a real hyperd, and what must stop it. */

import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { WebSocket } from 'ws';
import { type RunResult, runHv } from '#cli/fake-daemon.ts';
import { processOutput } from '#cli/output.ts';
import { createRemoteTransport } from '#cli/remote-transport.ts';
import { systemClock } from '#kernel/clock.ts';
import { ensureServerCertificate } from '#platform/tls/authority.ts';
import { startDaemon, type TestDaemon } from '#test/support/daemon.ts';
import { requestText, send, signIn, siteOf } from '#test/support/wire.ts';

const HV = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));

let daemon: TestDaemon;
let home: string;
let agent: ChildProcess;
let agentSocket: string;
let fingerprint: string;
let name: string;

function tool(program: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): void {
  const { status, stderr } = spawnSync(program, args, { env: { ...process.env, ...env }, encoding: 'utf8' });
  assert.equal(status, 0, `${program} ${args.join(' ')}: ${stderr}`);
}

const keyFile = (which: string) => join(home, which);
const publicKey = (which: string) => readFile(`${keyFile(which)}.pub`, 'utf8');
function makeKey(which: string, passphrase = '', type = 'ed25519'): void {
  tool('ssh-keygen', ['-q', '-t', type, '-N', passphrase, '-C', which, '-f', keyFile(which)]);
}

before(async () => {
  home = await mkdtemp(join(tmpdir(), 'hv-login-'));
  daemon = await startDaemon({ waitFor: 'doors' });
  fingerprint = (await daemon.admin('GET /system/status')).certificateFingerprint;
  name = new URL(daemon.origin).host;
  agentSocket = join(home, 'agent.sock');
  agent = spawn('ssh-agent', ['-D', '-a', agentSocket], { stdio: 'ignore' });
  for (let tries = 0; tries < 100 && !(await stat(agentSocket).catch(() => null)); tries += 1) await sleep(50);
  for (const which of ['stranger', 'alice', 'file', 'other']) makeKey(which);
  makeKey('locked', 'open sesame');
  makeKey('rsa', '', 'rsa');
  for (const which of ['stranger', 'rsa', 'alice'])
    tool('ssh-add', ['-q', keyFile(which)], { SSH_AUTH_SOCK: agentSocket });
  for (const which of ['alice', 'file', 'locked'])
    await daemon.admin('POST /users/{id}/keys', { params: { id: 'admin' }, body: { key: await publicKey(which) } });
  // From here on the certificate is known, so nothing asks about it.
  const { code, stderr } = await login('--fingerprint', fingerprint);
  assert.equal(code, 0, stderr);
});
after(async () => {
  agent?.kill();
  await daemon?.close();
  await rm(home, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
});

const withAgent = () => ({ HOME: home, SSH_AUTH_SOCK: agentSocket });
/** On a laptop: no hyperd answers here. */
const hv = (args: readonly string[], env: Readonly<Record<string, string>> = withAgent()): Promise<RunResult> =>
  runHv(join(home, 'no-daemon'), args, { env });
const onTheMachine = (args: readonly string[]) => runHv(daemon.runtimeDir, args, { env: { HOME: home } });
const login = (...args: string[]) => hv(['login', '--url', daemon.origin, '--user', 'admin', ...args]);

/** Types an answer whenever the program asks for one, on a terminal of its own. */
function atTerminal(
  args: readonly string[],
  answers: readonly [RegExp, string][],
  env: Readonly<Record<string, string>>,
) {
  const words = [process.execPath, HV, ...args].map((word) => `'${word}'`).join(' ');
  const child = spawn('script', ['-qec', words, '/dev/null'], {
    env: { PATH: process.env['PATH'], TERM: 'dumb', HV_RUNTIME_DIR: join(home, 'no-daemon'), TZ: 'UTC', ...env },
  });
  const left = [...answers];
  let seen = '';
  let shown = '';
  child.stdout.on('data', (data: Buffer) => {
    shown += data.toString();
    seen += data.toString();
    const [next] = left;
    if (!next?.[0].test(seen)) return;
    left.shift();
    seen = '';
    child.stdin.write(`${next[1]}\n`);
  });
  // A question that nobody expected would wait for ever.
  const timer = setTimeout(() => child.kill(), 60_000);
  return new Promise<{ code: number | null; shown: string }>((resolve) =>
    child.on('close', (code) => {
      clearTimeout(timer);
      resolve({ code, shown });
    }),
  );
}

test('a key of the agent signs in; then every command can go to that machine', async () => {
  const { code, stderr, stdout } = await login('--fingerprint', fingerprint, '--json');
  assert.equal(code, 0, stderr);
  assert.equal(JSON.parse(stdout).user, 'admin');
  const config = join(home, '.config/hyper-nixos');
  assert.equal((await stat(join(config, 'hosts.json'))).mode & 0o777, 0o600);
  const sessionFile = join(config, 'sessions', name.replace(':', '_'));
  assert.equal((await stat(sessionFile)).mode & 0o777, 0o600);
  assert.equal((await stat(join(config, 'sessions'))).mode & 0o777, 0o700);
  assert.ok(
    !(await readFile(join(config, 'hosts.json'), 'utf8')).includes((await readFile(sessionFile, 'utf8')).trim()),
  );

  for (const answer of [
    await hv(['--host', name, 'status', '--json']),
    await hv(['--host=127.0.0.1', 'status', '--json']),
    await hv(['status', '--json'], { ...withAgent(), HV_HOST: '127.0.0.1' }),
  ]) {
    assert.equal(answer.code, 0, answer.stderr);
    assert.equal(JSON.parse(answer.stdout).address, daemon.origin);
  }
  const here = await hv(['status']);
  assert.equal(here.code, 6, 'without a name it is about this machine');
  const unknown = await hv(['--host', 'elsewhere', 'status']);
  assert.equal(unknown.code, 3);
  assert.match(unknown.stderr, /never signed in/);
  const again = await login();
  assert.equal(again.code, 0, again.stderr);
  assert.match(again.stderr, /signing with alice \(agent\)/);
  assert.doesNotMatch(again.stderr, /stranger/, 'the key that worked is tried first');
});

test('the fingerprint of a new machine is compared by a person; a no sends nothing', async () => {
  const fresh = join(home, 'fresh');
  const env = { HOME: fresh, SSH_AUTH_SOCK: agentSocket };
  const args = ['login', '--url', daemon.origin, '--user', 'admin'];
  const unasked = await hv(args, env);
  assert.equal(unasked.code, 2);
  assert.match(unasked.stderr, /--fingerprint/);
  const refused = await atTerminal(args, [[/Is it the same/, 'no']], env);
  assert.equal(refused.code, 1, refused.shown);
  assert.ok(refused.shown.replace(/\s/g, '').includes(fingerprint), refused.shown);
  assert.equal(await stat(join(fresh, '.config')).catch(() => null), null);
  const wrong = await hv([...args, '--fingerprint', 'AA:BB'], env);
  assert.equal(wrong.code, 6);
  const trusted = await atTerminal(args, [[/Is it the same/, 'yes']], env);
  assert.equal(trusted.code, 0, trusted.shown);
  assert.equal((await hv(['--host', name, 'status'], env)).code, 0);
});

test('key files sign through ssh-keygen, with their passphrase asked for on the terminal', async () => {
  const noAgent = { HOME: home };
  const plain = await hv(['login', '--url', daemon.origin, '--user', 'admin', '--key', keyFile('file')], noAgent);
  assert.equal(plain.code, 0, plain.stderr);
  const args = ['login', '--url', daemon.origin, '--user', 'admin', '--key', keyFile('locked')];
  const locked = await atTerminal(args, [[/passphrase/i, 'open sesame']], noAgent);
  assert.equal(locked.code, 0, locked.shown);
  assert.ok(!locked.shown.includes('open sesame'));
  const stranger = await hv(['login', '--url', daemon.origin, '--user', 'admin', '--key', keyFile('other')], noAgent);
  assert.equal(stranger.code, 3);
  assert.match(stranger.stderr, /does not open/);
});

test('what needs a fresh proof is signed and sent again; a first key of one’s own needs none', async () => {
  assert.equal((await login()).code, 0);
  const own = await hv(['--host', name, 'user', 'key', 'add', 'admin', `${keyFile('other')}.pub`]);
  assert.equal(own.code, 0, own.stderr);
  assert.doesNotMatch(own.stderr, /fresh proof/);
  const listed = await hv(['--host', name, 'user', 'key', 'list', 'admin', '--json']);
  const found = JSON.parse(listed.stdout).find(({ comment }: { comment: string }) => comment === 'other');
  assert.equal(found.source, 'local');
  const args = ['--host', name, 'user', 'key', 'remove', 'admin', found.fingerprint, '--yes', '--name', 'admin'];
  const removed = await hv(args);
  assert.equal(removed.code, 0, removed.stderr);
  assert.match(removed.stderr, /wants a fresh proof: Remove an SSH key/);
  const other = await hv(['--host', name, 'user', 'key', 'add', 'operator', `${keyFile('other')}.pub`, '--json']);
  assert.equal(other.code, 0, other.stderr);
  assert.match(other.stderr, /wants a fresh proof: Add an SSH key of a user: operator/);
});

test('a console’s WebSocket reaches the machine with the session and the pinned certificate', async () => {
  assert.equal((await login()).code, 0);
  const transport = createRemoteTransport({ HOME: home }, processOutput(true, {}), name);
  const { url, options } = await transport.webSocket('/api/v1/vms/none/serial?ticket=x');
  const answerOf = (given: object) =>
    new Promise<string>((resolve) => {
      const socket = new WebSocket(url, given);
      socket.on('error', (error) => resolve(error.message));
      socket.on('unexpected-response', (_request, response) => {
        let body = '';
        response.on('data', (data: Buffer) => (body += data.toString()));
        response.on('end', () => resolve(/"code":"(\w+)"/.exec(body)?.[1] ?? ''));
      });
    });
  const origin = daemon.origin;
  assert.equal(await answerOf(options), 'not_found', 'only the VM is missing');
  assert.equal(await answerOf({ ...options, headers: { origin } }), 'not_signed_in');
  assert.equal(await answerOf({ ...options, headers: { origin: 'https://evil.example' } }), 'cross_site');
  assert.match(await answerOf({ ...options, ca: [] }), /self.signed|certificate/i);
});

test('a code lets a browser in with a key, after a look at who asks', async () => {
  const site = await siteOf(daemon);
  const lines = [`Origin: ${site.origin}`, 'Content-Type: application/json', 'User-Agent: Some Browser'];
  const post = async (path: string, body: object, more: readonly string[] = []) => {
    const text = JSON.stringify(body);
    const answer = await send(
      site,
      requestText(site, { method: 'POST', path: `/api/v1${path}`, lines: [...lines, ...more], body: text }),
    );
    assert.ok(answer);
    return answer;
  };
  const flow = JSON.parse((await post('/auth/device', {})).body);
  assert.match(flow.command, /^hv login --web \S{3}-\S{3} --url https:\S+$/);
  const no = await atTerminal(
    ['login', '--url', daemon.origin, '--web', flow.userCode],
    [[/Is that your browser/, 'no']],
    withAgent(),
  );
  assert.equal(no.code, 1, no.shown);
  assert.match(no.shown, /Some Browser/);
  const yes = await atTerminal(flow.command.split(' ').slice(1), [[/Is that your browser/, 'yes']], withAgent());
  assert.equal(yes.code, 0, yes.shown);
  const { deviceSecret } = flow;
  assert.equal(JSON.parse((await post('/auth/device/poll', { deviceSecret })).body).state, 'confirmed');
  const claim = await post('/auth/device/claim', { deviceSecret });
  assert.equal(claim.status, 200);
  assert.equal(JSON.parse(claim.body).method, 'ssh_key');
  assert.match(claim.headers['set-cookie'] ?? '', /^__Host-/);
  const spent = await hv(['login', '--url', daemon.origin, '--web', flow.userCode, '--yes']);
  assert.equal(spent.code, 3);

  // From the console, without a key.
  const second = JSON.parse((await post('/auth/device', {})).body);
  const here = await onTheMachine(['login', '--web', second.userCode.toLowerCase(), '--user', 'operator', '--yes']);
  assert.equal(here.code, 0, here.stderr);
  const operator = await post('/auth/device/claim', { deviceSecret: second.deviceSecret });
  assert.equal(JSON.parse(operator.body).user, 'operator');

  // A session by link has no key: root confirms what it wants to do, for this one request.
  const cookie = await signIn(site, daemon);
  const create = () => post('/users', { name: 'carol' }, [cookie]);
  const refusal = await create();
  assert.equal(refusal.status, 403);
  const { digest } = JSON.parse(refusal.body).params;
  assert.equal((await post('/auth/step-up/device', { digest: 'f'.repeat(64) }, [cookie])).status, 409);
  const proof = JSON.parse((await post('/auth/step-up/device', { digest }, [cookie])).body);
  const approved = await onTheMachine(['session', 'approve', proof.userCode, '--yes']);
  assert.equal(approved.code, 0, approved.stderr);
  assert.match(approved.stderr, /POST \/users/);
  const claimed = await post('/auth/device/claim', { deviceSecret: proof.deviceSecret });
  const renewed = `Cookie: ${/^[^;]+/.exec(claimed.headers['set-cookie'] ?? '')?.[0]}`;
  assert.notEqual(renewed, cookie, 'the session has a new secret after the proof');
  const other = await post('/users', { name: 'dave' }, [renewed]);
  assert.equal(other.status, 403, 'the proof is for the one request');
  assert.equal((await post('/users', { name: 'carol' }, [renewed])).status, 201);
});

test('a machine in the middle gets no signature', async () => {
  const dir = join(home, 'middle');
  const tls = await ensureServerCertificate(dir, ['127.0.0.1'], 'middle', systemClock.now());
  const paths: string[] = [];
  const middle: Server = createServer({ cert: tls.certificate, key: tls.key }, (request, response) => {
    paths.push(request.url ?? '');
    // It asks the real machine for a challenge and passes it on.
    void daemon.admin('POST /auth/challenge', { body: { user: 'admin' } }).then((challenge) => {
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify(challenge));
    });
  });
  await new Promise<void>((resolve) => middle.listen(0, '127.0.0.1', resolve));
  try {
    const origin = `https://127.0.0.1:${(middle.address() as AddressInfo).port}`;
    const args = ['login', '--url', origin, '--user', 'admin', '--fingerprint', tls.fingerprint];
    const { code, stderr } = await hv(args, { HOME: join(home, 'fooled'), SSH_AUTH_SOCK: agentSocket });
    assert.equal(code, 1, stderr);
    assert.match(stderr, /nothing was signed/);
    assert.deepEqual(paths, ['/api/v1/auth/challenge']);
  } finally {
    middle.close();
  }
});

test('another certificate at a known address stops hv; a renewed one of the same authority does not', async () => {
  const env = { HOME: join(home, 'pinned'), SSH_AUTH_SOCK: agentSocket };
  let machine = await startDaemon({ waitFor: 'doors', stateDir: join(home, 'first') });
  const { origin } = machine;
  const listen = { HV_LISTEN: new URL(origin).host };
  const args = ['--host', new URL(origin).host, 'status'];
  try {
    await machine.admin('POST /users/{id}/keys', { params: { id: 'admin' }, body: { key: await publicKey('alice') } });
    const first = (await machine.admin('GET /system/status')).certificateFingerprint;
    assert.equal((await hv(['login', '--url', origin, '--user', 'admin', '--fingerprint', first], env)).code, 0);
    await machine.close();
    await rm(join(home, 'first/ca/server.pem'));
    machine = await startDaemon({ waitFor: 'doors', stateDir: join(home, 'first'), env: listen });
    assert.notEqual((await machine.admin('GET /system/status')).certificateFingerprint, first);
    const renewed = await hv(args, env);
    assert.equal(renewed.code, 0, renewed.stderr);
    await machine.close();

    machine = await startDaemon({ waitFor: 'doors', stateDir: join(home, 'second'), env: listen });
    const changed = await hv(args, env);
    assert.equal(changed.code, 6);
    assert.match(changed.stderr, /not the one you trusted/);
    assert.match(changed.stderr, /Nothing was sent/);
  } finally {
    await machine.close();
  }
});

test('signing out ends the session there and here', async () => {
  assert.equal((await login()).code, 0);
  const sessionFile = join(home, '.config/hyper-nixos/sessions', name.replace(':', '_'));
  const cookie = (await readFile(sessionFile, 'utf8')).trim();
  const out = await hv(['logout', '--name', name]);
  assert.equal(out.code, 0, out.stderr);
  assert.equal((await hv(['--host', name, 'status'])).code, 3);
  await writeFile(sessionFile, `${cookie}\n`);
  const stale = await hv(['--host', name, 'status']);
  assert.equal(stale.code, 3);
  assert.match(stale.stderr, /hv login/);
  const forgotten = await hv(['logout', '--name', name, '--forget']);
  assert.equal(forgotten.code, 0, forgotten.stderr);
  assert.doesNotMatch((await hv(['session', 'hosts', '--json'])).stdout, new RegExp(name));
});

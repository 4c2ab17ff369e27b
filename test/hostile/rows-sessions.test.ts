/** Sessions and tokens, rows D11 to D17: fixation, limits during an open stream, secrets at rest, tokens that are over, timing. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ApiEvents } from '#contract/events.ts';
import { createEventStream } from '#daemon/http/event-stream.ts';
import { createDirectory, directoryMigration, FIRST_ADMIN } from '#features/access/directory.ts';
import { createRights } from '#features/access/rights.ts';
import { createSessions, sessionMigration } from '#features/access/sessions.ts';
import { createTokens } from '#features/access/tokens.ts';
import { TestClock } from '#kernel/clock.ts';
import { createEventBus } from '#kernel/event-bus.ts';
import { newId, newSecret } from '#kernel/ids.ts';
import { silentLogger } from '#kernel/logger.ts';
import { openDatabase } from '#platform/db/database.ts';
import { type Asker, signIn, stranger, withToken } from '#test/support/asker.ts';
import { startDaemon, type TestDaemon } from '#test/support/daemon.ts';
import { until, writeToken } from '#test/support/everybody.ts';
import { linkToken } from '#test/support/link-token.ts';

let folder: string;
let daemon: TestDaemon;
const askers: Asker[] = [];
const tokens: Record<'live' | 'expired' | 'ofOperator', { id: string; secret: string }> = {
  live: { id: '', secret: '' },
  expired: { id: '', secret: '' },
  ofOperator: { id: '', secret: '' },
};

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hv-sessions-'));
  const stateDir = join(folder, 'state');
  // Told to write its memory down when asked, for the search for secrets.
  const options = {
    stateDir,
    waitFor: 'doors',
    env: { NODE_OPTIONS: `--heapsnapshot-signal=SIGUSR2 --diagnostic-dir=${folder}` },
  } as const;
  daemon = await startDaemon(options);
  await daemon.stop();
  const write = (name: string, userId: string, livesMs?: number) =>
    writeToken(join(stateDir, 'state.db'), {
      userId,
      name,
      permissions: ['vm.read', 'operation.read', 'host.read'],
      scope: 'all',
      ...(livesMs === undefined ? {} : { livesMs }),
    });
  tokens.live = write('live', FIRST_ADMIN);
  tokens.expired = write('expired', FIRST_ADMIN, -1000);
  tokens.ofOperator = write('of-operator', 'usr-operator');
  daemon = await startDaemon(options);
});
after(async () => {
  for (const asker of askers) asker.close();
  await daemon?.close();
  await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
});

const kept = <One extends Asker>(asker: One): One => {
  askers.push(asker);
  return asker;
};
const statusOf = async (asker: Asker, path = '/vms') => (await asker.ask({ path })).status;

test('D11: a secret planted before the sign-in is not taken over, and the planted one stays what it was', async () => {
  const attacker = kept(await signIn(daemon, 'operator'));
  for (const planted of [attacker.secret(), newSecret(), 'x', '../../etc']) {
    const victim = kept(stranger(daemon));
    const token = await linkToken(daemon);
    const answer = await victim.ask({
      method: 'POST',
      path: '/auth/link',
      body: { token },
      headers: { cookie: `__Host-hyper-session=${planted}` },
    });
    assert.equal(answer.status, 200, answer.text);
    const cookie = answer.headers['set-cookie']?.[0] ?? '';
    assert.match(cookie, /^__Host-hyper-session=[A-Za-z0-9_-]{43};/);
    assert.ok(!cookie.includes(`=${planted};`), 'the victim has a secret of his own');
  }
  const { json } = await attacker.ask({ path: '/auth/session' });
  assert.equal(json['user'], 'operator');
});

test('D11: each sign-in has another secret, and a cookie of any other name or place says nothing', async () => {
  const [one, two] = [kept(await signIn(daemon, 'admin')), kept(await signIn(daemon, 'admin'))];
  assert.notEqual(one.secret(), two.secret());
  for (const cookie of [
    `hyper-session=${one.secret()}`,
    `__Secure-hyper-session=${one.secret()}`,
    `__host-hyper-session=${one.secret()}`,
    `__Host-hyper-session=${one.secret().toLowerCase()}`,
    `__Host-hyper-session="${one.secret()}"`,
    `__Host-hyper-session=${one.secret()}x`,
  ])
    assert.equal((await kept(stranger(daemon)).ask({ path: '/vms', headers: { cookie } })).status, 401, cookie);
});

test('D12: a revoked session, and all of a disabled user, end with their streams within five seconds', async () => {
  const { admin } = daemon;
  await admin('POST /users', { body: { name: 'leaver' } });
  await admin('POST /grants', { body: { user: 'leaver', role: 'operator', scope: 'all' } });
  const [revoked, disabled] = [kept(await signIn(daemon, 'leaver')), kept(await signIn(daemon, 'leaver'))];
  const [first, second] = [await revoked.listen(), await disabled.listen()];
  const startMs = performance.now();
  await admin('DELETE /auth/sessions/{id}', { params: { id: revoked.sessionId } });
  assert.equal(await statusOf(revoked), 401);
  await first.ended;
  assert.equal(await statusOf(disabled), 200, 'the other session goes on');
  await admin('PATCH /users/{id}', { params: { id: 'leaver' }, body: { state: 'disabled' } });
  assert.equal(await statusOf(disabled), 401);
  await second.ended;
  assert.ok(performance.now() - startMs < 5000);
  const token = await linkToken(daemon, 'leaver');
  const again = await kept(stranger(daemon)).ask({
    method: 'POST',
    path: '/auth/link',
    body: { token },
  });
  assert.equal(again.status, 401, 'a link of a disabled user signs nobody in');
});

test('D12: a session that is idle too long or twelve hours old takes its stream along', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'hv-idle-'));
  const db = openDatabase(join(dir, 'state.db'));
  db.migrate('access', [sessionMigration, directoryMigration]);
  const clock = new TestClock();
  const directory = createDirectory(
    db,
    () => undefined,
    () => undefined,
  );
  await directory.load();
  const sessions = createSessions({
    db,
    clock,
    log: silentLogger,
    directory,
    rights: createRights(directory.snapshot, true),
  });
  await sessions.load(new AbortController().signal);
  const events = createEventBus<ApiEvents>((error) => {
    throw error;
  });
  const stream = createEventStream(
    events,
    { decide: () => ({ allow: true, visible: true, grant: null }), holds: () => true, reach: () => null, sessions },
    () => ['operation.read', { type: 'system', id: 'system', project: null }],
    'e',
    () => undefined,
  );
  try {
    const minute = 60_000;
    const open = async () => {
      const { identity, secret } = await sessions.begin(
        { userId: FIRST_ADMIN, method: 'link' },
        { address: '192.0.2.1', userAgent: 'test' },
      );
      const readable = stream.open(identity, null, new AbortController().signal);
      readable.resume();
      return { secret, ended: once(readable, 'end') };
    };
    const idle = await open();
    await clock.advance(15 * minute + 10_000);
    await idle.ended;
    assert.equal(sessions.authenticate(idle.secret, 'a'), null);
    const busy = await open();
    for (let passed = 0; passed < 12 * 60; passed += 10) {
      assert.ok(sessions.authenticate(busy.secret, 'a'), `after ${passed} minutes`);
      await clock.advance(10 * minute);
    }
    await clock.advance(10_000);
    await busy.ended;
  } finally {
    stream.close();
    await sessions.stop();
    await db.close();
    await rm(dir, { recursive: true, maxRetries: 20, retryDelay: 100 });
  }
});

test('D13: no live secret is in the database, its log, any file, the output or the memory of the daemon', async () => {
  const visitor = kept(await signIn(daemon, 'admin'));
  const token = await linkToken(daemon);
  assert.equal(await statusOf(visitor), 200);
  assert.equal(await statusOf(kept(withToken(daemon, tokens.live.secret))), 200);
  const secrets = {
    'the session': visitor.secret(),
    'the token': tokens.live.secret.slice(-43),
    'the link': token,
  };
  for (const asker of askers) asker.close();
  const found: string[] = [];
  const search = (where: string, bytes: Buffer) => {
    for (const [what, secret] of Object.entries(secrets)) if (bytes.includes(secret)) found.push(`${what} in ${where}`);
  };
  let files = 0;
  for (const name of await readdir(daemon.stateDir, { recursive: true })) {
    const bytes = await readFile(join(daemon.stateDir, name)).catch(() => null);
    if (bytes === null) continue;
    search(name, bytes);
    files += 1;
  }
  assert.ok(files > 3);
  search('the output', Buffer.from(daemon.output()));
  // What is on its way lies in memory until it was answered; a moment later it must not.
  await sleep(500);
  process.kill(daemon.pid, 'SIGUSR2');
  let snapshot = '';
  await until('a snapshot of the memory', async () => {
    snapshot = (await readdir(folder)).find((name) => name.endsWith('.heapsnapshot')) ?? '';
    if (snapshot === '') return false;
    const end = (await readFile(join(folder, snapshot))).subarray(-3).toString();
    return end.trimEnd().endsWith('}');
  });
  const memory = await readFile(join(folder, snapshot));
  assert.ok(memory.includes(daemon.stateDir), 'what lies in the memory would be found');
  search('the memory', memory);
  assert.deepEqual(found, []);
  console.log(
    `# count: ${Object.keys(secrets).length} live secrets searched in ${files} files, the output and a heap snapshot: none found`,
  );
});

test('D15: a token that is expired, in the address, cut, or whose owner lost his role or was disabled opens nothing', async () => {
  const { admin } = daemon;
  assert.equal(await statusOf(kept(withToken(daemon, tokens.live.secret))), 200);
  assert.equal(await statusOf(kept(withToken(daemon, tokens.expired.secret))), 401);
  const nobody = kept(stranger(daemon));
  for (const path of [
    `/vms?token=${tokens.live.secret}`,
    `/vms?access_token=${tokens.live.secret}`,
    `/vms/${tokens.live.secret}`,
  ])
    assert.equal(await statusOf(nobody, path), 400, path);
  for (const wrong of [
    tokens.live.secret.slice(0, -1),
    `${tokens.live.secret}A`,
    tokens.live.secret.toLowerCase(),
    `hyp_${tokens.live.id}_${tokens.expired.secret.slice(-43)}`,
    `hyp_${tokens.ofOperator.id}_${tokens.live.secret.slice(-43)}`,
  ])
    assert.equal(await statusOf(kept(withToken(daemon, wrong))), 401, wrong);
  const ofOperator = kept(withToken(daemon, tokens.ofOperator.secret));
  assert.equal(await statusOf(ofOperator), 200);
  const answer = await ofOperator.ask({
    method: 'POST',
    path: '/tokens',
    body: { name: 'more', permissions: ['vm.read'], days: 1 },
  });
  assert.equal(answer.status, 403, 'a token makes no token');
  const [grant] = (await admin('GET /grants', { query: { user: 'operator' } })).items;
  await admin('DELETE /grants/{id}', { params: { id: grant?.id ?? '' } });
  assert.equal(await statusOf(ofOperator), 403);
  await admin('PATCH /users/{id}', { params: { id: 'operator' }, body: { state: 'disabled' } });
  assert.equal(await statusOf(ofOperator), 401);
  await admin('PATCH /users/{id}', { params: { id: 'operator' }, body: { state: 'active' } });
  await admin('DELETE /users/{id}', { params: { id: 'operator' } });
  assert.equal(await statusOf(ofOperator), 401);
});

/** Half of the samples lie below it. */
const median = (samples: number[]): number => samples.sort((a, b) => a - b)[Math.floor(samples.length / 2)] ?? 0;

test('D17: how long a wrong secret takes says nothing of how much of it is right', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'hv-timing-'));
  const db = openDatabase(join(dir, 'state.db'));
  db.migrate('access', [sessionMigration, directoryMigration]);
  const clock = new TestClock();
  const directory = createDirectory(
    db,
    () => undefined,
    () => undefined,
  );
  await directory.load();
  const sessions = createSessions({
    db,
    clock,
    log: silentLogger,
    directory,
    rights: createRights(directory.snapshot, true),
  });
  const apiTokens = createTokens({ db, clock, directory });
  try {
    const session = await sessions.begin(
      { userId: FIRST_ADMIN, method: 'link' },
      { address: '192.0.2.1', userAgent: 'test' },
    );
    const token = await apiTokens.create({
      userId: FIRST_ADMIN,
      name: newId('tok'),
      permissions: ['vm.read'],
      scope: 'all',
      days: 1,
    });
    const doors = [
      { secret: session.secret, knock: (text: string) => sessions.authenticate(text, 'a') },
      { secret: token.secret, knock: (text: string) => apiTokens.authenticate(text, 'a') },
    ];
    const TRIES = 10_000;
    for (const { secret, knock } of doors) {
      const start = secret.length - 43;
      // The same length, with none, half or all but one of its characters right.
      const wrong = [0, 21, 42].map(
        (right) =>
          secret.slice(0, start + right) + (secret[start + right] === 'A' ? 'B' : 'A') + newSecret().slice(right + 1),
      );
      const times: number[][] = wrong.map(() => []);
      for (let n = 0; n < TRIES; n += 1) {
        // In turn, so that what disturbs the machine disturbs all alike.
        for (const [index, text] of wrong.entries()) {
          const startNs = process.hrtime.bigint();
          const answer = knock(text);
          times[index]?.push(Number(process.hrtime.bigint() - startNs));
          assert.equal(answer, null);
        }
      }
      const [none = 0, half = 0, most = 0] = times.map(median);
      for (const other of [half, most])
        assert.ok(Math.abs(other - none) / none < 0.2, `medians: ${none}, ${half}, ${most} ns`);
    }
    console.log(`# count: ${TRIES * 3 * doors.length} wrong secrets timed, no slope over what of them is right`);
  } finally {
    await sessions.stop();
    await db.close();
    await rm(dir, { recursive: true, maxRetries: 20, retryDelay: 100 });
  }
});

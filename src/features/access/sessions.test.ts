import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { accessErrors } from '#contract/access.ts';
import { TestClock } from '#kernel/clock.ts';
import { AppError, registerErrors } from '#kernel/errors.ts';
import { silentLogger } from '#kernel/logger.ts';
import { type Database, openDatabase } from '#platform/db/database.ts';
import { createDirectory, directoryMigration, FIRST_ADMIN, FIRST_OPERATOR } from './directory.ts';
import { createRights } from './rights.ts';
import { createSessions, MAX_SESSIONS_OF_USER, type Sessions, sessionMigration } from './sessions.ts';

registerErrors(accessErrors);
const from = { address: '192.0.2.1', userAgent: 'test' };
const HOUR = 3_600_000;
const QUARTER = HOUR / 4;

async function withSessions(
  work: (
    sessions: Sessions,
    clock: TestClock,
    file: string,
    again: () => Promise<Sessions>,
    disk: { isFull: boolean },
  ) => Promise<void>,
): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'hv-sessions-'));
  const file = join(dir, 'state.db');
  const opened = openDatabase(file);
  opened.migrate('access', [sessionMigration, directoryMigration]);
  const disk = { isFull: false };
  const db: Database = {
    ...opened,
    tables<Tables>() {
      if (disk.isFull) throw new AppError('unavailable');
      return opened.tables<Tables>();
    },
  };
  const clock = new TestClock();
  const directory = createDirectory(
    opened,
    () => undefined,
    () => undefined,
  );
  await directory.load();
  const rights = createRights(directory.snapshot, true);
  const made: Sessions[] = [];
  const create = async () => {
    const sessions = createSessions({ db, clock, log: silentLogger, directory, rights });
    made.push(sessions);
    await sessions.load(new AbortController().signal);
    return sessions;
  };
  try {
    await work(await create(), clock, file, create, disk);
  } finally {
    for (const sessions of made) await sessions.stop();
    await db.close();
    await rm(dir, { recursive: true });
  }
}

const isRefused = (error: unknown): boolean => error instanceof AppError && error.code === 'link_refused';

test('D6: of a thousand parallel tries of one link exactly one signs in', () =>
  withSessions(async (sessions) => {
    const { token } = await sessions.createLink(FIRST_ADMIN);
    const tries = await Promise.allSettled(Array.from({ length: 1000 }, () => sessions.redeem(token, from)));
    assert.equal(tries.filter((one) => one.status === 'fulfilled').length, 1);
    assert.equal(sessions.list(null).length, 1);
  }));

test('a user has so many sessions and no more; the link stays good until one has ended, and others sign in', () =>
  withSessions(async (sessions) => {
    const who = { userId: FIRST_ADMIN, method: 'ssh_key' } as const;
    const tries = await Promise.allSettled(
      Array.from({ length: MAX_SESSIONS_OF_USER + 5 }, () => sessions.begin(who, from)),
    );
    assert.equal(tries.filter(({ status }) => status === 'rejected').length, 5);
    const { token } = await sessions.createLink(FIRST_ADMIN);
    const isTooMany = (error: unknown) => error instanceof AppError && error.code === 'too_many_sessions';
    await assert.rejects(sessions.redeem(token, from), isTooMany);
    await sessions.begin({ ...who, userId: FIRST_OPERATOR }, from);
    await sessions.end(sessions.list(null)[0]?.id ?? '');
    await sessions.redeem(token, from);
    await assert.rejects(sessions.begin(who, from), isTooMany);
  }));

test('D6: a link is refused after five minutes, and an invented one always', () =>
  withSessions(async (sessions, clock) => {
    const { token } = await sessions.createLink(FIRST_ADMIN);
    await clock.advance(5 * 60_000 + 1);
    await assert.rejects(sessions.redeem(token, from), isRefused);
    await assert.rejects(sessions.redeem('x'.repeat(43), from), isRefused);
  }));

test('a link is not made young again by a clock that goes back, and outlives a restart', () =>
  withSessions(async (sessions, clock, _file, again) => {
    const [old, fresh] = [await sessions.createLink(FIRST_ADMIN), await sessions.createLink(FIRST_ADMIN)];
    await clock.advance(4 * 60_000);
    assert.ok((await (await again()).redeem(fresh.token, from)).secret);
    await clock.advance(2 * 60_000);
    clock.jumpWall(-HOUR);
    await assert.rejects(sessions.redeem(old.token, from), isRefused);
    assert.ok((await sessions.createLink(FIRST_ADMIN)).token);
    await assert.rejects(sessions.redeem(old.token, from), isRefused);
  }));

test('a session holds across a restart, for the user of its link', () =>
  withSessions(async (sessions, _clock, _file, again) => {
    const { token } = await sessions.createLink(FIRST_OPERATOR);
    const { secret } = await sessions.redeem(token, from);
    const after = await again();
    assert.equal(after.authenticate(secret, '192.0.2.1')?.userId, FIRST_OPERATOR);
    assert.equal(after.authenticate(`${secret.slice(0, -1)}x`, '192.0.2.1'), null);
  }));

test('D12: a session ends when idle for a quarter of an hour, or after twelve hours whatever happens', () =>
  withSessions(async (sessions, clock) => {
    const idle = await sessions.redeem((await sessions.createLink(FIRST_ADMIN)).token, from);
    const busy = await sessions.redeem((await sessions.createLink(FIRST_ADMIN)).token, from);
    for (let passed = QUARTER; passed < 12 * HOUR; passed += QUARTER) {
      await clock.advance(QUARTER);
      assert.ok(sessions.authenticate(busy.secret, 'a'), `after ${passed} ms`);
    }
    assert.equal(sessions.authenticate(idle.secret, 'a'), null);
    await clock.advance(QUARTER + 1);
    assert.equal(sessions.authenticate(busy.secret, 'a'), null);
  }));

test('whoever can only look may be idle for eight hours', () =>
  withSessions(async (sessions, clock) => {
    const { secret } = await sessions.redeem((await sessions.createLink(FIRST_OPERATOR)).token, from);
    await clock.advance(8 * HOUR);
    assert.ok(sessions.authenticate(secret, 'a'));
    await clock.advance(8 * HOUR + 1);
    assert.equal(sessions.authenticate(secret, 'a'), null);
  }));

test('moving the wall clock back gives nobody a longer session', () =>
  withSessions(async (sessions, clock) => {
    const { secret } = await sessions.redeem((await sessions.createLink(FIRST_ADMIN)).token, from);
    clock.jumpWall(-24 * HOUR);
    await clock.advance(2 * HOUR + 1);
    assert.equal(sessions.authenticate(secret, 'a'), null);
  }));

test('ending a session tells the listeners and refuses the secret', () =>
  withSessions(async (sessions) => {
    const { secret, identity } = await sessions.redeem((await sessions.createLink(FIRST_ADMIN)).token, from);
    const heard: string[] = [];
    sessions.onSessionEnded((id) => heard.push(id));
    await sessions.end(identity.sessionId ?? '');
    assert.deepEqual(heard, [identity.sessionId]);
    assert.equal(sessions.authenticate(secret, 'a'), null);
  }));

test('D13: no live secret is in the database file', () =>
  withSessions(async (sessions, _clock, file) => {
    const link = await sessions.createLink(FIRST_ADMIN);
    const { secret } = await sessions.redeem(link.token, from);
    const bytes = Buffer.concat([await readFile(file), await readFile(`${file}-wal`)]).toString('latin1');
    assert.ok(!bytes.includes(secret));
    assert.ok(!bytes.includes(link.token));
  }));

test('a session ends in time also while the database cannot be written, and stays ended after a restart', () =>
  withSessions(async (sessions, clock, _file, again, disk) => {
    const { token } = await sessions.createLink(FIRST_ADMIN);
    const { secret } = await sessions.redeem(token, from);
    const ended: string[] = [];
    sessions.onSessionEnded((id) => ended.push(id));
    disk.isFull = true;
    for (let passed = 0; passed <= 12 * HOUR; passed += HOUR) await clock.advance(HOUR);
    assert.equal(sessions.authenticate(secret, from.address), null);
    assert.equal(ended.length, 1);
    disk.isFull = false;
    assert.equal((await again()).authenticate(secret, from.address), null);
  }));

test('D11: a replaced secret serves what was on its way for a few seconds, then nobody; the session goes on with the new one', () =>
  withSessions(async (sessions, clock) => {
    const { secret, identity } = await sessions.redeem((await sessions.createLink(FIRST_ADMIN)).token, from);
    const next = await sessions.renew(identity.sessionId ?? '');
    assert.equal(sessions.authenticate(next.secret, 'a')?.sessionId, identity.sessionId);
    assert.ok(sessions.authenticate(secret, 'a'));
    await clock.advance(10_001);
    assert.equal(sessions.authenticate(secret, 'a'), null);
    assert.ok(sessions.authenticate(next.secret, 'a'));
    const last = await sessions.renew(identity.sessionId ?? '');
    await sessions.end(identity.sessionId ?? '');
    for (const ended of [next.secret, last.secret]) assert.equal(sessions.authenticate(ended, 'a'), null);
  }));

test('a session that is ended while its secret is renewed stays ended', () =>
  withSessions(async (sessions) => {
    for (let turn = 0; turn < 20; turn += 1) {
      const { secret, identity } = await sessions.redeem((await sessions.createLink(FIRST_ADMIN)).token, from);
      const id = identity.sessionId ?? '';
      const both = [() => sessions.end(id), () => sessions.renew(id)];
      const [first, second] = await Promise.allSettled((turn % 2 === 0 ? both : both.reverse()).map((act) => act()));
      const renewed = [first, second].flatMap((one) => (one?.status === 'fulfilled' && one.value ? [one.value] : []));
      for (const old of [secret, ...renewed.map((one) => one.secret)])
        assert.equal(sessions.authenticate(old, 'a'), null);
      assert.equal(sessions.find(id), null);
    }
  }));

test('of renewals at the same time one counts; a new secret that got lost leaves the old one good', () =>
  withSessions(async (sessions, clock) => {
    const { secret, identity } = await sessions.redeem((await sessions.createLink(FIRST_ADMIN)).token, from);
    const id = identity.sessionId ?? '';
    const renewals = await Promise.allSettled([sessions.renew(id), sessions.renew(id), sessions.renew(id)]);
    assert.equal(renewals.filter(({ status }) => status === 'fulfilled').length, 1);
    await clock.advance(20_000);
    assert.equal(sessions.authenticate(secret, 'a')?.sessionId, id);
    assert.equal(sessions.mustRenew(id), true);
  }));

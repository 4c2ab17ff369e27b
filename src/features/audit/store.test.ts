import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { z } from 'zod';
import type { AuditRecord } from '#contract/audit.ts';
import { auditErrors } from '#contract/audit.ts';
import { createChainVerifier, GENESIS } from '#contract/audit-chain.ts';
import type { ApiEvents } from '#contract/events.ts';
import { TestClock } from '#kernel/clock.ts';
import { AppError, registerErrors } from '#kernel/errors.ts';
import { createEventBus } from '#kernel/event-bus.ts';
import { silentLogger } from '#kernel/logger.ts';
import { type Database, openDatabase } from '#platform/db/database.ts';
import { adoptOldRecords } from './adoption.ts';
import { createBreakGlass } from './break-glass.ts';
import { openAuditKeys } from './keys.ts';
import type { AuditTables } from './migrations.ts';
import { createRetention } from './retention.ts';
import { type AuditEntry, auditMigrations, createAuditStore } from './store.ts';
import { createUnanswered } from './unanswered.ts';

registerErrors(auditErrors);

const entry: AuditEntry = {
  phase: 'intent',
  outcome: null,
  actor: 'ada',
  via: 'session',
  address: '192.0.2.7',
  action: 'POST /vms/{id}/start',
  permission: 'vm.power',
  objectType: 'vm',
  objectId: 'vm-1',
  objectName: 'web1',
  requestId: 'req-1',
  operationId: null,
  code: null,
};
const outcome: AuditEntry = { ...entry, phase: 'outcome', outcome: 'done' };

interface World {
  readonly dir: string;
  readonly db: Database;
  readonly clock: TestClock;
  readonly records: AuditRecord[];
  readonly store: ReturnType<typeof createAuditStore>;
  /** Nothing can be recorded while it is set. */
  trouble: Error | null;
}

async function withStore(work: (world: World) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'hv-audit-'));
  const db = openDatabase(join(dir, 'state.db'));
  db.migrate('audit', auditMigrations);
  const clock = new TestClock();
  const records: AuditRecord[] = [];
  const events = createEventBus<ApiEvents>((error) => {
    throw error;
  });
  events.on('audit.recorded', (record) => void records.push(record));
  const world: World = {
    dir,
    db,
    clock,
    records,
    trouble: null,
    store: createAuditStore({
      db,
      clock,
      events,
      digest: (text) => `hmac:${createHmac('sha256', 'key').update(text).digest('hex').slice(0, 32)}`,
      gate: async () => {
        if (world.trouble) throw world.trouble;
      },
    }),
  };
  try {
    await work(world);
  } finally {
    await db.close();
    await rm(dir, { recursive: true });
  }
}

const rowsOf = (db: Database) => db.tables<AuditTables>().selectFrom('audit').selectAll().orderBy('seq').execute();

async function verify({ db }: Pick<World, 'db'>, key?: string) {
  const verifier = createChainVerifier(key === undefined ? {} : { key });
  const stub = await db.tables<AuditTables>().selectFrom('audit_stub').selectAll().executeTakeFirst();
  if (stub) verifier.statement({ kind: 'stub', ...stub });
  for (const { body, hash } of await rowsOf(db)) verifier.record(body, hash);
  return verifier.end(new Date());
}

test('records form a chain, also across transactions that fail and across restarts', () =>
  withStore(async (world) => {
    const { db, store, clock } = world;
    await store.record(entry);
    await assert.rejects(
      db.transaction(async (tx) => {
        await store.write(tx, { ...entry, requestId: 'req-2' });
        await store.write(tx, { ...entry, requestId: 'req-3' });
        throw new Error('no');
      }),
      /no/,
    );
    await db.transaction(async (tx) => {
      await store.write(tx, { ...entry, requestId: 'req-4' });
      await store.write(tx, { ...entry, requestId: 'req-5' });
    });
    const events = createEventBus<ApiEvents>(() => undefined);
    const later = createAuditStore({ db, clock, events });
    await Promise.all(Array.from({ length: 700 }, (_, n) => later.record({ ...entry, requestId: `req-x${n}` })));
    assert.deepEqual(
      world.records.map(({ seq, requestId }) => [seq, requestId]),
      [
        [1, 'req-1'],
        [2, 'req-4'],
        [3, 'req-5'],
      ],
    );
    const result = await verify(world);
    assert.deepEqual([result.ok, result.records, result.lastSeq], [true, 703, 703]);
    assert.ok(later.writer.counts.groups < 10, `${later.writer.counts.groups} commits`);
    assert.equal((await rowsOf(db))[0]?.body.includes(GENESIS), true);
  }));

test('what is hashed is one line that no terminal obeys, bounded, and without secrets', () =>
  withStore(async ({ store, db, records }) => {
    const schema = z.object({
      name: z.string(),
      inner: z.object({ plain: z.string().meta({ secret: true }) }).optional(),
    });
    await store.record({
      ...entry,
      objectName: `a\nb\u001b[31m\u202e\u0085${'x'.repeat(1000)}`,
      params: {
        name: 'web1',
        password: 'hunter2',
        nested: [{ apiToken: 'tok-1', tokenId: 'tkt-5' }],
        inner: { plain: 'geheim' },
        env: { name: 'db_password', value: 'hunter2' },
        long: 'y'.repeat(5000),
      },
      schema,
    });
    const body = (await rowsOf(db))[0]?.body ?? '';
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that none is there is the point
    assert.doesNotMatch(body, /[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2028]/);
    for (const secret of ['hunter2', 'tok-1', 'geheim']) assert.ok(!body.includes(secret), secret);
    assert.ok(body.length < 6000);
    const params = records[0]?.params;
    assert.ok(typeof params === 'object' && params !== null && 'password' in params && 'env' in params);
    assert.match(String(params.password), /^hmac:[0-9a-f]{32}$/);
    assert.deepEqual(params.env, { name: 'db_password', value: params.password });
    assert.ok(body.includes('tkt-5'));
  }));

test('params that are too large are cut as a whole', () =>
  withStore(async ({ store, records }) => {
    await store.record({
      ...entry,
      params: Object.fromEntries(Array.from({ length: 90 }, (_, n) => [`k${n}`, 'v'.repeat(200)])),
    });
    const params = records[0]?.params;
    assert.ok(typeof params === 'object' && params !== null && 'sha256' in params);
  }));

test('a value that cannot be written fails its own record only', () =>
  withStore(async ({ store, db }) => {
    const circular: Record<string, unknown> = {};
    circular['self'] = circular;
    await Promise.all([store.record({ ...entry, params: circular }), store.record({ ...entry, params: { big: 10n } })]);
    assert.equal((await rowsOf(db)).length, 2);
  }));

const isUnavailable = (error: unknown) =>
  error instanceof AppError && error.code === 'audit_unavailable' && error.status === 503;

test('no intent is no change: 503, and what runs inside the transaction is undone', () =>
  withStore(async (world) => {
    const { store, db } = world;
    world.trouble = new Error('the disk is full');
    await assert.rejects(store.record(entry), isUnavailable);
    await assert.rejects(
      db.transaction((tx) => store.write(tx, entry)),
      isUnavailable,
    );
    assert.equal((await rowsOf(db)).length, 0);
    assert.match(store.writer.trouble ?? '', /disk is full/);
    world.trouble = null;
    await store.writer.tick();
    assert.equal(store.writer.trouble, null);
    await store.record(entry);
    // One more says since when it works again.
    assert.equal((await verify(world)).records, 2);
  }));

test('the outcome of what was begun does not fail: it is recorded later, once', () =>
  withStore(async (world) => {
    const { store, clock } = world;
    await store.record(entry);
    await clock.advance(40);
    world.trouble = new Error('the disk is full');
    await store.record(outcome);
    await store.writer.tick();
    world.trouble = null;
    await store.writer.tick();
    await store.writer.tick();
    const rows = await store.list({ limit: 10 });
    assert.deepEqual(
      rows.items.map(({ phase, outcome: end }) => [phase, end]),
      [
        ['outcome', 'done'],
        ['intent', null],
      ],
    );
    assert.equal(rows.items[0]?.durationMs, 40);
  }));

test('refusals of one source beyond 60 a minute become one record with their number', () =>
  withStore(async ({ store, clock, db }) => {
    const denied: AuditEntry = { ...entry, phase: 'outcome', outcome: 'denied', code: 'forbidden' };
    for (let n = 0; n < 500; n += 1) await store.record({ ...denied, requestId: `req-${n}` });
    await store.record({ ...denied, address: '192.0.2.8', requestId: 'req-other' });
    assert.equal((await rowsOf(db)).length, 61);
    await store.writer.tick();
    assert.equal((await rowsOf(db)).length, 61);
    await clock.advance(61_000);
    await store.writer.tick();
    const { items } = await store.list({ limit: 1 });
    assert.deepEqual(items[0]?.params, { folded: 440, seconds: 61, last: 'forbidden' });
    assert.equal((await rowsOf(db)).length, 62);
  }));

test('the refusal of something whose intent is recorded is never folded', () =>
  withStore(async ({ store, db }) => {
    for (let n = 0; n < 100; n += 1) {
      await store.record({ ...entry, requestId: `req-${n}` });
      await store.record({ ...outcome, outcome: 'invalid', requestId: `req-${n}` });
    }
    assert.equal((await rowsOf(db)).length, 200);
  }));

test('failing sign-ins of one source are counted after ten; what is let in is recorded, and other sources are heard', () =>
  withStore(async ({ store, clock, db }) => {
    const signIn = { ...entry, actor: 'stranger', via: 'network', action: 'POST /auth/link', permission: null };
    const guess = async (address: string, id: string) => {
      const one = { ...signIn, address, requestId: id };
      if (!store.isCounting(one)) await store.record(one);
      await store.record({ ...one, phase: 'outcome', outcome: 'denied', code: 'link_refused' });
    };
    for (let n = 0; n < 30; n += 1) await guess('192.0.2.7', `req-${n}`);
    assert.equal((await rowsOf(db)).length, 20, 'ten intents with their outcomes');
    await guess('192.0.2.8', 'req-other');
    assert.equal((await rowsOf(db)).length, 22);
    await store.record({ ...signIn, actor: 'ada', phase: 'outcome', outcome: 'done', requestId: 'req-good' });
    assert.equal((await store.list({ limit: 1 })).items[0]?.actor, 'ada');
    await clock.advance(61_000);
    await store.writer.tick();
    const { items } = await store.list({ limit: 1 });
    assert.deepEqual(items[0]?.params, { folded: 20, seconds: 61, last: 'link_refused' });
    assert.equal(store.isCounting({ ...signIn, address: '192.0.2.7' }), false, 'a minute later each is recorded again');
  }));

test('filters, pages and text find what fits, newest first', () =>
  withStore(async ({ store }) => {
    for (let n = 0; n < 30; n += 1)
      await store.record({
        ...entry,
        requestId: `req-${n}`,
        actor: n % 3 === 0 ? 'bob' : 'ada',
        objectId: `vm-${n % 2}`,
      });
    await store.record({ ...entry, requestId: 'req-z', objectName: 'Ümläut-Web', project: 'blue' });
    const seqs = async (query: object) => (await store.list({ limit: 100, ...query })).items.map(({ seq }) => seq);
    assert.equal((await seqs({})).length, 31);
    assert.deepEqual((await seqs({ actor: 'bob' })).slice(0, 3), [28, 25, 22]);
    assert.deepEqual(await seqs({ actor: 'bob', objectId: 'vm-1' }), [28, 22, 16, 10, 4]);
    assert.deepEqual(await seqs({ text: 'läut-web' }), [31]);
    assert.deepEqual(await seqs({ project: 'blue' }), [31]);
    assert.deepEqual(await seqs({ outcome: 'denied' }), []);
    const first = await store.list({ limit: 20 });
    assert.deepEqual([first.items.length, first.next, first.total], [20, '12', 31]);
    const second = await store.list({ limit: 20, cursor: first.next ?? '' });
    assert.deepEqual([second.items.length, second.next, second.items[0]?.seq], [11, null, 11]);
  }));

test('intents that an earlier life left without an outcome get one that says so', () =>
  withStore(async ({ store, db, clock }) => {
    await store.record({ ...entry, requestId: 'req-a' });
    await store.record({ ...outcome, requestId: 'req-a' });
    await store.record({ ...entry, requestId: 'req-b' });
    await store.record({ ...entry, requestId: 'req-c', operationId: 'op-open' });
    await store.record({ ...entry, requestId: 'req-d', operationId: 'op-gone' });
    const next = createAuditStore({ db, clock, events: createEventBus<ApiEvents>(() => undefined) });
    const unanswered = createUnanswered({ db, clock, writer: next.writer });
    assert.equal(await unanswered.find(async (id) => id === 'op-open'), 2);
    assert.equal(await unanswered.find(async (id) => id === 'op-open'), 0);
    const { items } = await next.list({ limit: 2 });
    assert.deepEqual(
      items.map(({ outcome: end, operationId, requestId, code }) => [end, operationId ?? requestId, code]),
      [
        ['unknown', 'op-gone', 'interrupted'],
        ['unknown', 'req-b', 'interrupted'],
      ],
    );
    assert.equal(await unanswered.recent(), 2);
    await next.record({ ...outcome, requestId: 'req-c', operationId: 'op-open' });
    assert.equal(await unanswered.find(async () => false), 0);
  }));

test('old records are removed behind a signed stub, and the rest still verifies; not under a legal hold, nor with a doubtful date', () =>
  withStore(async (world) => {
    const { store, db, clock, dir } = world;
    const keys = openAuditKeys(join(dir, 'audit'));
    for (let n = 0; n < 5; n += 1) await store.record({ ...entry, requestId: `req-${n}` });
    await clock.advance(50 * 86_400_000);
    await store.record({ ...entry, requestId: 'req-new' });
    const leap = { byMs: 1, untilMs: 1 };
    const parts = { db, clock, log: silentLogger, keys, writer: store.writer };
    const settings = { retentionDays: 40, legalHold: false };
    const retain = (legalHold: boolean, hasLeapt: boolean) =>
      createRetention({
        ...parts,
        calendar: { leap: () => (hasLeapt ? leap : null) },
        settings: { ...settings, legalHold },
      }).run();
    assert.equal(await retain(true, false), 0);
    assert.equal(await retain(false, true), 0);
    assert.equal(await retain(false, false), 5);
    const result = await verify(world, keys.publicKey);
    assert.deepEqual(result.findings, []);
    assert.deepEqual([result.firstSeq, result.lastSeq], [6, 7]);
    const { items } = await store.list({ limit: 1 });
    assert.equal(items[0]?.action, 'audit.prune');
    assert.equal(await retain(false, false), 0);
  }));

test('records of the time before the chain are taken into it, in their order', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'hv-audit-'));
  try {
    const path = join(dir, 'state.db');
    const old = openDatabase(path);
    old.migrate('audit', auditMigrations.slice(0, 1));
    await old.close();
    const raw = new DatabaseSync(path);
    const insert = raw.prepare(
      `INSERT INTO audit(id, at, phase, outcome, actor, via, action, object_id) VALUES(?, '2025-12-01T00:00:00.000Z', 'outcome', 'done', ?, 'session', 'POST /x', 'o')`,
    );
    for (let n = 0; n < 2500; n += 1) insert.run(`aud-${n}`, `user ${n}`);
    raw.close();
    const db = openDatabase(path);
    db.migrate('audit', auditMigrations);
    const store = createAuditStore({ db, clock: new TestClock(), events: createEventBus<ApiEvents>(() => undefined) });
    assert.equal(await adoptOldRecords(db, store.writer), 2500);
    assert.equal(await adoptOldRecords(db, store.writer), 0);
    const result = await verify({ db });
    assert.deepEqual([result.ok, result.records], [true, 2500]);
    const { items } = await store.list({ limit: 1 });
    assert.deepEqual(
      [items[0]?.id, items[0]?.actor, items[0]?.at],
      ['aud-2499', 'user 2499', '2025-12-01T00:00:00.000Z'],
    );
    await db.close();
  } finally {
    await rm(dir, { recursive: true });
  }
});

test('break-glass: only forced stops of root at the machine, only when it is on; recorded later', () =>
  withStore(async (world) => {
    const { store, dir } = world;
    const kernelLog = join(dir, 'kmsg');
    const { writer } = store;
    const stop: AuditEntry = { ...entry, via: 'admin_socket', action: 'POST /vms/{id}/stop' };
    const off = createBreakGlass({ isOn: false, writer, log: silentLogger, kernelLog });
    const on = createBreakGlass({ isOn: true, writer, log: silentLogger, kernelLog });
    world.trouble = new Error('full');
    assert.equal(await off.allow(stop), false);
    assert.equal(await on.allow({ ...stop, via: 'session' }), false);
    assert.equal(await on.allow({ ...stop, action: 'DELETE /vms/{id}' }), false);
    assert.equal(await on.allow(stop), true);
    on.ended({ ...stop, phase: 'outcome', outcome: 'done' });
    assert.equal((await store.list({ limit: 9 })).total, 0);
    world.trouble = null;
    await writer.tick();
    const { items } = await store.list({ limit: 9 });
    assert.deepEqual(
      items.map(({ phase }) => phase),
      ['outcome', 'intent'],
    );
    assert.deepEqual(items[1]?.params, { breakGlass: true, asked: null });
  }));

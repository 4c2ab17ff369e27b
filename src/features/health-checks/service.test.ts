import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { CheckStatus } from '#contract/common.ts';
import type { ApiEvents } from '#contract/events.ts';
import type { AnnouncedEvent } from '#features/notifications/index.ts';
import { TestClock } from '#kernel/clock.ts';
import { createEventBus } from '#kernel/event-bus.ts';
import { silentLogger } from '#kernel/logger.ts';
import { openDatabase } from '#platform/db/database.ts';
import { DAY_MS, type HealthCheck } from './check.ts';
import { createHealthCheckService } from './service.ts';
import { createHealthResultStore, healthCheckMigrations } from './store.ts';
import { contextOf } from './world.test-data.ts';

const never = new AbortController().signal;

type Found = CheckStatus | null;

/** Tells when the service has done what was due and sleeps again. */
class WatchedClock extends TestClock {
  #dueMs = 0;
  #onSleep: () => void = () => undefined;

  override sleep(ms: number, signal?: AbortSignal): Promise<void> {
    this.#dueMs = this.monotonicMs() + ms;
    const sleeping = super.sleep(ms, signal);
    this.#onSleep();
    return sleeping;
  }

  /** Moves on by five seconds, and waits for what became due. */
  async step(): Promise<void> {
    if (this.#dueMs > this.monotonicMs() + 5_000) return this.advance(5_000);
    const done = new Promise<void>((resolve) => {
      this.#onSleep = resolve;
    });
    await this.advance(5_000);
    await done;
  }
}

/** A service over a real database, whose checks find what the test says. */
async function bench(ids: readonly string[]) {
  const dir = mkdtempSync(join(tmpdir(), 'hv-health-'));
  const clock = new WatchedClock();
  const findings = new Map<string, Found>(ids.map((id) => [id, 'ok']));
  const runs = new Map<string, number>();
  const memories: (string | null)[] = [];
  const changes: ApiEvents['health.changed'][] = [];
  const announced: AnnouncedEvent[] = [];
  const settings = { isDateBelieved: true };
  const checks = ids.map(
    (id, n): HealthCheck => ({
      id,
      number: n + 1,
      title: `Check ${id}`,
      meaning: 'what it looks at',
      limits: ['host.cpu'],
      everyMs: 60_000,
      ...(id === 'a.silent' ? {} : { isAnnounced: true }),
      run({ memory }) {
        runs.set(id, (runs.get(id) ?? 0) + 1);
        memories.push(memory);
        const status = findings.get(id) ?? null;
        if (status === null) return null;
        return {
          status,
          evidence: `is ${status}`,
          hint: status === 'ok' ? null : 'mend it',
          items: [],
          memory: `saw ${status}`,
        };
      },
    }),
  );
  const open = async () => {
    const db = openDatabase(join(dir, 'state.db'));
    db.migrate('health-checks', healthCheckMigrations);
    const events = createEventBus<ApiEvents>((error) => assert.fail(String(error)));
    events.on('health.changed', (change) => void changes.push(change));
    const service = createHealthCheckService({
      checks,
      context: contextOf({}),
      limits: { 'host.cpu': { warn: 0.5 } },
      store: createHealthResultStore(db),
      db,
      clock,
      calendar: { leap: () => (settings.isDateBelieved ? null : { byMs: 1, untilMs: 1 }) },
      events,
      log: silentLogger,
      announce: async (_tx, event) => void announced.push(event),
    });
    await service.load();
    const ending = new AbortController();
    const running = service.keepFresh(ending.signal);
    return {
      service,
      async close() {
        ending.abort(new Error('over'));
        await running;
        await db.close();
      },
    };
  };
  let now = await open();
  const pass = async (ms: number) => {
    for (let gone = 0; gone < ms; gone += 5_000) await clock.step();
  };
  const statusOf = (id: string): Found =>
    now.service.results().results.find((result) => result.id === id)?.status ?? null;
  return {
    clock,
    findings,
    runs,
    memories,
    changes,
    announced,
    settings,
    pass,
    statusOf,
    service: () => now.service,
    async restart() {
      await now.close();
      now = await open();
    },
    async [Symbol.asyncDispose]() {
      await now.close();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

test('checks run in their own period, from half a minute after the start', async () => {
  await using one = await bench(['a.one', 'a.two']);
  assert.deepEqual(one.service().results(), { status: 'unknown', results: [] });
  await one.pass(20_000);
  assert.equal(one.runs.size, 0);
  await one.pass(10_000);
  assert.equal(one.runs.get('a.one'), 1);
  await one.pass(300_000);
  assert.equal(one.runs.get('a.one'), 6);
  assert.equal(one.service().results().status, 'ok');
});

test('a status keeps its beginning over a restart, and each change is in the history', async () => {
  await using one = await bench(['a.one']);
  await one.pass(60_000);
  const since = one.service().results().results[0]?.since;
  one.findings.set('a.one', 'warn');
  await one.pass(60_000);
  one.findings.set('a.one', 'fail');
  await one.pass(60_000);
  const failedSince = one.service().results().results[0]?.since;
  assert.notEqual(failedSince, since);
  await one.restart();
  await one.pass(60_000);
  const detail = await one.service().detail('a.one');
  assert.equal(detail.since, failedSince);
  assert.deepEqual(
    detail.history.map(({ status }) => status),
    ['fail', 'warn', 'ok'],
  );
  assert.equal(detail.limits[0]?.warn, 0.5, 'limits are those of the configuration');
  assert.deepEqual(
    one.changes.map(({ was, status }) => [was, status]),
    [
      [null, 'ok'],
      ['ok', 'warn'],
      ['warn', 'fail'],
    ],
  );
  assert.ok(one.memories.includes('saw fail'), 'what a check remembers comes back after a restart');
});

test('what is not known in the first three minutes was not looked for long enough', async () => {
  await using one = await bench(['a.one']);
  one.findings.set('a.one', 'unknown');
  await one.pass(150_000);
  assert.equal(one.statusOf('a.one'), null);
  await one.service().runAll(never);
  assert.equal(one.statusOf('a.one'), 'unknown', 'who asks for it gets it');
  await one.restart();
  await one.pass(150_000);
  assert.equal(one.statusOf('a.one'), null);
  await one.pass(120_000);
  assert.equal(one.statusOf('a.one'), 'unknown');
});

test('a check that has nothing here to look at leaves the list', async () => {
  await using one = await bench(['a.one', 'a.two']);
  await one.pass(60_000);
  one.findings.set('a.two', null);
  await one.pass(60_000);
  assert.deepEqual(
    one
      .service()
      .results()
      .results.map(({ id }) => id),
    ['a.one'],
  );
  assert.deepEqual(one.changes.at(-1), { id: 'a.two', title: 'Check a.two', status: null, was: 'ok' });
  await assert.rejects(one.service().detail('a.two'), { code: 'wrong_state' });
  await assert.rejects(one.service().detail('a.none'), { code: 'not_found' });
});

test('people are told once of what stays bad, again when it gets worse, and when it is well', async () => {
  await using one = await bench(['a.one']);
  await one.pass(60_000);
  one.findings.set('a.one', 'warn');
  await one.pass(60_000);
  one.findings.set('a.one', 'ok');
  await one.pass(120_000);
  assert.equal(one.announced.length, 0, 'a minute of trouble is told to nobody');
  one.findings.set('a.one', 'warn');
  await one.pass(600_000);
  assert.deepEqual(
    one.announced.map(({ severity }) => severity),
    ['warning'],
  );
  one.findings.set('a.one', 'unknown');
  await one.pass(180_000);
  one.findings.set('a.one', 'fail');
  await one.restart();
  await one.pass(600_000);
  assert.deepEqual(
    one.announced.map(({ severity }) => severity),
    ['warning', 'critical'],
  );
  assert.match(one.announced[1]?.text ?? '', /is fail mend it/);
  one.findings.set('a.one', 'ok');
  await one.pass(600_000);
  assert.deepEqual(
    one.announced.map(({ severity }) => severity),
    ['warning', 'critical', 'info'],
  );
  assert.equal(new Set(one.announced.map(({ key }) => key)).size, 3);
});

test('a check whose figures have alert rules tells nobody itself', async () => {
  await using one = await bench(['a.silent']);
  one.findings.set('a.silent', 'fail');
  await one.pass(600_000);
  assert.equal(one.statusOf('a.silent'), 'fail');
  assert.equal(one.announced.length, 0);
});

test('changes are kept for ninety days, and not deleted while the date cannot be believed', async () => {
  await using one = await bench(['a.one']);
  one.settings.isDateBelieved = false;
  await one.pass(60_000);
  one.findings.set('a.one', 'warn');
  await one.pass(60_000);
  one.clock.jumpWall(91 * DAY_MS);
  await one.pass(60_000);
  assert.equal((await one.service().detail('a.one')).history.length, 2);
  one.settings.isDateBelieved = true;
  await one.pass(60_000);
  assert.equal((await one.service().detail('a.one')).history.length, 0);
  assert.equal(one.statusOf('a.one'), 'warn');
});

test('of a check that changes at each run five hundred changes are kept', async () => {
  await using one = await bench(['a.one']);
  for (let n = 0; n < 510; n += 1) {
    one.findings.set('a.one', n % 2 === 0 ? 'ok' : 'warn');
    await one.service().runAll(never);
  }
  assert.equal((await one.service().detail('a.one')).history.length, 500);
});

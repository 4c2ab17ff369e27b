import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { TestClock } from '#kernel/clock.ts';
import { type Logger, silentLogger } from '#kernel/logger.ts';
import { openDatabase } from '#platform/db/database.ts';
import { createKeeping } from './keeping.ts';
import { createQuotaLedger } from './ledger.ts';
import { quotaMigrations } from './migrations.ts';

test('what changed while nobody looked is repaired and told for a day; what was noticed is charged quietly', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'hv-keeping-'));
  const db = openDatabase(join(dir, 'state.db'));
  db.migrate('quotas', quotaMigrations);
  const ledger = createQuotaLedger(db, (id) => id);
  const clock = new TestClock();
  const told: string[] = [];
  const log: Logger = { ...silentLogger, warn: (_facts, message) => void told.push(message ?? '') };
  let vcpus = 2;
  const source = {
    resources: ['vcpus'] as const,
    list: () => [{ project: 'p', resource: 'vcpus' as const, objectId: 'a', amount: vcpus, owner: null }],
  };
  const keeping = createKeeping({ db, ledger, sources: [source], clock, log });
  const stop = new AbortController();
  const used = async () => (await ledger.quotas('p'))[0]?.used;
  /** Lets the loop come to its next sleep, with so much used. */
  const settle = async (expected: number) => {
    for (let turn = 0; turn < 500 && (await used()) !== expected; turn += 1) await sleep(10);
    await sleep(50);
  };
  const running = keeping.run(stop.signal);
  try {
    await settle(2);
    assert.deepEqual([await used(), keeping.repairs().length, told.length], [2, 0, 0], 'found, not repaired');

    vcpus = 4;
    keeping.noticed();
    await settle(2);
    assert.equal(await used(), 2, 'others may change it again in a moment');
    await clock.advance(2000);
    await settle(4);
    assert.deepEqual([await used(), keeping.repairs().length, told.length], [4, 0, 0]);

    vcpus = 3;
    await clock.advance(3_600_000);
    await settle(3);
    assert.equal(await used(), 3);
    assert.deepEqual(
      keeping.repairs().map(({ objectId, was, is }) => [objectId, was, is]),
      [['a', 4, 3]],
    );
    assert.deepEqual(told, ['the ledger of quotas was wrong and was repaired']);

    for (let hour = 0; hour < 25; hour += 1) {
      await clock.advance(3_600_000);
      await settle(3);
    }
    assert.deepEqual(keeping.repairs(), [], 'told for a day');
  } finally {
    stop.abort();
    await running;
    await db.close();
    await rm(dir, { recursive: true });
  }
});

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { QuotaResource } from '#contract/quota-facts.ts';
import { quotaErrors } from '#contract/quotas.ts';
import { AppError, registerErrors } from '#kernel/errors.ts';
import { type Database, openDatabase } from '#platform/db/database.ts';
import { createQuotaLedger, type Holding, type QuotaLedger, type QuotaTables } from './ledger.ts';
import { quotaMigrations } from './migrations.ts';
import { type Existing, reconcileQuotas } from './reconcile.ts';

registerErrors(quotaErrors);

interface World {
  readonly db: Database;
  readonly ledger: QuotaLedger;
  used(resource: QuotaResource, project?: string): Promise<number>;
  reserve(operationId: string, ...holdings: Holding[]): Promise<void>;
  settle(operationId: string, isDone?: boolean): Promise<void>;
  limit(limits: Partial<Record<QuotaResource, number | null>>, project?: string): Promise<void>;
  /** used = Σ charges + Σ held, for every row. */
  assertExact(): Promise<void>;
}

async function withLedger(work: (world: World) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'hv-quota-'));
  const db = openDatabase(join(dir, 'state.db'));
  db.migrate('quotas', quotaMigrations);
  const ledger = createQuotaLedger(db, (id) => `name-of-${id}`);
  try {
    await work({
      db,
      ledger,
      used: async (resource, project = 'p') =>
        (await ledger.quotas(project)).find((row) => row.resource === resource)?.used ?? 0,
      reserve: (operationId, ...holdings) =>
        db.transaction((tx) => ledger.reserve(tx, { operationId, owner: 'ada' }, holdings)),
      settle: (operationId, isDone = true) => db.transaction((tx) => ledger.settle(tx, operationId, isDone)),
      limit: (limits, project = 'p') => db.transaction((tx) => ledger.setLimits(tx, project, limits)),
      async assertExact() {
        const { repaired } = await reconcileQuotas(db, ledger, []);
        assert.deepEqual(repaired, [], 'used = Σ of what is charged and reserved');
      },
    });
  } finally {
    await db.close();
    await rm(dir, { recursive: true });
  }
}

const holds = (resource: QuotaResource, objectId: string, amount: number, project = 'p'): Holding => ({
  project,
  resource,
  objectId,
  amount,
});

const isExceeded = (params: Record<string, unknown>) => (error: unknown) => {
  assert.ok(error instanceof AppError && error.code === 'quota_exceeded', String(error));
  assert.equal(error.status, 409);
  for (const [name, value] of Object.entries(params)) assert.equal(error.params[name], value, name);
  assert.match(error.message, /name-of-p/);
  assert.match(error.hint, /hv quota set name-of-p --/);
  return true;
};

test('200 parallel reservations of 2 against room for 10 accept exactly 5', () =>
  withLedger(async ({ limit, reserve, used, assertExact }) => {
    await limit({ vcpus: 10 });
    const answers = await Promise.allSettled(
      Array.from({ length: 200 }, (_, n) => reserve(`op-${n}`, holds('vcpus', `vm-${n}`, 2))),
    );
    assert.equal(answers.filter(({ status }) => status === 'fulfilled').length, 5);
    assert.equal(await used('vcpus'), 10);
    await assertExact();
  }));

test('a refusal names resource, limit, use and what was asked, and leaves nothing behind', () =>
  withLedger(async ({ limit, reserve, used, assertExact }) => {
    await limit({ vcpus: 4, memory: 2 ** 30 });
    await reserve('op-1', holds('vcpus', 'a', 3), holds('memory', 'a', 2 ** 29));
    await assert.rejects(
      reserve('op-2', holds('memory', 'b', 2 ** 29), holds('vcpus', 'b', 2)),
      isExceeded({ resource: 'vcpus', limit: 4, used: 3, asked: 2 }),
    );
    assert.equal(await used('memory'), 2 ** 29, 'the memory of the refused one was not kept');
    await assertExact();
  }));

test('a plan is refused as its operation would be, and neither takes nor keeps anything', () =>
  withLedger(async ({ ledger, limit, reserve, used, assertExact }) => {
    await limit({ vcpus: 4 });
    await reserve('op-1', holds('vcpus', 'a', 3));
    await assert.rejects(
      ledger.requireRoom([holds('vcpus', 'b', 2)]),
      isExceeded({ resource: 'vcpus', limit: 4, used: 3, asked: 2 }),
    );
    await ledger.requireRoom([holds('vcpus', 'b', 1)]);
    await ledger.requireRoom([holds('vcpus', 'c', 1)]);
    assert.equal(await used('vcpus'), 3);
    await assert.rejects(ledger.requireRoom([holds('disk', 'a', 2 ** 30)]), (error) => {
      assert.ok(error instanceof AppError);
      assert.match(error.message, /^Disk of the project "name-of-p": nothing is allowed; 1 GiB were asked for\.$/);
      assert.match(error.hint, /^A project may have nothing until an administrator sets its limits/);
      return true;
    });
    await assertExact();
  }));

test('what an edit has already is not asked for again by its plan', () =>
  withLedger(async ({ ledger, limit, reserve, settle }) => {
    await limit({ vcpus: 4 });
    await reserve('op-1', holds('vcpus', 'a', 3));
    await settle('op-1');
    await ledger.requireRoom([holds('vcpus', 'a', 4)]);
    await ledger.requireRoom([holds('vcpus', 'a', 1)]);
    await assert.rejects(ledger.requireRoom([holds('vcpus', 'a', 5)]), isExceeded({ used: 3, asked: 2 }));
  }));

test('everything that is missing is named at once', () =>
  withLedger(async ({ limit, reserve }) => {
    await limit({ vms: 5, vcpus: 1 });
    await assert.rejects(
      reserve('op', holds('vms', 'a', 1), holds('vcpus', 'a', 2), holds('memory', 'a', 2 ** 30)),
      (error) => {
        assert.ok(error instanceof AppError);
        assert.match(
          error.message,
          /^Memory of .*: nothing is allowed; 1 GiB were asked for\. vCPUs of .*: 0 of 1 are used; 2 more/,
        );
        assert.match(error.hint, /--memory SIZE --vcpus N`/);
        return true;
      },
    );
  }));

test('a project without a row for a resource may have none of it; null is unlimited', () =>
  withLedger(async ({ limit, reserve, used }) => {
    await assert.rejects(reserve('op-1', holds('vms', 'a', 1)), isExceeded({ resource: 'vms', limit: 0, used: 0 }));
    await limit({ vms: null });
    await reserve('op-1', holds('vms', 'a', 1_000_000));
    assert.equal(await used('vms'), 1_000_000);
  }));

test('a failed operation gives back what it reserved, a done one keeps it, and an edit is charged for its growth only', () =>
  withLedger(async ({ limit, reserve, settle, used, assertExact }) => {
    await limit({ vcpus: 4 });
    await reserve('create', holds('vcpus', 'a', 2));
    await settle('create');
    await reserve('grow', holds('vcpus', 'a', 4));
    assert.equal(await used('vcpus'), 4);
    await settle('grow', false);
    assert.equal(await used('vcpus'), 2);
    await reserve('shrink', holds('vcpus', 'a', 1));
    assert.equal(await used('vcpus'), 2, 'what shrinks is given back only when it is done');
    await assert.rejects(reserve('other', holds('vcpus', 'b', 3)), isExceeded({ asked: 3 }));
    await settle('shrink');
    assert.equal(await used('vcpus'), 1);
    await reserve('other', holds('vcpus', 'b', 3));
    await assertExact();
  }));

test('saying it twice charges once: resumed, reverted and restored objects', () =>
  withLedger(async ({ limit, reserve, settle, used, assertExact }) => {
    await limit({ snapshots: 3, disk: 100 });
    for (const _ of [1, 2]) await reserve('snap', holds('snapshots', 'a', 1));
    await settle('snap');
    await settle('snap');
    assert.equal(await used('snapshots'), 1);
    await reserve('disk', holds('disk', 'a', 60));
    await settle('disk');
    for (const n of [1, 2, 3]) {
      await reserve(`revert-${n}`, holds('disk', 'a', 60), holds('snapshots', 'a', 1));
      await settle(`revert-${n}`);
    }
    assert.deepEqual([await used('disk'), await used('snapshots')], [60, 1]);
    await assertExact();
  }));

test('backup bytes may grow while the operation works, and a refusal then keeps what was reserved', () =>
  withLedger(async ({ limit, reserve, settle, used, assertExact }) => {
    await limit({ backups: 100 });
    await reserve('backup', holds('backups', 'point-1', 0));
    for (const bytes of [20, 60, 50]) await reserve('backup', holds('backups', 'point-1', bytes));
    assert.equal(await used('backups'), 60, 'nothing is given back before the end');
    await assert.rejects(reserve('backup', holds('backups', 'point-1', 101)), isExceeded({ asked: 41 }));
    assert.equal(await used('backups'), 60);
    await settle('backup');
    assert.equal(await used('backups'), 50);
    await assertExact();
  }));

test('what one object gives to another within an operation needs no room for both', () =>
  withLedger(async ({ db, ledger, limit, reserve, settle, used, assertExact }) => {
    await limit({ images: 100 });
    await db.transaction((tx) => ledger.hold(tx, 'ada', [holds('images', 'upload', 80)]));
    await reserve('publish', holds('images', 'upload', 0), holds('images', 'image', 80));
    assert.equal(await used('images'), 80);
    await settle('publish');
    assert.equal(await used('images'), 80);
    await assert.rejects(
      db.transaction((tx) => ledger.hold(tx, 'ada', [holds('images', 'next', 21)])),
      isExceeded({ used: 80 }),
    );
    await assertExact();
  }));

test('a limit below what is used refuses growth only', () =>
  withLedger(async ({ limit, reserve, settle, used, assertExact }) => {
    await limit({ vcpus: 8 });
    await reserve('create', holds('vcpus', 'a', 8));
    await settle('create');
    await limit({ vcpus: 2 });
    assert.equal(await used('vcpus'), 8);
    await reserve('same', holds('vcpus', 'a', 8));
    await settle('same');
    await reserve('less', holds('vcpus', 'a', 5));
    await settle('less');
    assert.equal(await used('vcpus'), 5);
    await assert.rejects(reserve('more', holds('vcpus', 'a', 6)), isExceeded({ limit: 2, used: 5, asked: 1 }));
    await assertExact();
  }));

test('moving an object moves its charge and its owner in one transaction, if there is room', () =>
  withLedger(async ({ db, ledger, limit, reserve, settle, used, assertExact }) => {
    await limit({ vcpus: 4, disk: 10 });
    await reserve('create', holds('vcpus', 'a', 2), holds('disk', 'a', 10));
    await assert.rejects(
      db.transaction((tx) => ledger.move(tx, 'a', 'q')),
      (error) => error instanceof AppError && error.code === 'busy',
    );
    await settle('create');
    await limit({ vcpus: 2, disk: 9 }, 'q');
    await assert.rejects(
      db.transaction((tx) => ledger.move(tx, 'a', 'q')),
      /Disk of the project/,
    );
    assert.deepEqual([await used('vcpus'), await used('vcpus', 'q')], [2, 0]);
    await limit({ disk: 10 }, 'q');
    await db.transaction((tx) => ledger.move(tx, 'a', 'q'));
    assert.deepEqual(
      [await used('vcpus'), await used('disk'), await used('vcpus', 'q'), await used('disk', 'q')],
      [0, 0, 2, 10],
    );
    assert.ok((await ledger.holdings()).every(({ owner, project }) => owner === 'ada' && project === 'q'));
    await assertExact();
  }));

test('an operation that moves an object holds room in both projects until it is over', () =>
  withLedger(async ({ limit, reserve, settle, used, assertExact }) => {
    await limit({ vcpus: 4 });
    await limit({ vcpus: 4 }, 'q');
    await reserve('create', holds('vcpus', 'a', 3));
    await settle('create');
    const both = async () => [await used('vcpus'), await used('vcpus', 'q')];
    await reserve('fails', holds('vcpus', 'a', 3, 'q'));
    assert.deepEqual(await both(), [3, 3]);
    await settle('fails', false);
    assert.deepEqual(await both(), [3, 0]);
    await reserve('move', holds('vcpus', 'a', 3, 'q'));
    await settle('move');
    assert.deepEqual(await both(), [0, 3]);
    await assertExact();
  }));

test('reconciling repairs a wrong ledger, finds what came from outside, and leaves open operations alone', () =>
  withLedger(async ({ db, ledger, limit, reserve, settle, used, assertExact }) => {
    await limit({ vcpus: 10 });
    for (const [name, amount] of Object.entries({ a: 2, b: 3, gone: 1 })) {
      await reserve(name, holds('vcpus', name, amount));
      await settle(name);
    }
    await reserve('open', holds('vcpus', 'b', 4));
    await db.tables<QuotaTables>().updateTable('quota').set({ used: 9 }).where('project_id', '=', 'p').execute();
    const thing = (objectId: string, amount: number | null): Existing => ({
      project: 'p',
      resource: 'vcpus',
      objectId,
      amount,
      owner: null,
    });
    const source = (list: Existing[] | null) => ({ resources: ['vcpus' as const], list: () => list });
    const { repaired, found } = await reconcileQuotas(db, ledger, [
      source([thing('a', 5), thing('b', 99), thing('new', 7), thing('unknown', null)]),
    ]);
    assert.deepEqual(
      repaired.map(({ objectId, was, is }) => [objectId, was, is]),
      [
        ['a', 2, 5],
        ['gone', 1, 0],
        [null, 18, 16],
      ],
    );
    assert.deepEqual(
      found.map(({ objectId, amount }) => [objectId, amount]),
      [['new', 7]],
    );
    assert.equal(await used('vcpus'), 16, '5 + 3 + 1 reserved + 7, whatever the limit says');
    assert.deepEqual((await reconcileQuotas(db, ledger, [source(null)])).repaired, [], 'not known is not gone');
    await assertExact();
  }));

test('random creates, failures, edits, deletes and moves: used is always the sum of what lives', () =>
  withLedger(async ({ db, ledger, limit, reserve, settle, used, assertExact }) => {
    let seed = 7;
    const random = (below: number) => {
      seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
      return (seed >>> 8) % below;
    };
    await limit({ vcpus: 40 });
    await limit({ vcpus: 25 }, 'q');
    const live = new Map<string, { amount: number; project: string }>();
    const counts = { accepted: 0, refused: 0 };
    for (let turn = 0; turn < 1500; turn += 1) {
      const objectId = `vm-${random(20)}`;
      const now = live.get(objectId);
      const project = now?.project ?? ['p', 'q'][random(2)] ?? 'p';
      const amount = random(4) === 0 ? 0 : 1 + random(8);
      try {
        if (now && random(10) === 0) {
          const to = project === 'p' ? 'q' : 'p';
          await db.transaction((tx) => ledger.move(tx, objectId, to));
          live.set(objectId, { ...now, project: to });
        } else {
          await reserve(`op-${turn}`, holds('vcpus', objectId, amount, project));
          const isDone = random(3) > 0;
          await settle(`op-${turn}`, isDone);
          if (isDone) live.set(objectId, { amount, project });
        }
        counts.accepted += 1;
      } catch (error) {
        assert.ok(error instanceof AppError && error.code === 'quota_exceeded');
        counts.refused += 1;
      }
      for (const name of ['p', 'q']) {
        const sum = [...live.values()].filter((each) => each.project === name).reduce((s, each) => s + each.amount, 0);
        assert.equal(await used('vcpus', name), sum);
        assert.ok(sum <= (name === 'p' ? 40 : 25));
      }
    }
    assert.ok(counts.refused > 50 && counts.accepted > 500, JSON.stringify(counts));
    await assertExact();
  }));

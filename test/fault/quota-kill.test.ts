/** hyperd is killed before, in and after every step of everything that a quota counts, and at random while much goes on at once.
 *  The books are exact right after the kill, and say what exists once the daemon has taken up its work: nothing is repaired. */

import assert from 'node:assert/strict';
import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ApiProblem } from '#contract/client.ts';
import type { Operation } from '#contract/operations.ts';
import type { QuotaLimits } from '#contract/quotas.ts';
import type { VmCreateInput } from '#contract/vms.ts';
import { MIB } from '#kernel/units.ts';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { missingForLibvirtd, type PrivateLibvirtd, startPrivateLibvirtd } from '../support/libvirtd.ts';

const skip = missingForLibvirtd() ?? false;
const isFull = process.env['HV_TEST_FULL'] === '1';
const seed = Number(process.env['HV_TEST_SEED'] ?? 1);
const WHEN = ['before', 'after', 'recorded'] as const;
const DISK = 8 * MIB;
const MEMORY = 32 * MIB;

let libvirtd: PrivateLibvirtd;
let stateDir: string;
const counts = { kills: 0, operations: 0, refused: 0 };

before(async () => {
  if (skip !== false) return;
  libvirtd = await startPrivateLibvirtd();
  stateDir = await mkdtemp(join(libvirtd.dir, 'state-'));
  const daemon = await start();
  await daemon.admin('POST /projects', {
    body: {
      name: 'shop',
      resources: [
        { type: 'pool', id: 'hyper' },
        { type: 'network', id: 'default' },
      ],
    },
  });
  await daemon.stop();
  await daemon.close();
});
after(async () => {
  await libvirtd?.close();
  console.log(
    `# count: seed ${seed}: ${counts.kills} kills of hyperd during ${counts.operations} operations, ${counts.refused} refused; the books were exact each time, 0 repaired`,
  );
});

function randomOf(start: number): () => number {
  let state = start >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
const next = randomOf(seed);

const start = (killPoint: string | null = null): Promise<TestDaemon> =>
  startDaemon({ libvirtd, stateDir, ...(killPoint === null ? {} : { env: { HV_KILL_POINT: killPoint } }) });

const spec = (name: string, more: Partial<VmCreateInput> = {}): VmCreateInput => ({
  name,
  project: 'shop',
  memoryBytes: MEMORY,
  vcpus: 1,
  accel: 'tcg',
  graphics: false,
  firmware: 'bios',
  disks: [{ sizeBytes: DISK }],
  nics: [],
  ...more,
});

interface Books {
  readonly vms: number;
  readonly vcpus: number;
  readonly memory: number;
  readonly disk: number;
}
const NOTHING: Books = { vms: 0, vcpus: 0, memory: 0, disk: 0 };

const setLimits = (daemon: TestDaemon, limits: QuotaLimits) =>
  daemon.admin('PATCH /projects/{id}/quotas', { params: { id: 'shop' }, body: { limits } });

async function booksOf(daemon: TestDaemon): Promise<Books> {
  const { quotas } = await daemon.admin('GET /projects/{id}/quotas', { params: { id: 'shop' } });
  const used = (resource: keyof Books) => quotas.find((quota) => quota.resource === resource)?.used ?? 0;
  return { vms: used('vms'), vcpus: used('vcpus'), memory: used('memory'), disk: used('disk') };
}

/** What is there, as libvirt and the trash show it. */
async function worldOf(daemon: TestDaemon): Promise<Books> {
  const vms = (await daemon.admin('GET /vms', { query: { project: 'shop' } })).items;
  const trashed = (await daemon.admin('GET /trash')).items.filter(({ vmId }) => vms.every(({ id }) => id !== vmId));
  const sum = (values: readonly number[]) => values.reduce((all, value) => all + value, 0);
  const disks = vms.flatMap((vm) => vm.disks.filter(({ device }) => device === 'disk'));
  return {
    vms: vms.length,
    // Of a running VM the larger of what it has and what it will have after its next start.
    vcpus: sum(
      vms.map(({ vcpus, pending }) =>
        Math.max(vcpus, Number(pending.find(({ field }) => field === 'vcpus')?.next ?? 0)),
      ),
    ),
    memory: sum(vms.map(({ memoryBytes }) => memoryBytes)),
    disk: sum(disks.map(({ sizeBytes }) => sizeBytes ?? 0)) + sum(trashed.map((item) => item.disks.length * DISK)),
  };
}

/** used = Σ charges + Σ reservations in the file, whoever was killed. */
function assertExact(): void {
  const file = new DatabaseSync(join(stateDir, 'state.db'));
  try {
    const wrong = file
      .prepare(
        `SELECT q.project_id, q.resource, q.used,
           (SELECT coalesce(sum(amount), 0) FROM charge c WHERE c.project_id = q.project_id AND c.resource = q.resource) +
           (SELECT coalesce(sum(held), 0) FROM reservation r WHERE r.project_id = q.project_id AND r.resource = q.resource) AS is_so
         FROM quota q WHERE q.used <> is_so`,
      )
      .all();
    assert.deepEqual(wrong, []);
    const orphans = file
      .prepare(
        `SELECT operation_id FROM reservation WHERE operation_id NOT IN
           (SELECT id FROM operation WHERE state NOT IN ('done', 'failed', 'cancelled'))`,
      )
      .all();
    assert.deepEqual(orphans, [], 'reservations of operations that are over');
  } finally {
    file.close();
  }
}

async function assertBooks(daemon: TestDaemon, expected: Books): Promise<void> {
  assert.deepEqual(await booksOf(daemon), expected, 'the books');
  assert.deepEqual(await worldOf(daemon), expected, 'the world');
  assert.doesNotMatch(daemon.output(), /the ledger of quotas was wrong/);
  const problems = (await daemon.admin('GET /system/overview')).problems.map(({ id }) => id);
  assert.ok(!problems.includes('quota.repaired'), problems.join());
}

async function settled(daemon: TestDaemon): Promise<void> {
  for (const operation of (await daemon.admin('GET /operations', { query: { open: 'true' } })).items)
    await daemon.admin('GET /operations/{id}', { params: { id: operation.id }, query: { waitSeconds: 30 } });
}

async function clear(daemon: TestDaemon): Promise<void> {
  await settled(daemon);
  for (const vm of (await daemon.admin('GET /vms')).items)
    await daemon.finish(await daemon.admin('DELETE /vms/{id}', { params: { id: vm.id }, query: { stop: 'true' } }));
  for (const item of (await daemon.admin('GET /trash')).items)
    await daemon.finish(await daemon.admin('DELETE /trash/{id}', { params: { id: item.id } }));
}

interface KilledRun {
  readonly point: string;
  prepare(daemon: TestDaemon): Promise<string>;
  ask(daemon: TestDaemon, id: string): Promise<Operation>;
  readonly expected: Books;
}

async function killedRun({ point, prepare, ask, expected }: KilledRun): Promise<void> {
  const victim = await start(point);
  try {
    // Room for one VM, once: whatever is charged twice is refused.
    await setLimits(victim, { vms: 1, vcpus: 2, memory: MEMORY, disk: DISK });
    const id = await prepare(victim);
    counts.operations += 1;
    // The answer may get lost with the daemon.
    await ask(victim, id).catch((error: unknown) => assert.doesNotMatch(String(error), /ApiProblem/));
    const how = await Promise.race([victim.exited, sleep(60_000).then(() => 'alive')]);
    assert.equal(how, 'SIGKILL', `the kill point was not reached\n${victim.output().slice(-2000)}`);
    counts.kills += 1;
  } finally {
    await victim.close();
  }
  assertExact();
  const daemon = await start();
  try {
    await settled(daemon);
    await assertBooks(daemon, expected);
    await clear(daemon);
    await assertBooks(daemon, NOTHING);
  } catch (error) {
    // One failed run must not spoil those after it.
    await clear(daemon).catch(() => undefined);
    throw error;
  } finally {
    await daemon.stop();
    await daemon.close();
  }
  assertExact();
}

/** All points of a kind, or a seeded part of them. */
function points(kind: string, steps: readonly string[], share: number): string[] {
  const all = steps.flatMap((step) => WHEN.map((when) => `${kind}:${step}:${when}`));
  return isFull ? all : all.filter(() => next() < share);
}

async function made(daemon: TestDaemon, more: Partial<VmCreateInput> = {}): Promise<string> {
  const operation = await daemon.finish(await daemon.admin('POST /vms', { body: spec('one', more) }));
  return operation.objectId ?? '';
}

async function trashed(daemon: TestDaemon): Promise<string> {
  const id = await made(daemon, { start: false });
  await daemon.finish(await daemon.admin('DELETE /vms/{id}', { params: { id } }));
  return id;
}

const ONE: Books = { vms: 1, vcpus: 1, memory: MEMORY, disk: DISK };
const IN_TRASH: Books = { ...NOTHING, disk: DISK };

const kinds: readonly (Omit<KilledRun, 'point'> & {
  readonly kind: string;
  readonly steps: readonly string[];
  readonly share: number;
})[] = [
  {
    kind: 'vm.create',
    steps: ['prepare', 'disks', 'define', 'start', 'publish'],
    share: 0.2,
    prepare: async () => '',
    ask: (daemon) => daemon.admin('POST /vms', { body: spec('one') }),
    expected: ONE,
  },
  {
    kind: 'vm.edit',
    steps: ['definition', 'publish'],
    share: 0.25,
    prepare: (daemon) => made(daemon, { start: false }),
    ask: (daemon, id) =>
      daemon.admin('PATCH /vms/{id}', { params: { id }, body: { vcpus: 2, memoryBytes: MEMORY / 2 } }),
    expected: { ...ONE, vcpus: 2, memory: MEMORY / 2 },
  },
  {
    kind: 'vm.delete',
    steps: ['look', 'stop', 'keep', 'undefine', 'move', 'release'],
    share: 0.15,
    prepare: (daemon) => made(daemon),
    ask: (daemon, id) => daemon.admin('DELETE /vms/{id}', { params: { id }, query: { stop: 'true' } }),
    expected: IN_TRASH,
  },
  {
    kind: 'vm.restore',
    steps: ['move', 'define', 'release'],
    share: 0.2,
    prepare: trashed,
    ask: (daemon, id) => daemon.admin('POST /trash/{id}/restore', { params: { id } }),
    expected: ONE,
  },
  {
    kind: 'vm.purge',
    steps: ['tpm', 'files', 'release'],
    share: 0.2,
    prepare: trashed,
    ask: (daemon, id) => daemon.admin('DELETE /trash/{id}', { params: { id } }),
    expected: NOTHING,
  },
];

for (const { kind, steps, share, ...run } of kinds)
  for (const point of points(kind, steps, share))
    test(`the books survive a kill at ${point}`, { skip }, () => killedRun({ point, ...run }));

test('a create that is cancelled and killed gives everything back', { skip }, async () => {
  const victim = await start('vm.create:define:undone');
  await setLimits(victim, { vms: 1, vcpus: 2, memory: MEMORY, disk: DISK });
  const operation = await victim.admin('POST /vms', { body: spec('one', { nics: [{ network: 'default' }] }) });
  // It is undone from wherever it is; the kill comes while that goes on, if it came so far.
  await sleep(300);
  await victim.admin('POST /operations/{id}/cancel', { params: { id: operation.id } }).catch(() => undefined);
  await Promise.race([victim.exited, sleep(3000)]);
  await victim.kill('SIGKILL');
  await victim.close();
  counts.kills += 1;
  assertExact();
  const daemon = await start();
  try {
    await settled(daemon);
    const { state } = await daemon.admin('GET /operations/{id}', { params: { id: operation.id } });
    await assertBooks(daemon, state === 'done' ? ONE : NOTHING);
    await clear(daemon);
    await assertBooks(daemon, NOTHING);
  } finally {
    await daemon.stop();
    await daemon.close();
  }
});

test('random creates, edits, cancels, deletes, restores and purges at once, with kills between: used = what lives', {
  skip,
}, async () => {
  for (let round = 0; round < (isFull ? 12 : 2); round += 1) {
    const daemon = await start();
    await setLimits(daemon, { vms: 6, vcpus: 10, memory: 8 * MEMORY, disk: 10 * DISK });
    const one = async () => {
      for (let n = 0; n < 6; n += 1) await act(daemon, `${round}-${Math.floor(next() * 1e6)}`);
    };
    const working = Promise.allSettled([one(), one(), one(), one()]);
    await sleep(1500 + next() * 3500);
    await daemon.kill('SIGKILL');
    counts.kills += 1;
    await working;
    await daemon.close();
    assertExact();
    const again = await start();
    try {
      await settled(again);
      const world = await worldOf(again);
      await assertBooks(again, world);
      assert.ok(world.vms <= 6 && world.vcpus <= 10 && world.memory <= 8 * MEMORY && world.disk <= 10 * DISK);
      if (round % 2 === 1) {
        await clear(again);
        await assertBooks(again, NOTHING);
      }
    } finally {
      await again.stop();
      await again.close();
    }
    assertExact();
  }
});

/** Something, whatever comes of it. */
async function act(daemon: TestDaemon, name: string): Promise<void> {
  const { admin } = daemon;
  const pick = <Item>(items: readonly Item[]): Item | undefined => items[Math.floor(next() * items.length)];
  try {
    const vm = pick((await admin('GET /vms', { query: { project: 'shop' } })).items);
    const item = pick((await admin('GET /trash')).items);
    const dice = next();
    const follow = async (operation: Operation) => {
      counts.operations += 1;
      if (next() < 0.2) await admin('POST /operations/{id}/cancel', { params: { id: operation.id } });
      await admin('GET /operations/{id}', { params: { id: operation.id }, query: { waitSeconds: 20 } });
    };
    if (dice < 0.4 || !vm)
      await follow(await admin('POST /vms', { body: spec(`vm-${name}`, { start: next() < 0.3 }) }));
    else if (dice < 0.6)
      await follow(
        await admin('PATCH /vms/{id}', { params: { id: vm.id }, body: { vcpus: 1 + Math.floor(next() * 3) } }),
      );
    else if (dice < 0.8 || !item)
      await follow(await admin('DELETE /vms/{id}', { params: { id: vm.id }, query: { stop: 'true' } }));
    else if (dice < 0.9) await follow(await admin('POST /trash/{id}/restore', { params: { id: item.id } }));
    else await follow(await admin('DELETE /trash/{id}', { params: { id: item.id } }));
  } catch (error) {
    // Refused, busy, gone meanwhile, or the daemon was killed.
    if (error instanceof ApiProblem && error.problem.code === 'quota_exceeded') counts.refused += 1;
  }
}

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { TestClock } from '#kernel/clock.ts';
import { silentLogger } from '#kernel/logger.ts';
import type { LibvirtEvent } from '#libvirt/index.ts';
import { type Database, openDatabase } from '#platform/db/database.ts';
import { createEventCounts, eventCountMigrations } from './event-counts.ts';
import { isRefusedSignIn } from './readers/sign-ins.ts';
import { createRecordingSink } from './recording-sink.test-data.ts';

let folder: string;
let db: Database;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hv-counts-'));
  db = openDatabase(join(folder, 'state.db'));
  db.migrate('metrics', eventCountMigrations);
});
after(async () => {
  await db.close();
  await rm(folder, { recursive: true });
});

const domain = (uuid: string) => ({ uuid, name: uuid, id: 1 });
type Lifecycle = Extract<LibvirtEvent, { type: 'domain-lifecycle' }>;
const lifecycle = (uuid: string, event: Lifecycle['event'], reason: Lifecycle['reason'] = null): LibvirtEvent => ({
  type: 'domain-lifecycle',
  domain: domain(uuid),
  event,
  detail: 0,
  reason,
});
const ioError = (uuid: string, reason: string): LibvirtEvent => ({
  type: 'domain-io-error',
  domain: domain(uuid),
  path: '/pool/x',
  alias: 'virtio-disk0',
  action: 'pause',
  reason,
});

const fresh = (database: Database = db) => {
  const clock = new TestClock();
  return { clock, counts: createEventCounts({ db: database, clock, log: silentLogger }) };
};

test('a crash that is told of twice is one, and the start after it is a restart', async () => {
  const { clock, counts } = fresh();
  counts.onLibvirtEvent(lifecycle('a', 'started'));
  counts.onLibvirtEvent(lifecycle('a', 'crashed'));
  counts.onLibvirtEvent(lifecycle('a', 'stopped', 'crashed'));
  await clock.advance(60_000);
  counts.onLibvirtEvent(lifecycle('a', 'started'));
  counts.onLibvirtEvent(lifecycle('a', 'stopped', 'failed'));
  assert.equal(counts.count('a', 'vm_crash_total'), 2);
  assert.equal(counts.count('a', 'vm_restart_total'), 1);
  await clock.advance(600_001);
  counts.onLibvirtEvent(lifecycle('a', 'started'));
  counts.onLibvirtEvent(lifecycle('a', 'stopped', 'shutdown'));
  counts.onLibvirtEvent(lifecycle('a', 'started'));
  assert.equal(counts.count('a', 'vm_restart_total'), 1);
  counts.onLibvirtEvent({ type: 'domain-rebooted', domain: domain('a') });
  assert.equal(counts.count('a', 'vm_restart_total'), 2);
});

test('the last error of a disk tells whether space was missing, until the VM goes on', () => {
  const { counts } = fresh();
  counts.onLibvirtEvent(ioError('a', 'enospc'));
  assert.equal(counts.isOutOfSpace('a'), true);
  counts.onLibvirtEvent(lifecycle('a', 'resumed'));
  assert.equal(counts.isOutOfSpace('a'), false);
  counts.onLibvirtEvent(ioError('a', ''));
  assert.equal(counts.isOutOfSpace('a'), false);
  assert.equal(counts.count('a', 'vm_io_error_total'), 2);
});

test('counts outlive the daemon, and those of a VM that is gone do not', async () => {
  const { counts } = fresh();
  counts.onLibvirtEvent({ type: 'domain-watchdog', domain: domain('kept'), action: 'reset' });
  counts.onLibvirtEvent({ type: 'domain-watchdog', domain: domain('gone'), action: 'reset' });
  counts.add('host', 'auth_failures_total');
  await counts.save();
  counts.forget('gone');
  await counts.save();
  const { counts: again } = fresh();
  // What happens before the table is read is not lost.
  again.onLibvirtEvent({ type: 'domain-watchdog', domain: domain('kept'), action: 'reset' });
  await again.load();
  assert.equal(again.count('kept', 'vm_watchdog_total'), 2);
  assert.equal(again.count('gone', 'vm_watchdog_total'), 0);
  assert.equal(again.count('host', 'auth_failures_total'), 1);
});

test('a database that cannot be written loses no count', async () => {
  let isBroken = true;
  const { counts } = fresh({
    ...db,
    transaction: async (work) => {
      if (isBroken) throw new Error('disk full');
      return await db.transaction(work);
    },
  });
  counts.onLibvirtEvent(ioError('full', 'enospc'));
  await counts.save();
  isBroken = false;
  await counts.save();
  const { counts: again } = fresh();
  await again.load();
  assert.equal(again.count('full', 'vm_io_error_total'), 1);
});

test('counts are put once, and again when they changed', () => {
  const { counts } = fresh();
  const sink = createRecordingSink();
  counts.put(sink, 'a');
  assert.deepEqual(sink.values.get('a:vm_crash_total'), 0);
  sink.clear();
  counts.put(sink, 'a');
  assert.deepEqual([...sink.values], []);
  counts.onLibvirtEvent(ioError('a', ''));
  counts.put(sink, 'a');
  assert.deepEqual([...sink.values], [['a:vm_io_error_total', 1]]);
});

test('only refused sign-ins are refused sign-ins', () => {
  const record = { phase: 'outcome', outcome: 'denied', action: 'POST /auth/ssh' } as const;
  const is = (change: object) => isRefusedSignIn(Object.assign({ ...RECORD }, record, change));
  assert.equal(is({}), true);
  assert.equal(is({ outcome: 'failed', action: 'POST /auth/link' }), true);
  assert.equal(is({ outcome: 'done' }), false);
  assert.equal(is({ phase: 'intent', outcome: null }), false);
  assert.equal(is({ action: 'POST /vms/{id}/start' }), false);
  assert.equal(is({ action: 'POST /auth/logout' }), false);
});

const RECORD = {
  id: '1',
  at: '2026-01-01T00:00:00.000Z',
  phase: 'outcome' as const,
  outcome: 'done' as const,
  actor: 'x',
  via: 'session',
  address: null,
  action: '',
  permission: null,
  objectType: null,
  objectId: null,
  objectName: null,
  requestId: null,
  operationId: null,
  code: null,
  seq: 1,
  hash: '',
  actorId: null,
  method: null,
  sessionId: null,
  project: null,
  grant: null,
  params: null,
  durationMs: null,
};

test('counts of VMs that went while nothing listened are forgotten, on the disk too', async () => {
  const clock = new TestClock();
  const counts = createEventCounts({ db, clock, log: silentLogger });
  for (const owner of ['kept', 'went', 'host']) counts.add(owner, 'vm_crash_total');
  await counts.save();
  const next = createEventCounts({ db, clock, log: silentLogger });
  await next.load();
  next.keep(new Set(['kept']));
  await next.save();
  const last = createEventCounts({ db, clock, log: silentLogger });
  await last.load();
  assert.deepEqual(
    ['kept', 'went', 'host'].map((owner) => last.count(owner, 'vm_crash_total')),
    [1, 0, 1],
  );
});

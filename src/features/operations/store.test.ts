import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Database, openDatabase } from '#platform/db/database.ts';
import { operationMigrations } from './migrations.ts';
import { createOperationStore, type OperationStore } from './store.ts';

const ALL = { projects: ['p'], vms: [] };
let dir: string;
let db: Database;
let store: OperationStore;

interface Written {
  readonly id: string;
  readonly kind: string;
  readonly objectType: string | null;
  readonly objectId: string | null;
  readonly input: string;
  readonly at: string;
  readonly end: string | null;
  readonly result?: string;
}

const WRITTEN: readonly Written[] = [
  { id: 'op-1', kind: 'vm.start', objectType: 'vm', objectId: 'vm-1', input: '{}', at: '01:00', end: '01:01' },
  {
    id: 'op-2',
    kind: 'backup.verify',
    objectType: 'proof',
    objectId: 'prf-1',
    input: '{"vmId":"vm-1"}',
    at: '02:00',
    end: '02:30',
    result: '{"verdict":"fail"}',
  },
  { id: 'op-3', kind: 'backup.run', objectType: 'vm', objectId: 'vm-2', input: '{}', at: '02:10', end: null },
  { id: 'op-4', kind: 'health.run', objectType: null, objectId: null, input: '{}', at: '03:00', end: '03:01' },
];
const timeOf = (clock: string) => `2026-01-01T${clock}:00.000Z`;

before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'hv-operations-'));
  db = openDatabase(join(dir, 'state.db'));
  // As hyperd wrote them before operations knew their VM.
  db.migrate(
    'operations',
    operationMigrations.filter(({ id }) => id < '005'),
  );
  const value = (text: string | null) => (text === null ? 'NULL' : `'${text}'`);
  db.migrate('written', [
    {
      id: '001-written',
      statements: WRITTEN.map(
        ({ id, kind, objectType, objectId, input, at, end, result }) =>
          `INSERT INTO operation(id, kind, title, actor, via, user_id, project, object_type, object_id, input, state, action, created_at, finished_at, result)
           VALUES ('${id}', '${kind}', '${kind}', 'ada', 'session', 'usr-ada', 'p', ${value(objectType)}, ${value(objectId)}, '${input}',
             '${end === null ? 'running' : 'done'}', 'POST /x', '${timeOf(at)}', ${value(end === null ? null : timeOf(end))}, ${value(result ?? null)})`,
      ),
    },
  ]);
  db.migrate('operations', operationMigrations);
  store = createOperationStore(db);
});
after(async () => {
  await db.close();
  await rm(dir, { recursive: true });
});

const idsIn = async (query: Omit<Parameters<OperationStore['timeline']>[0], 'of'>) =>
  (await store.timeline({ ...query, of: ALL })).items.map(({ id }) => id);

test('the timeline of a VM has what works on it and what is about it, newest first', async () => {
  const { items, total } = await store.timeline({ vm: 'vm-1', of: ALL });
  assert.deepEqual(
    items.map(({ id, vmId, verdict }) => [id, vmId, verdict]),
    [
      ['op-2', 'vm-1', 'fail'],
      ['op-1', 'vm-1', null],
    ],
  );
  assert.equal(total, 2);
});

test('a span of time has what reaches into it; what goes on reaches into all that comes after', async () => {
  assert.deepEqual(await idsIn({ from: timeOf('02:20'), to: timeOf('02:40') }), ['op-3', 'op-2']);
  assert.deepEqual(await idsIn({ from: timeOf('02:31') }), ['op-4', 'op-3']);
  assert.deepEqual(await idsIn({ to: timeOf('01:00') }), ['op-1']);
  assert.deepEqual(await idsIn({ from: timeOf('01:30'), to: timeOf('01:50') }), []);
});

test('who holds a right on a VM alone sees also what is about it, and nothing else', async () => {
  const seen = async (reach: { projects: string[]; vms: string[] }) =>
    (await store.timeline({ of: reach })).items.map(({ id }) => id);
  assert.deepEqual(await seen({ projects: [], vms: ['vm-1'] }), ['op-2', 'op-1']);
  assert.deepEqual(await seen({ projects: [], vms: [] }), []);
});

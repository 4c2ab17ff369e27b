import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, test } from 'node:test';
import { stateBackupErrors } from '#contract/state-backups.ts';
import {
  createRepository,
  newRecoveryKey,
  newRepositoryKey,
  type Repository,
  readRecoveryKey,
  sealEnvelope,
} from '#features/backups/index.ts';
import { AppError, registerErrors } from '#kernel/errors.ts';
import type { Migration } from '#platform/db/database.ts';
import { rebuildDatabase } from '#platform/db/rebuild.ts';
import { encodeRows } from '#platform/db/table-rows.ts';
import { finishSwap } from '#platform/state-swap.ts';
import { HEADER, headerSchema, type Secrets, type StateHeader, sha256 } from './header.ts';
import { planRestore } from './plan-restore.ts';
import { listStates, openState } from './read-point.ts';
import { stageRestore } from './stage-restore.ts';
import { stateKeyOf } from './state-key.ts';
import { writePoint } from './write-point.ts';

registerErrors(stateBackupErrors);

const SERIES = '6f2c1a34-5b7d-4e8f-9a01-23456789abcd';
const FIRST: Migration = {
  id: '001',
  statements: [
    'CREATE TABLE user(id TEXT PRIMARY KEY, name TEXT NOT NULL, disabled INTEGER NOT NULL DEFAULT 0) STRICT',
    `CREATE TABLE access_grant(id TEXT PRIMARY KEY, subject_type TEXT NOT NULL, subject_id TEXT NOT NULL, role TEXT NOT NULL,
       scope TEXT NOT NULL) STRICT`,
    'CREATE TABLE session(id TEXT PRIMARY KEY) STRICT',
    'CREATE TABLE audit(seq INTEGER PRIMARY KEY, hash TEXT NOT NULL) STRICT',
    'CREATE TABLE audit_mark(name TEXT PRIMARY KEY, seq INTEGER NOT NULL) STRICT',
    'CREATE TABLE repository(id TEXT PRIMARY KEY, folder TEXT NOT NULL UNIQUE, is_default INTEGER NOT NULL, scanned_at TEXT) STRICT',
    'CREATE TABLE restore_point(id TEXT PRIMARY KEY, repository_id TEXT NOT NULL) STRICT',
    'CREATE TABLE vm(uuid TEXT PRIMARY KEY, desired TEXT NOT NULL) STRICT',
  ],
};
const SECOND: Migration = { id: '002', statements: ["ALTER TABLE user ADD COLUMN title TEXT NOT NULL DEFAULT 'none'"] };
const KNOWN: ReadonlyMap<string, readonly Migration[]> = new Map([['all', [FIRST, SECOND]]]);
const FOUND = {
  seq: 1,
  series: SERIES,
  host: 'host1',
  madeAt: '2026-01-01T00:00:00.000Z',
  isOwn: false,
  problem: null,
};

let folder: string;
let database: string;
let count = 0;
const typedKey = newRecoveryKey();
const key = stateKeyOf(readRecoveryKey(typedKey));

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hyper-state-'));
  database = join(folder, 'state.db');
  const made = rebuildDatabase(database, [{ slice: 'all', id: '001' }], KNOWN);
  made.finish();
  made.close();
  const sqlite = new DatabaseSync(database);
  sqlite.exec(`INSERT INTO user(id, name) VALUES('u1', 'eva'), ('u2', 'carl');
    INSERT INTO access_grant VALUES('g1', 'user', 'u1', 'admin', 'all'), ('g2', 'user', 'u2', 'operator', 'all');
    INSERT INTO session VALUES('still signed in'); INSERT INTO audit VALUES(7, 'abc');
    INSERT INTO repository VALUES('repo-1', '/mnt/old', 0, NULL), ('repo-0', '/lost/default', 1, NULL);
    INSERT INTO restore_point VALUES('rp-1', 'repo-1'), ('rp-0', 'repo-0');
    INSERT INTO vm VALUES('vm-here', 'running'), ('vm-gone', 'running')`);
  sqlite.close();
});
after(() => rm(folder, { recursive: true }));

const place = () => {
  count += 1;
  return join(folder, `place-${count}`);
};
const SECRETS: Secrets = [{ path: 'keys/repositories/repo-1.key', data: Buffer.from('the key').toString('base64') }];

const write = (repository: Repository, options: { withKey?: boolean; secrets?: Secrets } = {}) =>
  writePoint({
    repository,
    repositoryId: 'repo-1',
    database,
    series: SERIES,
    host: 'host1',
    version: '1.0',
    operationId: 'op-1',
    definitions: [{ kind: 'vm', id: 'vm-gone', name: '../web 1', xml: '<domain/>' }],
    secrets: options.secrets ?? SECRETS,
    key: (options.withKey ?? true) ? key : null,
    now: () => new Date(),
    signal: new AbortController().signal,
  });
const plain = () => createRepository(place(), { compression: 'default', encryption: null });
const encrypted = () =>
  createRepository(place(), {
    compression: 'default',
    encryption: { key: newRepositoryKey(), recoveryKey: readRecoveryKey(newRecoveryKey()) },
  });

const refusedAs = (code: string, text: RegExp) => (error: unknown) => {
  assert.ok(error instanceof AppError, String(error));
  assert.equal(error.code, code, error.message);
  assert.match(error.message, text);
  return true;
};

/** What somebody can do who may write to the folder and holds no key: read everything, and publish a point with other documents. */
async function forge(
  repository: Repository,
  pointId: string,
  change: (header: StateHeader, documents: Map<string, Buffer>) => Promise<Buffer> | Buffer,
): Promise<string> {
  const point = await repository.openDocuments(pointId);
  const documents = new Map<string, Buffer>();
  for (const name of Object.keys(point.manifest.blobs)) documents.set(name, await point.read(name));
  const [line = ''] = (documents.get(HEADER) ?? Buffer.alloc(0)).toString('utf8').split('\n');
  documents.set(HEADER, await change(headerSchema.parse(JSON.parse(line)), documents));
  const writer = await repository.writer();
  try {
    const blobs: Record<string, string> = {};
    for (const [name, bytes] of documents) blobs[name] = await writer.blob(bytes);
    return (await writer.publish({ ...point.manifest, blobs })).id;
  } finally {
    await writer.close();
    await point.close();
  }
}

/** Makes another user administrator, with digests that fit. */
function takeOver(header: StateHeader, documents: Map<string, Buffer>): StateHeader {
  const rows = encodeRows({
    table: 'access_grant',
    columns: ['id', 'subject_type', 'subject_id', 'role', 'scope'],
    rows: [['g1', 'user', 'u2', 'admin', 'all']],
  });
  documents.set('table/access_grant/0', rows);
  const tables = header.tables.map((table) =>
    table.name === 'access_grant'
      ? { ...table, rows: 1, parts: [{ name: 'table/access_grant/0', sha256: sha256(rows) }] }
      : table,
  );
  return { ...header, tables };
}

const planOf = async (repository: Repository, pointId: string, typed: string | undefined) => {
  const state = await openState(repository, pointId, typed);
  try {
    return await planRestore(state, { ...FOUND, id: pointId }, [], {
      host: 'host1',
      migrations: KNOWN,
      blockers: [],
    });
  } finally {
    await state.close();
  }
};

const restoreInto = async (repository: Repository, pointId: string, typed: string | undefined) => {
  const root = await mkdtemp(join(folder, 'root-'));
  const state = await openState(repository, pointId, typed);
  try {
    await stageRestore({
      root,
      id: '0123456789abcdefghjkmnpqrs',
      pointId,
      from: { title: '/mnt/new', at: { kind: 'folder', folder: '/mnt/new' } },
      killPoint: null,
      state,
      vmIds: ['vm-here'],
      migrations: KNOWN,
      about: {
        ...{ by: 'root', userId: 'local:admin', at: '2026-01-02T00:00:00.000Z', point: pointId, host: 'host1' },
        ...{
          madeAt: FOUND.madeAt,
          version: '1.0',
          proof: state.proof,
          secrets: state.secrets,
          repository: 'repo-1',
          from: '/mnt/new',
        },
        auditHead: state.header.auditHead,
      },
    });
  } finally {
    await state.close();
  }
  await finishSwap(root, null);
  return root;
};

test('a state of an older version comes back in tables of then, without sessions and lost repositories', async () => {
  for (const repository of [await plain(), await encrypted()]) {
    const root = await restoreInto(repository, await write(repository), repository.isEncrypted ? undefined : typedKey);
    const sqlite = new DatabaseSync(join(root, 'state.db'));
    const all = (sql: string) =>
      sqlite
        .prepare(sql)
        .all()
        .map((row) => Object.values(row).join(' '));
    assert.deepEqual(all('SELECT name FROM user ORDER BY id'), ['eva', 'carl']);
    assert.deepEqual(all('SELECT id FROM session'), []);
    assert.deepEqual(all('SELECT slice, id FROM migration'), ['all 001']);
    assert.deepEqual(all('SELECT id, folder FROM repository'), ['repo-1 /mnt/new']);
    assert.deepEqual(all('SELECT id FROM restore_point'), ['rp-1']);
    assert.deepEqual(all('SELECT uuid, desired FROM vm ORDER BY uuid'), ['vm-gone off', 'vm-here running']);
    assert.deepEqual(all('SELECT name, seq FROM audit_mark'), ['answered 7']);
    sqlite.close();
    assert.equal(await readFile(join(root, 'keys/repositories/repo-1.key'), 'utf8'), 'the key');
    assert.deepEqual(await readdir(join(root, 'restored-definitions')), ['vm-_web_1-vm-gone.xml']);
  }
});

test('equal states are stored once, and only the table of contents anew', async () => {
  const repository = await plain();
  const ids = [await write(repository, { withKey: false }), await write(repository, { withKey: false })];
  const manifests = await Promise.all(ids.map((id) => repository.point(id)));
  const [first, second] = manifests.map(({ blobs }) => blobs);
  const others = Object.keys(first ?? {}).filter((name) => first?.[name] !== second?.[name]);
  assert.deepEqual(others, [HEADER]);
  assert.deepEqual(
    (await listStates(repository, SERIES)).map(({ id, isOwn, host }) => [id, isOwn, host]),
    ids.toReversed().map((id) => [id, true, 'host1']),
  );
});

test('whoever writes into the folder without the key cannot make himself administrator unseen', async () => {
  const repository = await plain();
  const honest = await write(repository);
  assert.deepEqual((await planOf(repository, honest, typedKey)).administrators, ['eva']);

  // Without a proof: refused with the key, and shown for what it is without.
  const unsigned = await forge(repository, honest, (header, documents) =>
    sealEnvelope({ ...takeOver(header, documents), keyId: null }, null),
  );
  await assert.rejects(
    planOf(repository, unsigned, typedKey),
    refusedAs('key_wrong', /somebody who does not have yours/),
  );
  const seen = await planOf(repository, unsigned, undefined);
  assert.deepEqual([seen.proof, seen.administrators], ['none', ['carl']]);
  assert.match(seen.warnings.join(), /Nothing proves who wrote this state/);

  // With a proof of some other key, or with none but the name of ours.
  for (const mac of [stateKeyOf(readRecoveryKey(newRecoveryKey())).mac, null]) {
    const forged = await forge(repository, honest, (header, documents) =>
      sealEnvelope(takeOver(header, documents), mac),
    );
    await assert.rejects(planOf(repository, forged, typedKey), refusedAs('state_damaged', /changed after it was made/));
  }
  // With the honest table of contents and another table.
  const swapped = await forge(repository, honest, (header, documents) => {
    const kept = documents.get(HEADER) ?? Buffer.alloc(0);
    takeOver(header, documents);
    return kept;
  });
  await assert.rejects(planOf(repository, swapped, typedKey), refusedAs('state_damaged', /table of contents/));
  // The state of before in the place of the newest is an honest one: only its date tells.
  const replayed = await forge(repository, honest, (_header, documents) => documents.get(HEADER) ?? Buffer.alloc(0));
  assert.equal((await planOf(repository, replayed, typedKey)).proof, 'recovery_key');
});

test('another key is told from a mistyped one, and nothing secret comes without it', async () => {
  const repository = await plain();
  const id = await write(repository);
  await assert.rejects(planOf(repository, id, newRecoveryKey()), refusedAs('key_wrong', /another recovery key/));
  await assert.rejects(planOf(repository, id, 'not a key'), refusedAs('key_wrong', /mistyped/));
  assert.equal((await planOf(repository, id, undefined)).secrets, 'locked');
  const root = await restoreInto(repository, id, undefined);
  assert.ok(!(await readdir(root)).includes('keys'));
  const bare = await write(repository, { withKey: false });
  assert.equal((await planOf(repository, bare, undefined)).secrets, 'stay_out');
  const point = await repository.openDocuments(id);
  for (const name of Object.keys(point.manifest.blobs))
    assert.ok(!(await point.read(name)).includes(Buffer.from('the key').toString('base64')), name);
  await point.close();
});

test('a newer state is refused in words, by its migrations as by its form', async () => {
  const repository = await plain();
  const id = await write(repository);
  const newer = await forge(repository, id, (header) =>
    sealEnvelope(
      { ...header, version: '9.9', migrations: [...header.migrations, { slice: 'all', id: '003' }] },
      key.mac,
    ),
  );
  await assert.rejects(planOf(repository, newer, typedKey), refusedAs('state_too_new', /version 9\.9/));
  const form = await forge(repository, id, (header) => sealEnvelope({ ...header, v: 2, version: '9.9' }, key.mac));
  await assert.rejects(planOf(repository, form, typedKey), refusedAs('state_too_new', /version 9\.9/));
});

test('files that are no keys of this program do not come, even from who holds the key', async () => {
  for (const path of ['../../etc/cron.d/x', 'state.db', 'keys/../state.db', 'keys/.hidden', 'images/x', 'keys']) {
    const repository = await plain();
    const id = await write(repository, { secrets: [{ path, data: '' }] });
    await assert.rejects(restoreInto(repository, id, typedKey), refusedAs('state_damaged', /no key of this program/));
  }
});

test('a byte that changed anywhere in the point is found before anything is done', async () => {
  const where = place();
  const repository = await createRepository(where, { compression: 'default', encryption: null });
  const id = await write(repository);
  const { blobs } = await repository.point(id);
  for (const [name, blob] of Object.entries(blobs)) {
    const path = join(where, 'chunks', blob.slice(0, 2), blob.slice(2, 4), blob);
    const bytes = await readFile(path);
    const at = [...name].reduce((sum, letter) => sum + letter.charCodeAt(0), 0) % bytes.length;
    const changed = Buffer.from(bytes);
    changed.writeUInt8(changed.readUInt8(at) ^ 1, at);
    await writeFile(path, changed);
    await assert.rejects(planOf(repository, id, typedKey), refusedAs('state_damaged', /./), `${name} at ${at}`);
    await writeFile(path, bytes);
  }
  assert.equal((await planOf(repository, id, typedKey)).proof, 'recovery_key');
});

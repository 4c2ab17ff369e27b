import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Database, openDatabase } from '#platform/db/database.ts';
import { createOidcStore, oidcIssuerMigration, oidcMigration } from './store.ts';

async function withDatabase(work: (db: Database) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'hv-oidc-store-'));
  const db = openDatabase(join(dir, 'state.db'));
  db.migrate('users', [{ id: '001', statements: ['CREATE TABLE user(id TEXT PRIMARY KEY) STRICT', USERS] }]);
  try {
    await work(db);
  } finally {
    await db.close();
    await rm(dir, { recursive: true, force: true });
  }
}

const USERS = "INSERT INTO user VALUES ('ada'), ('bob')";
const row = (id: string, issuer: string, userId: string, usedAt: string | null = null) => ({
  id,
  issuer,
  subject: 'sub-1',
  user_id: userId,
  created_at: '2026-11-23T08:00:00.000Z',
  last_used_at: usedAt,
});

test('an account that was linked by hand is found however its issuer is written, and has one user', () =>
  withDatabase(async (db) => {
    db.migrate('access', [oidcMigration, oidcIssuerMigration]);
    const store = createOidcStore(db);
    assert.equal(await store.add(row('oid-1', 'https://id.example', 'ada')), true);
    assert.equal((await store.find('https://id.example/', 'sub-1'))?.user_id, 'ada');
    assert.equal((await store.find('https://id.example', 'sub-1'))?.user_id, 'ada');
    assert.equal(await store.find('https://id.example/realm', 'sub-1'), null);
    assert.equal(await store.add(row('oid-2', 'https://id.example/', 'bob')), false);
  }));

test('rows of before are found again; of two for one account the one that signed in is kept', () =>
  withDatabase(async (db) => {
    db.migrate('access', [oidcMigration]);
    const insert = (values: ReturnType<typeof row>) =>
      db.tables<{ oidc_identity: ReturnType<typeof row> }>().insertInto('oidc_identity').values(values).execute();
    await insert(row('oid-1', 'https://id.example', 'bob'));
    await insert(row('oid-2', 'https://id.example/', 'ada', '2026-11-24T08:00:00.000Z'));
    await insert(row('oid-3', 'https://other.example/', 'bob'));
    db.migrate('access', [oidcMigration, oidcIssuerMigration]);
    const store = createOidcStore(db);
    assert.equal((await store.find('https://id.example/', 'sub-1'))?.user_id, 'ada');
    assert.equal((await store.find('https://other.example', 'sub-1'))?.user_id, 'bob');
    assert.equal((await store.list()).length, 2);
  }));

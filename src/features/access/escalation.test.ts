/** Row E9: ways in which the administrator of one project would make himself, or somebody else, more than he is. */

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { accessErrors } from '#contract/access.ts';
import { PERMISSIONS } from '#contract/permissions.ts';
import { TestClock } from '#kernel/clock.ts';
import { AppError, registerErrors } from '#kernel/errors.ts';
import { silentLogger } from '#kernel/logger.ts';
import { openDatabase } from '#platform/db/database.ts';
import type { Decide, FoundObject, Handlers, Identity } from '#platform/feature.ts';
import { createDirectory, directoryMigration } from './directory.ts';
import { createGrantRoutes } from './grant-routes.ts';
import { createOwnRights } from './own-rights.ts';
import { decideBy } from './policy.ts';
import { createRights } from './rights.ts';
import { createAuthRoutes } from './routes.ts';
import { createSessions, sessionMigration } from './sessions.ts';
import { createTokens } from './tokens.ts';
import { createUserRoutes } from './user-routes.ts';

registerErrors(accessErrors);

const VM = '00000000-0000-4000-8000-00000000000a';
const PROJECTS = ['prj-mine', 'prj-other'];
const asRoot: Identity = {
  userId: 'local:admin',
  user: 'root',
  via: 'admin_socket',
  method: 'socket',
  sessionId: null,
  tokenId: null,
  address: null,
};

type Call = (who: Identity, key: keyof Handlers, parts: { id?: string; body?: unknown }) => Promise<{ id: string }>;

/** The routes on a real directory, asked past the question that the pipeline asks first. */
async function withRoutes(work: (call: Call, boss: Identity) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'hv-escalation-'));
  const db = openDatabase(join(dir, 'state.db'));
  db.migrate('access', [sessionMigration, directoryMigration]);
  const clock = new TestClock();
  const directory = createDirectory(
    db,
    () => undefined,
    () => undefined,
  );
  await directory.load();
  const rights = createRights(directory.snapshot, true);
  const ownRights = createOwnRights(rights, (id) => (id === VM ? 'prj-mine' : null));
  const sessions = createSessions({ db, clock, log: silentLogger, directory, rights });
  const tokens = createTokens({ db, clock, directory });
  const decide: Decide = (who, permission, object) =>
    decideBy(who.userId, rights.of(who.userId), null, permission, object);
  const handlers: Handlers = {
    ...createUserRoutes({ directory, rights, ownRights, sessions, tokens, clock }),
    ...createGrantRoutes({
      directory,
      rights,
      ownRights,
      decide,
      clock,
      objects: {
        project: (id) => (PROJECTS.includes(id) ? { id, name: id } : null),
        vm: (id) => (id === VM ? { type: 'vm', id, name: 'web1', project: 'prj-mine', vmId: id } : null),
      },
    }),
    ...createAuthRoutes({
      sessions,
      directory,
      ownRights,
      address: () => ({ origin: 'https://host', fingerprint: '', certificateEndsAt: new Date(0) }),
      describe: () => {
        throw new Error('nobody signs in here');
      },
    }),
  };
  const call: Call = async (identity, key, { id, body }) => {
    const handler = handlers[key] as ((request: unknown) => Promise<{ id: string }>) | undefined;
    assert.ok(handler, key);
    return handler({
      params: { id },
      body,
      query: {},
      identity,
      may: (permission: never, object: FoundObject) => decide(identity, permission, object).allow,
      require: (permission: never, object: FoundObject) => {
        const { allow, visible } = decide(identity, permission, object);
        if (!allow) throw new AppError(visible ? 'forbidden' : 'not_found');
      },
    });
  };
  try {
    const { id } = await call(asRoot, 'POST /users', { body: { name: 'boss' } });
    await call(asRoot, 'POST /grants', { body: { user: 'boss', role: 'project-admin', scope: 'project:prj-mine' } });
    await work(call, { ...asRoot, userId: id, user: 'boss', via: 'session', sessionId: 'ses-1' });
  } finally {
    await sessions.stop();
    await db.close();
    await rm(dir, { recursive: true });
  }
}

const codeOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'done',
    (error: unknown) => (error instanceof AppError ? error.code : String(error)),
  );

test('E9: nobody grants himself or others more than he holds there', () =>
  withRoutes(async (call, boss) => {
    await call(asRoot, 'POST /users', { body: { name: 'friend' } });
    const grant = (user: string, role: string, scope: string) =>
      codeOf(call(boss, 'POST /grants', { body: { user, role, scope } }));
    for (const user of ['boss', 'friend']) {
      assert.equal(await grant(user, 'admin', 'all'), 'forbidden');
      assert.equal(await grant(user, 'project-admin', 'all'), 'forbidden');
      assert.equal(await grant(user, 'admin', 'project:prj-mine'), 'beyond_own_rights');
      assert.equal(await grant(user, 'auditor', 'project:prj-mine'), 'beyond_own_rights');
      assert.equal(await grant(user, 'admin', `vm:${VM}`), 'beyond_own_rights');
      assert.equal(await grant(user, 'vm-operator', 'project:prj-other'), 'not_found');
      assert.equal(await grant(user, 'vm-operator', 'project:prj-none'), 'not_found');
    }
    assert.equal(await grant('friend', 'vm-operator', 'project:prj-mine'), 'done');
    assert.equal(await grant('friend', 'vm-operator', `vm:${VM}`), 'done');
  }));

test('E9: nobody makes or widens a role beyond what he holds everywhere', () =>
  withRoutes(async (call, boss) => {
    const { id } = await call(asRoot, 'POST /roles', { body: { name: 'helper', permissions: ['vm.read'] } });
    await call(asRoot, 'POST /grants', { body: { user: 'boss', role: 'helper', scope: 'project:prj-mine' } });
    const tries = [
      call(boss, 'POST /roles', { body: { name: 'mine', permissions: ['vm.read'] } }),
      call(boss, 'POST /roles', { body: { name: 'all', permissions: [...PERMISSIONS] } }),
      call(boss, 'PATCH /roles/{id}', { id, body: { permissions: ['vm.read', 'host.power'] } }),
      call(boss, 'PATCH /roles/{id}', { id, body: { permissions: ['vm.read'] } }),
    ];
    for (const one of tries) assert.equal(await codeOf(one), 'beyond_own_rights');
    assert.equal(await codeOf(call(boss, 'PATCH /roles/{id}', { id: 'admin', body: {} })), 'built_in');
  }));

test('E9: nobody becomes, changes or removes one who holds more, nor joins his group, nor takes his grants away', () =>
  withRoutes(async (call, boss) => {
    const group = await call(asRoot, 'POST /groups', { body: { name: 'admins' } });
    const grant = await call(asRoot, 'POST /grants', { body: { group: 'admins', role: 'admin', scope: 'all' } });
    const tries = [
      call(boss, 'POST /auth/links', { body: { user: 'admin' } }),
      call(boss, 'PATCH /users/{id}', { id: 'admin', body: { state: 'disabled' } }),
      call(boss, 'PATCH /users/{id}', { id: 'admin', body: { name: 'mine' } }),
      call(boss, 'DELETE /users/{id}', { id: 'admin' }),
      call(boss, 'PATCH /groups/{id}', { id: group.id, body: { members: ['boss'] } }),
      call(boss, 'DELETE /groups/{id}', { id: group.id }),
      call(boss, 'DELETE /grants/{id}', { id: grant.id }),
    ];
    for (const one of tries) assert.equal(await codeOf(one), 'beyond_own_rights');
  }));

test('E9: who is disabled is as far out of reach as he was before', () =>
  withRoutes(async (call) => {
    // Manages access everywhere, and holds nothing else.
    await call(asRoot, 'POST /roles', { body: { name: 'keeper', permissions: ['access.read', 'access.manage'] } });
    const keeper = await call(asRoot, 'POST /users', { body: { name: 'keeper' } });
    await call(asRoot, 'POST /grants', { body: { user: 'keeper', role: 'keeper', scope: 'all' } });
    await call(asRoot, 'POST /users', { body: { name: 'former' } });
    await call(asRoot, 'POST /grants', { body: { user: 'former', role: 'admin', scope: 'all' } });
    await call(asRoot, 'PATCH /users/{id}', { id: 'former', body: { state: 'disabled' } });
    const who: Identity = { ...asRoot, userId: keeper.id, user: 'keeper', via: 'session', method: 'ssh_key' };
    const tries = [
      call(who, 'PATCH /users/{id}', { id: 'former', body: { state: 'active' } }),
      call(who, 'POST /auth/links', { body: { user: 'former' } }),
      call(who, 'DELETE /users/{id}', { id: 'former' }),
    ];
    for (const one of tries) assert.equal(await codeOf(one), 'beyond_own_rights');
  }));

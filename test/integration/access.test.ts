/** Users, groups, roles, grants, sessions and tokens through the real doors of a real daemon. */

import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ApiProblem } from '#contract/client.ts';
import { ask, signInByLink } from '../support/browser-session.ts';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';

let daemon: TestDaemon;

before(async () => {
  daemon = await startDaemon({ waitFor: 'doors' });
});
after(() => daemon.close());

const codeOf = (error: unknown): string => (error instanceof ApiProblem ? error.problem.code : String(error));
const refused = (work: Promise<unknown>): Promise<string> => work.then(() => 'done', codeOf);

test('a new user may do nothing; a grant to his group lets him in at once, and why is told', async () => {
  const { admin } = daemon;
  await admin('POST /users', { body: { name: 'alice', title: 'Alice' } });
  const alice = await signInByLink(daemon, 'alice');
  assert.equal((await alice.call('GET', '/vms')).status, 403);
  assert.equal((await alice.call('GET', '/users')).status, 403);
  const project = await admin('POST /projects', { body: { name: 'shop' } });
  const group = await admin('POST /groups', { body: { name: 'shopkeepers' } });
  await admin('PATCH /groups/{id}', { params: { id: group.id }, body: { members: ['alice'] } });
  await admin('POST /grants', { body: { group: 'shopkeepers', role: 'vm-operator', scope: `project:${project.id}` } });
  assert.deepEqual((await alice.call('GET', '/vms')).json, { items: [], next: null, total: 0 });
  const seen = await alice.call('GET', '/projects');
  assert.deepEqual(
    (seen.json['items'] as { name: string }[]).map(({ name }) => name),
    ['shop'],
  );
  const { answer } = await admin('GET /users/{id}/rights', {
    params: { id: 'alice' },
    query: { permission: 'vm.power', project: 'shop' },
  });
  assert.equal(answer?.allow, true);
  assert.match(answer?.because ?? '', /because the group shopkeepers is vm-operator on project shop/);
});

test('D11: a change of rights gives the browser a new secret; the old one is soon worth nothing', async () => {
  const { admin } = daemon;
  await admin('POST /users', { body: { name: 'bob' } });
  const bob = await signInByLink(daemon, 'bob');
  const first = bob.cookie;
  await bob.call('GET', '/auth/session');
  assert.equal(bob.cookie, first);
  await admin('POST /grants', { body: { user: 'bob', role: 'operator', scope: 'all' } });
  assert.equal((await bob.call('GET', '/vms')).status, 200);
  assert.notEqual(bob.cookie, first);
  assert.equal((await bob.call('GET', '/vms')).status, 200);
});

test('D12: the next request of a disabled user is refused, and of a deleted one', async () => {
  const { admin } = daemon;
  for (const name of ['carol', 'dave']) {
    await admin('POST /users', { body: { name } });
    await admin('POST /grants', { body: { user: name, role: 'operator', scope: 'all' } });
  }
  const [carol, dave] = [await signInByLink(daemon, 'carol'), await signInByLink(daemon, 'dave')];
  await admin('PATCH /users/{id}', { params: { id: 'carol' }, body: { state: 'disabled' } });
  assert.equal((await carol.call('GET', '/vms')).status, 401);
  await admin('DELETE /users/{id}', { params: { id: 'dave' } });
  assert.equal((await dave.call('GET', '/vms')).status, 401);
  assert.equal(await refused(admin('GET /users/{id}', { params: { id: 'dave' } })), 'not_found');
});

test('the last one who manages access can be neither deleted, disabled nor lowered', async () => {
  const { admin } = daemon;
  const [grant] = (await admin('GET /grants', { query: { user: 'admin' } })).items;
  assert.equal(await refused(admin('DELETE /users/{id}', { params: { id: 'admin' } })), 'last_administrator');
  assert.equal(await refused(admin('DELETE /grants/{id}', { params: { id: grant?.id ?? '' } })), 'last_administrator');
  const disable = admin('PATCH /users/{id}', { params: { id: 'admin' }, body: { state: 'disabled' } });
  assert.equal(await refused(disable), 'last_administrator');
  assert.equal((await admin('GET /users/{id}', { params: { id: 'admin' } })).state, 'active');
});

test('a browser that changes access is asked for a fresh proof; a token never may', async () => {
  const root = await signInByLink(daemon, 'admin');
  const asked = await root.call('POST', '/users', { name: 'erin' });
  assert.deepEqual([asked.status, asked.json['code']], [403, 'step_up_required']);
  assert.match(String((asked.json['params'] as Record<string, unknown>)['digest']), /^[0-9a-f]{64}$/);
  assert.equal(await refused(daemon.admin('GET /users/{id}', { params: { id: 'erin' } })), 'not_found');
});

test('a role of one’s own is checked against what it is made of, and stays while it is granted', async () => {
  const { admin } = daemon;
  const role = await admin('POST /roles', { body: { name: 'starter', permissions: ['vm.power', 'vm.read'] } });
  assert.deepEqual(role.permissions, ['vm.read', 'vm.power']);
  const grant = await admin('POST /grants', { body: { user: 'alice', role: 'starter', scope: 'all' } });
  assert.equal(await refused(admin('DELETE /roles/{id}', { params: { id: 'starter' } })), 'still_granted');
  await admin('DELETE /grants/{id}', { params: { id: grant.id } });
  await admin('DELETE /roles/{id}', { params: { id: 'starter' } });
  const builtIn = admin('PATCH /roles/{id}', { params: { id: 'admin' }, body: { permissions: ['vm.read'] } });
  assert.equal(await refused(builtIn), 'built_in');
});

test('a project goes with its grants', async () => {
  const { admin } = daemon;
  const project = await admin('POST /projects', { body: { name: 'gone' } });
  await admin('POST /grants', { body: { user: 'alice', role: 'operator', scope: `project:${project.id}` } });
  await admin('DELETE /projects/{id}', { params: { id: 'gone' } });
  const left = async () => {
    const { items } = await admin('GET /grants', { query: { user: 'alice' } });
    return items.filter(({ scope }) => scope === `project:${project.id}`).length;
  };
  // They go right after the project, not with it.
  for (let tries = 0; tries < 100 && (await left()) > 0; tries += 1) await sleep(20);
  assert.equal(await left(), 0);
  assert.equal(await refused(admin('DELETE /projects/{id}', { params: { id: 'default' } })), 'default_project');
});

test('of several that are made at once each gets what is its own, or is told that another was first', async () => {
  const { admin } = daemon;
  const made = await Promise.all(['a', 'b', 'c', 'd'].map((name) => admin('POST /projects', { body: { name } })));
  assert.equal(new Set(made.map(({ number }) => number)).size, 4);
  const twins = await Promise.all([1, 2, 3].map(() => refused(admin('POST /users', { body: { name: 'twin' } }))));
  assert.equal(twins.filter((outcome) => outcome === 'done').length, 1);
  for (const outcome of twins) assert.match(outcome, /^(done|already_exists|conflict)$/);
});

test('D15: what is malformed as a token is refused, and one in an address at once', async () => {
  const get = (headers: Record<string, string>, path = '/vms') => ask(daemon.origin, { method: 'GET', path, headers });
  const token = `hyp_tok-${'0'.repeat(26)}_${'A'.repeat(43)}`;
  assert.equal((await get({ authorization: `Bearer ${token}` })).status, 401);
  assert.equal((await get({ authorization: 'Basic YWRtaW46YWRtaW4=' })).status, 400);
  assert.equal((await get({}, `/vms?token=${token}`)).status, 400);
  assert.equal((await get({ authorization: `Bearer ${token}`, cookie: '__Host-hyper-session=x' })).status, 400);
});

test('an upload that a crash left complete is published by the rights that its sender has then', async () => {
  const stateDir = await mkdtemp(join(tmpdir(), 'hv-upload-'));
  const size = 1024 * 1024;
  let machine = await startDaemon({ waitFor: 'doors', stateDir });
  try {
    const { admin } = machine;
    const project = await admin('POST /projects', { body: { name: 'shop' } });
    await admin('PATCH /projects/{id}/quotas', { params: { id: 'shop' }, body: { limits: { images: 2 ** 30 } } });
    await admin('POST /users', { body: { name: 'frank' } });
    const body = { user: 'frank', role: 'project-admin', scope: `project:${project.id}` };
    const grant = await admin('POST /grants', { body });
    const frank = await signInByLink(machine, 'frank');
    const begun = await frank.call('POST', '/images/uploads', { project: project.id, name: 'disk', sizeBytes: size });
    assert.equal(begun.status, 201, JSON.stringify(begun.json));
    await admin('DELETE /grants/{id}', { params: { id: grant.id } });
    await machine.stop();
    // As a crash leaves it that comes after the last byte: everything is here, and nobody publishes it.
    await writeFile(join(stateDir, 'images', `${String(begun.json['id'])}.part`), Buffer.alloc(size), { mode: 0o600 });
    const state = new DatabaseSync(join(stateDir, 'state.db'));
    state.prepare('UPDATE upload SET offset_bytes = size_bytes').run();
    state.close();
    machine = await startDaemon({ waitFor: 'doors', stateDir });
    const published = async () => (await machine.admin('GET /operations', { query: { kind: 'image.publish' } })).items;
    for (let turn = 0; turn < 200 && (await published())[0]?.finishedAt == null; turn += 1) await sleep(50);
    const [operation] = await published();
    assert.deepEqual(
      [operation?.state, operation?.error?.code, operation?.actor],
      ['failed', 'no_longer_allowed', 'frank'],
    );
  } finally {
    await machine.close();
    await rm(stateDir, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }
});

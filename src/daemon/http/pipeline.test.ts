import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accessErrors } from '#contract/access.ts';
import { type ApiKey, allRoutes } from '#contract/api.ts';
import { mustAskForProof, OBJECT_TYPES, type RouteDefinition } from '#contract/define.ts';
import { BUILT_IN_ROLES, type Permission, PROVEN_PERMISSIONS } from '#contract/permissions.ts';
import { type AccessApi, createRights, decideBy, holdsAnywhere } from '#features/access/index.ts';
import type { AuditApi, AuditEntry } from '#features/audit/index.ts';
import { TestClock } from '#kernel/clock.ts';
import { AppError, registerErrors } from '#kernel/errors.ts';
import type { Handlers, Identity, ObjectRef, ObjectResolver } from '#platform/feature.ts';
import { createRoutes, type RawRequest, type Route } from './pipeline.ts';

registerErrors(accessErrors);

const admin: Identity = {
  userId: 'local:admin',
  user: 'root',
  via: 'admin_socket',
  method: 'socket',
  sessionId: null,
  tokenId: null,
  address: null,
};
const operator: Identity = { ...admin, userId: 'local:operator', user: 'operator', via: 'operator_socket' };
const inBrowser: Identity = { ...admin, userId: 'local:admin', user: 'ada', via: 'session', sessionId: 'ses-1' };

const OPERATOR_PERMISSIONS: readonly Permission[] = [...BUILT_IN_ROLES.operator.permissions, 'self.manage'];

/** A handler for every route that notes that it was called. */
function allHandlers(called: string[]): Handlers {
  return Object.fromEntries(
    allRoutes().map(([key]) => [
      key,
      () => {
        called.push(key);
        return undefined;
      },
    ]),
  );
}

const NOBODY = {
  version: 1,
  users: new Map(),
  userIds: new Map(),
  groups: new Map(),
  roles: new Map(),
  grants: new Map(),
  groupsOf: new Map(),
};
const rights = createRights(() => NOBODY, true);
const proven = new Set<string>();
/** What was said of the requests that needed a proof, by digest. */
const askedFor = new Map<string, string>();
const access = {
  decide: (who: Identity, permission: Permission, object: ObjectRef) =>
    decideBy(who.userId, rights.of(who.userId), null, permission, object),
  holds: (who: Identity, permission: Permission) => holdsAnywhere(rights.of(who.userId), null, permission),
  sees: () => true,
  reach: () => null,
  hasProof: (sessionId: string, digest: string) => proven.has(`${sessionId} ${digest}`),
  proofAsked: (_sessionId: string, digest: string, action: string) => void askedFor.set(digest, action),
} as unknown as AccessApi;

function fakeAudit(rows: AuditEntry[], isBroken = false): AuditApi {
  const write = async (entry: AuditEntry) => {
    if (isBroken) throw new AppError('unavailable');
    rows.push(entry);
  };
  return {
    record: write,
    isCounting: () => false,
    write: (_tx, entry) => write(entry),
    list: async () => ({ items: [], next: null, total: 0 }),
  };
}

function request(identity: Identity | null, more: Partial<RawRequest> = {}): RawRequest {
  return {
    identity,
    address: null,
    requestId: 'req-1',
    params: {},
    query: {},
    body: undefined,
    url: '/',
    headers: {},
    signal: new AbortController().signal,
    stream: null,
    ...more,
  };
}

/** One object of each type. */
const RESOLVERS = Object.fromEntries(
  OBJECT_TYPES.map((type): [string, ObjectResolver] => [
    type,
    (id) => {
      if (type === 'project' && id === 'default') return { type, id, name: id, project: id };
      return id === 'web1' ? { type, id: 'uuid-1', name: 'web1', project: 'default' } : null;
    },
  ]),
);

function routesOf(handlers: Handlers, audit: AuditApi): Map<ApiKey, Route> {
  return new Map(
    createRoutes(handlers, RESOLVERS, access, audit, new TestClock(), () => true).map((route) => [route.key, route]),
  );
}

const codeOf = (error: unknown): string => (error instanceof AppError ? error.code : 'not an AppError');

test('E1: start-up fails for a route that no feature answers and for a handler of no route', () => {
  const handlers = allHandlers([]);
  const { 'GET /vms': _left, ...rest } = handlers;
  assert.throws(() => routesOf(rest, fakeAudit([])), /no feature answers the route "GET \/vms"/);
  assert.throws(
    () => routesOf({ ...handlers, ...{ 'GET /nothing': () => undefined } }, fakeAudit([])),
    /not in the contract/,
  );
});

test('start-up fails when a change that must be proven does not ask for it, whichever it is', () => {
  const proven = allRoutes().filter(([key, definition]) => mustAskForProof(key, definition));
  assert.ok(proven.some(([key]) => key === 'DELETE /trash/{id}'));
  assert.ok(proven.some(([key]) => key === 'POST /grants'));
  for (const [key, definition] of proven) {
    for (const stepUp of [undefined, 'or_fresh_sign_in'] as const) {
      Object.assign(definition, { stepUp });
      try {
        assert.throws(
          () => routesOf(allHandlers([]), fakeAudit([])),
          (error: Error) => error.message.startsWith(`route "${key}" needs "stepUp: true"`),
        );
      } finally {
        Object.assign(definition, { stepUp: true });
      }
    }
  }
  routesOf(allHandlers([]), fakeAudit([]));
});

test('every change under a proven permission asks for a proof; looking, plans and other permissions need none', () => {
  for (const permission of PROVEN_PERMISSIONS) {
    const route: RouteDefinition = { summary: 'x', permission };
    for (const method of ['POST', 'PATCH', 'PUT', 'DELETE']) assert.ok(mustAskForProof(`${method} /later`, route));
    assert.equal(mustAskForProof('GET /later', route), false);
    assert.equal(mustAskForProof('POST /later', { ...route, changesNothing: true }), false);
  }
  assert.equal(mustAskForProof('POST /vms', { summary: 'x', permission: 'vm.create' }), false);
});

test('every route: strangers reach only the public ones, operators only what they may, and refusals are recorded', async () => {
  const rows: AuditEntry[] = [];
  const routes = routesOf(allHandlers([]), fakeAudit(rows));
  let checked = 0;
  for (const [key, definition] of allRoutes()) {
    const route = routes.get(key);
    assert.ok(route);
    for (const identity of [null, operator, admin]) {
      const isAllowed =
        definition.public !== undefined ||
        identity === admin ||
        (identity === operator &&
          definition.permission !== undefined &&
          OPERATOR_PERMISSIONS.includes(definition.permission));
      const before = rows.length;
      const outcome: string = await route
        .enter({ identify: () => identity, address: `a${checked}`, requestId: 'r' })
        .then(() => 'allowed', codeOf);
      assert.equal(
        outcome,
        isAllowed ? 'allowed' : identity ? 'forbidden' : 'not_signed_in',
        `${key} for ${identity?.user ?? 'a stranger'}`,
      );
      assert.equal(rows.length - before, isAllowed ? 0 : 1, `${key}: refusals are recorded`);
      checked += 1;
    }
  }
  console.log(`# count: permission matrix ${checked} of ${allRoutes().length * 3} answers`);
});

test('the operator holds no permission that a changing route of the contract asks for, but his own session', () => {
  for (const [key, definition] of allRoutes()) {
    if (key.startsWith('GET ') || definition.public || definition.permission === 'self.manage') continue;
    // A console ticket is bound to view mode by its own check of vm.console.
    if (key === 'POST /vms/{id}/tickets') continue;
    assert.ok(definition.permission && !OPERATOR_PERMISSIONS.includes(definition.permission), key);
  }
});

test('a change is recorded before and after; when it cannot be recorded it does not happen', async () => {
  const rows: AuditEntry[] = [];
  const called: string[] = [];
  const body = { user: 'admin' };
  await routesOf(allHandlers(called), fakeAudit(rows)).get('POST /auth/links')?.run(request(admin, { body }));
  assert.deepEqual(
    rows.map((row) => [row.phase, row.outcome, row.action]),
    [
      ['intent', null, 'POST /auth/links'],
      ['outcome', 'done', 'POST /auth/links'],
    ],
  );
  called.length = 0;
  const broken = routesOf(allHandlers(called), fakeAudit([], true)).get('POST /auth/links');
  assert.equal(await broken?.run(request(admin, { body })).then(() => 'done', codeOf), 'unavailable');
  assert.deepEqual(called, []);
});

test('a plan changes nothing: neither it nor its bad input is recorded, only who may not ask for it', async () => {
  const rows: AuditEntry[] = [];
  const called: string[] = [];
  const plan = routesOf(allHandlers(called), fakeAudit(rows)).get('POST /vms/plan');
  await plan?.run(request(admin, { body: { name: 'web1' } }));
  assert.equal(await plan?.run(request(admin, { body: { name: '?' } })).then(() => 'done', codeOf), 'invalid_input');
  assert.deepEqual([called, rows], [['POST /vms/plan'], []]);
  const arrival = { identify: () => operator, address: null, requestId: 'r' };
  assert.equal(await plan?.enter(arrival).then(() => 'in', codeOf), 'forbidden');
  assert.deepEqual(
    rows.map(({ outcome }) => outcome),
    ['denied'],
  );
});

test('an unknown object answers 404, and the name in the path reaches the record only when it exists', async () => {
  const rows: AuditEntry[] = [];
  const routes = routesOf(allHandlers([]), fakeAudit(rows));
  const start = routes.get('POST /vms/{id}/start');
  assert.equal(await start?.run(request(admin, { params: { id: 'nope' } })).then(() => 'done', codeOf), 'not_found');
  assert.equal(rows[0]?.outcome, 'invalid');
  assert.equal(rows[0]?.objectName, null);
  await start?.run(request(admin, { params: { id: 'web1' } }));
});

test('a refused body names the field, the problem and the mend', async () => {
  const create = routesOf(allHandlers([]), fakeAudit([])).get('POST /vms');
  const problem = await create?.run(request(admin, { body: { name: 'Web 1', vcpus: 0, colour: 'red' } })).then(
    () => null,
    (error: unknown) => error,
  );
  assert.ok(problem instanceof AppError);
  assert.equal(problem.code, 'invalid_input');
  assert.deepEqual(problem.fields.map((field) => field.path).sort(), ['colour', 'name', 'vcpus']);
  for (const field of problem.fields) assert.ok(field.problem.length > 5 && field.mend.length > 5, field.path);
});

test('until the features have begun every route answers 503', async () => {
  const routes = createRoutes(allHandlers([]), RESOLVERS, access, fakeAudit([]), new TestClock(), () => false);
  for (const route of routes) {
    const outcome: string = await route
      .enter({ identify: () => admin, address: null, requestId: 'r' })
      .then(() => 'allowed', codeOf);
    assert.equal(outcome, 'unavailable', route.key);
  }
});

test('what needs a proof asks a browser for it, bound to this very request, and the local admin not', async () => {
  const called: string[] = [];
  const purge = routesOf(allHandlers(called), fakeAudit([])).get('DELETE /trash/{id}');
  const asked = request(inBrowser, { params: { id: 'web1' }, url: '/api/v1/trash/web1' });
  const refusal: unknown = await purge?.run(asked).then(
    () => null,
    (error: unknown) => error,
  );
  assert.ok(refusal instanceof AppError);
  assert.equal(refusal.code, 'step_up_required');
  const action = 'Delete a VM in the trash for good: web1 (DELETE /trash/{id})';
  assert.equal(refusal.params['action'], action);
  assert.equal(askedFor.get(String(refusal.params['digest'])), action);
  proven.add(`ses-1 ${String(refusal.params['digest'])}`);
  const other = { ...asked, params: { id: 'web1' }, url: '/api/v1/trash/other' };
  assert.equal(await purge?.run(other).then(() => 'done', codeOf), 'step_up_required');
  await purge?.run({ ...asked, params: { id: 'web1' } });
  await purge?.run(request(admin, { params: { id: 'web1' } }));
  const token: Identity = { ...inBrowser, via: 'token', sessionId: null, tokenId: 'tok-1' };
  assert.equal(await purge?.run(request(token, { params: { id: 'web1' } })).then(() => 'done', codeOf), 'token_cannot');
  assert.equal(called.length, 2);
});

test('a change that an alert caused is taken once a minute, so that a webhook that calls us does not go round', async () => {
  const called: string[] = [];
  const route = routesOf(allHandlers(called), fakeAudit([])).get('POST /preflight');
  const marked = request(admin, { headers: { 'x-hyper-loop': '1' } });
  await route?.run(marked);
  await assert.rejects(async () => route?.run(marked), { code: 'too_many_requests' });
  await route?.run(request(admin));
  assert.deepEqual(called, ['POST /preflight', 'POST /preflight']);
});

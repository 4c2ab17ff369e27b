import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { OBJECT_TYPES } from '#contract/define.ts';
import { BUILT_IN_ROLE_NAMES, BUILT_IN_ROLES, PERMISSIONS, type Permission } from '#contract/permissions.ts';
import type { ObjectRef } from '#platform/feature.ts';
import type { GrantRow, Snapshot, UserRow } from './directory.ts';
import { decideBy, holdsAnywhere, reachOf, seenBy, type TokenLimit } from './policy.ts';
import { beyond, createRights, hasAdministrator } from './rights.ts';

const VM_A = '00000000-0000-4000-8000-00000000000a';
const VM_B = '00000000-0000-4000-8000-00000000000b';

function user(id: string, isDisabled = false): UserRow {
  return {
    id,
    name: id.slice(4),
    title: null,
    isDisabled,
    source: 'local',
    idleMinutes: null,
    createdAt: '',
    lastSignInAt: null,
  };
}

function grant(n: number, role: string, scope: string, subjectId = 'usr-ann'): GrantRow {
  return {
    id: `grant-${n}`,
    subjectType: subjectId.startsWith('grp') ? 'group' : 'user',
    subjectId,
    role,
    scope,
    project: scope.startsWith('project:') ? scope.slice(8) : null,
    source: 'local',
    createdAt: '',
    createdBy: 'root',
  };
}

function world(grants: readonly GrantRow[], users = [user('usr-ann')], more: Partial<Snapshot> = {}) {
  const snapshot: Snapshot = {
    version: 1,
    users: new Map(users.map((one) => [one.id, one])),
    userIds: new Map(users.map((one) => [one.name, one.id])),
    groups: new Map([['grp-ops', { id: 'grp-ops', name: 'ops', title: null }]]),
    roles: new Map(),
    grants: new Map(grants.map((one) => [one.id, one])),
    groupsOf: new Map(),
    ...more,
  };
  const rights = createRights(() => snapshot, true);
  const decide = (permission: Permission, object: ObjectRef, token: TokenLimit | null = null) =>
    decideBy('usr-ann', rights.of('usr-ann'), token, permission, object);
  return { snapshot, rights, decide };
}

const vm = (id: string, project: string): ObjectRef => ({ type: 'vm', id, project, vmId: id });

test('who has no grant may manage himself and nothing else, and sees nothing', () => {
  const { decide } = world([]);
  for (const permission of PERMISSIONS)
    for (const type of OBJECT_TYPES) {
      const found = decide(permission, { type, id: 'x', project: 'shop' });
      assert.equal(found.allow, false, `${permission} on ${type}`);
      assert.equal(found.visible, false, `${permission} on ${type}`);
    }
  assert.equal(decide('self.manage', { type: 'token', id: 't', project: null, owner: 'usr-ann' }).allow, true);
  assert.equal(decide('self.manage', { type: 'token', id: 't', project: null, owner: 'usr-bob' }).allow, false);
});

test('a grant on a project reaches its objects and no others; a grant on a VM reaches that VM', () => {
  const { decide } = world([grant(1, 'vm-operator', 'project:shop'), grant(2, 'vm-operator', `vm:${VM_B}`)]);
  assert.deepEqual(decide('vm.power', vm(VM_A, 'shop')), { allow: true, visible: true, grant: 'grant-1' });
  assert.deepEqual(decide('vm.power', vm(VM_B, 'bank')), { allow: true, visible: true, grant: 'grant-2' });
  assert.deepEqual(decide('vm.power', vm(VM_A, 'bank')), { allow: false, visible: false, grant: null });
  assert.deepEqual(decide('vm.configure', vm(VM_A, 'shop')), { allow: false, visible: true, grant: null });
  assert.equal(decide('host.read', { type: 'system', id: 'system', project: null }).allow, false);
});

test('what is shared with a project may be seen and used by its members, not changed', () => {
  const { decide } = world([grant(1, 'project-admin', 'project:shop')]);
  const image = (sharedWith: ObjectRef['sharedWith']): ObjectRef => ({
    type: 'image',
    id: 'img',
    project: 'bank',
    ...(sharedWith === undefined ? {} : { sharedWith }),
  });
  assert.equal(decide('image.read', image(['shop'])).allow, true);
  assert.equal(decide('image.read', image('all')).allow, true);
  assert.equal(decide('image.read', image(['other'])).visible, false);
  assert.deepEqual(decide('image.delete', image('all')), { allow: false, visible: true, grant: null });
});

test('a role brought by a group counts, until the user is disabled', () => {
  const groupsOf = new Map([['usr-ann', new Set(['grp-ops'])]]);
  const grants = [grant(1, 'operator', 'all', 'grp-ops')];
  assert.equal(world(grants, [user('usr-ann')], { groupsOf }).decide('vm.read', vm(VM_A, 'shop')).allow, true);
  assert.equal(world(grants, [user('usr-ann', true)], { groupsOf }).decide('vm.read', vm(VM_A, 'shop')).allow, false);
});

test('a token holds what its scope and its owner both hold, makes nothing of its own', () => {
  const { decide, rights } = world([
    grant(1, 'project-admin', 'project:shop'),
    grant(2, 'project-admin', 'project:bank'),
  ]);
  const token: TokenLimit = { permissions: new Set(['vm.read', 'vm.power', 'host.read']), scope: 'project:shop' };
  assert.equal(decide('vm.power', vm(VM_A, 'shop'), token).allow, true);
  assert.equal(decide('vm.power', vm(VM_A, 'bank'), token).visible, false);
  assert.deepEqual(decide('vm.configure', vm(VM_A, 'shop'), token), { allow: false, visible: true, grant: null });
  assert.equal(decide('host.read', { type: 'system', id: 'system', project: null }, token).allow, false);
  assert.equal(decide('self.manage', { type: 'token', id: 't', project: null, owner: 'usr-ann' }, token).allow, false);
  assert.equal(holdsAnywhere(rights.of('usr-ann'), token, 'vm.configure'), false);
  assert.deepEqual(reachOf(rights.of('usr-ann'), token, 'vm.read'), { projects: ['shop'], vms: [] });
});

const aGrant = fc.record({
  role: fc.constantFrom(...BUILT_IN_ROLE_NAMES),
  scope: fc.constantFrom('all', 'project:shop', 'project:bank', `vm:${VM_A}`, `vm:${VM_B}`),
});
const anObject = fc.record({
  type: fc.constantFrom(...OBJECT_TYPES),
  project: fc.constantFrom(null, 'shop', 'bank', 'club'),
  vmId: fc.constantFrom(undefined, VM_A, VM_B),
});

test('any grants: only a role that names the permission and reaches the object allows it; more grants never take anything away', () => {
  fc.assert(
    fc.property(
      fc.array(aGrant, { maxLength: 5 }),
      aGrant,
      anObject,
      fc.constantFrom(...PERMISSIONS.filter((one) => one !== 'self.manage')),
      (granted, extra, { type, project, vmId }, permission) => {
        const object: ObjectRef = { type, id: 'x', project, vmId };
        const rows = granted.map(({ role, scope }, n) => grant(n, role, scope));
        const reaches = (asked: Permission) =>
          granted.some(
            ({ role, scope }) =>
              (BUILT_IN_ROLES[role].permissions as readonly Permission[]).includes(asked) &&
              (scope === 'all' || scope === `project:${project}` || scope === `vm:${vmId}`),
          );
        const found = world(rows).decide(permission, object);
        const seen = seenBy(type);
        assert.equal(found.allow, reaches(permission) && (seen === null || reaches(seen)));
        assert.equal(found.visible, seen === null || reaches(seen));
        const more = world([...rows, grant(9, extra.role, extra.scope)]).decide(permission, object);
        assert.ok(Number(more.allow) >= Number(found.allow) && Number(more.visible) >= Number(found.visible));
      },
    ),
  );
});

test('E9: nobody can give what he does not hold there', () => {
  const { rights } = world([grant(1, 'project-admin', 'project:shop'), grant(2, 'operator', 'all')]);
  const mine = rights.of('usr-ann');
  const more = (role: string, scope: string) =>
    beyond(rights.ofGrant(role, scope), mine, (id) => (id === VM_A ? 'shop' : 'bank'));
  assert.deepEqual(more('vm-operator', 'project:shop'), []);
  assert.deepEqual(more('vm-operator', `vm:${VM_A}`), [], 'who holds it in the project holds it for its VMs');
  assert.ok(more('vm-operator', `vm:${VM_B}`).includes('vm.power'));
  assert.deepEqual(more('operator', 'project:bank'), []);
  assert.ok(more('vm-operator', 'project:bank').includes('vm.power'));
  assert.ok(more('project-admin', 'all').includes('vm.create'));
  assert.ok(more('admin', 'project:shop').includes('host.configure'));
});

test('somebody who can manage access is one with the right everywhere who is not disabled', () => {
  assert.equal(hasAdministrator(world([grant(1, 'admin', 'all')]).snapshot), true);
  assert.equal(hasAdministrator(world([grant(1, 'admin', 'project:shop')]).snapshot), false);
  assert.equal(hasAdministrator(world([grant(1, 'admin', 'all')], [user('usr-ann', true)]).snapshot), false);
  assert.equal(hasAdministrator(world([grant(1, 'operator', 'all')]).snapshot), false);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PERMISSIONS } from '#contract/permissions.ts';
import { areasOf, GRANTABLE } from './permission-areas.ts';

test('every permission is in exactly one area, and no area is that of none', () => {
  const areas = areasOf(PERMISSIONS);
  assert.deepEqual(areas.flatMap(({ permissions }) => permissions).sort(), [...PERMISSIONS].sort());
  assert.deepEqual(
    areas.filter(({ id }) => id === 'self').flatMap(({ permissions }) => permissions),
    ['self.manage'],
    'a permission whose area has no name would land here',
  );
});

test('areas without anything in them are left out', () => {
  assert.deepEqual(
    areasOf(['vm.read', 'audit.read', 'vm.power']).map(({ name, permissions }) => [name, permissions]),
    [
      ['VMs', ['vm.read', 'vm.power']],
      ['Audit', ['audit.read']],
    ],
  );
  assert.ok(!GRANTABLE.includes('self.manage'));
});

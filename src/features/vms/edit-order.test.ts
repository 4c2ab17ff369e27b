import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type VmEdit, vmErrors } from '#contract/vms.ts';
import type { DomainFacts } from '#features/inventory/index.ts';
import { registerErrors } from '#kernel/errors.ts';
import { GIB, MIB } from '#kernel/units.ts';
import { type EditTarget, resolveEdit } from './edit-order.ts';
import type { ImageFile } from './ports.ts';

registerErrors(vmErrors);

const facts: DomainFacts = {
  name: 'web',
  title: 'Old',
  description: null,
  vcpus: 2,
  maxVcpus: 4,
  memoryBytes: GIB,
  maxMemoryBytes: GIB,
  arch: 'x86_64',
  machine: 'q35',
  firmware: 'bios',
  nvramPath: null,
  kernelPath: null,
  initrdPath: null,
  accel: 'tcg',
  hasTpm: false,
  hasVnc: true,
  vncSocketPath: null,
  hasSerial: true,
  serialLogPath: null,
  agent: 'absent',
  disks: [
    { target: 'sda', device: 'cdrom', bus: 'sata', format: 'raw', path: null, readOnly: true, bootOrder: null },
    { target: 'vda', device: 'disk', bus: 'virtio', format: 'qcow2', path: '/d', readOnly: false, bootOrder: 1 },
  ],
  nics: [
    {
      mac: '52:54:00:00:00:01',
      model: 'virtio',
      sourceType: 'network',
      source: 'default',
      linkUp: true,
      filter: 'mac_ip',
      bootOrder: 2,
      device: null,
    },
  ],
  bootOrder: ['vda', '52:54:00:00:00:01'],
  operationId: null,
};
const iso: ImageFile = {
  id: 'img-1',
  name: 'rescue',
  kind: 'iso',
  format: 'iso',
  path: '/images/1.iso',
  virtualSizeBytes: 1,
  sizeBytes: 1,
};

const resolve = (edit: VmEdit, more: Partial<EditTarget> = {}) =>
  resolveEdit(
    edit,
    {
      vmId: 'id',
      name: facts.name,
      now: facts,
      stored: facts,
      definitionHash: 'h',
      isOn: true,
      isAutostart: false,
      isProtected: false,
      tags: ['web'],
      ...more,
    },
    {
      images: { get: (id) => (id === 'rescue' ? iso : null) },
      totalMemoryBytes: 8 * GIB,
      filters: { hasFilters: true, isTenants: false, mayOpenNics: false, defaultFilter: () => 'mac_ip' as const },
      isNameTaken: (name) => name === 'taken',
      domainName: (name) => name,
      describeFile: (path) => ({ name: path }),
    },
  );
const effects = (edit: VmEdit, more: Partial<EditTarget> = {}) =>
  Object.fromEntries(resolve(edit, more).changes.map((change) => [change.field, change.effect]));

test('what is as wanted already changes nothing', () => {
  const { order, changes } = resolve({
    title: 'Old',
    vcpus: 2,
    memoryBytes: GIB,
    autostart: false,
    isProtected: false,
    bootOrder: [...facts.bootOrder],
  });
  assert.deepEqual(changes, []);
  assert.deepEqual(order.definition, {});
  assert.equal(order.autostart, null);
});

test('each field of a running VM says when it takes hold', () => {
  assert.deepEqual(effects({ title: null, description: 'x', autostart: true, isProtected: true }), {
    title: 'live',
    description: 'live',
    autostart: 'live',
    isProtected: 'live',
  });
  assert.deepEqual(effects({ vcpus: 3 }), { vcpus: 'live' });
  assert.deepEqual(effects({ vcpus: 1 }), { vcpus: 'next_boot' });
  assert.deepEqual(effects({ vcpus: 8 }), { vcpus: 'next_boot' });
  assert.deepEqual(effects({ memoryBytes: 512 * MIB }), { memory: 'live' });
  assert.deepEqual(effects({ memoryBytes: 2 * GIB }), { memory: 'next_boot' });
  assert.deepEqual(effects({ bootOrder: ['sda', 'vda'] }), { bootOrder: 'next_boot' });
  assert.deepEqual(effects({ cdrom: { target: 'sda', imageId: 'rescue' } }), { 'cdrom sda': 'live' });
});

test('everything takes hold at once on a VM that is off', () => {
  const off = effects({ vcpus: 8, memoryBytes: 2 * GIB, bootOrder: ['sda'], name: 'new' }, { isOn: false });
  assert.deepEqual(off, { vcpus: 'live', memory: 'live', bootOrder: 'live', name: 'live' });
});

test('the undo holds the values from before, and the live part only what can be live', () => {
  const { order } = resolve({
    title: 'New',
    vcpus: 8,
    memoryBytes: 512 * MIB,
    cdrom: { target: 'sda', imageId: 'rescue' },
  });
  assert.deepEqual(order.undo, { title: 'Old', vcpus: 2, memoryBytes: GIB, cdrom: { target: 'sda', path: null } });
  assert.deepEqual(order.live, {
    title: 'New',
    memoryBytes: 512 * MIB,
    cdrom: { target: 'sda', path: '/images/1.iso' },
  });
});

const refusals: [VmEdit, Partial<EditTarget>, string, string | null][] = [
  [{ name: 'new' }, {}, 'wrong_state', 'name'],
  [{ name: 'taken' }, { isOn: false }, 'already_exists', 'name'],
  [{ memoryBytes: 9 * GIB }, {}, 'invalid_input', 'memoryBytes'],
  [{ memoryBytes: GIB + 1 }, {}, 'invalid_input', 'memoryBytes'],
  [{ bootOrder: ['vdz'] }, {}, 'invalid_input', 'bootOrder.0'],
  [{ bootOrder: ['vda', 'vda'] }, {}, 'invalid_input', 'bootOrder.1'],
  [{ cdrom: { target: 'vda', imageId: null } }, {}, 'invalid_input', 'cdrom.target'],
  [{ cdrom: { target: 'sda', imageId: 'nosuch' } }, {}, 'invalid_input', 'cdrom.imageId'],
];
for (const [edit, more, code, field] of refusals) {
  test(`refused with field and mend: ${JSON.stringify(edit)}`, () => {
    assert.throws(
      () => resolve(edit, more),
      (error: { code: string; fields: { path: string; mend: string }[] }) =>
        error.code === code && error.fields[0]?.path === field && error.fields[0].mend !== '',
    );
  });
}

test('tags are a set: order and repeats change nothing, and an empty list takes all away', () => {
  assert.equal(resolve({ tags: ['web', 'web'] }).order.tags, null);
  assert.deepEqual(resolve({ tags: ['prod', 'db', 'prod'] }).order.tags, { from: ['web'], to: ['db', 'prod'] });
  const none = resolve({ tags: [] });
  assert.deepEqual(none.order.tags, { from: ['web'], to: [] });
  assert.deepEqual(none.changes, [{ field: 'tags', now: 'web', after: null, effect: 'live' }]);
});

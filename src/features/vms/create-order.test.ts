import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type VmCreateInput, vmCreateSchema, vmErrors } from '#contract/vms.ts';
import { registerErrors } from '#kernel/errors.ts';
import { newUuid } from '#kernel/ids.ts';
import { GIB, MIB } from '#kernel/units.ts';
import { buildDomainXml, readDomain } from '#libvirt/index.ts';
import { domainSpec } from './create-operation.ts';
import { bytesPromised, bytesToWrite, type CreateWorld, createOrderSchema, resolveCreate } from './create-order.ts';
import { vmFiles } from './layout.ts';
import { createPlan } from './plan.ts';
import type { ImageFile } from './ports.ts';

registerErrors(vmErrors);

const image = (id: string, kind: ImageFile['kind'], format: ImageFile['format']): ImageFile => ({
  id,
  name: id,
  kind,
  format,
  path: `/images/${id}`,
  virtualSizeBytes: 2 * GIB,
  sizeBytes: 300 * MIB,
});
const images = new Map(
  [
    image('cloud', 'disk', 'qcow2'),
    image('iso', 'iso', 'iso'),
    image('kernel', 'kernel', 'raw'),
    image('initrd', 'initrd', 'raw'),
  ].map((file) => [file.id, file]),
);
const world: CreateWorld = {
  images: { get: (id) => images.get(id) ?? null },
  accel: () => 'kvm',
  space: {
    freeDiskBytes: 100 * GIB,
    diskFloorBytes: 5 * GIB,
    totalMemoryBytes: 16 * GIB,
    freeMemoryBytes: 8 * GIB,
    cpus: 4,
  },
  hasTpmEmulator: true,
  hasNetwork: (name) => ['default', 'lab'].includes(name),
  hasPool: true,
  hasBridge: (name) => name === 'br0',
  holderOfMac: (mac) => (mac === '52:54:00:00:00:99' ? { name: 'other' } : null),
  domainName: (name) => name,
  isNameTaken: (name) => name === 'taken',
  filters: {
    hasFilters: true,
    isTenants: false,
    mayOpenNics: false,
    defaultFilter: (network) => (network === 'default' ? 'mac_ip' : 'mac'),
  },
};
const files = vmFiles({
  root: '/s',
  ca: '/s/ca',
  images: '/images',
  disks: '/s/disks',
  scratch: '/s/scratch',
  trash: '/s/trash',
  quarantine: '/s/q',
});
const resolve = (input: Partial<VmCreateInput>, more: Partial<CreateWorld> = {}) =>
  resolveCreate(vmCreateSchema.parse({ name: 'web', firmware: 'bios', ...input }), newUuid(), { ...world, ...more });
const operationId = `op-${'0'.repeat(26)}`;

test('an order says everything, survives the journal, and builds the same definition each time', async () => {
  const order = await resolve({
    disks: [
      { imageId: 'cloud', sizeBytes: 10 * GIB },
      { sizeBytes: GIB, format: 'raw' },
    ],
    nics: [{}, { bridge: 'br0' }, { network: 'lab' }],
    isoId: 'iso',
    cloudInit: {},
  });
  const again = createOrderSchema.parse(JSON.parse(JSON.stringify(order)));
  assert.deepEqual(again, order);
  const xml = buildDomainXml(domainSpec(order, operationId, files));
  assert.equal(buildDomainXml(domainSpec(again, operationId, files)), xml);
  const facts = readDomain(xml);
  assert.equal(facts.virtType, 'kvm');
  assert.deepEqual(
    facts.disks.map((disk) => [disk.device, disk.source, disk.format]),
    [
      ['cdrom', '/images/iso', 'raw'],
      ['disk', `/s/disks/${operationId}-0.qcow2`, 'qcow2'],
      ['disk', `/s/disks/${operationId}-1.raw`, 'raw'],
      ['cdrom', `/s/disks/${operationId}-seed.iso`, 'raw'],
    ],
  );
  assert.deepEqual(facts.bootOrder.slice(0, 3), ['sda', 'vda', 'vdb']);
  assert.equal(facts.metadata['op'], operationId);
  assert.equal(facts.serialLogPath, files.serialLog(order.vmId));
  assert.deepEqual(
    facts.graphics.map((graphics) => [graphics.type, graphics.port]),
    [['vnc', null]],
  );
  assert.equal(new Set(order.nics.map((nic) => nic.mac)).size, 3);
  assert.equal(bytesPromised(order), 11 * GIB);
  assert.equal(bytesToWrite(order), 300 * MIB + 2 * MIB);
});

test('KVM is used only where it is proven, and not when asked otherwise', async () => {
  assert.equal((await resolve({})).accel, 'kvm');
  assert.equal((await resolve({ accel: 'tcg' })).accel, 'tcg');
  assert.equal((await resolve({}, { accel: () => 'tcg' })).accel, 'tcg');
  assert.equal((await resolve({}, { accel: () => 'unknown' })).accel, 'tcg');
  await assert.rejects(resolve({}, { accel: () => 'none' }), { code: 'no_hypervisor' });
});

test('a kernel boots directly, whatever firmware was chosen', async () => {
  const order = await resolve({
    firmware: 'uefi',
    kernel: { kernelImageId: 'kernel', initrdImageId: 'initrd', commandLine: 'console=ttyS0 "<x>"' },
  });
  assert.equal(order.uefi, null);
  const facts = readDomain(buildDomainXml(domainSpec(order, operationId, files)));
  assert.deepEqual([facts.kernelPath, facts.initrdPath, facts.bootOrder], ['/images/kernel', '/images/initrd', []]);
});

const refusals: [Partial<VmCreateInput>, string, string | null][] = [
  [{ name: 'taken' }, 'already_exists', 'name'],
  [{ nics: [{ mac: '52:54:00:00:00:99' }] }, 'already_exists', 'nics.0.mac'],
  [{ nics: [{ network: 'nosuch' }] }, 'invalid_input', 'nics.0.network'],
  [{ nics: [{ bridge: 'nosuch' }] }, 'invalid_input', 'nics.0.bridge'],
  [{ nics: [{ bridge: 'br0', network: 'lab' }] }, 'invalid_input', 'nics.0'],
  [{ memoryBytes: 17 * GIB }, 'invalid_input', 'memoryBytes'],
  [{ memoryBytes: GIB + 512 }, 'invalid_input', 'memoryBytes'],
  [{ disks: [{}] }, 'invalid_input', 'disks.0.sizeBytes'],
  [{ disks: [{ imageId: 'cloud', sizeBytes: GIB }] }, 'invalid_input', 'disks.0.sizeBytes'],
  [{ disks: [{ imageId: 'iso' }] }, 'invalid_input', 'disks.0.imageId'],
  [{ disks: [{ sizeBytes: GIB, pool: 'other' }] }, 'invalid_input', 'disks.0.pool'],
  [{ isoId: 'cloud' }, 'invalid_input', 'isoId'],
  [{ isoId: 'nosuch' }, 'invalid_input', 'isoId'],
  [{ kernel: { kernelImageId: 'iso' } }, 'invalid_input', 'kernel.kernelImageId'],
  [{ secureBoot: true }, 'invalid_input', 'secureBoot'],
];
for (const [input, code, field] of refusals) {
  test(`refused with field and mend: ${JSON.stringify(input)}`, async () => {
    await assert.rejects(
      resolve(input),
      (error: { code: string; fields: { path: string; mend: string }[] }) =>
        error.code === code && error.fields[0]?.path === field && error.fields[0].mend !== '',
    );
  });
}

test('a TPM needs its emulator', async () => {
  await assert.rejects(resolve({ tpm: true }, { hasTpmEmulator: false }), { code: 'tpm_missing' });
});

test('the plan names every part, what it needs, and what may go wrong', async () => {
  const order = await resolve(
    { vcpus: 8, memoryBytes: 9 * GIB, disks: [{ sizeBytes: 200 * GIB }] },
    { accel: () => 'tcg' },
  );
  const plan = createPlan({
    order,
    steps: [{ name: 'a', title: 'A' }],
    space: world.space,
    accel: 'tcg',
    nameOf: (path) => path,
  });
  assert.deepEqual(
    plan.changes.map((change) => change.field),
    ['name', 'vcpus', 'memory', 'firmware', 'acceleration', 'screen', 'disks.0', 'nics.0'],
  );
  assert.equal(plan.warnings.length, 4);
  assert.deepEqual(plan.needs, {
    memoryBytes: 9 * GIB,
    diskBytes: MIB,
    freeMemoryBytes: 8 * GIB,
    freeDiskBytes: 100 * GIB,
  });
});

test('an address set by cloud-init and a filter that takes only that of DHCP do not fit: the plan says so', async () => {
  const warningsOf = async (filter: 'mac' | 'mac_ip') => {
    const order = await resolve(
      { nics: [{ filter }], cloudInit: { networkData: 'version: 2' } },
      { filters: { ...world.filters, mayOpenNics: true } },
    );
    const { warnings } = createPlan({ order, steps: [], space: world.space, accel: 'kvm', nameOf: (path) => path });
    return warnings.filter((warning) => warning.includes('mac_ip'));
  };
  assert.equal((await warningsOf('mac_ip')).length, 1);
  assert.equal((await warningsOf('mac')).length, 0);
});

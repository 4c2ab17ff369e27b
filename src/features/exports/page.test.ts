import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accessErrors } from '#contract/access.ts';
import { fakeVm } from '#contract/fake-vm.ts';
import type { Permission } from '#contract/permissions.ts';
import { AppError, registerErrors } from '#kernel/errors.ts';
import { type Identity, type ObjectRef, SYSTEM_IDENTITY } from '#platform/feature.ts';
import { createPages } from './page.ts';

registerErrors(accessErrors);

const [mine, other] = [fakeVm('1', { name: 'mine', project: 'shop' }), fakeVm('2', { name: 'other', project: 'lab' })];
const as = (user: string): Identity => ({ ...SYSTEM_IDENTITY, user });

/** Who may what, by user. */
const RIGHTS: Readonly<Record<string, (permission: Permission, object: ObjectRef) => boolean>> = {
  admin: () => true,
  tenant: (permission, object) =>
    object.project === 'shop' && (permission === 'vm.read' || permission === 'metrics.read'),
  'only-metrics': (permission) => permission === 'metrics.read',
  nobody: () => false,
};

function setUp() {
  let reads = 0;
  let seconds = 0;
  const asked: string[][] = [];
  const pages = createPages({
    access: {
      holds: (who, permission) => [mine, other].some((vm) => may(who, permission, { ...vm, type: 'vm' })),
      decide: (who, permission, object) => ({ allow: may(who, permission, object), visible: true, grant: null }),
    },
    inventory: { vms: () => [mine, other], pools: () => [] },
    metrics: {
      rawFamilies() {
        reads += 1;
        return [
          {
            name: 'hyper_vm_up',
            type: 'gauge',
            unit: null,
            help: 'Up.',
            samples: [mine, other].map(({ id, name }) => ({ labels: { host: 'node1', vm: name, uuid: id }, value: 1 })),
          },
          { name: 'hyper_host_cpus', type: 'gauge', unit: null, help: 'CPUs.', samples: [{ labels: {}, value: 2 }] },
        ];
      },
      libvirtExporterFamilies({ vms, pools }) {
        asked.push([...vms.map(({ name }) => name), `${pools.length} pools`]);
        const samples = vms.map(({ name }) => ({ labels: { domain: name }, value: 1 }));
        return [{ name: 'libvirt_domain_info_vstate', type: 'gauge', unit: null, help: 'State.', samples }];
      },
    },
    families: () => [
      {
        name: 'process_cpu_seconds_total',
        type: 'counter',
        unit: 'seconds',
        help: 'CPU.',
        samples: [{ value: ++seconds }],
      },
      { name: 'hyper_vms', type: 'gauge', help: 'VMs.', samples: [{ labels: { state: 'off' }, value: 2 }] },
    ],
    hostName: () => 'node1',
  });
  const linesFor = (user: string, compat?: string) =>
    pages
      .page({ identity: as(user), accept: null, compat })
      .body.split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'));
  return { pages, linesFor, reads: () => reads, asked };
}

const may = (who: Identity, permission: Permission, object: ObjectRef) =>
  RIGHTS[who.user]?.(permission, object) ?? false;

test('everybody gets the figures of what he may read, and no others', () => {
  const { linesFor } = setUp();
  assert.deepEqual(linesFor('admin'), [
    `hyper_vm_up{host="node1",vm="mine",uuid="${mine.id}"} 1`,
    `hyper_vm_up{host="node1",vm="other",uuid="${other.id}"} 1`,
    'hyper_host_cpus{host="node1"} 2',
    'process_cpu_seconds_total 1',
    'hyper_vms{host="node1",state="off"} 2',
  ]);
  assert.deepEqual(linesFor('tenant'), [`hyper_vm_up{host="node1",vm="mine",uuid="${mine.id}"} 1`]);
  assert.deepEqual(linesFor('only-metrics'), []);
  assert.throws(
    () => linesFor('nobody'),
    (error: unknown) => error instanceof AppError && error.code === 'forbidden',
  );
});

test('what was measured is put into words once a tick for all who see the same; the program itself is of now', () => {
  const { pages, linesFor, reads } = setUp();
  linesFor('admin');
  assert.ok(linesFor('admin').includes('process_cpu_seconds_total 2'));
  assert.equal(reads(), 1);
  linesFor('tenant');
  assert.equal(reads(), 2);
  pages.ticked();
  linesFor('admin');
  assert.equal(reads(), 3);
});

test('OpenMetrics ends with its end, and says what it is', () => {
  const { pages } = setUp();
  const page = pages.page({ identity: as('tenant'), accept: 'application/openmetrics-text', compat: undefined });
  assert.ok(page.body.endsWith('\n# EOF\n'));
  assert.match(page.contentType, /^application\/openmetrics-text; version=1\.0\.0/);
});

test('the names of another exporter come instead of ours, for the same VMs', () => {
  const { linesFor, asked } = setUp();
  assert.deepEqual(linesFor('tenant', 'libvirt'), ['libvirt_domain_info_vstate{domain="mine"} 1']);
  assert.deepEqual(linesFor('admin', 'libvirt').length, 2);
  assert.deepEqual(asked, [
    ['mine', '0 pools'],
    ['mine', 'other', '0 pools'],
  ]);
  assert.throws(
    () => linesFor('admin', 'node'),
    (error: unknown) => error instanceof AppError && error.code === 'invalid_input' && /compat/.test(error.message),
  );
});

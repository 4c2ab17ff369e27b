import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fakeVm } from '#contract/fake-vm.ts';
import type { MetricName } from '#contract/metric-catalogue.ts';
import type { Vm } from '#contract/vms.ts';
import type { DomainFacts, InventoryApi } from '#features/inventory/index.ts';
import { TestClock } from '#kernel/clock.ts';
import { silentLogger } from '#kernel/logger.ts';
import type { UnitState } from '#platform/service-units.ts';
import { createOomWatch } from '../oom-watch.ts';
import { findCrashedVms } from './crashed-vms.ts';
import { findFailedServices } from './failed-services.ts';
import { type Filling, findFullDisks } from './full-disks.ts';
import { findInGuests, passesDiscards } from './guests.ts';
import { findIdlePools } from './idle-pools.ts';
import { findSilencedNics } from './silenced-nics.ts';
import { findStarvedVms } from './starved-vms.ts';

type Row = ReturnType<InventoryApi['row']>;
const row = (values: Partial<NonNullable<Row>> = {}): Row => ({
  uuid: 'x',
  desired: 'running',
  isProtected: false,
  tags: [],
  managed: true,
  createdAt: null,
  operationId: null,
  moved: null,
  ...values,
});
const inventoryOf = (vms: readonly Vm[], facts: DomainFacts | null = null, vmRow: Row = row()) => ({
  vms: () => vms,
  vm: (id: string) => vms.find((vm) => vm.id === id) ?? null,
  row: () => vmRow,
  facts: () => facts,
  storedFacts: () => facts,
  definition: () => ({ xml: '<domain><devices><disk><driver discard="unmap"/></disk></devices></domain>', hash: '' }),
  staleSince: null,
});
const hands = { isLocked: () => false };
const crashed = (values: Partial<Vm> = {}): Vm =>
  fakeVm('1', { state: 'crashed', stateReason: 'crashed', persistent: true, operationId: null, ...values });
const finderOf = (
  vm: Vm,
  {
    vmRow = row(),
    oomMs = null,
    tried = false,
    openMs = 5_000,
  }: { vmRow?: Row; oomMs?: number | null; tried?: boolean; openMs?: number | null } = {},
) =>
  findCrashedVms({
    known: inventoryOf([vm], null, vmRow),
    hands,
    oom: { sinceLastMs: () => oomMs },
    delaysMs: [0],
    openForMs: () => openMs,
    wasTried: () => tried,
  });
const count = async (...args: Parameters<typeof finderOf>) => (await finderOf(...args).find())?.findings.length;

test('only a VM of ours that is meant to run and whose QEMU died is found', async () => {
  assert.equal(await count(crashed()), 1);
  assert.equal(await count(crashed(), { vmRow: row({ desired: 'off' }) }), 0, 'somebody wants it off');
  assert.equal(await count(crashed(), { vmRow: row({ desired: 'paused' }) }), 0, 'somebody wants it paused');
  assert.equal(await count(crashed(), { vmRow: row({ managed: false }) }), 0, 'another program made it');
  assert.equal(await count(crashed(), { vmRow: null }), 0, 'nobody said that it should run');
  assert.equal(await count(crashed({ persistent: false })), 0, 'it has no definition');
  assert.equal(await count(crashed({ stateReason: 'panicked' })), 0, 'its remains are kept for a look');
  assert.equal(await count(crashed({ state: 'off', stateReason: 'shutdown' })), 0, 'the guest shut down');
  assert.equal(await count(crashed({ state: 'unknown' })), 0);
  assert.equal(await count(crashed({ state: 'off', stateReason: 'failed' })), 0, 'a start of somebody else failed');
  assert.equal(await count(crashed({ state: 'off', stateReason: 'failed' }), { tried: true }), 1, 'our restart failed');
});

test('a libvirtd that was restarted forgets why a VM is off; a crash that was seen before still counts', async () => {
  for (const stateReason of [null, 'daemon']) {
    assert.equal(await count(crashed({ state: 'off', stateReason })), 1);
    assert.equal(await count(crashed({ state: 'off', stateReason }), { openMs: null }), 0, 'nobody saw it crash');
  }
});

test('nothing is found while libvirt is silent', async () => {
  const finder = findCrashedVms({
    known: { ...inventoryOf([crashed()]), staleSince: '2026-01-01T00:00:00Z' },
    hands,
    oom: { sinceLastMs: () => null },
    delaysMs: [0],
    openForMs: () => null,
    wasTried: () => false,
  });
  assert.equal(await finder.find(), null);
});

test('an operation on the VM and a host without memory stand against a restart', async () => {
  const obstacle = async (...args: Parameters<typeof finderOf>) =>
    (await finderOf(...args).find())?.findings[0]?.obstacle ?? null;
  assert.equal(await obstacle(crashed()), null);
  assert.equal((await obstacle(crashed({ operationId: 'op-1' })))?.isWorthTelling, false);
  assert.match((await obstacle(crashed(), { oomMs: 20_000 }))?.text ?? '', /want of memory/);
  assert.equal(await obstacle(crashed(), { oomMs: 120_000 }), null, 'that was long before');
});

test('the kernel ending programs for want of memory is seen, over a restart of hyperd too', async () => {
  let kills = 3;
  let nowMs = 0;
  const watch = (before: number | null) =>
    createOomWatch(
      () => nowMs,
      () => before,
      async () => `oom_kill ${kills}\n`,
    );
  const first = watch(null);
  await first.look();
  assert.equal(first.sinceLastMs(), null, 'what was before is not known');
  kills = 4;
  nowMs = 100;
  await first.look();
  nowMs = 300;
  assert.equal(first.sinceLastMs(), 200);
  const second = watch(3);
  await second.look();
  assert.equal(second.sinceLastMs(), 0);
});

test('a paused VM is found only when every error of its disks is a want of space, and held while there is none', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'hv-starved-'));
  try {
    const path = join(dir, 'disk.raw');
    await writeFile(path, 'x');
    const vm = fakeVm('1', { state: 'paused', stateReason: 'io_error', persistent: true, operationId: null });
    const disk = { target: 'vda', device: 'disk', bus: null, format: 'raw', readOnly: false, bootOrder: null } as const;
    const find = async (
      errors: readonly { disk: string; error: 'none' | 'unspecified' | 'no-space' }[] | Error,
      diskPath = path,
    ) => {
      const facts = { disks: [{ ...disk, path: diskPath }] };
      return findStarvedVms({
        // Of a definition only its disks are asked for.
        known: { ...inventoryOf([vm]), facts: () => Object.assign(Object.create(null), facts) },
        hands,
        diskErrors: async () => {
          if (errors instanceof Error) throw errors;
          return errors;
        },
        delaysMs: [0],
        log: silentLogger,
      }).find();
    };
    assert.equal((await find([{ disk: 'vda', error: 'no-space' }]))?.findings.length, 1);
    assert.equal((await find([{ disk: 'vda', error: 'unspecified' }]))?.findings.length, 0);
    assert.equal((await find([]))?.findings.length, 0);
    for (const unclear of [
      await find(new Error('silent')),
      await find([{ disk: 'vda', error: 'no-space' }], '/dev/null'),
    ]) {
      assert.equal(unclear?.findings.length, 0);
      assert.equal(unclear?.isUnknown(vm.id), true, 'nothing is concluded');
    }
  } finally {
    await rm(dir, { recursive: true });
  }
});

test('disks: pause above 90 %, go on below 85 %, a reserve below 80 %, free above 98 %', async () => {
  const actions = async (usedRatio: number, values: Partial<Filling> = {}) => {
    const filling: Filling = { folder: '/state', usedRatio, isHeld: false, hasReserve: true, ...values };
    const found: string[] = [];
    for (const finder of findFullDisks({ look: async () => ({ fillings: [filling], unknown: new Set() }) }))
      for (const { work } of (await finder.find())?.findings ?? [])
        found.push(work.kind === 'healing.disk-pause' ? `${work.kind} ${work.input.isHeld}` : work.kind);
    return found;
  };
  assert.deepEqual(await actions(0.5), []);
  assert.deepEqual(await actions(0.5, { hasReserve: false }), ['healing.disk-reserve']);
  assert.deepEqual(await actions(0.85, { hasReserve: false }), []);
  assert.deepEqual(await actions(0.91), ['healing.disk-pause true']);
  assert.deepEqual(await actions(0.91, { isHeld: true }), []);
  assert.deepEqual(await actions(0.86, { isHeld: true }), []);
  assert.deepEqual(await actions(0.84, { isHeld: true }), ['healing.disk-pause false']);
  assert.deepEqual(await actions(0.99, { isHeld: true }), ['healing.disk-free']);
});

test('pools: only one that starts with the host and whose folder is there is started', async () => {
  const find = async (values: Partial<ReturnType<InventoryApi['pools']>[number]>) => {
    const pool = {
      id: 'p',
      name: 'pool',
      state: 'inactive',
      kind: 'dir',
      path: tmpdir(),
      capacityBytes: null,
      allocatedBytes: null,
      availableBytes: null,
      autostart: true,
      volumes: [],
      ...values,
    } as const;
    return (await findIdlePools({ pools: () => [pool], staleSince: null }, hands).find())?.findings ?? [];
  };
  assert.equal((await find({}))[0]?.obstacle, null);
  assert.match((await find({ path: '/nowhere' }))[0]?.obstacle?.text ?? '', /missing/);
  assert.deepEqual(await find({ autostart: false }), []);
  assert.deepEqual(await find({ state: 'active' }), []);
  assert.deepEqual(await find({ state: 'unknown' }), []);
});

test('guests: figures that are missing say nothing; a trim waits for its week, its agent and mains', async () => {
  const WEEK_MS = 7 * 86_400_000;
  const vm = fakeVm('1', { state: 'running', persistent: true, operationId: null, agent: 'connected' });
  const find = async (options: {
    readonly figures?: Partial<Record<MetricName, number>>;
    readonly sinceMs?: number;
    readonly lastMs?: number;
    readonly isOnBattery?: boolean;
    readonly nowMs?: number;
  }) => {
    const found: string[] = [];
    for (const finder of findInGuests({
      known: inventoryOf([vm]),
      hands,
      figure: (metric) => options.figures?.[metric] ?? null,
      isOnBattery: () => options.isOnBattery ?? false,
      nowMs: () => options.nowMs ?? WEEK_MS * 2,
      wantsTrimSinceMs: () => options.sinceMs ?? null,
      lastTrimMs: () => options.lastMs ?? null,
    }))
      for (const { work } of (await finder.find())?.findings ?? []) found.push(work.kind);
    return found;
  };
  assert.deepEqual(await find({}), []);
  assert.deepEqual(await find({ figures: { vm_agent_up: 0 } }), ['healing.agent-sync']);
  assert.deepEqual(await find({ figures: { vm_agent_up: 1, vm_monitor_stuck: 30 } }), []);
  assert.deepEqual(await find({ figures: { vm_monitor_stuck: 90 } }), ['healing.monitor-evidence']);
  assert.deepEqual(await find({ sinceMs: 0 }), ['healing.guest-trim']);
  assert.deepEqual(await find({ sinceMs: 0, lastMs: WEEK_MS + 1 }), []);
  assert.deepEqual(await find({ sinceMs: 0, lastMs: WEEK_MS }), ['healing.guest-trim']);
  assert.deepEqual(await find({ sinceMs: 0, isOnBattery: true }), []);
  assert.equal(passesDiscards(null), false);
  assert.equal(passesDiscards('<domain><devices><disk><driver/></disk></devices></domain>'), false);
});

test('services: only those that are there and failed, and one of libvirt not while something works on a VM', async () => {
  const clock = new TestClock();
  let states: readonly UnitState[] | null = [
    { name: 'virtlogd.service', active: 'failed', isKnown: true },
    { name: 'chrony.service', active: 'failed', isKnown: true },
    { name: 'stopped.service', active: 'inactive', isKnown: true },
    { name: 'starting.service', active: 'activating', isKnown: true },
    { name: 'gone.service', active: 'failed', isKnown: false },
  ];
  let asked = 0;
  let isBusy = false;
  const finder = findFailedServices({
    units: {
      async states() {
        asked += 1;
        return states;
      },
    },
    listed: ['virtlogd.service', 'chrony.service', 'stopped.service', 'starting.service', 'gone.service'],
    hands,
    clock,
    log: silentLogger,
    isAnyVmBusy: () => isBusy,
  });
  /** What is known when the answer of systemctl is there; it is not waited for. */
  const found = async () => {
    await finder.find();
    await new Promise((resolve) => setImmediate(resolve));
    return (await finder.find())?.findings ?? null;
  };
  assert.equal(await finder.find(), null, 'nothing is known yet');
  assert.deepEqual(
    (await found())?.map(({ object, obstacle }) => [object.id, obstacle]),
    [
      ['virtlogd.service', null],
      ['chrony.service', null],
    ],
  );
  isBusy = true;
  const [log, time] = (await found()) ?? [];
  assert.match(log?.obstacle?.text ?? '', /works on a VM/);
  assert.equal(time?.obstacle, null);
  assert.deepEqual([log?.isStillSo(), time?.isStillSo()], [false, true]);
  assert.equal(asked, 1, 'systemctl is not asked each round');
  states = null;
  await clock.advance(15_000);
  assert.equal(await found(), null);
  assert.equal(time?.isStillSo(), false);
});

test('NICs: only those that should be on are looked at, one look for many rounds, and not beside an operation', async () => {
  const nic = (values: Partial<Vm['nics'][number]>): Vm['nics'][number] => ({
    ...{ mac: '52:54:00:00:00:07', model: 'virtio', sourceType: 'network', source: 'default', bootOrder: null },
    ...{ linkUp: true, filter: 'mac_ip', addresses: [], device: 'vnet0' },
    ...values,
  });
  const netted = (values: Partial<Vm>, ...nics: Vm['nics']): Vm =>
    fakeVm('1', { state: 'running', operationId: null, nics, ...values });
  const clock = new TestClock();
  const asked: string[] = [];
  const off = new Set(['vnet0', 'vnet1', 'vnet2', 'vnet3']);
  let isRoot = true;
  const finderFor = (vm: Vm) =>
    findSilencedNics({
      known: inventoryOf([vm]),
      hands,
      clock,
      async isLinkOff(device) {
        asked.push(device);
        return off.has(device);
      },
      mayChangeLinks: async () => isRoot,
    });
  const found = async (vm: Vm) => (await finderFor(vm).find())?.findings.map(({ found: text }) => text);

  const mixed = [
    nic({}),
    nic({ device: 'vnet1', linkUp: false }),
    nic({ device: 'vnet2', filter: null }),
    nic({ device: 'vnet3', filter: 'other' }),
    nic({ device: 'vnet3', filter: 'mac' }),
    nic({ device: 'vnet3', filter: 'off' }),
    nic({ device: null }),
    nic({ device: 'vnet5' }),
  ];
  assert.deepEqual(await found(netted({}, ...mixed)), [
    'a NIC of 1 is switched off on the host (vnet0), as libvirt does when its rules cannot be made, and the guest has no network',
  ]);
  assert.deepEqual(asked, ['vnet0', 'vnet5']);
  for (const state of ['off', 'paused', 'unknown'] as const)
    assert.deepEqual(await found(netted({ state }, nic({}))), []);

  const finder = finderFor(netted({}, nic({})));
  asked.length = 0;
  for (let round = 0; round < 5; round += 1) assert.equal((await finder.find())?.findings.length, 1);
  assert.equal(asked.length, 1);
  off.clear();
  await clock.advance(10_000);
  assert.deepEqual((await finder.find())?.findings, []);

  off.add('vnet0');
  const [busy] = (await finderFor(netted({ operationId: 'op-1' }, nic({}))).find())?.findings ?? [];
  assert.deepEqual([busy?.obstacle?.isWorthTelling, busy?.isStillSo()], [false, false]);

  isRoot = false;
  const [held] = (await finderFor(netted({}, nic({}))).find())?.findings ?? [];
  assert.match(held?.obstacle?.text ?? '', /not run as root/);
  // A pause ends no case; a VM that is off has nothing on the host.
  const isUnknown = async (vm: Vm) => (await finderFor(vm).find())?.isUnknown(vm.id);
  assert.equal(await isUnknown(netted({ state: 'paused' }, nic({}))), true);
  assert.equal(await isUnknown(netted({}, nic({}))), false);
  assert.equal(await isUnknown(netted({ state: 'off' }, nic({ device: null }))), false);
});

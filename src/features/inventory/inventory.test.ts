import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import type { ApiEvents } from '#contract/events.ts';
import { type Vm, vmSchema } from '#contract/vms.ts';
import { TestClock } from '#kernel/clock.ts';
import { createEventBus } from '#kernel/event-bus.ts';
import { newUuid } from '#kernel/ids.ts';
import { silentLogger } from '#kernel/logger.ts';
import { MIB } from '#kernel/units.ts';
import { openDatabase } from '#platform/db/database.ts';
import type { DomainFacts } from './facts.ts';
import { createInventory } from './inventory.ts';
import { createVmRows, inventoryMigrations } from './rows.ts';
import type { DomainReading, HostEvent, InventorySource, VmMove } from './source.ts';

const folder = await mkdtemp(join(tmpdir(), 'hv-inventory-'));
after(() => rm(folder, { recursive: true }));
let databases = 0;

const facts = (name: string, more: Partial<DomainFacts> = {}): DomainFacts => ({
  name,
  title: null,
  description: null,
  vcpus: 1,
  maxVcpus: 1,
  memoryBytes: 64 * MIB,
  maxMemoryBytes: 64 * MIB,
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
  disks: [],
  nics: [],
  bootOrder: [],
  operationId: null,
  ...more,
});

const reading = (
  name: string,
  state: Vm['state'] = 'off',
  more: Partial<DomainFacts> = {},
  next: Partial<DomainFacts> = {},
): DomainReading => ({
  facts: facts(name, more),
  next: facts(name, { ...more, ...next }),
  definition: `<domain>${name}${JSON.stringify({ ...more, ...next })}</domain>`,
  state,
  stateReason: null,
  autostart: false,
  persistent: true,
});

function setUp() {
  const domains = new Map<string, DomainReading>();
  const host = { isConnected: true, reads: 0, delays: [] as (() => Promise<void>)[] };
  const source: InventorySource = {
    get isConnected() {
      return host.isConnected;
    },
    onConnection: () => () => undefined,
    onEvent: () => () => undefined,
    listDomains: async () => [...domains].map(([uuid, seen]) => ({ uuid, isOn: seen.state !== 'off' })),
    async readDomain(uuid) {
      host.reads += 1;
      const seen = domains.get(uuid) ?? null;
      await host.delays.shift()?.();
      return seen;
    },
    counters: async () => new Map(),
    readNetworks: async () => [],
    readPools: async () => [],
    readLeases: async () => [],
    readAgentAddresses: async () => [],
  };
  const events = createEventBus<ApiEvents>((error) => {
    throw error;
  });
  databases += 1;
  const db = openDatabase(join(folder, `${databases}.db`));
  db.migrate('inventory', inventoryMigrations);
  const rows = createVmRows(db);
  const clock = new TestClock();
  let overflows = 0;
  const inventory = createInventory({
    ofDomain: (name) => ({ project: 'default', name }),
    source,
    rows,
    events,
    clock,
    log: silentLogger,
    onOverflow: () => {
      overflows += 1;
    },
  });
  const changed: Vm[] = [];
  const removed: string[] = [];
  events.on('vm.changed', (vm) => changed.push(vm));
  events.on('vm.removed', ({ id }) => removed.push(id));
  const tell = async (event: HostEvent) => {
    inventory.onHostEvent(event);
    for (let n = 0; n < 6; n += 1) await turn();
  };
  return {
    domains,
    host,
    rows,
    clock,
    inventory,
    api: inventory.api,
    changed,
    removed,
    tell,
    db,
    overflows: () => overflows,
  };
}

const domainEvent = (uuid: string, intent: Vm['desired'] | null = null, move: VmMove | null = null): HostEvent => ({
  kind: 'domain',
  uuid,
  intent,
  move,
});

test('what is shown fits the contract, and a look that finds nothing new tells nobody', async () => {
  const { domains, api, inventory, changed, tell } = setUp();
  const id = newUuid();
  domains.set(
    id,
    reading('web', 'running', {
      nics: [
        {
          mac: '52:54:00:00:00:01',
          model: 'virtio',
          sourceType: 'network',
          source: 'default',
          linkUp: true,
          filter: 'mac_ip',
          bootOrder: 1,
          device: null,
        },
      ],
    }),
  );
  await inventory.resync();
  vmSchema.parse(api.vm('web'));
  assert.equal(api.vm(id)?.staleSince, null);
  const before = changed.length;
  await tell(domainEvent(id));
  await inventory.resync();
  assert.equal(changed.length, before);
  domains.set(id, reading('web', 'paused'));
  await tell(domainEvent(id));
  assert.equal(changed.length, before + 1);
  assert.equal(api.vm(id)?.state, 'paused');
});

test('a VM that is gone is removed, by event or by reconcile', async () => {
  const { domains, api, inventory, removed, tell } = setUp();
  const [one, two] = [newUuid(), newUuid()];
  domains.set(one, reading('one')).set(two, reading('two'));
  await inventory.resync();
  domains.delete(one);
  await tell(domainEvent(one));
  assert.deepEqual(removed, [one]);
  domains.delete(two);
  await inventory.reconcile(0, 5);
  assert.deepEqual(removed, [one, two]);
  assert.deepEqual(api.vms(), []);
  assert.equal(api.vm('two'), null);
});

test('an older look never replaces a newer one', async () => {
  const { domains, host, api, inventory } = setUp();
  const id = newUuid();
  domains.set(id, reading('a'));
  await inventory.resync();
  let release: () => void = () => undefined;
  host.delays.push(() => new Promise((resolve) => (release = resolve)));
  const slow = api.refresh(id);
  await turn();
  domains.set(id, reading('a', 'running'));
  const fast = api.refresh(id);
  await turn();
  release();
  await Promise.all([slow, fast]);
  assert.equal(api.vm(id)?.state, 'running');
});

test('without the host everything is unknown with its last facts and the time since', async () => {
  const { domains, host, api, inventory, changed } = setUp();
  const id = newUuid();
  domains.set(id, reading('a', 'running'));
  await inventory.resync();
  host.isConnected = false;
  inventory.connectionChanged();
  assert.equal(api.vm(id)?.state, 'unknown');
  assert.equal(api.vm(id)?.memoryBytes, 64 * MIB);
  assert.equal(api.vm(id)?.staleSince, '2026-01-01T00:00:00.000Z');
  assert.equal(changed.at(-1)?.state, 'unknown');
  host.isConnected = true;
  inventory.connectionChanged();
  assert.equal(api.vm(id)?.state, 'unknown', 'not before it was read again');
  await inventory.resync();
  assert.equal(api.vm(id)?.state, 'running');
});

test('differences between the running VM and its next boot are pending, and only while it runs', async () => {
  const { domains, api, inventory } = setUp();
  const [on, off] = [newUuid(), newUuid()];
  domains.set(on, reading('on', 'running', {}, { vcpus: 4, memoryBytes: 128 * MIB }));
  domains.set(off, reading('off', 'off', {}, { vcpus: 4 }));
  await inventory.resync();
  assert.deepEqual(api.vm(on)?.pending, [
    { field: 'vcpus', now: '1', next: '4' },
    { field: 'memory', now: '64 MiB', next: '128 MiB' },
  ]);
  assert.deepEqual(api.vm(off)?.pending, []);
});

test('a clean stop by anyone changes what is wanted, a crash does not; rows survive a restart', async () => {
  const { domains, api, inventory, rows, tell, db } = setUp();
  const id = newUuid();
  domains.set(id, reading('a', 'running'));
  await rows.put({
    uuid: id,
    desired: 'running',
    isProtected: true,
    tags: [],
    managed: true,
    createdAt: '2026-01-01T00:00:00.000Z',
    operationId: 'op-x',
    moved: null,
  });
  await inventory.resync();
  domains.set(id, reading('a', 'crashed'));
  await tell(domainEvent(id, null));
  assert.equal(api.vm(id)?.desired, 'running');
  domains.set(id, reading('a', 'off'));
  await tell(domainEvent(id, 'off'));
  await api.refresh(id);
  assert.equal(api.vm(id)?.desired, 'off');
  const again = createVmRows(db);
  await again.load();
  assert.deepEqual(again.get(id), rows.get(id));
  assert.equal(again.get(id)?.isProtected, true);
});

test('a VM that moved to another host is not wanted here until it runs here again, and whoever listens hears of both', async () => {
  const { domains, api, inventory, rows, tell, clock } = setUp();
  const id = newUuid();
  const moves: string[] = [];
  const end = api.onMove((vmId, move) => moves.push(`${vmId} ${move}`));
  domains.set(id, reading('a', 'running'));
  await rows.put({
    uuid: id,
    desired: 'running',
    isProtected: false,
    tags: [],
    managed: true,
    createdAt: null,
    operationId: null,
    moved: null,
  });
  await inventory.resync();
  domains.set(id, reading('a', 'off'));
  await tell(domainEvent(id, 'off', 'away'));
  assert.deepEqual(
    [rows.get(id)?.desired, rows.get(id)?.moved?.at, rows.get(id)?.moved?.domainName],
    ['off', clock.now().toISOString(), 'a'],
  );
  domains.set(id, reading('a', 'running'));
  await tell(domainEvent(id, 'running', 'here'));
  assert.deepEqual([rows.get(id)?.desired, rows.get(id)?.moved], ['running', null]);
  assert.deepEqual(moves, [`${id} away`, `${id} here`]);
  end();
  await tell(domainEvent(id, 'off', 'away'));
  assert.equal(moves.length, 2);
});

test('the etag changes with definition, autostart and protection, and with nothing else', async () => {
  const { domains, api, inventory, rows } = setUp();
  const id = newUuid();
  domains.set(id, reading('a'));
  await inventory.resync();
  const first = api.vm(id)?.etag;
  domains.set(id, reading('a', 'running'));
  await api.refresh(id);
  assert.equal(api.vm(id)?.etag, first);
  domains.set(id, { ...reading('a', 'running'), autostart: true });
  await api.refresh(id);
  const second = api.vm(id)?.etag;
  assert.notEqual(second, first);
  await rows.put({
    uuid: id,
    desired: 'running',
    isProtected: true,
    tags: [],
    managed: false,
    createdAt: null,
    operationId: null,
    moved: null,
  });
  api.redraw(id);
  assert.notEqual(api.vm(id)?.etag, second);
});

test('waiting ends with the state, with the time, and with the signal', async () => {
  const { domains, api, inventory, clock } = setUp();
  const id = newUuid();
  domains.set(id, reading('a'));
  await inventory.resync();
  const never = new AbortController().signal;
  const running = api.waitFor(id, (vm) => vm?.state === 'running', 1000, never);
  domains.set(id, reading('a', 'running'));
  await api.refresh(id);
  assert.equal((await running)?.state, 'running');
  const late = api.waitFor(id, (vm) => vm === null, 1000, never);
  const check = assert.rejects(late, { code: 'timeout' });
  await clock.advance(1000);
  await check;
  const stopping = new AbortController();
  const stopped = assert.rejects(
    api.waitFor(id, (vm) => vm === null, 1000, stopping.signal),
    /stop/,
  );
  stopping.abort(new Error('stop'));
  await stopped;
});

test('ten thousand and one changes at once make one full look, not ten thousand', async () => {
  const { inventory, overflows, host } = setUp();
  const start = host.reads;
  for (let n = 0; n < 10_001; n += 1) inventory.onHostEvent(domainEvent(`vm-${n}`));
  await turn();
  assert.equal(overflows(), 1);
  assert.ok(host.reads - start < 10);
});

test('the list is sorted by name, found by id or name, and not made anew for each reader', async () => {
  const { domains, api, inventory } = setUp();
  for (const name of ['b', 'c', 'a']) domains.set(newUuid(), reading(name));
  await inventory.resync();
  assert.deepEqual(
    api.vms().map((vm) => vm.name),
    ['a', 'b', 'c'],
  );
  assert.equal(api.vms(), api.vms());
  assert.equal(api.vm('b')?.name, 'b');
  const id = api.vm('b')?.id ?? '';
  domains.set(id, reading('z'));
  await api.refresh(id);
  assert.equal(api.vm('b'), null);
  assert.equal(api.vm('z')?.id, id);
  assert.deepEqual(
    api.vms().map((vm) => vm.name),
    ['a', 'c', 'z'],
  );
});

test('users of a file are known by disk, kernel and firmware variables', async () => {
  const { domains, api, inventory } = setUp();
  const id = newUuid();
  domains.set(
    id,
    reading('a', 'off', {
      kernelPath: '/k',
      nvramPath: '/n',
      disks: [
        { target: 'vda', device: 'disk', bus: 'virtio', format: 'raw', path: '/d', readOnly: false, bootOrder: 1 },
      ],
    }),
  );
  await inventory.resync();
  for (const path of ['/k', '/n', '/d'])
    assert.deepEqual(api.fileUsers(path), [{ vmId: id, name: 'a', project: 'default' }]);
  assert.deepEqual(api.fileUsers('/other'), []);
});

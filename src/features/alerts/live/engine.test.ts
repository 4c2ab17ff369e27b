import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { AppError } from '#kernel/errors.ts';
import { openDatabase } from '#platform/db/database.ts';
import {
  createFakeMachine,
  type FakeDaemonOptions,
  hostSample,
  startFakeDaemon,
  stateSample,
  vmOperation,
  vmSample,
} from '../fake-host.ts';
import { ABSOLUTE_CAP_MS } from '../masks.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/** The user's three, as they stand in the documentation. */
const THREE: FakeDaemonOptions['rules'] = [
  { name: 'vm_down', condition: 'vm_state != running', severity: 'critical', cooldown: '5m' },
  { name: 'disk_full', condition: 'disk_usage > 85%', severity: 'warning' },
  { name: 'cpu_high', condition: 'cpu_usage > 90% for 5m', severity: 'warning' },
];

async function withFolder(work: (databaseFile: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'hv-alerts-'));
  try {
    await work(join(folder, 'state.db'));
  } finally {
    await rm(folder, { recursive: true });
  }
}

const idsOf = (machine: ReturnType<typeof createFakeMachine>): string[] => [...machine.vms.keys()];
const LIBVIRT_UP = hostSample('libvirt_up', 1);
const kindsOf = (notices: readonly { kind: string; entity: { name: string } }[]) =>
  notices.map(({ kind, entity }) => `${kind} ${entity.name}`);

test('a crashed VM fires once and ends once; one that its owner stopped says nothing', () =>
  withFolder(async (databaseFile) => {
    const machine = createFakeMachine(['web1', 'web2']);
    const [web1 = '', web2 = ''] = idsOf(machine);
    const daemon = await startFakeDaemon({ machine, database: databaseFile, rules: THREE });
    const run = async (count: number, one: 'running' | 'crashed', two: 'running' | 'off') => {
      for (let n = 0; n < count; n += 1)
        await daemon.tick([LIBVIRT_UP, stateSample(web1, one), stateSample(web2, two)]);
    };
    await run(3, 'running', 'running');
    const stopped = machine.vms.get(web2);
    assert.ok(stopped);
    machine.vms.set(web2, { ...stopped, state: 'off', desired: 'off' });
    await run(20, 'crashed', 'off');
    assert.deepEqual(kindsOf(daemon.notices), ['firing web1']);
    await run(10, 'running', 'off');
    assert.deepEqual(kindsOf(daemon.notices), ['firing web1', 'resolved web1']);
    await daemon.close();
  }));

test('alerts of a VM end when it is deleted and when its owner stops it, with the reason', () =>
  withFolder(async (databaseFile) => {
    const machine = createFakeMachine(['web1', 'web2']);
    const [web1 = '', web2 = ''] = idsOf(machine);
    const daemon = await startFakeDaemon({ machine, database: databaseFile, rules: THREE });
    const busy = [LIBVIRT_UP, vmSample(web1, 'cpu_usage', 0.99), vmSample(web2, 'cpu_usage', 0.99)];
    for (let n = 0; n < 32; n += 1) await daemon.tick(busy);
    assert.deepEqual(kindsOf(daemon.notices), ['firing web1', 'firing web2']);
    machine.vms.delete(web1);
    const two = machine.vms.get(web2);
    assert.ok(two);
    machine.vms.set(web2, { ...two, state: 'off', desired: 'off' });
    await daemon.tick([LIBVIRT_UP]);
    const { items } = await daemon.store.events({ limit: 10, of: null });
    assert.deepEqual(
      items.map(({ kind, entity_name, reason }) => `${kind} ${entity_name} ${reason}`),
      ['resolved web2 stopped', 'resolved web1 removed', 'firing web2 null', 'firing web1 null'],
    );
    await daemon.close();
  }));

test('a restart with thirty firing alerts sends nothing and ends nothing', () =>
  withFolder(async (databaseFile) => {
    const machine = createFakeMachine(Array.from({ length: 30 }, (_, n) => `vm${n}`));
    const ids = idsOf(machine);
    const busy = [LIBVIRT_UP, ...ids.map((id) => vmSample(id, 'cpu_usage', 0.99))];
    const first = await startFakeDaemon({ machine, database: databaseFile, rules: THREE });
    for (let n = 0; n < 32; n += 1) await first.tick(busy);
    assert.equal(first.notices.length, 30);
    await first.close();
    for (const awayMs of [5000, 3 * HOUR_MS]) {
      await machine.clock.advance(awayMs);
      const again = await startFakeDaemon({ machine, database: databaseFile, rules: THREE });
      // Libvirt and the collectors need a moment: nothing is known at first.
      for (let n = 0; n < 3; n += 1) await again.tick([]);
      for (let n = 0; n < 40; n += 1) await again.tick(busy);
      assert.deepEqual(again.notices, []);
      assert.equal(again.engine.all().filter(({ state }) => state === 'firing').length, 30);
      const { items } = await again.store.events({ limit: 100, of: null });
      assert.equal(items.length, 30);
      await again.close();
    }
  }));

test('a short restart does not begin the waiting anew, a boot of the host does', () =>
  withFolder(async (databaseFile) => {
    const machine = createFakeMachine(['web1']);
    const [web1 = ''] = idsOf(machine);
    const busy = [LIBVIRT_UP, vmSample(web1, 'cpu_usage', 0.99)];
    const first = await startFakeDaemon({ machine, database: databaseFile, rules: THREE });
    for (let n = 0; n < 29; n += 1) await first.tick(busy);
    await first.close();
    const second = await startFakeDaemon({ machine, database: databaseFile, rules: THREE });
    for (let n = 0; n < 2; n += 1) await second.tick(busy);
    assert.deepEqual(kindsOf(second.notices), ['firing web1'], 'after five minutes in two lives');
    for (let n = 0; n < 8; n += 1) await second.tick([LIBVIRT_UP, vmSample(web1, 'cpu_usage', 0.1)]);
    assert.deepEqual(kindsOf(second.notices), ['firing web1', 'resolved web1']);
    for (let n = 0; n < 29; n += 1) await second.tick(busy);
    await second.close();
    machine.bootId = 'boot-2';
    const third = await startFakeDaemon({ machine, database: databaseFile, rules: THREE });
    for (let n = 0; n < 30; n += 1) await third.tick(busy);
    assert.deepEqual(third.notices, [], 'nobody knows what was while the host was down');
    await third.tick(busy);
    assert.deepEqual(kindsOf(third.notices), ['firing web1']);
    await third.close();
  }));

test('a wall clock that goes back an hour or ahead a year fires nothing and ends nothing', () =>
  withFolder(async (databaseFile) => {
    for (const jumpMs of [-HOUR_MS, 365 * 24 * HOUR_MS]) {
      const machine = createFakeMachine(['web1', 'web2', 'web3']);
      const [web1 = '', web2 = '', web3 = ''] = idsOf(machine);
      const file = `${databaseFile}${jumpMs}`;
      const daemon = await startFakeDaemon({ machine, database: file, rules: THREE });
      // One fires, one waits, one is well.
      const now = (waiting: number) => [
        LIBVIRT_UP,
        vmSample(web1, 'cpu_usage', 0.99),
        vmSample(web2, 'cpu_usage', waiting),
        vmSample(web3, 'cpu_usage', 0.1),
      ];
      for (let n = 0; n < 32; n += 1) await daemon.tick(now(n > 20 ? 0.99 : 0.1));
      assert.deepEqual(kindsOf(daemon.notices), ['firing web1']);
      machine.clock.jumpWall(jumpMs);
      for (let n = 0; n < 15; n += 1) await daemon.tick(now(0.99));
      assert.deepEqual(kindsOf(daemon.notices), ['firing web1']);
      await daemon.close();
      const again = await startFakeDaemon({ machine, database: file, rules: THREE });
      await again.tick(now(0.99));
      assert.deepEqual(again.notices, []);
      for (let n = 0; n < 10; n += 1) await again.tick(now(0.99));
      assert.deepEqual(kindsOf(again.notices), ['firing web2'], 'five minutes by the clock that never jumps');
      await again.close();
    }
  }));

test('while libvirt is away alerts of VMs stay as they are, and go on afterwards', () =>
  withFolder(async (databaseFile) => {
    const machine = createFakeMachine(['web1']);
    const [web1 = ''] = idsOf(machine);
    const rules = [...THREE, { name: 'libvirt_down', condition: 'libvirt_up == 0 for 1m' }];
    const daemon = await startFakeDaemon({ machine, database: databaseFile, rules });
    const crashed = [LIBVIRT_UP, stateSample(web1, 'crashed')];
    for (let n = 0; n < 4; n += 1) await daemon.tick(crashed);
    for (let n = 0; n < 60; n += 1) await daemon.tick([hostSample('libvirt_up', 0)]);
    assert.deepEqual(kindsOf(daemon.notices), ['firing web1', 'firing host1']);
    for (let n = 0; n < 10; n += 1) await daemon.tick(crashed);
    assert.deepEqual(kindsOf(daemon.notices), ['firing web1', 'firing host1', 'resolved host1']);
    await daemon.close();
  }));

test('an operation hides what it does to its VM, and a crash in it fires once it may hide no longer', () =>
  withFolder(async (databaseFile) => {
    const machine = createFakeMachine(['web1', 'web2']);
    const [web1 = '', web2 = ''] = idsOf(machine);
    const daemon = await startFakeDaemon({ machine, database: databaseFile, rules: THREE });
    const both = (one: 'running' | 'off' | 'crashed', two: 'running' | 'crashed') => [
      LIBVIRT_UP,
      stateSample(web1, one),
      stateSample(web2, two),
    ];
    for (let n = 0; n < 3; n += 1) await daemon.tick(both('running', 'running'));
    daemon.masks.operationChanged(vmOperation('op-1', web1, { kind: 'vm.reboot', title: 'Restart web1' }));
    daemon.masks.operationChanged(vmOperation('op-2', web2, { kind: 'vm.reboot', title: 'Restart web2' }));
    for (let n = 0; n < 6; n += 1) await daemon.tick(both('off', 'crashed'));
    assert.equal(daemon.notices.length, 0);
    const hidden = daemon.engine.all().filter(({ state }) => state === 'suppressed');
    assert.deepEqual(
      hidden.map(({ maskedBy }) => maskedBy?.title),
      ['Restart web1', 'Restart web2'],
    );
    daemon.masks.operationChanged(vmOperation('op-1', web1, { kind: 'vm.reboot', state: 'done' }));
    // web2's operation hangs: after five minutes without progress and two of grace it hides nothing any more.
    for (let n = 0; n < 60; n += 1) await daemon.tick(both('running', 'crashed'));
    assert.deepEqual(kindsOf(daemon.notices), ['firing web2']);
    const [notice] = daemon.notices;
    assert.match(notice?.text ?? '', /was masked by "Restart web2" from 00:00 to 00:0\d UTC/);
    assert.equal(notice?.startedAtMs, Date.parse('2026-01-01T00:00:40Z'), 'since when it was wrong');
    const firedAfterMs = Date.parse(daemon.engine.all().find(({ state }) => state === 'firing')?.since ?? '');
    assert.ok(firedAfterMs - (notice?.startedAtMs ?? 0) <= 7 * MINUTE_MS + 10_000);
    await daemon.close();
  }));

test('progress keeps an operation hiding, up to four hours', () =>
  withFolder(async (databaseFile) => {
    const machine = createFakeMachine(['web1']);
    const [web1 = ''] = idsOf(machine);
    const daemon = await startFakeDaemon({ machine, database: databaseFile, rules: THREE });
    const crashed = [LIBVIRT_UP, stateSample(web1, 'crashed')];
    for (let n = 0; n < 5 * 60; n += 1) {
      const progress = { ratio: n / 300, doneBytes: null, totalBytes: null, bytesPerSecond: null, note: null };
      daemon.masks.operationChanged(vmOperation('op-1', web1, { kind: 'vm.migrate', progress }));
      await daemon.tick(crashed, n < 3 ? 10_000 : MINUTE_MS);
    }
    const [notice, ...more] = daemon.notices;
    assert.deepEqual(more, []);
    const [alert] = daemon.engine.all();
    const hiddenMs = Date.parse(alert?.since ?? '') - (notice?.startedAtMs ?? 0);
    assert.ok(Math.abs(hiddenMs - ABSOLUTE_CAP_MS) <= 2 * MINUTE_MS, `${hiddenMs} ms`);
    await daemon.close();
  }));

test('the history tells the figure of each change and the limit, and when a rule fired last however much happened since', () =>
  withFolder(async (databaseFile) => {
    const machine = createFakeMachine(['web1', 'web2']);
    const [web1 = '', web2 = ''] = idsOf(machine);
    const rules = [{ name: 'busy', condition: 'cpu_usage > 90%', keepFiring: '0s' }];
    const db = openDatabase(databaseFile);
    const daemon = await startFakeDaemon({ machine, database: db, rules });
    const cpu = async (value: number) => daemon.tick([LIBVIRT_UP, vmSample(web1, 'cpu_usage', value)]);
    for (const value of [0.93, 0.97, 0.2]) await cpu(value);
    const { items } = await daemon.store.events({ limit: 10, of: null });
    assert.deepEqual(
      items.map(({ kind, value_text, limit_text }) => `${kind}: ${value_text}, ${limit_text}`),
      ['resolved: 20 %, > 90 %', 'firing: 97 %, > 90 %'],
    );
    const [ended, fired] = items;
    assert.ok(ended && fired);
    const { id: _id, ...of } = { ...ended, rule_id: 'config:other', kind: 'firing', at_ms: ended.at_ms + 1000 };
    await db.transaction(async (tx) => {
      for (let n = 0; n < 1200; n += 1) await daemon.store.addEvent(tx, of);
    });
    assert.equal(await daemon.store.lastFiredMs(fired.rule_id, null), fired.at_ms);
    assert.equal(await daemon.store.lastFiredMs(fired.rule_id, { projects: [], vms: [web1] }), fired.at_ms);
    assert.equal(await daemon.store.lastFiredMs(fired.rule_id, { projects: [], vms: [web2] }), null);
    await daemon.close();
  }));

test('of VMs that come and go nothing is kept when nothing was wrong with them', () =>
  withFolder(async (databaseFile) => {
    const names = Array.from({ length: 20 }, (_, n) => `web${n}`);
    const machine = createFakeMachine(names);
    const rules = [{ name: 'silent', condition: 'cpu_usage > 90%', noData: 'alert' as const, keepFiring: '0s' }];
    const db = openDatabase(databaseFile);
    const daemon = await startFakeDaemon({ machine, database: db, rules });
    // Measured once, then silent for less than it takes to fire, then gone for good.
    for (const id of idsOf(machine)) {
      await daemon.tick([LIBVIRT_UP, vmSample(id, 'cpu_usage', 0.1)]);
      for (let silent = 0; silent < 4; silent += 1) await daemon.tick([LIBVIRT_UP]);
      assert.equal(daemon.engine.all().length, 1, 'it is waited for');
      machine.figures.forget(id);
      machine.vms.delete(id);
    }
    for (let n = 0; n < 3; n += 1) await daemon.tick([LIBVIRT_UP]);
    assert.deepEqual(daemon.engine.all(), []);
    assert.deepEqual(await daemon.store.alerts(), []);
    await daemon.close();
  }));

test('figures that nothing may hide are not hidden', () =>
  withFolder(async (databaseFile) => {
    const machine = createFakeMachine(['web1']);
    const [web1 = ''] = idsOf(machine);
    const rules = [{ name: 'stuck', condition: 'vm_monitor_stuck > 30s' }];
    const daemon = await startFakeDaemon({ machine, database: databaseFile, rules });
    daemon.masks.operationChanged(vmOperation('op-1', web1));
    for (let n = 0; n < 4; n += 1) await daemon.tick([LIBVIRT_UP, vmSample(web1, 'vm_monitor_stuck', 60)]);
    assert.deepEqual(kindsOf(daemon.notices), ['firing web1']);
    await daemon.close();
  }));

test('a transition that cannot be written is neither told nor forgotten: the next tick makes it', () =>
  withFolder(async (databaseFile) => {
    const machine = createFakeMachine(['web1']);
    const [web1 = ''] = idsOf(machine);
    let isBroken = true;
    const told: string[] = [];
    const daemon = await startFakeDaemon({
      machine,
      database: databaseFile,
      rules: THREE,
      announcer: {
        async announce(tx, { kind }) {
          if (isBroken) throw new AppError('unavailable');
          tx.afterCommit(() => told.push(kind));
        },
        announceEvent: async () => undefined,
        acknowledge: async () => undefined,
      },
    });
    const crashed = [LIBVIRT_UP, stateSample(web1, 'crashed')];
    await daemon.tick(crashed);
    await assert.rejects(daemon.tick(crashed));
    assert.deepEqual((await daemon.store.events({ limit: 10, of: null })).items, []);
    assert.deepEqual(
      daemon.engine.all().map(({ state }) => state),
      ['pending'],
    );
    isBroken = false;
    await daemon.tick(crashed);
    assert.deepEqual(told, ['firing']);
    await daemon.close();
  }));

test('somebody acknowledges what fires, and nothing else; it is kept', () =>
  withFolder(async (databaseFile) => {
    const machine = createFakeMachine(['web1']);
    const [web1 = ''] = idsOf(machine);
    const daemon = await startFakeDaemon({ machine, database: databaseFile, rules: THREE });
    const crashed = [LIBVIRT_UP, stateSample(web1, 'crashed')];
    await daemon.tick(crashed);
    const [alert] = daemon.engine.all();
    assert.ok(alert);
    await assert.rejects(daemon.engine.acknowledge(alert.id, 'ann', null), { code: 'alert_not_active' });
    await daemon.tick(crashed);
    const { acknowledged } = await daemon.engine.acknowledge(alert.id, 'ann', 'a disk is on its way');
    assert.deepEqual([acknowledged?.by, acknowledged?.note], ['ann', 'a disk is on its way']);
    await daemon.close();
    const again = await startFakeDaemon({ machine, database: databaseFile, rules: THREE });
    assert.deepEqual(again.engine.get(alert.id)?.acknowledged, acknowledged);
    await again.close();
  }));

test('a rule that is gone or switched off takes its alerts along, over a restart too', () =>
  withFolder(async (databaseFile) => {
    const machine = createFakeMachine(['web1']);
    const [web1 = ''] = idsOf(machine);
    const crashed = [LIBVIRT_UP, stateSample(web1, 'crashed')];
    const daemon = await startFakeDaemon({ machine, database: databaseFile, rules: THREE });
    for (let n = 0; n < 3; n += 1) await daemon.tick(crashed);
    await daemon.close();
    const without = await startFakeDaemon({ machine, database: databaseFile, rules: THREE.slice(1) });
    assert.deepEqual(kindsOf(without.notices), ['resolved web1']);
    assert.equal(without.notices[0]?.rule.name, 'vm_down');
    assert.deepEqual(without.engine.all(), []);
    await without.close();
  }));

test('a rule whose condition is wrong is off and says why; the others are evaluated', () =>
  withFolder(async (databaseFile) => {
    const machine = createFakeMachine(['web1']);
    const [web1 = ''] = idsOf(machine);
    const rules = [{ name: 'bad', condition: 'vm_state ~~ x' }, ...THREE];
    const daemon = await startFakeDaemon({ machine, database: databaseFile, rules });
    const bad = daemon.rules.get('bad');
    assert.ok(bad?.running === null && bad.problems.length > 0);
    for (let n = 0; n < 2; n += 1) await daemon.tick([LIBVIRT_UP, stateSample(web1, 'crashed')]);
    assert.deepEqual(kindsOf(daemon.notices), ['firing web1']);
    await daemon.close();
  }));

test('rules fire over figures that come once a minute, as on a host with many VMs', () =>
  withFolder(async (databaseFile) => {
    const machine = createFakeMachine(['web1']);
    const [web1 = ''] = idsOf(machine);
    machine.figures.leastPeriodMs = MINUTE_MS;
    const daemon = await startFakeDaemon({
      machine,
      database: databaseFile,
      rules: [
        { name: 'held', condition: 'cpu_usage > 90% for 5m' },
        { name: 'average', condition: 'avg(cpu_usage, 15m) > 90%' },
      ],
    });
    for (let n = 0; n <= 15 * 6; n += 1)
      await daemon.tick([
        LIBVIRT_UP,
        stateSample(web1, 'running'),
        ...(n % 6 === 0 ? [vmSample(web1, 'cpu_usage', 0.95)] : []),
      ]);
    assert.deepEqual(daemon.notices.map(({ kind, rule }) => `${kind} ${rule.name}`).sort(), [
      'firing average',
      'firing held',
    ]);
    await daemon.close();
  }));

test('a disk that is too hot is told of though SMART says so twice an hour only', () =>
  withFolder(async (databaseFile) => {
    const machine = createFakeMachine([]);
    machine.figures.leastPeriodMs = 30 * MINUTE_MS;
    const daemon = await startFakeDaemon({
      machine,
      database: databaseFile,
      rules: [{ name: 'hot', condition: 'temperature{kind=disk} > 60°C for 10m' }],
    });
    const hot = {
      key: { owner: { type: 'host', id: 'host1' }, kind: 'disk', sub: 'sda', metric: 'temperature' },
      value: 66,
    } as const;
    for (let n = 0; n < 70; n += 1) await daemon.tick([LIBVIRT_UP, ...(n === 0 ? [hot] : [])]);
    assert.deepEqual(
      daemon.notices.map(({ kind, rule }) => `${kind} ${rule.name}`),
      ['firing hot'],
    );
    await daemon.close();
  }));

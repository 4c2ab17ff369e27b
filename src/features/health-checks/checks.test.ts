import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { HEALTH_LIMITS } from '#contract/health-limits.ts';
import { conclude, defineHealthChecks, type HealthCheck, levelOf, limitOf, runCheck } from './check.ts';
import { healthCheckList } from './checks/index.ts';
import { FIXTURES } from './checks.test-data.ts';
import { contextOf, type FakeWorld, NOW_MS, numberOf, ofHost, ofVm, vm } from './world.test-data.ts';

const never = new AbortController().signal;
const STATUSES = ['ok', 'warn', 'fail', 'unknown'] as const;

function named(id: string): HealthCheck {
  const found = healthCheckList.find((check) => check.id === id);
  assert.ok(found, id);
  return found;
}
const run = (id: string, world: FakeWorld) => runCheck(named(id), contextOf(world), never);

describe('each health check', () => {
  let cases = 0;
  for (const check of healthCheckList)
    for (const wanted of STATUSES)
      test(`${check.number} ${check.id}: ${wanted}`, async () => {
        const fixtures = FIXTURES[check.id];
        assert.ok(fixtures, 'has fixtures');
        const expected = wanted === 'unknown' ? wanted : (fixtures.instead?.[wanted] ?? wanted);
        const finding = await runCheck(check, contextOf(fixtures[wanted]), never);
        assert.equal(finding?.status, expected, JSON.stringify(finding));
        assert.ok(finding.evidence.length > 0);
        if (expected !== 'ok') assert.ok(finding.hint, 'says what to do');
        assert.ok(!/undefined|NaN|Infinity|null/.test(`${finding.evidence}${finding.hint ?? ''}`), finding.evidence);
        cases += 1;
      });
  test('all were tried', () => {
    say(`${healthCheckList.length} checks, ${cases} cases`);
    assert.equal(cases, healthCheckList.length * STATUSES.length);
    assert.equal(healthCheckList.length, 51);
    assert.deepEqual(
      healthCheckList.map(({ number }) => number),
      Array.from({ length: 51 }, (_, n) => n + 1),
    );
  });
});

/** For whoever reads the log of the tests. */
function say(text: string): void {
  process.stdout.write(`# ${text}\n`);
}

test('what is not here is not in the list: it is neither ok nor noise', async () => {
  const absent = healthCheckList
    .map(({ id }) => id)
    .filter((id) => /^(zfs|ceph|pools\.(thin|overcommit)|vms|backups|hosts|disks\.|hardware\.(ups|mem|temp))/.test(id));
  assert.ok(absent.length > 15);
  for (const id of absent) assert.equal(await run(id, {}), null, id);
});

test('a check that throws, or that does not come to an end, is unknown', { timeout: 20_000 }, async () => {
  const base = { number: 1, title: 'x', meaning: 'x', limits: [], everyMs: 1 };
  const throws: HealthCheck = { ...base, id: 'a.throws', run: () => Promise.reject(new Error('broken')) };
  const throwsAtOnce: HealthCheck = {
    ...base,
    id: 'a.at-once',
    run: () => {
      throw new Error('broken');
    },
  };
  const hangs: HealthCheck = { ...base, id: 'a.hangs', run: () => new Promise(() => undefined) };
  const started = performance.now();
  for (const check of [throws, throwsAtOnce, hangs]) {
    const finding = await runCheck(check, contextOf({}), never);
    assert.equal(finding?.status, 'unknown', check.id);
  }
  const tookMs = performance.now() - started;
  assert.ok(tookMs > 4_900 && tookMs < 8_000, `${tookMs} ms`);
});

test('nothing looked at is not ok', () => {
  assert.equal(conclude([], 'all well', 'look').status, 'unknown');
  assert.equal(
    conclude([{ name: 'web1', status: 'fail', detail: 'No schedule backs it up.' }], 'all well', 'look').evidence,
    'web1: No schedule backs it up.',
  );
});

test('a finding about many things is as bad as the worst, names three and keeps twenty', () => {
  const items = Array.from({ length: 40 }, (_, n) => ({
    name: `d${n}`,
    status: n === 33 ? ('fail' as const) : ('warn' as const),
    detail: 'x',
  }));
  const finding = conclude(items, 'all well', 'look');
  assert.equal(finding.status, 'fail');
  assert.equal(finding.items.length, 20);
  assert.equal(finding.items[0]?.name, 'd33');
  assert.match(finding.evidence, /^d33: x; d0: x; d1: x; and 37 more\.$/);
});

test('limits: the edge counts, both sides work, settings replace them, and null switches a level off', () => {
  assert.equal(levelOf(0.85, HEALTH_LIMITS['host.cpu']), 'warn');
  assert.equal(levelOf(0.849, HEALTH_LIMITS['host.cpu']), 'ok');
  assert.equal(levelOf(0.05, HEALTH_LIMITS['host.memory']), 'fail');
  assert.equal(levelOf(0.9, limitOf('host.cpu', { 'host.cpu': { warn: 0.95, fail: null } })), 'ok');
  assert.equal(levelOf(1, limitOf('host.cpu', { 'host.cpu': { fail: null } })), 'warn');
});

test('ids and numbers are each given once', () => {
  const one = named('host.cpu');
  assert.throws(() => defineHealthChecks([[one], [{ ...one, number: 2 }]]), /defined twice/);
  assert.throws(() => defineHealthChecks([[one, { ...one, id: 'host.other' }]]), /have the number 1/);
  assert.throws(() => defineHealthChecks([[{ ...one, id: 'cpu' }]]), /not group\.thing/);
});

test('a copy that is made by hand is never late, and one that failed and is late is as bad as it is late', async () => {
  const hours = (n: number) => NOW_MS - n * 3_600_000;
  const base = { repositoryId: 'repo-1', name: 'offsite', missing: 2, succeededAtMs: null };
  const copies = (more: { isEnabled: boolean; waitingSinceMs: number; problem: string | null }) =>
    run('backups.copies', { facts: { copies: () => [{ ...base, ...more }] } });
  assert.equal((await copies({ isEnabled: false, waitingSinceMs: hours(900), problem: null }))?.status, 'ok');
  assert.equal((await copies({ isEnabled: true, waitingSinceMs: hours(30), problem: null }))?.status, 'warn');
  const both = await copies({ isEnabled: true, waitingSinceMs: hours(80), problem: 'nas:22 refuses the connection.' });
  assert.equal(both?.status, 'fail');
  assert.match(
    both?.evidence ?? '',
    /offsite: the last copy failed: nas:22 refuses.*2 restore points and states missing there/,
  );
});

test('a VM that an operation works on, or whose owner has just changed his mind, is no failure', async () => {
  const off = numberOf('vm_state', 'off');
  const running = numberOf('vm_state_desired', 'running');
  const world = (series: FakeWorld['series']): FakeWorld => ({
    series: series ?? [],
    facts: { vms: () => [vm('web1')] },
  });
  const busy = world([
    ofVm('web1', 'vm_state', off),
    ofVm('web1', 'vm_state_desired', running),
    ofVm('web1', 'vm_job', 6),
  ]);
  assert.equal((await run('vms.state', busy))?.status, 'ok');
  const changed = world([
    ofVm('web1', 'vm_state', off),
    ofVm('web1', 'vm_state_desired', (agoMs) => (agoMs > 60_000 ? numberOf('vm_state_desired', 'off') : running)),
  ]);
  assert.equal((await run('vms.state', changed))?.status, 'ok');
  const short = world([
    ofVm('web1', 'vm_state', (agoMs) => (agoMs > 60_000 ? 0 : off)),
    ofVm('web1', 'vm_state_desired', running),
  ]);
  assert.equal((await run('vms.state', short))?.status, 'ok');
});

test('a card that nothing is plugged into is no failure; one card of a bond is a warning, the whole bond a failure', async () => {
  const nic = (sub: string, up: number) => ofHost('nic_up', up, { kind: 'nic', sub });
  const folders = { '/sys/class/net/eth0/device': [], '/sys/class/net/eth1/device': [] };
  const unplugged = await run('network.cards', {
    series: [nic('eth0', 1), nic('eth1', 0)],
    folders,
  });
  assert.equal(unplugged?.status, 'ok');
  const bond = (up: number, down: number) => [
    nic('bond0', up),
    ofHost('bond_cards', 2, { kind: 'nic', sub: 'bond0' }),
    ofHost('bond_cards_down', down, { kind: 'nic', sub: 'bond0' }),
  ];
  const half = await run('network.cards', { series: [...bond(1, 1), nic('eth0', 1)], folders });
  assert.equal(half?.status, 'warn');
  assert.match(half?.evidence ?? '', /bond0: 1 of its 2 cards have no link/);
  assert.equal((await run('network.cards', { series: bond(0, 2) }))?.status, 'fail');
  assert.equal((await run('network.cards', { series: [...bond(1, 0), nic('eth0', 1)], folders }))?.status, 'ok');
});

test('a disk says what it counts: failed places and the newest self-test, where it tells of them', async () => {
  const disk = { kind: 'disk', sub: 'sda' } as const;
  const world = (state: string, selfTest: string): FakeWorld => ({
    series: [
      ofHost('smart_state', numberOf('smart_state', state), disk),
      ofHost('smart_pending', 8, disk),
      ofHost('smart_reallocated_total', 1, disk),
      ofHost('smart_uncorrectable', 0, disk),
      ofHost('smart_self_test', numberOf('smart_self_test', selfTest), disk),
    ],
  });
  const failed = await run('disks.smart', world('failed', 'failed'));
  assert.equal(failed?.status, 'fail');
  assert.match(failed?.evidence ?? '', /its newest self-test failed, 8 sectors wait to be replaced, 1 sector replaced/);
  const passed = await run('disks.smart', world('warning', 'passed'));
  assert.equal(passed?.status, 'warn');
  assert.doesNotMatch(passed?.evidence ?? '', /self-test|could not be read/);
});

test('the processor: a change is told for a day and is then what is normal; the first look remembers', async () => {
  const folder = '/sys/devices/system/cpu/vulnerabilities';
  const world = (text: string, memory?: string): FakeWorld => ({
    folders: { [folder]: ['meltdown'] },
    files: { [`${folder}/meltdown`]: text },
    ...(memory === undefined ? {} : { memory }),
  });
  const first = await run('hardware.cpu-features', world('Mitigation: PTI'));
  assert.equal(first?.status, 'ok');
  const changed = await run('hardware.cpu-features', world('Vulnerable', first?.memory));
  assert.equal(changed?.status, 'warn');
  const again = await run('hardware.cpu-features', world('Vulnerable', changed?.memory));
  assert.equal(again?.status, 'warn');
  assert.match(again?.evidence ?? '', /meltdown: Mitigation: PTI → Vulnerable/);
  const later = { ...contextOf(world('Vulnerable', changed?.memory)), nowMs: contextOf({}).nowMs + 86_400_001 };
  assert.equal((await runCheck(named('hardware.cpu-features'), later, never))?.status, 'ok');
});

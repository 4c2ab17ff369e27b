import assert from 'node:assert/strict';
import { test } from 'node:test';
import { METRICS } from '#contract/metric-catalogue.ts';
import { checkRule } from '#contract/rules/rule.ts';
import { compileRule, evaluateRule } from './evaluate.ts';
import { FakeView } from './fake-view.ts';
import { TickIndex } from './tick-index.ts';
import type { Outcome, SampleView } from './view.ts';

const STATES = METRICS.vm_state.values;
const state = (name: (typeof STATES)[number]) => STATES.indexOf(name);
const desired = (name: 'running' | 'off' | 'paused') => METRICS.vm_state_desired.values.indexOf(name);
const job = (name: (typeof METRICS.vm_job.values)[number]) => METRICS.vm_job.values.indexOf(name);
const HOUR_MS = 3_600_000;

function outcomes(text: string, view: SampleView, desiredOnly = true): readonly Outcome[] {
  const { rule, errors } = checkRule(text, { desiredOnly });
  assert.ok(rule, JSON.stringify(errors));
  return evaluateRule(compileRule(rule), view);
}

/** Name of each entity that has an outcome, with its truth. */
function truths(text: string, view: SampleView, desiredOnly = true): Readonly<Record<string, boolean | null>> {
  const name = ({ labels, entity }: Outcome) => labels['vm'] ?? (entity.sub || labels['host'] || '');
  return Object.fromEntries(outcomes(text, view, desiredOnly).map((one) => [name(one), one.truth]));
}

const house = () => new FakeView().host('h1').vm('web').vm('db1', { tags: 'db,prod' }).vm('db2', { tags: 'db' });

test('a threshold is judged for each entity of the metric, and a stale sample is unknown', () => {
  const view = house()
    .put('cpu_usage', 'host', 'h1', 0.95)
    .put('cpu_usage', 'vm', 'web', 0.5)
    .put('cpu_usage', 'vm', 'db1', 0.99, 30_000)
    .put('cpu_usage', 'vm', 'db2', 0.99, 30_001);
  assert.deepEqual(truths('cpu_usage > 90%', view), { h1: true, web: false, db1: true, db2: null });
  assert.deepEqual(truths('cpu_usage{kind=vm} > 90%', view), { web: false, db1: true, db2: null });
});

test('the true period of a series counts, not the one of the catalogue', () => {
  const slowly = class extends FakeView {
    override periodMs = () => 60_000;
  };
  const truthIn = (view: FakeView) =>
    truths('cpu_usage > 90%', view.host('h1').vm('web').put('cpu_usage', 'vm', 'web', 0.95, 170_000))['web'];
  assert.equal(truthIn(new FakeView()), null);
  assert.equal(truthIn(new slowly()), true);
});

test('a rule about many things is judged in steps, between which others have their turn', () => {
  const view = new FakeView().host('h1');
  for (let n = 0; n < 500; n += 1)
    view.vm(`vm${n}`).history('cpu_usage', 'vm', `vm${n}`, new Array(90).fill(n % 2 === 0 ? 0.99 : 0.1));
  const { rule } = checkRule('avg(cpu_usage, 15m) > 90%', { desiredOnly: true });
  assert.ok(rule);
  const compiled = compileRule(rule);
  const steps = compiled.judge(new TickIndex(view));
  let count = 1;
  let step = steps.next();
  for (; !step.done; step = steps.next()) count += 1;
  assert.ok(count > 500 / 20, `${count} steps`);
  assert.deepEqual(step.value, evaluateRule(compiled, view));
  assert.equal(step.value.filter(({ truth }) => truth).length, 250);
});

test('labels narrow a rule: names, globs, tags, projects', () => {
  const view = house().vm('shop1', { project: 'shop' });
  for (const vm of ['web', 'db1', 'db2', 'shop1']) view.put('cpu_usage', 'vm', vm, 1);
  const names = (text: string) => Object.keys(truths(`cpu_usage${text} > 90%`, view)).join(' ');
  assert.equal(names('{vm=db1}'), 'db1');
  assert.equal(names('{vm!=db1}'), 'web db2 shop1');
  assert.equal(names('{vm=~"db?"}'), 'db1 db2');
  assert.equal(names('{vm!~"*b*"}'), 'shop1');
  assert.equal(names('{tag=prod}'), 'db1');
  assert.equal(names('{tag!=db}'), 'web shop1');
  assert.equal(names('{tag=~"pr*"}'), 'db1');
  assert.equal(names('{project=shop}'), 'shop1');
  assert.equal(names('{host=h1, uuid=id-web}'), 'web');
});

test('vm_state covers VMs that should be running, unless the rule says otherwise', () => {
  const view = house()
    .put('vm_state', 'vm', 'web', state('off'))
    .put('vm_state_desired', 'vm', 'web', desired('off'))
    .put('vm_state', 'vm', 'db1', state('crashed'))
    .put('vm_state_desired', 'vm', 'db1', desired('running'))
    .put('vm_state', 'vm', 'db2', state('off'));
  assert.deepEqual(truths('vm_state != running', view), { db1: true, db2: null });
  assert.deepEqual(truths('vm_state != running', view, false), { web: true, db1: true, db2: true });
  assert.deepEqual(truths('vm_state == vm_state_desired', view), { web: true, db1: false, db2: null });
});

test('logic of three values: unknown stays unknown where it matters, and never silences', () => {
  const values = [true, false, null] as const;
  const expected: Readonly<Record<string, (a: boolean | null, b: boolean | null) => boolean | null>> = {
    and: (a, b) => (a === false || b === false ? false : a === null || b === null ? null : true),
    or: (a, b) => (a === true || b === true ? true : a === null || b === null ? null : false),
    unless: (a, b) => (b === true ? false : a),
  };
  for (const [operator, wanted] of Object.entries(expected)) {
    for (const a of values) {
      for (const b of values) {
        const view = house();
        view.put('libvirt_up', 'host', 'h1', a === true ? 1 : 0, a === null ? HOUR_MS : 0);
        view.put('conntrack_usage', 'host', 'h1', b === true ? 1 : 0, b === null ? HOUR_MS : 0);
        assert.equal(
          truths(`libvirt_up == 1 ${operator} conntrack_usage > 90%`, view)['h1'],
          wanted(a, b),
          `${a} ${operator} ${b}`,
        );
        assert.equal(truths('not libvirt_up == 1', view)['h1'], a === null ? null : !a);
      }
    }
  }
});

test('a condition of the host counts for its VMs, and the alert is about the VM', () => {
  const view = house().vm('far', { host: 'h2' });
  for (const vm of ['web', 'far']) view.put('cpu_steal', 'vm', vm, 0.5);
  view.put('load15_per_core', 'host', 'h1', 3).put('load15_per_core', 'host', 'h2', 1);
  assert.deepEqual(truths('cpu_steal > 20% and load15_per_core > 2', view), { web: true, far: false });
  assert.deepEqual(truths('cpu_steal > 20% unless load15_per_core > 2', view), { web: false, far: true });
  assert.deepEqual(truths('load15_per_core > 2 unless cpu_steal > 20%', view), { web: false, far: false });
  view.put('disk_latency', 'vdisk', 'web', 0.5, 0, 'vda').put('disk_latency', 'disk', 'h1', 0.5, 0, 'sda');
  assert.deepEqual(truths('disk_latency > 100ms and cpu_steal > 20%', view), { web: true });
});

test('both of the host stay of the host, however deep they lie', () => {
  const view = house();
  view.put('cpu_usage', 'host', 'h1', 0.95).put('cpu_usage', 'vm', 'web', 0.1);
  view.put('mem_usage', 'host', 'h1', 0.95).put('vm_agent_up', 'vm', 'web', 1);
  assert.deepEqual(truths('(cpu_usage > 90% and mem_usage{kind=host} > 90%) and vm_agent_up == 1', view), {
    web: true,
  });
});

test('what a side does not cover does not count', () => {
  const view = house();
  for (const vm of ['web', 'db1']) view.put('cpu_usage', 'vm', vm, 1).put('mem_usage', 'vm', vm, 1);
  assert.deepEqual(truths('cpu_usage{vm=db1} > 90% and mem_usage > 90%', view), { db1: true });
  assert.deepEqual(truths('cpu_usage{vm=db1} > 90% or mem_usage > 90%', view), { web: true, db1: true });
  assert.deepEqual(truths('cpu_usage > 90% unless mem_usage{vm=db1} > 90%', view), { web: true, db1: false });
});

test('a firing alert clears by its own threshold, or at the usual distance', () => {
  const clear = (text: string, value: number) =>
    outcomes(text, house().put('cpu_usage', 'host', 'h1', value)).map(({ truth, isClear }) => [truth, isClear])[0];
  assert.deepEqual(clear('cpu_usage > 90%', 0.87), [false, false]);
  assert.deepEqual(clear('cpu_usage > 90%', 0.85), [false, true]);
  assert.deepEqual(clear('cpu_usage > 90%', 0.91), [true, false]);
  assert.deepEqual(clear('cpu_usage > 90% clear 70%', 0.71), [false, false]);
  assert.deepEqual(clear('cpu_usage > 90% clear 70%', 0.7), [false, true]);
  assert.deepEqual(clear('90% < cpu_usage clear 70%', 0.7), [false, true]);
  assert.deepEqual(clear('cpu_usage < 10%', 0.14), [false, false]);
  assert.deepEqual(clear('cpu_usage < 10%', 0.15), [false, true]);
  assert.deepEqual(clear('not cpu_usage > 10%', 0.11), [false, true]);
  const other = (metric: 'disk_free' | 'snapshot_chain' | 'mem_psi_full', value: number, text: string) => {
    const kind = metric === 'disk_free' ? 'fs' : metric === 'snapshot_chain' ? 'vm' : 'host';
    const view = house().put(metric, kind, kind === 'vm' ? 'web' : 'h1', value, 0, kind === 'fs' ? '/' : '');
    return outcomes(text, view)[0]?.isClear;
  };
  assert.equal(other('disk_free', 104, 'disk_free < 100 B'), false);
  assert.equal(other('disk_free', 105, 'disk_free < 100 B'), true);
  assert.equal(other('snapshot_chain', 96, 'snapshot_chain > 100'), false);
  assert.equal(other('mem_psi_full', 0.006, 'mem_psi_full > 1%'), false);
  assert.equal(other('mem_psi_full', 0.005, 'mem_psi_full > 1%'), true, 'a small ratio can clear');
});

test('an unknown figure neither fires nor clears', () => {
  const [outcome] = outcomes('cpu_usage > 90%', house().put('cpu_usage', 'host', 'h1', 0.1, HOUR_MS));
  assert.deepEqual([outcome?.truth, outcome?.isClear, outcome?.value], [null, null, null]);
});

test('averages need four fifths of their samples', () => {
  const history = (present: number) =>
    house().history(
      'cpu_usage',
      'host',
      'h1',
      Array.from({ length: 30 }, (_, n) => (n < 30 - present ? null : 1)),
    );
  assert.equal(truths('avg(cpu_usage, 5m) > 90%', history(24))['h1'], true);
  assert.equal(truths('avg(cpu_usage, 5m) > 90%', history(23))['h1'], null);
  const mixed = house().history(
    'cpu_usage',
    'host',
    'h1',
    Array.from({ length: 30 }, (_, n) => (n % 2 === 0 ? 0.2 : 0.8)),
  );
  assert.deepEqual(
    ['avg', 'min', 'max'].map((name) => outcomes(`${name}(cpu_usage, 5m) > 90%`, mixed)[0]?.value?.toFixed(3)),
    ['0.500', '0.200', '0.800'],
  );
});

test('counts: growth without what was lost when they began anew, and by second', () => {
  const view = house().history('oom_kill_total', 'host', 'h1', [5, 6, 0, 2, 2, 3]);
  assert.equal(outcomes('increase(oom_kill_total, 1m) >= 3', view)[0]?.value, 4);
  assert.equal(outcomes('rate(oom_kill_total, 1m) > 0', view)[0]?.value, 4 / 50);
  assert.equal(outcomes('changes(oom_kill_total, 1m) > 0', view)[0]?.value, 4);
  // Written when it changes: what held at the start is the first.
  const crashes = house().put('vm_crash_total', 'vm', 'web', 2, 590_000).put('vm_crash_total', 'vm', 'web', 3, 60_000);
  assert.equal(outcomes('increase(vm_crash_total, 10m) >= 1', crashes)[0]?.truth, true);
  assert.equal(outcomes('increase(vm_crash_total, 2m) >= 1', crashes)[0]?.truth, false);
});

test('room divided by speed: what does not grow never fills it', () => {
  const filling = (values: readonly number[]) =>
    house().history('disk_used', 'pool', 'h1', values, 60_000).put('disk_free', 'pool', 'h1', 1e9);
  const grow = filling(Array.from({ length: 60 }, (_, n) => n * 6e6));
  assert.equal(Math.round(outcomes('disk_free / rate(disk_used, 1h) < 8h', grow)[0]?.value ?? 0), 10_000);
  assert.equal(truths('disk_free / rate(disk_used, 1h) < 8h', grow)['h1'], true);
  const shrink = filling(Array.from({ length: 60 }, (_, n) => 6e9 - n * 6e6));
  assert.equal(truths('disk_free / rate(disk_used, 1h) < 8h', shrink)['h1'], false);
});

test('age is negative before the moment; a forecast that nobody can make is unknown', () => {
  const view = house();
  view.put('cert_expiry', 'host', 'h1', view.nowMs / 1000 + 86_400, 7_200_000);
  view.put('cert_expiry', 'host', 'h1', view.nowMs / 1000 + 86_400);
  assert.equal(outcomes('age(cert_expiry) > -21d', view)[0]?.value, -86_400);
  view.put('disk_usage', 'pool', 'h1', 0.5);
  assert.equal(truths('predict(disk_usage, 7d) > 95%', view)['h1'], null);
  assert.equal(truths('predict(disk_usage, 7d) > 95%', view.willBe('disk_usage', 'pool', 'h1', 0.97))['h1'], true);
});

test('absent: what exists, should have a sample and has none', () => {
  const view = house().vm('young', { ageMs: 23 * HOUR_MS });
  view.put('backup_last_success', 'vm', 'db1', 1_600_000_000, 99 * HOUR_MS);
  assert.deepEqual(truths('absent(backup_last_success)', view), { web: true, db1: false, db2: true, young: false });
  assert.deepEqual(truths('absent(backup_last_success{vm="web"})', view), { web: true });
  view.forget('web');
  assert.deepEqual(truths('absent(backup_last_success{vm="web"})', view), {});
  for (const [vm, name] of [
    ['db1', 'running'],
    ['db2', 'off'],
  ] as const)
    view.put('vm_state', 'vm', vm, state(name));
  view.put('cpu_usage', 'vm', 'db1', 1, HOUR_MS);
  assert.deepEqual(truths('absent(cpu_usage{kind=vm, tag=db})', view), { db1: true, db2: false });
  assert.deepEqual(truths('absent(disk_usage{mount="/srv"})', view), { '/srv': true });
  view.put('disk_usage', 'fs', 'h1', 0.5, 0, '/srv');
  assert.deepEqual(truths('absent(disk_usage{mount="/srv"})', view), { '/srv': false });
});

test('count: by host, VM and project; unknown members leave it open only when they matter', () => {
  const view = house().host('h2').vm('far', { host: 'h2', project: 'shop' });
  for (const vm of ['web', 'db1', 'db2', 'far'])
    view.put('vm_state', 'vm', vm, state('paused')).put('vm_state_desired', 'vm', vm, desired('running'));
  assert.deepEqual(truths('count(vm_state == paused by host) >= 3', view), { h1: true, h2: false });
  assert.deepEqual(truths('count(vm_state == paused by project) >= 3', view), { default: true, shop: false });
  assert.equal(outcomes('count(vm_state == paused) >= 3', view)[0]?.value, 3);
  view.put('vm_state', 'vm', 'db2', state('paused'), -1).nowMs += 31_000;
  view.put('vm_state', 'vm', 'web', state('paused')).put('vm_state_desired', 'vm', 'web', desired('running'));
  assert.deepEqual(truths('count(vm_state == paused) >= 1', view), { h1: true, h2: null });
  assert.deepEqual(truths('count(vm_state == paused) >= 2', view), { h1: null, h2: false });
  assert.deepEqual(truths('count(vm_state == paused) > 3', view), { h1: false, h2: false });
  for (const disk of ['vda', 'vdb']) view.put('disk_latency', 'vdisk', 'web', 1, 0, disk);
  assert.deepEqual(truths('count(disk_latency > 100ms by vm) >= 2', view), {
    web: true,
    db1: false,
    db2: false,
    far: false,
  });
});

test('the figure that decided is shown', () => {
  const view = house().put('cpu_usage', 'host', 'h1', 0.5).put('mem_usage', 'host', 'h1', 0.97);
  assert.equal(outcomes('cpu_usage > 90% or mem_usage > 90%', view)[0]?.value, 0.97);
  assert.equal(outcomes('cpu_usage > 90% and mem_usage > 90%', view)[0]?.value, 0.5);
  view.put('mem_used', 'host', 'h1', 2 ** 30).put('libvirt_up', 'host', 'h1', 0);
  const shown = outcomes('cpu_usage > 90% or mem_used > 1 MiB', view)[0];
  assert.deepEqual([shown?.value, shown?.figure?.dimension], [2 ** 30, 'bytes']);
  assert.equal(outcomes('count(libvirt_up == 0) > 3', view)[0]?.figure?.dimension, 'count');
  view.put('vm_job', 'vm', 'web', job('backup')).put('cpu_usage', 'vm', 'web', 0.93);
  assert.deepEqual(
    outcomes('cpu_usage > 90% unless vm_job == backup', view).map(({ value, truth }) => [value, truth]),
    [[0.93, false]],
  );
});

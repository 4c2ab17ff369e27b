import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { metricsErrors } from '#contract/metrics.ts';
import { registerErrors } from '#kernel/errors.ts';
import {
  createFakeMachine,
  type FakeDaemonOptions,
  hostSample,
  startFakeDaemon,
  stateSample,
  vmOperation,
  vmSample,
} from '../fake-host.ts';
import { countMessages } from './count-messages.ts';

const seed = Number(process.env['HV_TEST_SEED'] ?? 1);
const hours = process.env['HV_TEST_FULL'] === '1' ? 24 : 4;
const TICKS_PER_HOUR = 360;

function randomOf(start: number): () => number {
  let state = start >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const RULES: FakeDaemonOptions['rules'] = [
  { name: 'vm_down', condition: 'vm_state != running', severity: 'critical' },
  { name: 'cpu_high', condition: 'cpu_usage > 90% for 5m' },
  { name: 'memory_low', condition: 'mem_usage > 92% for 1m', keepFiring: '3m', noData: 'ok' },
];

test(`a backtest over the figures of ${hours} hours finds the very episodes that fired live`, async () => {
  const next = randomOf(seed);
  const folder = await mkdtemp(join(tmpdir(), 'hv-backtest-'));
  const machine = createFakeMachine(['web1', 'web2', 'web3']);
  const daemon = await startFakeDaemon({ machine, database: join(folder, 'state.db'), rules: RULES });
  const fromMs = machine.clock.now().getTime();
  const vms = [...machine.vms.keys()].map((id) => ({
    id,
    cpu: 0.5,
    memory: 0.8,
    downFor: 0,
    silentFor: 0,
    busyFor: 0,
    fullFor: 0,
  }));
  let operations = 0;
  let libvirtDownFor = 0;
  for (let n = 0; n < hours * TICKS_PER_HOUR; n += 1) {
    if (next() < 0.001) libvirtDownFor = 1 + Math.floor(next() * 20);
    libvirtDownFor -= 1;
    const isUp = libvirtDownFor <= 0;
    const samples = [hostSample('libvirt_up', isUp ? 1 : 0)];
    for (const vm of vms) {
      if (next() < 0.01) vm.busyFor = Math.floor(next() * 90);
      if (next() < 0.005) vm.silentFor = Math.floor(next() * 20);
      if (next() < 0.006) vm.fullFor = 6 + Math.floor(next() * 40);
      if (next() < 0.006) {
        vm.downFor = Math.floor(next() * 30);
        if (next() < 0.5) {
          operations += 1;
          const operation = { kind: 'vm.reboot', title: `Restart ${operations}` };
          daemon.masks.operationChanged(vmOperation(`op-${operations}`, vm.id, operation));
          daemon.masks.operationChanged(vmOperation(`op-${operations}`, vm.id, { ...operation, state: 'done' }));
        }
      }
      vm.cpu = Math.min(1, Math.max(0, (vm.busyFor > 0 ? 0.95 : 0.4) + (next() - 0.5) * 0.08));
      vm.memory = Math.min(1, Math.max(0.5, vm.memory + (next() - 0.5) * 0.03));
      const memory = vm.fullFor > 0 ? 0.95 : vm.memory;
      for (const spell of ['busyFor', 'silentFor', 'downFor', 'fullFor'] as const) vm[spell] -= 1;
      if (!isUp || vm.silentFor > 0) continue;
      samples.push(
        stateSample(vm.id, vm.downFor > 0 ? 'crashed' : 'running'),
        vmSample(vm.id, 'cpu_usage', vm.cpu),
        vmSample(vm.id, 'mem_usage', memory),
      );
    }
    await daemon.tick(samples);
  }
  const toMs = machine.clock.now().getTime();
  const { items } = await daemon.store.events({ limit: 100_000, of: null });
  const events = items.toReversed();
  let compared = 0;
  let masked = 0;
  for (const rule of RULES) {
    const live = events
      .filter(({ rule_name, kind }) => rule_name === rule.name && (kind === 'firing' || kind === 'resolved'))
      .map(({ at_ms, kind, entity_name }) => `${new Date(at_ms).toISOString()} ${kind} ${entity_name}`)
      .sort();
    const past = await daemon.backtest(rule, { fromMs, toMs });
    const found = past.episodes
      .flatMap(({ firedAt, endedAt, entity }) => [
        `${firedAt} firing ${entity.name}`,
        ...(endedAt === null ? [] : [`${endedAt} resolved ${entity.name}`]),
      ])
      .sort();
    assert.deepEqual(found, live, rule.name);
    assert.ok(found.length > 2, `${rule.name} fired`);
    assert.ok(past.unknownRatio > 0 && past.unknownRatio < 0.5);
    compared += past.episodeCount;
    masked += past.maskedMinutes;
  }
  assert.ok(masked > 0);
  console.log(`# count: seed ${seed}: ${compared} episodes in ${hours} hours, live and in the backtest the same`);
  await daemon.close();
  await rm(folder, { recursive: true });
});

test('messages are counted with cooldown, grouping and repeats', () => {
  const minute = 60_000;
  const firing = (atMs: number, id: string) => ({ atMs, id, group: 'host1', kind: 'firing' as const });
  const resolved = (atMs: number, id: string) => ({ atMs, id, group: 'host1', kind: 'resolved' as const });
  const together = Array.from({ length: 50 }, (_, n) => firing(n * 100, `vm${n}`));
  assert.equal(countMessages(together, 0, minute), 1, 'fifty at once are one message');
  const both = [firing(0, 'a'), resolved(20 * minute, 'a'), firing(25 * minute, 'a'), resolved(40 * minute, 'a')];
  assert.equal(countMessages(both, 30 * minute, 60 * minute), 2, 'what comes back within the cooldown is not told');
  assert.equal(countMessages(both, minute, 60 * minute), 4);
  assert.equal(countMessages([firing(0, 'a')], 0, 13 * 60 * minute), 4, 'it repeats every four hours');
});

test('holes close to each other make no longer period of a series: an alert ends when it ended', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'hv-backtest-'));
  const machine = createFakeMachine(['web1']);
  const [web1 = ''] = [...machine.vms.keys()];
  const rule = { name: 'vm_down', condition: 'vm_state != running' };
  const daemon = await startFakeDaemon({ machine, database: join(folder, 'state.db'), rules: [rule] });
  const fromMs = machine.clock.now().getTime();
  // `-` is a tick without a figure of the VM.
  const course = `${'r'.repeat(5)}${'c'.repeat(20)}rr${'-'.repeat(17)}rr${'-'.repeat(16)}${'r'.repeat(12)}`;
  for (const state of course)
    await daemon.tick([
      hostSample('libvirt_up', 1),
      ...(state === '-' ? [] : [stateSample(web1, state === 'c' ? 'crashed' : 'running')]),
    ]);
  const { items } = await daemon.store.events({ limit: 100, of: null });
  const resolved = items.filter(({ kind }) => kind === 'resolved').map(({ at_ms }) => new Date(at_ms).toISOString());
  const past = await daemon.backtest(rule, { fromMs, toMs: machine.clock.now().getTime() });
  assert.equal(resolved.length, 1);
  assert.deepEqual(
    past.episodes.map(({ endedAt }) => endedAt),
    resolved,
  );
  await daemon.close();
  await rm(folder, { recursive: true });
});

test('a backtest knows figures that came once a minute', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'hv-backtest-'));
  const machine = createFakeMachine(['web1']);
  machine.figures.leastPeriodMs = 60_000;
  const [web1 = ''] = [...machine.vms.keys()];
  const rule = { name: 'average', condition: 'avg(cpu_usage, 15m) > 90% for 5m' };
  const daemon = await startFakeDaemon({ machine, database: join(folder, 'state.db'), rules: [rule] });
  const fromMs = machine.clock.now().getTime();
  for (let n = 0; n <= 30 * 6; n += 1)
    await daemon.tick([
      hostSample('libvirt_up', 1),
      stateSample(web1, 'running'),
      ...(n % 6 === 0 ? [vmSample(web1, 'cpu_usage', 0.95)] : []),
    ]);
  const found = await daemon.backtest(rule, { fromMs, toMs: machine.clock.now().getTime() });
  assert.equal(found.episodeCount, 1);
  assert.equal(daemon.notices.length, 1);
  await daemon.close();
  await rm(folder, { recursive: true });
});

test('where samples are too many the figures of a coarser step are used, and the answer says which', async () => {
  registerErrors(metricsErrors);
  const folder = await mkdtemp(join(tmpdir(), 'hv-backtest-'));
  const machine = createFakeMachine(['web1', 'web2', 'web3']);
  const rule = { name: 'cpu_high', condition: 'cpu_usage > 90% for 10m' };
  const daemon = await startFakeDaemon({ machine, database: join(folder, 'state.db'), rules: [rule] });
  const fromMs = machine.clock.now().getTime();
  const hoursLong = 6;
  for (let n = 0; n < hoursLong * TICKS_PER_HOUR; n += 1) {
    const isBusy = n >= 2 * TICKS_PER_HOUR && n < 4 * TICKS_PER_HOUR;
    await daemon.tick([
      hostSample('libvirt_up', 1),
      ...[...machine.vms.keys()].flatMap((id, vm) => [
        stateSample(id, 'running'),
        vmSample(id, 'cpu_usage', isBusy && vm === 0 ? 0.95 : 0.3),
      ]),
    ]);
  }
  const span = { fromMs, toMs: machine.clock.now().getTime() };
  const exact = await daemon.backtest(rule, span);
  assert.deepEqual([exact.tier, exact.stepSeconds, exact.episodeCount, exact.notes], ['raw', 10, 1, []]);
  const firedMs = (found: typeof exact) => Date.parse(found.episodes[0]?.firedAt ?? '');
  for (const [mostSamples, tier, stepSeconds] of [
    [1000, '5m', 300],
    [100, '1h', 3600],
  ] as const) {
    machine.figures.mostSamples = mostSamples;
    const found = await daemon.backtest(rule, span);
    assert.deepEqual([found.tier, found.stepSeconds, found.episodeCount], [tier, stepSeconds, 1]);
    assert.match(found.notes[0] ?? '', /too many for one answer/);
    assert.ok(Math.abs(firedMs(found) - firedMs(exact)) <= 2 * stepSeconds * 1000, `${tier} fired about then`);
  }
  machine.figures.mostSamples = 1;
  await assert.rejects(daemon.backtest(rule, span), { code: 'invalid_input' });
  await daemon.close();
  await rm(folder, { recursive: true });
});

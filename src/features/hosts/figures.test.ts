import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { cpuRatio, cpuTicks, loadAverages, memoryFigures, mountOf, processors, uptimeSeconds } from './figures.ts';
import { createHistory, KEPT_STEPS } from './history.ts';

test('the share of the processors in use follows from two readings', () => {
  const before = cpuTicks('cpu  100 0 100 800 0 0 0 0 50 0\ncpu0 1 1 1 1\n');
  const after = cpuTicks('cpu  150 0 150 900 0 0 0 0 70 0\n');
  assert.ok(before && after);
  assert.equal(cpuRatio(before, after), 0.5);
});

test('a counter that went back, or no time between, is not measured', () => {
  assert.equal(cpuRatio({ busy: 10, iowait: 0, total: 100 }, { busy: 10, iowait: 0, total: 100 }), null);
  assert.equal(cpuRatio({ busy: 10, iowait: 0, total: 100 }, { busy: 5, iowait: 0, total: 200 }), null);
  assert.equal(cpuTicks('nothing here'), null);
});

test('memory in use is what the kernel could not give back', () => {
  assert.deepEqual(memoryFigures('MemTotal:  1000 kB\nMemFree: 100 kB\nMemAvailable:  400 kB\n'), {
    totalBytes: 1_024_000,
    usedBytes: 614_400,
    availableBytes: 409_600,
    swapTotalBytes: 0,
    swapUsedBytes: 0,
  });
  assert.equal(memoryFigures('MemTotal: 1000 kB\n'), null);
});

test('the figures of this machine can be read', () => {
  const proc = (name: string) => readFileSync(`/proc/${name}`, 'utf8');
  assert.ok((cpuTicks(proc('stat'))?.total ?? 0) > 0);
  assert.ok((memoryFigures(proc('meminfo'))?.usedBytes ?? 0) > 0);
  assert.ok((loadAverages(proc('loadavg'))?.load15 ?? -1) >= 0);
  assert.equal(loadAverages('broken'), null);
  assert.ok((uptimeSeconds(proc('uptime')) ?? 0) > 0);
  assert.ok(processors(proc('cpuinfo')).count > 0);
  assert.match(mountOf(proc('self/mountinfo'), '/proc/self'), /^\/proc$/);
});

test('a path belongs to the longest mount point above it, spaces in its name included', () => {
  const mountinfo = '1 0 8:1 / / rw\n2 1 8:2 / /srv rw\n3 1 8:3 / /srv/my\\040pool rw\n';
  assert.equal(mountOf(mountinfo, '/srv/my pool/disk'), '/srv/my pool');
  assert.equal(mountOf(mountinfo, '/srv/mypool'), '/srv');
  assert.equal(mountOf(mountinfo, '/srvother'), '/');
});

test('steps that were not measured are gaps, and the picture is always ten minutes long', () => {
  const history = createHistory();
  history.add(5_000, { cpuRatio: 0.1, memoryRatio: 0.2 });
  history.add(20_000, { cpuRatio: 0.3, memoryRatio: null });
  const { cpuRatio: cpu, memoryRatio: memory } = history.read(21_000);
  assert.equal(cpu.length, KEPT_STEPS);
  assert.deepEqual(cpu.slice(-5), [null, 0.1, null, null, 0.3]);
  assert.deepEqual(memory.slice(-4), [0.2, null, null, null]);
});

test('a step that is not over yet is not shown as a gap, an older one is', () => {
  const history = createHistory();
  history.add(5_000, { cpuRatio: 0.1, memoryRatio: 0.2 });
  assert.equal(history.read(11_000).cpuRatio.at(-1), 0.1);
  assert.equal(history.read(16_000).cpuRatio.at(-1), null);
});

test('what is older than ten minutes is forgotten', () => {
  const history = createHistory();
  history.add(0, { cpuRatio: 0.1, memoryRatio: 0.2 });
  history.add(700_000, { cpuRatio: 0.5, memoryRatio: 0.5 });
  assert.deepEqual(
    history.read(700_000).cpuRatio.filter((value) => value !== null),
    [0.5],
  );
});

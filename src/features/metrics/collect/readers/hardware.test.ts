import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRecordingSink } from '../recording-sink.test-data.ts';
import * as files from './machine.test-data.ts';
import { recordedFiles } from './machine.test-data.ts';
import { readMemoryErrors } from './memory-errors.ts';
import * as answers from './programs.test-data.ts';
import { readTemperatures, sensorsReader } from './sensors.ts';
import { failedUnits, timeOffset } from './services.ts';
import { smartReader } from './smart.ts';
import { diskHealth } from './smart-report.ts';
import { raidStates } from './software-raid.ts';
import { upsOf, worstOf } from './ups.ts';

const HOST = { type: 'host', id: 'local' } as const;

test('temperatures carry the names of their chips; those in disks belong to the disk', async () => {
  assert.deepEqual(await readTemperatures(recordedFiles(files.SENSORS)), [
    { kind: 'sensor', name: 'coretemp Package id 0', celsius: 54 },
    { kind: 'sensor', name: 'coretemp Core 0', celsius: 51.5 },
    { kind: 'disk', name: 'nvme0n1', celsius: 38.85 },
    { kind: 'sensor', name: 'nvme Sensor 1', celsius: 44.85 },
    { kind: 'disk', name: 'sda', celsius: 31 },
    { kind: 'sensor', name: 'coretemp Package id 0 2', celsius: 49 },
  ]);
});

test('sensors that are not connected, faulty or silent tell nothing', async () => {
  assert.deepEqual(await readTemperatures(recordedFiles(files.BROKEN_SENSORS)), []);
  assert.deepEqual(await readTemperatures(recordedFiles({})), []);
});

test('memory errors of all controllers are added up; a machine without them tells nothing', async () => {
  assert.deepEqual(await readMemoryErrors(recordedFiles(files.MEMORY_CONTROLLERS)), { corrected: 3, uncorrected: 1 });
  assert.equal(await readMemoryErrors(recordedFiles({})), null);
  assert.equal(await readMemoryErrors(recordedFiles({ '/sys/devices/system/edac/mc/mc0/ce_count': 'broken' })), null);
});

test('software RAID: a scrub leaves an array clean, a missing member degrades it', () => {
  assert.deepEqual(Object.fromEntries(raidStates(files.MDSTAT_GOOD)), { md0: 'clean', md1: 'clean', md9: 'clean' });
  assert.deepEqual(Object.fromEntries(raidStates(files.MDSTAT_BROKEN)), {
    md0: 'degraded',
    md1: 'rebuilding',
    md2: 'failed',
    md3: 'rebuilding',
  });
  assert.equal(raidStates('Personalities : \nunused devices: <none>\n').size, 0);
});

const SMART_CASES: readonly (readonly [
  string,
  string,
  number,
  { readonly state: string; readonly celsius: number | null; readonly wearRatio: number | null } | null,
])[] = [
  ['a good hard disk', answers.SMART_HARD_DISK, 0, { state: 'passed', celsius: 34, wearRatio: null }],
  ['sectors that cannot be read', answers.SMART_PENDING, 0, { state: 'warning', celsius: 34, wearRatio: null }],
  ['a disk that gives itself up', answers.SMART_FAILED, 8, { state: 'failed', celsius: 34, wearRatio: null }],
  ['a good SSD', answers.SMART_SSD, 0, { state: 'passed', celsius: 34, wearRatio: 0.07 }],
  ['a worn SSD', answers.SMART_SSD_WORN, 0, { state: 'warning', celsius: 34, wearRatio: 0.94 }],
  ['a good NVMe', answers.SMART_NVME, 0, { state: 'passed', celsius: 39, wearRatio: 0.03 }],
  ['an NVMe without spare', answers.SMART_NVME_SPARE_GONE, 0, { state: 'failed', celsius: 39, wearRatio: 0.03 }],
  ['an NVMe with errors', answers.SMART_NVME_MEDIA_ERRORS, 0, { state: 'warning', celsius: 39, wearRatio: 0.03 }],
  ['an NVMe at its end', answers.SMART_NVME_WORN_OUT, 0, { state: 'failed', celsius: 39, wearRatio: 1.04 }],
  ['a device of no known kind', answers.SMART_UNSUPPORTED, 1, { state: 'unknown', celsius: null, wearRatio: null }],
  ['a disk that says nothing', answers.SMART_SILENT, 4, { state: 'unknown', celsius: null, wearRatio: null }],
  ['a disk that sleeps', answers.SMART_STANDBY, 2, null],
];
for (const [what, output, status, expected] of SMART_CASES)
  test(`SMART: ${what}`, () => {
    const health = diskHealth(output, status);
    assert.deepEqual(
      health && {
        state: health.state,
        celsius: health.celsius,
        wearRatio: health.wearRatio === null ? null : Math.round(health.wearRatio * 100) / 100,
      },
      expected,
    );
  });

test('SMART: what disks count, and nothing for what they do not', () => {
  assert.deepEqual(diskHealth(answers.SMART_COUNTING, 0)?.counts, {
    smart_reallocated_total: 3,
    smart_pending: 0,
    smart_uncorrectable: 0,
    smart_media_errors_total: 0,
    smart_timeouts_total: 21,
    smart_link_errors_total: 5,
    smart_start_stops_total: 60,
    smart_power_cycles_total: 61,
    smart_unsafe_shutdowns_total: 17,
    smart_power_on: 21_034 * 3600,
  });
  assert.deepEqual(diskHealth(answers.SMART_NVME, 0)?.counts, {
    smart_media_errors_total: 0,
    smart_power_cycles_total: 40,
    smart_unsafe_shutdowns_total: 12,
    smart_power_on: 5_000 * 3600,
    smart_spare: 1,
  });
  assert.deepEqual(diskHealth(answers.SMART_SAS, 0)?.counts, { smart_reallocated_total: 2, smart_power_on: 360_000 });
  assert.deepEqual(diskHealth(answers.SMART_UNSUPPORTED, 1)?.counts, {});
});

const SELF_TESTS: readonly (readonly [string, string, string | null, string])[] = [
  ['ATA, the newest well after one that failed', answers.SMART_COUNTING, 'passed', 'passed'],
  ['ATA, the newest failed at a read', answers.SMART_TEST_FAILED, 'failed', 'failed'],
  ['ATA, one runs', answers.SMART_TEST_RUNS, 'running', 'passed'],
  ['ATA, ended by the host', answers.SMART_TEST_ABORTED, 'aborted', 'passed'],
  ['ATA, never tested, with errors told to the host', answers.SMART_REPORTED_ERRORS, 'none', 'warning'],
  ['ATA without a log', answers.SMART_HARD_DISK, null, 'passed'],
  ['SAS', answers.SMART_SAS, null, 'passed'],
  ['NVMe, the newest failed', answers.SMART_NVME_TEST_FAILED, 'failed', 'failed'],
  ['NVMe, ended by a reset', answers.SMART_NVME_TEST_ABORTED, 'aborted', 'passed'],
  ['NVMe, one runs', answers.SMART_NVME_TEST_RUNS, 'running', 'passed'],
  ['NVMe, the newest well after one that failed', answers.SMART_NVME_TESTED, 'passed', 'passed'],
  ['NVMe, never tested', answers.SMART_NVME_UNTESTED, 'none', 'passed'],
  ['NVMe without a log', answers.SMART_NVME, null, 'passed'],
];
for (const [what, output, selfTest, state] of SELF_TESTS)
  test(`self-tests: ${what}`, () => {
    const health = diskHealth(output, 0);
    assert.deepEqual([health?.selfTest, health?.state], [selfTest, state]);
  });

test('SMART: what is no report is an error, not a healthy disk', () => {
  assert.throws(() => diskHealth('Segmentation fault', 0));
  assert.throws(() => diskHealth('{"smart_status": {"passed": "yes"}}', 0));
});

test('UPS: on line, on battery, battery low, and silent', () => {
  assert.deepEqual(upsOf(answers.UPS_ON_LINE), { state: 'online', chargeRatio: 1 });
  assert.deepEqual(upsOf(answers.UPS_ON_BATTERY), { state: 'on_battery', chargeRatio: 0.63 });
  assert.deepEqual(upsOf(answers.UPS_LOW), { state: 'low_battery', chargeRatio: 0.09 });
  assert.deepEqual(upsOf(answers.UPS_SILENT), { state: 'unknown', chargeRatio: null });
});

test('UPS: of several the worst counts', () => {
  const all = [upsOf(answers.UPS_ON_LINE), upsOf(answers.UPS_ON_BATTERY)];
  assert.deepEqual(worstOf(all), { state: 'on_battery', chargeRatio: 0.63 });
  assert.equal(worstOf([]), null);
});

test('units of systemd and the clock', () => {
  assert.equal(failedUnits(''), 0);
  assert.equal(failedUnits('backup.service loaded failed failed Nightly\nx.mount loaded failed failed X\n'), 2);
  assert.equal(timeOffset(answers.CHRONY_TRACKING), -0.000021445);
  assert.equal(timeOffset(answers.CHRONY_NO_SOURCE), null);
  assert.equal(timeOffset('506 Cannot talk to daemon\n'), null);
});

test('the temperature of a disk is told once: by the kernel where it can, else by SMART', async () => {
  const { signal } = new AbortController();
  const tree = { ...files.SENSORS, '/sys/block/nvme0n1/size': '1\n', '/sys/block/sdb/size': '1\n' };
  const kernelFiles = recordedFiles(tree);
  const sensors = sensorsReader(HOST, kernelFiles);
  const smart = smartReader(HOST, {
    files: kernelFiles,
    programs: { ask: async () => ({ code: 0, stdout: answers.SMART_NVME, stderr: '' }) },
    isTemperatureKnown: sensors.hasDisk,
  });
  const sink = createRecordingSink();
  sensors.put(sink, (await sensors.read(signal)) ?? []);
  smart.put(sink, (await smart.read(signal)) ?? new Map());
  assert.equal(sink.values.get('temperature/nvme0n1'), 38.85);
  assert.equal(sink.values.get('temperature/sdb'), 39);
  assert.equal(sink.values.get('smart_state/nvme0n1'), 0);
  assert.equal(sink.values.get('smart_spare/sdb'), 1);
  assert.equal(sink.values.has('smart_pending/sdb'), false);
  assert.equal(sink.values.has('smart_self_test/sdb'), false);
});

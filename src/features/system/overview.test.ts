import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fakeVm } from '#contract/fake-vm.ts';
import type { Operation } from '#contract/operations.ts';
import { type Host, overviewSchema, type Preflight } from '#contract/system.ts';
import type { Vm } from '#contract/vms.ts';
import { GIB } from '#kernel/units.ts';
import { overviewOf, runningCount } from './overview.ts';

const now = new Date('2026-05-01T12:00:00.000Z');

const host = (change: Partial<Host> = {}): Host => ({
  id: 'local',
  name: 'server1',
  state: 'connected',
  since: '2026-05-01T11:00:00.000Z',
  accel: 'tcg',
  cpuModel: null,
  cpus: 2,
  memoryBytes: 8 * GIB,
  libvirtVersion: '9.0.0',
  qemuVersion: '7.2.22',
  kernel: '6.1.0',
  uptimeSeconds: 100,
  usage: null,
  ...change,
});

const vm = (name: string, change: Partial<Vm> = {}): Vm =>
  fakeVm(name, { state: 'running', desired: 'running', startedAt: '2026-05-01T11:30:00.000Z', ...change });

const operation = (id: string, change: Partial<Operation> = {}): Operation => ({
  id,
  kind: 'vm.create',
  title: 'Create web1',
  state: 'done',
  actor: 'root',
  objectType: 'vm',
  objectId: null,
  objectName: 'web1',
  vmId: null,
  project: 'default',
  steps: [],
  progress: null,
  canCancel: false,
  isDismissed: false,
  error: null,
  result: null,
  createdAt: '2026-05-01T11:00:00.000Z',
  finishedAt: '2026-05-01T11:01:00.000Z',
  requestId: null,
  ...change,
});

const error = { code: 'no_space', title: 'Full', detail: 'The disk is full.', hint: 'Free space.' };
const preflight = (...checks: Preflight['checks']): Preflight => ({
  status: 'warn',
  accel: 'tcg',
  checkedAt: now.toISOString(),
  checks,
});
const check = (id: string, status: Preflight['checks'][number]['status']) => ({
  id,
  title: id,
  status,
  detail: `about ${id}`,
  hint: status === 'ok' ? null : 'do this',
  durationMs: 1,
});

const of = (input: Partial<Parameters<typeof overviewOf>[0]>) =>
  overviewSchema.parse(
    overviewOf({
      metrics: [],
      audit: [],
      host: host(),
      vms: [],
      operations: [],
      preflight: null,
      trash: [],
      ownerlessFiles: [],
      quotaRepairs: [],
      leap: null,
      now,
      ...input,
    }),
  );
const ids = (input: Partial<Parameters<typeof overviewOf>[0]>) => of(input).problems.map(({ id }) => id);

test('on a machine without trouble there are no problems, and nothing checked is told as such', () => {
  const overview = of({});
  assert.deepEqual(overview.problems, []);
  assert.equal(overview.checkedAt, null);
});

test('wrong books of quotas are told, once for all of them', () => {
  const at = new Date('2026-05-01T11:59:00Z');
  const [problem, ...others] = of({
    quotaRepairs: [
      { project: 'shop', resource: 'vcpus', at },
      { project: 'shop', resource: 'vcpus', at },
      { project: 'shop', resource: 'disk', at },
    ],
  }).problems;
  assert.equal(others.length, 0);
  assert.match(
    problem?.detail ?? '',
    /^vCPUs of shop, Disk of shop did not say what exists, and were repaired at 2026-05/,
  );
});

test('VMs are counted by state and the running ones listed', () => {
  const vms = [vm('1'), vm('2', { state: 'off', startedAt: null }), vm('3', { state: 'paused' })];
  const overview = of({ vms });
  assert.deepEqual(overview.vms.byState, { running: 1, off: 1, paused: 1 });
  assert.deepEqual(
    overview.vms.running.map(({ name }) => name),
    ['1'],
  );
  assert.equal(runningCount(vms), 2);
});

test('a lost libvirt is a failure that says how long', () => {
  const [problem] = of({ host: host({ state: 'disconnected' }) }).problems;
  assert.equal(problem?.severity, 'fail');
  assert.match(problem?.detail ?? '', /1 h/);
});

test('a crashed VM and one stopped by a full disk are failures', () => {
  const vms = [
    vm('1', { state: 'off', stateReason: 'crashed' }),
    vm('2', { state: 'paused', stateReason: 'io_error' }),
    vm('3', { state: 'off', stateReason: 'shutdown' }),
  ];
  assert.deepEqual(
    ids({ vms }).map((id) => id.split(':')[0]),
    ['vm.crashed', 'vm.io-error'],
  );
});

test('a VM that another program took away and disks without a VM are warnings that say where things lie', () => {
  const item = {
    id: 'trash-1',
    vmId: vm('1').id,
    name: 'web1',
    project: 'default',
    state: 'trashed' as const,
    deletedAt: now.toISOString(),
    purgeAt: null,
    sizeBytes: GIB,
    disks: ['op-1-0.qcow2'],
    deletedBy: 'another program',
    isTakenAway: true,
  };
  const deleted = { ...item, id: 'trash-2', isTakenAway: false, purgeAt: now.toISOString() };
  const ownerlessFiles = Array.from({ length: 5 }, (_, n) => ({ path: `/disks/${n}.qcow2`, sizeBytes: GIB }));
  const { problems } = of({ trash: [item, deleted], ownerlessFiles });
  assert.deepEqual(
    problems.map(({ id, severity, link }) => [id, severity, link]),
    [
      [`vm.taken-away:${item.vmId}`, 'warn', '/trash'],
      ['disks.ownerless', 'warn', '/storage'],
    ],
  );
  assert.match(problems[1]?.detail ?? '', /0\.qcow2.*and 2 more \(5(\.0)? GiB\)/);
});

test('a date that leapt is a warning that says how far, and how long nothing is deleted', () => {
  const [problem] = of({ leap: { byMs: -40 * 86_400_000, leftMs: 3_600_000 } }).problems;
  assert.match(`${problem?.title} ${problem?.detail}`, /40 d.* back .*1 h/);
});

test('an operation that waits for a person stays a problem, a failed one for a day', () => {
  const attention = operation('op-1', {
    state: 'attention',
    error,
    finishedAt: null,
    createdAt: '2026-01-01T00:00:00.000Z',
  });
  const failed = operation('op-2', { state: 'failed', error });
  const old = operation('op-3', { state: 'failed', error, finishedAt: '2026-04-30T11:00:00.000Z' });
  assert.deepEqual(ids({ operations: [failed, old, attention] }), [
    'operation.attention:op-1',
    'operation.failed:op-2',
  ]);
});

test('a failure is over once the same thing succeeded, or somebody took note of it', () => {
  const failed = operation('op-1', { state: 'failed', error });
  assert.deepEqual(ids({ operations: [{ ...failed, isDismissed: true }] }), []);
  const again = operation('op-2', { createdAt: '2026-05-01T11:30:00.000Z' });
  assert.deepEqual(ids({ operations: [again, failed] }), []);
});

test('a file system that fills up warns, a full one fails', () => {
  const usage = (freeGib: number): Host['usage'] => ({
    cpuRatio: null,
    memoryUsedBytes: null,
    load1: null,
    history: { stepSeconds: 5, cpuRatio: [], memoryRatio: [] },
    filesystems: [{ mount: '/', purpose: 'state', sizeBytes: 100 * GIB, usedBytes: (100 - freeGib) * GIB }],
  });
  assert.deepEqual(of({ host: host({ usage: usage(20) }) }).problems, []);
  assert.equal(of({ host: host({ usage: usage(9) }) }).problems[0]?.severity, 'warn');
  assert.equal(of({ host: host({ usage: usage(4) }) }).problems[0]?.severity, 'fail');
});

test('preflight lines that are not ok are problems, unknown ones too, but nothing is told twice', () => {
  const lines = preflight(
    check('kvm.proof', 'warn'),
    check('qemu.binary', 'fail'),
    check('cpu.virt', 'unknown'),
    check('libvirt.user', 'ok'),
    check('disk.free', 'fail'),
    check('libvirt.connection', 'fail'),
  );
  assert.deepEqual(ids({ preflight: lines }), ['preflight:qemu.binary', 'preflight:kvm.proof', 'preflight:cpu.virt']);
});

test('checks that waited for libvirt are one line, with its mend while it is away', () => {
  const waits = (id: string) => ({ ...check(id, 'unknown'), hint: 'See `libvirt.connection`.' });
  const lines = preflight(
    check('libvirt.connection', 'fail'),
    ...Array.from({ length: 8 }, (_, n) => waits(`part.${n}`)),
    check('cpu.virt', 'unknown'),
  );
  const away = of({ preflight: lines, host: host({ state: 'disconnected' }) }).problems;
  assert.deepEqual(
    away.map(({ id }) => id),
    ['host.disconnected', 'preflight:cpu.virt'],
  );
  assert.equal(away[0]?.title, 'libvirt does not answer: 8 checks not known');
  assert.match(away[0]?.detail ?? '', /Not known meanwhile: part\.0, .*part\.7\.$/);
  assert.match(away[0]?.hint ?? '', /systemctl start libvirtd/);
  // It is back, and they were not run again.
  const back = of({ preflight: preflight(waits('part.0')) }).problems;
  assert.deepEqual(
    back.map(({ id, title, severity }) => [id, title, severity]),
    [['preflight:libvirt', 'libvirt did not answer: 1 check not known', 'warn']],
  );
});

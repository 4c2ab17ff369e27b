/** For each health check what makes it ok, a warning, a failure and unknown. A level that a check does not have is the extreme of the one below. */

import type { CheckStatus } from '#contract/common.ts';
import { GIB } from '#kernel/units.ts';
import { DAY_MS, HOUR_MS, MINUTE_MS } from './check.ts';
import { type FakeSeries, type FakeWorld, host, NOW_MS, numberOf, ofHost, ofVm, stale, vm } from './world.test-data.ts';

export interface Fixtures {
  readonly ok: FakeWorld;
  readonly warn: FakeWorld;
  readonly fail: FakeWorld;
  readonly unknown: FakeWorld;
  /** What comes instead, where the check has no such level. */
  readonly instead?: Partial<Record<'ok' | 'warn' | 'fail', CheckStatus>>;
}

/** One figure at four levels; the fourth was measured too long ago. */
function levels(
  make: (value: number) => FakeSeries,
  [ok, warn, fail]: readonly [number, number, number],
  instead: Fixtures['instead'] = {},
): Fixtures {
  const world = (value: number): FakeWorld => ({ series: [make(value)] });
  return { ok: world(ok), warn: world(warn), fail: world(fail), unknown: { series: [stale(make(ok))] }, instead };
}

const hostFigure = (metric: Parameters<typeof ofHost>[0]) => (value: number) => ofHost(metric, value);
/** A count that grew by so much a few minutes ago. */
const grew = (by: number) => (agoMs: number) => (agoMs > 3 * MINUTE_MS ? 7 : 7 + by);
const fs = { kind: 'fs', sub: '/var' } as const;
const pool = (sub: string) => ({ kind: 'pool', sub }) as const;
const disk = (sub: string) => ({ kind: 'disk', sub }) as const;
const poolState = (sub: string, state: string) => ofHost('pool_state', numberOf('pool_state', state), pool(sub));

const standing = (posture: 'protected' | 'attention' | 'unknown' | 'unprotected'): FakeWorld => ({
  facts: {
    protection: () => [
      { vmName: 'web1', posture, reasons: posture === 'protected' ? [] : [{ code: 'x', text: 'Something is amiss.' }] },
    ],
  },
});
const stateWritten = (hours: number, hasSecrets = true, problem: string | null = null): FakeWorld => ({
  facts: {
    stateBackups: async () => [
      {
        ...{ repositoryName: 'shelf', atMs: NOW_MS - hours * HOUR_MS, sinceMs: 0 },
        ...{ isInStateFolder: false, hasSecrets, problem },
      },
    ],
  },
});
const zpool = (errors: number, scrub: string) =>
  `  pool: tank\n state: ONLINE\n  scan: ${scrub}\nconfig:\n\n\tNAME        STATE     READ WRITE CKSUM\n\ttank        ONLINE       0     0     0\n\t  sda       ONLINE       0     0     ${errors}\n\nerrors: No known data errors\n`;
const scrubbed = (date: string) => zpool(0, `scrub repaired 0B in 00:10:12 with 0 errors on ${date}`);
const zfs = (state: string, errors = 0): FakeWorld => ({
  series: [poolState('zfs:tank', state)],
  programs: { zpool: zpool(errors, 'none requested') },
});

const nicWith = (flags: string): FakeWorld => ({
  files: { '/sys/class/net/vnet3/flags': `${flags}\n` },
  facts: {
    vms: () => [
      vm('web1', { nics: [{ mac: '52:54:00:00:00:07', device: 'vnet3', linkUp: true, sourceType: 'network' }] }),
    ],
  },
});

const space = (usedRatio: number, freeBytes: number): FakeWorld => ({
  series: [
    ofHost('disk_usage', usedRatio, fs),
    ofHost('disk_free', freeBytes, fs),
    ofHost('disk_size', 1000 * GIB, fs),
  ],
});
/** Grew by so much in the last hour, and has 100 GiB left. */
const growing = (bytes: number): FakeWorld => ({
  series: [
    ofHost('disk_used', (agoMs) => 100 * GIB - (bytes * agoMs) / HOUR_MS, fs),
    ofHost('disk_free', 100 * GIB, fs),
  ],
});
const foreseen = (forecast: number): FakeWorld => ({ series: [ofHost('disk_usage', 0.5, { ...fs, forecast })] });
const thin = (data: number, tables: number): FakeWorld => ({
  series: [
    ofHost('thin_data_usage', data, pool('lvm:vg/thin')),
    ofHost('thin_meta_usage', tables, pool('lvm:vg/thin')),
  ],
});
const promised = (ratio: number, threshold: number): FakeWorld => ({
  series: [ofHost('overcommit', ratio, pool('lvm:vg/thin'))],
  programs: { lvmconfig: `thin_pool_autoextend_threshold=${threshold}\n` },
});
const ceph = (state: string): FakeWorld => ({ series: [poolState('ceph', state)] });
const raid = (state: string, mismatches = 0): FakeWorld => ({
  series: [ofHost('raid_state', numberOf('raid_state', state), disk('md0'))],
  files: { '/sys/block/md0/md/mismatch_cnt': `${mismatches}\n` },
});
const smart = (state: string, wear: number): FakeWorld => ({
  series: [ofHost('smart_state', numberOf('smart_state', state), disk('sda')), ofHost('wear', wear, disk('sda'))],
});
const memoryErrors = (corrected: number, uncorrected: number): FakeWorld => ({
  series: [ofHost('ecc_correctable_total', corrected), ofHost('ecc_uncorrectable_total', uncorrected)],
});
const card = (up: FakeSeries['at'] | number, errors: number): FakeWorld => ({
  series: [
    ofHost('nic_up', up, { kind: 'nic', sub: 'eth0' }),
    ofHost('net_errors', errors, { kind: 'nic', sub: 'eth0' }),
    ofHost('nic_speed', 125_000_000, { kind: 'nic', sub: 'eth0' }),
  ],
  folders: { '/sys/class/net/eth0/device': [] },
});
const clock = (said: string, uptimeSeconds: number): FakeWorld => ({
  programs: { timedatectl: `${said}\n` },
  files: { '/proc/uptime': `${uptimeSeconds}.00 1.00\n` },
});
const units = (state: string, names = ''): FakeWorld => ({
  series: [ofHost('service_state', numberOf('service_state', state))],
  folders: { '/run/systemd': ['system'] },
  programs: { 'systemctl list-units': names },
});
const libvirt = (up: number, latency: number): FakeWorld => ({
  series: [ofHost('libvirt_up', up), ofHost('libvirt_latency', latency)],
});
const vms = (series: readonly FakeSeries[]): FakeWorld => ({ series, facts: { vms: () => [vm('web1')] } });
const state = (is: string, wish: string): FakeWorld =>
  vms([
    ofVm('web1', 'vm_state', numberOf('vm_state', is)),
    ofVm('web1', 'vm_state_desired', numberOf('vm_state_desired', wish)),
    ofVm('web1', 'vm_job', 0),
  ]);
const paused = (reason: string): FakeWorld =>
  vms([ofVm('web1', 'vm_pause_reason', numberOf('vm_pause_reason', reason))]);
const crashed = (times: number): FakeWorld => vms([ofVm('web1', 'vm_crash_total', grew(times))]);
const chain = (files: number, ageDays: number): FakeWorld =>
  vms([ofVm('web1', 'snapshot_chain', files), ofVm('web1', 'snapshot_age', ageDays * 86_400)]);
const backedUp = (hoursAgo: number, outcome = 'ok'): FakeWorld =>
  vms([
    ofVm('web1', 'backup_last_success', NOW_MS / 1000 - hoursAgo * 3600),
    ofVm('web1', 'backup_state', numberOf('backup_state', outcome)),
  ]);
const copied = (more: { waitedHours?: number; problem?: string; isEnabled?: boolean }): FakeWorld => ({
  facts: {
    copies: () => [
      {
        repositoryId: 'repo-1',
        name: 'offsite',
        isEnabled: more.isEnabled ?? true,
        missing: more.waitedHours === undefined ? 0 : 2,
        waitingSinceMs: more.waitedHours === undefined ? null : NOW_MS - more.waitedHours * HOUR_MS,
        succeededAtMs: NOW_MS,
        problem: more.problem ?? null,
      },
    ],
  },
});
const instant = (more: { hoursAgo?: number; isHeld?: boolean; problem?: string }): FakeWorld => ({
  facts: {
    instantRestores: () => [
      {
        vmId: 'web1',
        name: 'web1',
        isHeld: more.isHeld ?? false,
        problem: more.problem ?? null,
        startedAt: new Date(NOW_MS - (more.hoursAgo ?? 1) * 3_600_000).toISOString(),
      },
    ],
  },
});
const certificate = (days: number): FakeWorld => ({
  facts: { certificateEndsAt: () => new Date(NOW_MS + days * DAY_MS) },
});
const auditProblem = (severity: 'warn' | 'fail'): FakeWorld => ({
  facts: {
    auditProblems: async () => [
      {
        id: 'audit.x',
        severity,
        title: 'A copy is behind',
        detail: 'It lacks 7 records.',
        hint: 'Bring it back.',
        link: null,
      },
    ],
  },
});
const fails = async (): Promise<never> => {
  throw new Error('the disk does not answer');
};
const VULNERABILITIES = '/sys/devices/system/cpu/vulnerabilities';
const processor = (text: string, accel: 'kvm' | 'tcg'): FakeWorld => ({
  folders: { [VULNERABILITIES]: ['meltdown'] },
  files: { [`${VULNERABILITIES}/meltdown`]: `${text}\n` },
  facts: { accel: () => accel },
  memory: JSON.stringify({ facts: { meltdown: 'Mitigation: PTI' }, hadKvm: true, changedAtMs: null, changes: [] }),
});
const two = (more: Parameters<typeof host>[1]): FakeWorld => ({ facts: { hosts: () => [host('a'), host('b', more)] } });
const ups = (state: string, charge: number): FakeWorld => ({
  series: [ofHost('ups_state', numberOf('ups_state', state)), ofHost('ups_charge', charge)],
});
const self = (messages: { oldestWaitingMs?: number; dead?: number; hasDeadMan?: boolean }, missed = 0): FakeWorld => ({
  series: [ofHost('collector_missed_total', grew(missed)), ofHost('metrics_db_size', GIB)],
  facts: { messages: async () => ({ oldestWaitingMs: 0, dead: 0, hasDeadMan: true, ...messages }) },
});
const memory = (availableBytes: number): FakeWorld => ({
  series: [ofHost('mem_available', availableBytes), ofHost('mem_used', 16 * GIB - availableBytes)],
});
const swap = (usage: number, bytesPerSecond: number): FakeWorld => ({
  series: [ofHost('swap_usage', usage), ofHost('swap_out', bytesPerSecond)],
});
const killed = (times: number, log: string): FakeWorld => ({
  series: [ofHost('oom_kill_total', grew(times))],
  programs: { dmesg: log },
  files: { '/proc/uptime': '5000.00 1.00\n' },
});
const upgrade = (more: FakeWorld): FakeWorld => ({
  folders: { '/boot': ['vmlinuz-6.1.0-10-amd64'] },
  ...more,
  programs: { 'systemctl is-failed': 'inactive\n', ...more.programs },
});
const pools = (pool: 'active' | 'inactive' | 'unknown', diskPaths: readonly string[] = []): FakeWorld => ({
  facts: { pools: () => [{ name: 'default', state: pool, autostart: true }], vms: () => [vm('web1', { diskPaths })] },
});

export const FIXTURES: Readonly<Record<string, Fixtures>> = {
  'host.cpu': levels(hostFigure('cpu_usage'), [0.5, 0.9, 0.97]),
  'host.cpu-pressure': levels(hostFigure('cpu_psi_some'), [0.1, 0.5, 0.9]),
  'host.memory-pressure': levels(hostFigure('mem_psi_full'), [0, 0.05, 0.2]),
  'host.io-pressure': levels(hostFigure('io_psi_full'), [0.05, 0.2, 0.5]),
  'host.iowait': levels(hostFigure('cpu_iowait'), [0.1, 0.5, 1], { fail: 'warn' }),
  'host.memory': { ok: memory(8 * GIB), warn: memory(1.2 * GIB), fail: memory(0.5 * GIB), unknown: {} },
  'host.swap': {
    ok: swap(0.1, 0),
    warn: swap(0.1, 5_000_000),
    fail: swap(0.95, 0),
    unknown: { series: [stale(ofHost('swap_usage', 0.1))] },
  },
  'host.out-of-memory': {
    ok: killed(0, ''),
    warn: killed(
      1,
      '[ 4900.123456] Out of memory: Killed process 812 (postgres) total-vm:1kB\n[  100.5] Out of memory: Killed process 9 (qemu-system-x86) x\n',
    ),
    fail: killed(1, '[ 4900.123456] Out of memory: Killed process 812 (qemu-system-x86) total-vm:1kB\n'),
    unknown: { ...killed(1, ''), programs: { dmesg: 'hangs' } },
  },
  'host.load': levels(hostFigure('load15_per_core'), [0.7, 3, 50], { fail: 'warn' }),
  'space.file-systems': {
    ok: space(0.5, 500 * GIB),
    warn: space(0.9, 100 * GIB),
    fail: space(0.96, 40 * GIB),
    unknown: {},
  },
  'space.inodes': levels((value) => ofHost('inode_usage', value, fs), [0.2, 0.92, 0.99]),
  'space.time-to-full': {
    ok: growing(GIB / 10),
    warn: growing(4 * GIB),
    fail: growing(20 * GIB),
    unknown: { series: [stale(ofHost('disk_used', GIB, fs))] },
  },
  'space.forecast': {
    ok: foreseen(0.6),
    warn: foreseen(0.97),
    fail: foreseen(3),
    unknown: {},
    instead: { fail: 'warn' },
  },
  'zfs.state': {
    ok: zfs('active'),
    warn: zfs('active', 3),
    fail: zfs('faulted'),
    unknown: { files: { '/etc/zfs/zpool.cache': 'x' } },
  },
  'zfs.capacity': levels((value) => ofHost('disk_usage', value, pool('zfs:tank')), [0.5, 0.88, 0.95]),
  'zfs.scrub': {
    ok: { programs: { zpool: scrubbed('Sun Nov  8 00:34:13 2026') } },
    warn: { programs: { zpool: zpool(0, 'none requested') } },
    fail: { programs: { zpool: scrubbed('Sun Jul  5 00:34:13 2026') } },
    unknown: { programs: { zpool: 'hangs' } },
  },
  'pools.thin': {
    ok: thin(0.5, 0.5),
    warn: thin(0.5, 0.82),
    fail: thin(0.5, 0.91),
    unknown: { series: [stale(ofHost('thin_data_usage', 0.5, pool('lvm:vg/thin')))] },
  },
  'pools.overcommit': {
    ok: promised(2, 80),
    warn: promised(2, 100),
    fail: promised(90, 100),
    unknown: { ...promised(2, 100), programs: { lvmconfig: 'hangs' } },
    instead: { fail: 'warn' },
  },
  'ceph.health': {
    ok: ceph('active'),
    warn: ceph('degraded'),
    fail: ceph('faulted'),
    unknown: { files: { '/etc/ceph/ceph.conf': 'x' } },
  },
  'disks.raid': { ok: raid('clean', 10), warn: raid('clean', 4096), fail: raid('degraded'), unknown: raid('unknown') },
  'disks.smart': {
    ok: smart('passed', 0.1),
    warn: smart('passed', 0.93),
    fail: smart('failed', 0.1),
    unknown: { folders: { '/sys/block': ['sda'] } },
  },
  'hardware.temperature': levels((value) => ofHost('temperature', value, disk('nvme0n1')), [40, 72, 85]),
  'hardware.memory-errors': {
    ok: memoryErrors(0, 0),
    warn: memoryErrors(3, 0),
    fail: memoryErrors(3, 1),
    unknown: { series: [stale(ofHost('ecc_correctable_total', 0)), stale(ofHost('ecc_uncorrectable_total', 0))] },
  },
  'network.cards': {
    ok: card(1, 0),
    warn: card(1, 3),
    fail: card((agoMs) => (agoMs > MINUTE_MS ? 1 : 0), 0),
    unknown: {},
  },
  'network.connections': levels(hostFigure('conntrack_usage'), [0.1, 0.9, 0.97]),
  'system.time': {
    ok: { series: [ofHost('time_offset', -0.001)] },
    warn: clock('no', 5000),
    fail: { series: [ofHost('time_offset', -4)] },
    unknown: {},
  },
  'system.units': {
    ok: units('ok'),
    warn: units('failed', 'nginx.service loaded failed failed x\n'),
    fail: units('failed', 'hyperd.service loaded failed failed x\n'),
    unknown: units('unknown'),
  },
  'libvirt.answers': {
    ok: libvirt(1, 0.2),
    warn: libvirt(1, 3),
    fail: libvirt(0, 0),
    unknown: { series: [stale(ofHost('libvirt_up', 1))] },
  },
  'vms.monitor': levels((value) => ofVm('web1', 'vm_monitor_stuck', value), [0, 60, 400]),
  'vms.state': {
    ok: state('running', 'running'),
    warn: state('off', 'off'),
    fail: state('crashed', 'running'),
    unknown: vms([]),
    instead: { warn: 'ok' },
  },
  'vms.input-output': {
    ok: paused('none'),
    warn: paused('user'),
    fail: paused('enospc'),
    unknown: vms([]),
    instead: { warn: 'ok' },
  },
  'vms.crashes': { ok: crashed(0), warn: crashed(1), fail: crashed(3), unknown: vms([]) },
  'vms.agent': {
    ok: vms([ofVm('web1', 'vm_agent_up', 1)]),
    warn: vms([ofVm('web1', 'vm_agent_up', 0)]),
    fail: vms([ofVm('web1', 'vm_agent_up', 0), ofVm('web2', 'vm_agent_up', 0)]),
    unknown: { facts: { vms: () => [vm('web1', { agent: 'disconnected' })] } },
    instead: { fail: 'warn' },
  },
  'vms.file-systems': levels(
    (value) => ofVm('web1', 'disk_usage', value, { kind: 'guestfs', sub: '/' }),
    [0.5, 0.9, 0.96],
  ),
  'vms.steal': levels((value) => ofVm('web1', 'cpu_steal', value), [0.01, 0.2, 0.4]),
  'vms.nics': {
    ok: nicWith('0x1003'),
    warn: nicWith('0x1302'),
    fail: nicWith('0x1302'),
    unknown: { facts: { vms: () => [vm('web1', { state: 'unknown' })], isCurrent: () => false } },
    instead: { warn: 'fail' },
  },
  'vms.snapshots': { ok: chain(2, 3), warn: chain(2, 40), fail: chain(20, 3), unknown: vms([]) },
  'backups.age': {
    ok: backedUp(12),
    warn: backedUp(40),
    fail: backedUp(12, 'failed'),
    unknown: { ...backedUp(12), facts: { isCurrent: () => false } },
  },
  'backups.protection': {
    ok: standing('protected'),
    warn: standing('attention'),
    fail: standing('unprotected'),
    unknown: standing('unknown'),
  },
  'backups.instant': {
    ok: instant({}),
    warn: instant({ isHeld: true }),
    fail: instant({ problem: 'The repository is not in its folder.' }),
    unknown: { facts: { ...instant({}).facts, isCurrent: () => false } },
  },
  'backups.copies': {
    ok: copied({ waitedHours: 2 }),
    warn: copied({ problem: 'It is full.' }),
    fail: copied({ waitedHours: 80 }),
    unknown: {
      facts: {
        copies: () => {
          throw new Error('it is not known');
        },
      },
    },
  },
  'backups.state': {
    ok: stateWritten(12),
    warn: stateWritten(12, false),
    fail: stateWritten(12, true, 'The disk is gone.'),
    unknown: {
      facts: {
        stateBackups: async () => {
          throw new Error('the database does not answer');
        },
      },
    },
  },
  'pools.state': {
    ok: pools('active'),
    warn: pools('active', ['/gone.qcow2']),
    fail: pools('inactive'),
    unknown: { facts: { isCurrent: () => false } },
  },
  'security.certificate': {
    ok: certificate(60),
    warn: certificate(20),
    fail: certificate(-1),
    unknown: {
      facts: {
        certificateEndsAt: () => {
          throw new Error('there is none');
        },
      },
    },
  },
  'system.image': {
    ok: upgrade({}),
    warn: upgrade({
      folders: { '/boot': ['vmlinuz-6.1.0-10-amd64', 'vmlinuz-6.1.0-9-amd64', 'vmlinuz-6.1.0-12-amd64'] },
    }),
    fail: upgrade({ programs: { 'systemctl is-failed': 'failed\n' } }),
    unknown: upgrade({ programs: { 'systemctl is-failed': 'hangs' } }),
  },
  'security.audit': {
    ok: {},
    warn: auditProblem('warn'),
    fail: auditProblem('fail'),
    unknown: { facts: { auditProblems: fails } },
  },
  'security.sign-ins': levels((value) => ofHost('auth_failures_total', grew(value)), [2, 12, 60]),
  'hardware.cpu-features': {
    ok: processor('Mitigation: PTI', 'kvm'),
    warn: processor('Vulnerable', 'kvm'),
    fail: processor('Mitigation: PTI', 'tcg'),
    unknown: {},
  },
  'hosts.drift': {
    ok: two({}),
    warn: two({ qemuVersion: '7.2.4' }),
    fail: two({ cpuModel: 'AMD EPYC' }),
    unknown: two({ qemuVersion: null }),
  },
  'hardware.ups': {
    ok: ups('online', 1),
    warn: ups('on_battery', 0.9),
    fail: ups('on_battery', 0.3),
    unknown: ups('unknown', 1),
  },
  'self.hyperd': {
    ok: self({}),
    warn: self({ hasDeadMan: false }),
    fail: self({ oldestWaitingMs: 11 * MINUTE_MS }),
    unknown: {},
  },
};

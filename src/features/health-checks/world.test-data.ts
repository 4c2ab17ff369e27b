/** A machine made of tables, for tests of health checks: healthy and empty unless told otherwise. */

import type { EntityKind, MetricName } from '#contract/metric-catalogue.ts';
import { METRICS } from '#contract/metric-catalogue.ts';
import type { Host } from '#contract/system.ts';
import type { Owner, Series } from '#features/metrics/index.ts';
import { AppError } from '#kernel/errors.ts';
import { DAY_MS, type HealthContext, HOUR_MS, limitOf } from './check.ts';
import type { HealthFacts, VmFacts } from './facts.ts';
import { createFigures } from './figures.ts';

export const NOW_MS = Date.parse('2026-11-26T10:00:00Z');
const TICK_MS = 10_000;

export interface FakeSeries {
  readonly owner: Owner;
  readonly kind: EntityKind;
  readonly sub: string;
  readonly metric: MetricName;
  /** What was measured so long ago. */
  at(agoMs: number): number;
  /** Of the newest sample; half an hour makes it stale. */
  readonly ageMs: number;
  /** For so long it has been measured. */
  readonly spanMs: number;
  readonly forecast: number | null;
}

export const STALE_MS = 50 * 60_000;
const HOST: Owner = { type: 'host', id: 'local' };
const valueAt = (value: FakeSeries['at'] | number): FakeSeries['at'] =>
  typeof value === 'number' ? () => value : value;

/** A figure of the host, or of a thing in it. */
export function ofHost(
  metric: MetricName,
  value: FakeSeries['at'] | number,
  more: Partial<FakeSeries> = {},
): FakeSeries {
  return {
    owner: HOST,
    kind: 'host',
    sub: '',
    metric,
    at: valueAt(value),
    ageMs: 0,
    spanMs: HOUR_MS,
    forecast: null,
    ...more,
  };
}

export function ofVm(
  name: string,
  metric: MetricName,
  value: FakeSeries['at'] | number,
  more: Partial<FakeSeries> = {},
): FakeSeries {
  return ofHost(metric, value, { owner: { type: 'vm', id: name }, kind: 'vm', ...more });
}

export const stale = (series: FakeSeries): FakeSeries => ({ ...series, ageMs: STALE_MS });

/** The number that an enum's value is stored as. */
export function numberOf(
  metric:
    | 'vm_state'
    | 'vm_state_desired'
    | 'vm_pause_reason'
    | 'pool_state'
    | 'raid_state'
    | 'smart_state'
    | 'smart_self_test'
    | 'ups_state'
    | 'service_state'
    | 'backup_state',
  name: string,
): number {
  const values: readonly string[] = METRICS[metric].values;
  const found = values.indexOf(name);
  if (found < 0) throw new TypeError(`${metric} has no ${name}`);
  return found;
}

export interface FakeWorld {
  readonly series?: readonly FakeSeries[];
  readonly files?: Readonly<Record<string, string>>;
  readonly folders?: Readonly<Record<string, readonly string[]>>;
  readonly links?: Readonly<Record<string, string>>;
  /** What programs print; `hangs` = it does not end. By name, or by name and first word. */
  readonly programs?: Readonly<Record<string, string>>;
  readonly facts?: Partial<HealthFacts>;
  readonly memory?: string;
}

export const host = (name: string, more: Partial<Host> = {}): Host => ({
  id: name,
  name,
  state: 'connected',
  since: new Date(NOW_MS).toISOString(),
  accel: 'kvm',
  cpuModel: 'Intel Xeon',
  cpus: 8,
  memoryBytes: 2 ** 34,
  libvirtVersion: '9.0.0',
  qemuVersion: '7.2.22',
  kernel: '6.1.0',
  uptimeSeconds: 1000,
  usage: null,
  ...more,
});

export const vm = (name: string, more: Partial<VmFacts> = {}): VmFacts => ({
  id: name,
  name,
  state: 'running',
  desired: 'running',
  agent: 'absent',
  nics: [],
  diskPaths: [],
  ...more,
});

const wellFacts: HealthFacts = {
  vms: () => [],
  pools: () => [],
  instantRestores: () => [],
  copies: () => [],
  isCurrent: () => true,
  hosts: () => [host('server1')],
  accel: () => 'kvm',
  certificateEndsAt: () => new Date(NOW_MS + 90 * DAY_MS),
  auditProblems: async () => [],
  historyProblems: () => [],
  messages: async () => ({ oldestWaitingMs: 0, dead: 0, hasDeadMan: true }),
  downloads: async () => [],
  protection: () => null,
  stateBackups: async () => [],
  historyMaxBytes: 4 * 2 ** 30,
};

export function contextOf(world: FakeWorld): Omit<HealthContext, 'signal'> {
  const list = world.series ?? [];
  const seriesAt = (id: number) => {
    const found = list[id];
    if (found === undefined) throw new TypeError(`no series ${id}`);
    return found;
  };
  const figures = createFigures({
    seriesOf: (metric) =>
      list.flatMap(({ owner, kind, sub, metric: of }, id): Series[] =>
        of === metric ? [{ id, owner, kind, sub, metric }] : [],
      ),
    latest(id) {
      const { at, ageMs } = seriesAt(id);
      return { value: at(ageMs), atMs: NOW_MS - ageMs, ageMs };
    },
    window(id, durationMs) {
      const { at, ageMs, spanMs } = seriesAt(id);
      const agos: number[] = [];
      for (let ago = Math.min(durationMs, spanMs); ago >= ageMs; ago -= TICK_MS) agos.push(ago);
      return { atMs: agos.map((ago) => NOW_MS - ago), values: agos.map(at) };
    },
    labelsOf: ({ owner }) => (owner.type === 'vm' ? { vm: owner.id } : { host: 'server1' }),
    forecast: (id) => seriesAt(id).forecast,
  });
  const files = world.files ?? {};
  const folders = world.folders ?? {};
  return {
    figures,
    machine: {
      readText: async (path) => files[path] ?? null,
      list: async (path) => folders[path] ?? null,
      linkTarget: async (path) => world.links?.[path] ?? null,
      facts: async (path) => (path in files || path in folders ? { kind: 'file', mode: 0o644, uid: 0, gid: 0 } : null),
      async run(argv) {
        const stdout = world.programs?.[argv.slice(0, 2).join(' ')] ?? world.programs?.[argv[0] ?? ''];
        if (stdout === undefined) throw new AppError('program_missing', { detail: `${argv[0]} is not installed` });
        if (stdout === 'hangs') throw new AppError('timeout', { detail: `${argv[0]} did not end` });
        return { code: 0, stdout, stderr: '' };
      },
      kernelRelease: () => '6.1.0-10-amd64',
    },
    facts: { ...wellFacts, ...world.facts },
    limit: (name) => limitOf(name, {}),
    nowMs: NOW_MS,
    memory: world.memory ?? null,
  };
}

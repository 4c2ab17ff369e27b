/** Where disks of VMs lie: storage pools of libvirt, ZFS, thin pools of LVM, Ceph. */

import type { CheckStatus } from '#contract/common.ts';
import type { HealthItem } from '#contract/health.ts';
import { HEALTH_WAITS_FOR_LIBVIRT } from '#contract/libvirt-away.ts';
import { METRICS } from '#contract/metric-catalogue.ts';
import { formatDuration } from '#kernel/units.ts';
import {
  conclude,
  DAY_MS,
  type Finding,
  type HealthCheck,
  type HealthContext,
  HOUR_MS,
  levelOf,
  MINUTE_MS,
  unknown,
} from '../check.ts';
import type { Figure } from '../figures.ts';
import { levelCheck, notMeasured } from '../level-check.ts';
import { ask } from '../programs.ts';
import { days, percent, plural } from '../text.ts';
import { zpoolStatuses } from '../zpool-status.ts';

const isZfs = ({ sub }: Pick<Figure, 'sub'>) => sub.startsWith('zfs:');
const isCeph = ({ sub }: Pick<Figure, 'sub'>) => sub === 'ceph';
const isThin = ({ sub }: Pick<Figure, 'sub'>) => sub.startsWith('lvm:');

type PoolState = (typeof METRICS)['pool_state']['values'][number];
const stateOf = ({ value }: Pick<Figure, 'value'>): PoolState => METRICS.pool_state.values[value] ?? 'unknown';

const STATUS_OF: Readonly<Record<PoolState, CheckStatus>> = {
  active: 'ok',
  degraded: 'warn',
  faulted: 'fail',
  inactive: 'fail',
  unknown: 'unknown',
};

async function zfsState(context: HealthContext): Promise<Finding | null> {
  const pools = context.figures.fresh('pool_state', 'pool').filter(isZfs);
  if (pools.length === 0) {
    const isUsed = (await context.machine.facts('/etc/zfs/zpool.cache')) !== null;
    return isUsed
      ? unknown('This machine has had ZFS pools, and `zpool list` tells of none.', 'Run `zpool status`.')
      : null;
  }
  const statuses = new Map(
    zpoolStatuses((await ask(context, ['zpool', 'status', '-p'])) ?? '').map((one) => [`zfs:${one.name}`, one]),
  );
  const items = pools.map((pool): HealthItem => {
    const state = stateOf(pool);
    const errors = statuses.get(pool.sub)?.errors ?? 0;
    const byState = STATUS_OF[state];
    return {
      name: pool.sub,
      status: byState === 'ok' && errors > 0 ? 'warn' : byState,
      detail: errors > 0 ? `${state}, ${plural(errors, 'error')}` : state,
    };
  });
  return conclude(
    items,
    `${plural(pools.length, 'ZFS pool')}, all online and without errors.`,
    'See which device it is: `zpool status -v`. Replace it: `zpool replace POOL OLD NEW`.',
  );
}

async function scrubs(context: HealthContext): Promise<Finding | null> {
  const output = await ask(context, ['zpool', 'status', '-p']);
  const hasPools = context.figures.fresh('pool_state', 'pool').some(isZfs);
  const hint =
    'Start one: `zpool scrub POOL`; make it regular with the timer zfs-scrub-monthly@POOL of your distribution.';
  if (output === null) return hasPools ? unknown('`zpool status` did not answer.', hint) : null;
  const pools = zpoolStatuses(output);
  if (pools.length === 0) return hasPools ? unknown('`zpool status` tells of no pool.', hint) : null;
  const items = pools.map(({ name, scrubbedAt, isScrubbing }): HealthItem => {
    if (isScrubbing) return { name, status: 'ok', detail: 'a scrub is under way' };
    if (scrubbedAt === null) return { name, status: 'warn', detail: 'was never scrubbed' };
    const age = (context.nowMs - scrubbedAt.getTime()) / DAY_MS;
    return { name, status: levelOf(age, context.limit('zfs.scrub')), detail: `last scrubbed ${days(age)} ago` };
  });
  return conclude(items, `${plural(pools.length, 'pool')}, all scrubbed lately.`, hint);
}

function thinPools(context: HealthContext): Finding | null {
  const data = context.figures.fresh('thin_data_usage', 'pool');
  const tables = context.figures.fresh('thin_meta_usage', 'pool');
  if (data.length + tables.length === 0) return notMeasured(context, 'thin_data_usage', 'pool', false);
  const items = [
    ...tables.map(
      ({ name, value }): HealthItem => ({
        name: `${name} (metadata)`,
        status: levelOf(value, context.limit('pools.thin-tables')),
        detail: `${percent(value)} in use`,
      }),
    ),
    ...data.map(
      ({ name, value }): HealthItem => ({
        name: `${name} (data)`,
        status: levelOf(value, context.limit('pools.thin-data')),
        detail: `${percent(value)} in use`,
      }),
    ),
  ];
  return conclude(
    items,
    `${plural(data.length, 'thin pool')} with room for data and metadata.`,
    'Extend the metadata first, without it the pool stops: `lvextend --poolmetadatasize +1G VG/POOL`, then `lvextend -L +SIZE VG/POOL`.',
  );
}

async function overcommit(context: HealthContext): Promise<Finding | null> {
  const pools = context.figures.fresh('overcommit', 'pool');
  if (pools.length === 0) return notMeasured(context, 'overcommit', 'pool', false);
  const bounds = context.limit('pools.overcommit');
  const isOver = (pool: Figure) => levelOf(pool.value, bounds) !== 'ok';
  // 100 means that thin pools are never extended by themselves: lvmthin(7).
  const threshold = pools.some((pool) => isThin(pool) && isOver(pool))
    ? /thin_pool_autoextend_threshold=(\d+)/.exec(
        (await ask(context, ['lvmconfig', '--typeconfig', 'full', 'activation/thin_pool_autoextend_threshold'])) ?? '',
      )?.[1]
    : undefined;
  const isExtended = threshold !== undefined && Number(threshold) < 100;
  const items = pools.map(
    (pool): HealthItem => ({
      name: pool.name,
      status: isOver(pool) && !(isThin(pool) && isExtended) ? 'warn' : 'ok',
      detail: `${percent(pool.value)} of its size are promised to disks`,
    }),
  );
  return conclude(
    items,
    `${plural(pools.length, 'pool')} looked at; none is promised far beyond its size.`,
    'When guests fill their disks the pool is full and VMs pause. Add space, move disks away, or let LVM extend the pool by itself.',
  );
}

async function ceph(context: HealthContext): Promise<Finding | null> {
  const clusters = context.figures.fresh('pool_state', 'pool').filter(isCeph);
  if (clusters.length === 0) {
    const isClient = (await context.machine.facts('/etc/ceph/ceph.conf')) !== null;
    return isClient ? unknown('The cluster does not answer.', 'Try `ceph status`; see /etc/ceph/ceph.conf.') : null;
  }
  return conclude(
    clusters.map((cluster) => ({ name: 'ceph', status: STATUS_OF[stateOf(cluster)], detail: stateOf(cluster) })),
    'Ceph says that it is well.',
    'Ask Ceph what it is: `ceph health detail`.',
  );
}

const SLOW_DOWNLOAD_MS = 6 * HOUR_MS;

async function pools(context: HealthContext): Promise<Finding | null> {
  const { facts, machine, nowMs } = context;
  const hint =
    'Start a pool: `hv pool list`, `virsh pool-start NAME`; look for a volume that was moved or deleted; cancel a download that stands still: `hv op cancel ID`.';
  if (!facts.isCurrent())
    return unknown('libvirt does not answer, so its pools are not known.', HEALTH_WAITS_FOR_LIBVIRT);
  const known = facts.pools().map((pool): HealthItem => {
    const isWanted = pool.autostart || pool.state !== 'inactive';
    const status =
      !isWanted || pool.state === 'active'
        ? 'ok'
        : pool.state === 'inactive'
          ? 'fail'
          : pool.state === 'degraded'
            ? 'warn'
            : 'unknown';
    return { name: pool.name, status, detail: pool.state };
  });
  const missing: HealthItem[] = [];
  for (const vm of facts.vms())
    for (const path of vm.diskPaths)
      if ((await machine.facts(path)) === null)
        missing.push({ name: vm.name, status: 'warn', detail: `its disk ${path} is not there` });
  const slow = (await facts.downloads())
    .filter(({ startedAt }) => nowMs - startedAt.getTime() > SLOW_DOWNLOAD_MS)
    .map(
      ({ title, startedAt }): HealthItem => ({
        name: title,
        status: 'warn',
        detail: `has been under way for ${formatDuration(nowMs - startedAt.getTime())}`,
      }),
    );
  return conclude(
    [...known, ...missing, ...slow],
    `${plural(known.length, 'storage pool')} looked at; all volumes of VMs are there.`,
    known.length === 0 ? 'There is no storage pool: `hv preflight` says what is missing.' : hint,
  );
}

export const poolChecks: readonly HealthCheck[] = [
  {
    id: 'zfs.state',
    number: 14,
    title: 'ZFS pools',
    meaning: 'Whether ZFS pools and their devices work. Only where there are some.',
    warnsWhen: 'a pool is degraded, or counted errors',
    failsWhen: 'a pool is faulted or away',
    limits: [],
    everyMs: MINUTE_MS,
    run: zfsState,
  },
  levelCheck({
    id: 'zfs.capacity',
    number: 15,
    title: 'Space of ZFS pools',
    meaning: 'ZFS becomes slow long before a pool is full.',
    metric: 'disk_usage',
    kind: 'pool',
    limit: 'zfs.capacity',
    isMeant: isZfs,
    show: percent,
    what: 'in use',
    hint: 'Delete old snapshots (`zfs list -t snapshot -o name,used`), or add devices.',
    isExpected: false,
  }),
  {
    id: 'zfs.scrub',
    number: 16,
    title: 'Scrubs of ZFS pools',
    meaning: 'When each pool was last read as a whole, which finds damage while it can be repaired.',
    warnsWhen: 'a pool was never scrubbed',
    limits: ['zfs.scrub'],
    everyMs: HOUR_MS,
    isAnnounced: true,
    run: scrubs,
  },
  {
    id: 'pools.thin',
    number: 17,
    title: 'Thin pools',
    meaning: 'Room for data and for metadata in thin pools of LVM; without metadata the whole pool stops.',
    limits: ['pools.thin-data', 'pools.thin-tables'],
    everyMs: MINUTE_MS,
    run: thinPools,
  },
  {
    id: 'pools.overcommit',
    number: 18,
    title: 'Promised space',
    meaning:
      'How much more was promised to disks than a pool has. Thin pools that LVM extends by itself are not counted.',
    limits: ['pools.overcommit'],
    everyMs: 5 * MINUTE_MS,
    run: overcommit,
  },
  {
    id: 'ceph.health',
    number: 19,
    title: 'Ceph',
    meaning: 'What the Ceph cluster says of itself. Only on machines that use one.',
    warnsWhen: 'it says HEALTH_WARN',
    failsWhen: 'it says HEALTH_ERR',
    limits: [],
    everyMs: MINUTE_MS,
    run: ceph,
  },
  {
    id: 'pools.state',
    number: 38,
    title: 'Storage pools',
    meaning: 'Whether pools that start by themselves are active, the disks of VMs are there, and downloads move.',
    warnsWhen: 'a pool is degraded, the file of a disk is missing, or a download takes longer than six hours',
    failsWhen: 'a pool that starts by itself is inactive',
    limits: [],
    everyMs: 5 * MINUTE_MS,
    isAnnounced: true,
    run: pools,
  },
];

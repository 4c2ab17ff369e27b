/** Space on file systems of the host: now, soon, and in a week. */

import type { HealthItem } from '#contract/health.ts';
import type { EntityKind } from '#contract/metric-catalogue.ts';
import { formatBytes, formatDuration, GIB } from '#kernel/units.ts';
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
import { percent } from '../text.ts';

const HINT = 'Free space: `du -xhd2 PATH` shows what is large; `hv trash list` and `hv image list` show what may go.';
/** Of smaller ones, as a boot partition, no 5 GiB can be asked. */
const LARGE_BYTES = 20 * GIB;

const WORST = { ok: 0, warn: 1, fail: 2 } as const;

function fileSystems(context: HealthContext): Finding | null {
  const { figures, limit } = context;
  const usages = figures.fresh('disk_usage', 'fs');
  if (usages.length === 0) return notMeasured(context, 'disk_usage', 'fs', true);
  const bySub = (metric: 'disk_free' | 'disk_size') =>
    new Map(figures.fresh(metric, 'fs').map(({ sub, value }) => [sub, value]));
  const free = bySub('disk_free');
  const sizes = bySub('disk_size');
  const items = usages.map(({ name, sub, value }): HealthItem => {
    const left = free.get(sub);
    const byUse = levelOf(value, limit('space.file-systems'));
    const byRoom =
      left !== undefined && (sizes.get(sub) ?? 0) > LARGE_BYTES ? levelOf(left, limit('space.free')) : 'ok';
    return {
      name,
      status: WORST[byRoom] > WORST[byUse] ? byRoom : byUse,
      detail: `${percent(value)} in use${left === undefined ? '' : `, ${formatBytes(left)} free`}`,
    };
  });
  const most = Math.max(...usages.map(({ value }) => value));
  return conclude(items, `${usages.length} looked at, ${percent(most)} in use at most.`, HINT);
}

/** Of an hour; less says nothing about the next two days. */
const LEAST_SPAN_MS = 30 * MINUTE_MS;
const SPACE_KINDS: readonly EntityKind[] = ['fs', 'pool'];

function spaces(context: HealthContext): readonly Figure[] {
  return SPACE_KINDS.flatMap((kind) => context.figures.fresh('disk_used', kind));
}

const keyOf = ({ kind, sub }: Pick<Figure, 'kind' | 'sub'>) => `${kind} ${sub}`;

function timeToFull(context: HealthContext): Finding | null {
  const all = spaces(context);
  if (all.length === 0) return notMeasured(context, 'disk_used', undefined, true);
  const free = new Map(
    SPACE_KINDS.flatMap((kind) => context.figures.fresh('disk_free', kind)).map((one) => [keyOf(one), one.value]),
  );
  const items = all.flatMap((figure): HealthItem[] => {
    const left = free.get(keyOf(figure));
    const { atMs, values } = context.figures.samples(figure, HOUR_MS);
    const spanMs = (atMs.at(-1) ?? 0) - (atMs[0] ?? 0);
    if (left === undefined || spanMs < LEAST_SPAN_MS) return [];
    const grownBytes = (values.at(-1) ?? 0) - (values[0] ?? 0);
    if (grownBytes <= 0) return [{ name: figure.name, status: 'ok', detail: 'does not grow' }];
    const fullInMs = (left / grownBytes) * spanMs;
    return [
      {
        name: figure.name,
        status: levelOf(fullInMs / HOUR_MS, context.limit('space.time-to-full')),
        detail: `${formatBytes(grownBytes)} more in ${formatDuration(spanMs)}: full in ${formatDuration(fullInMs)}`,
      },
    ];
  });
  // Half an hour after the start there is something to judge; until then the check is not in the list.
  if (items.length === 0) return null;
  return conclude(
    items,
    `${items.length} looked at; none is full soon.`,
    'Find and stop what writes: `hv metrics top disk_write`, `du -xhd2 PATH`.',
  );
}

const FORECAST_DAYS = 7;
/** What is full already is told by another check. */
function forecast({ figures, limit }: HealthContext): Finding | null {
  const all = SPACE_KINDS.flatMap((kind) => figures.fresh('disk_usage', kind));
  if (all.length === 0)
    return unknown('Space was not measured.', 'Look at `hv metrics capacity` and at the log of hyperd.');
  const items = all.flatMap((figure): HealthItem[] => {
    const later = figures.forecast(figure, FORECAST_DAYS * DAY_MS);
    if (later === null) return [];
    const isGrowing = later > figure.value;
    return [
      {
        name: figure.name,
        status: isGrowing ? levelOf(later, limit('space.forecast')) : 'ok',
        detail: `${percent(figure.value)} now, ${percent(Math.min(1, later))} in ${FORECAST_DAYS} days`,
      },
    ];
  });
  // With seven days of history there is something to foresee; until then the check is not in the list.
  if (items.length === 0) return null;
  return conclude(
    items,
    `${items.length} looked at; none is full in ${FORECAST_DAYS} days.`,
    'Plan for more space: `hv metrics capacity`.',
  );
}

export const spaceChecks: readonly HealthCheck[] = [
  {
    id: 'space.file-systems',
    number: 10,
    title: 'File systems of the host',
    meaning: 'How full they are, and how much is left.',
    limits: ['space.file-systems', 'space.free'],
    everyMs: MINUTE_MS,
    run: fileSystems,
  },
  levelCheck({
    id: 'space.inodes',
    number: 11,
    title: 'Number of files',
    meaning: 'A file system that can keep no more files is full, whatever space it has.',
    metric: 'inode_usage',
    kind: 'fs',
    limit: 'space.inodes',
    show: percent,
    what: 'of the files that there can be',
    hint: 'Look for folders with very many small files: `du --inodes -xd2 PATH`.',
    isExpected: true,
  }),
  {
    id: 'space.time-to-full',
    number: 12,
    title: 'Space that runs out soon',
    meaning: 'When a file system or pool is full if it goes on growing as in the last hour.',
    limits: ['space.time-to-full'],
    everyMs: 5 * MINUTE_MS,
    run: timeToFull,
  },
  {
    id: 'space.forecast',
    number: 13,
    title: 'Space in a week',
    meaning: 'How full file systems and pools will be in seven days, as the last thirty days say.',
    limits: ['space.forecast'],
    everyMs: HOUR_MS,
    run: forecast,
  },
];

/** The figures of the history beside Debian's Prometheus: bytes and processor time of the same samples, and how long questions take. */

import { createReader } from '#features/metrics/query/read.ts';
import { warmUp } from '#features/metrics/query/warm.ts';
import type { OwnerBook } from '#features/metrics/store/book.ts';
import { silentLogger } from '#kernel/logger.ts';
import type { Measurement } from '../../scripts/test/bench.ts';
import { measureCollection } from './metrics/collection.ts';
import { type LoadKind, type LoadSeries, loadOf } from './metrics/load.ts';
import { cpuMs, runOurs, START } from './metrics/ours.ts';
import { blocksOf, startScraping } from './metrics/rival.ts';

const HOUR_MS = 3_600_000;
const TICKS_PER_HOUR = 360;
const SEED = 1;
const SCRAPES_PER_HOUR = 8;

/** Takes about six minutes and 500 MB below the system's temporary folder. Needs the packages `prometheus`
 *  and `prometheus-libvirt-exporter`. */
export async function run(): Promise<Measurement[]> {
  return [
    ...(await measureBytes('calm')),
    ...(await measureBytes('hard')),
    ...(await measureCost()),
    ...(await measureQuestions()),
    ...(await measureCollection()),
  ];
}

const valuesOf = (series: readonly LoadSeries[]) => Float64Array.from(series, (each) => each.next() ?? Number.NaN);

/** The same six hours of thirty VMs into both. */
async function measureBytes(kind: LoadKind): Promise<Measurement[]> {
  const series = loadOf(30, SEED, kind);
  const columns: (number | null)[][] = series.map(() => []);
  const draw = () => {
    const values = valuesOf(series);
    for (const [n, value] of values.entries()) columns[n]?.push(Number.isNaN(value) ? null : value);
    return values;
  };
  await using ours = await runOurs({ series, ticks: 6 * TICKS_PER_HOUR + 1, draw });
  const { rawTier, wholeFile } = await ours.bytes();
  const samples = ours.samples;
  const rival = (await blocksOf(series, columns, START.getTime())) / samples;
  const perSample = (name: string, bytes: number, bar: string, isCompared: boolean): Measurement => ({
    name,
    ours: bytes / samples,
    rival: isCompared ? rival : null,
    ratio: isCompared ? bytes / samples / rival : null,
    bar,
    unit: 'B/sample',
  });
  return [
    perSample(`history, ${kind} VMs: samples on disk | Prometheus blocks`, rawTier, '≤ 0.65×, ≤ 1.3', true),
    perSample(`history, ${kind} VMs: the whole file with coarser tiers`, wholeFile, '≤ 1.45', false),
  ];
}

/** Eight thousand samples a tick. Prometheus' side is all that its process does for them, reading the text of the scrape included; of
 *  ours nothing is left out either, but samples come as calls, because hyperd measures by itself. */
async function measureCost(): Promise<Measurement[]> {
  const series = loadOf(200, SEED, 'hard');
  const course = { series, draw: () => valuesOf(series) };
  // In turns, because what else the machine does makes both dearer.
  await using scraping = await startScraping(series, () => valuesOf(series));
  const costs: number[] = [];
  const afterHour = async () => void costs.push(await scraping.costMs(SCRAPES_PER_HOUR));
  await using ours = await runOurs({ ...course, afterHour, ticks: 8 * TICKS_PER_HOUR + 30 });
  const rival = costs.reduce((sum, each) => sum + each, 0) / costs.length;
  await using steps = await runOurs({ ...course, ticks: 2 * TICKS_PER_HOUR + 30, areStepsMeasured: true });
  return [
    {
      name: `history: a tick of ${series.length} samples, all that follows included | a scrape of Prometheus`,
      ours: ours.cpuMsPerTick,
      rival,
      ratio: ours.cpuMsPerTick / rival,
      bar: '≤ 0.15×, ≤ 2 ms',
      unit: 'ms CPU',
    },
    {
      name: 'history: most processor time without a pause',
      ours: steps.longestStepMs,
      rival: null,
      ratio: null,
      bar: '≤ 50',
      unit: 'ms CPU',
    },
  ];
}

async function measureQuestions(): Promise<Measurement[]> {
  const series = loadOf(3, SEED, 'hard');
  await using day = await runOurs({ series, ticks: 24 * TICKS_PER_HOUR + 1, draw: () => valuesOf(series) });
  const toMs = day.clock.now().getTime();
  const read = createReader(day.history);
  const metrics = [...new Set(series.map(({ metric }) => metric))];
  // The first is the one that hyperd asks for by itself.
  const [, first, second] = [...day.history.book.owners()];
  const dayOf = (owner: OwnerBook | undefined) =>
    msOf(async () => {
      if (owner === undefined) throw new Error('there are not three VMs');
      for (const metric of metrics)
        await read({ metric, owners: [owner], fromMs: toMs - 24 * HOUR_MS, toMs, points: 1500 });
    });
  // hyperd does so when it has started.
  await warmUp(day.history, read, silentLogger);
  const coldMs = await dayOf(first);
  const nextMs = await dayOf(second);

  // Thirty days with a tick every five minutes have the same buckets of an hour as those with thirty.
  const many = loadOf(200, SEED, 'hard').filter(({ metric }) => metric === 'cpu_usage' || metric === 'mem_used');
  await using all = await runOurs({ series: many, ticks: 30 * 24 * 12, draw: () => valuesOf(many), everyMs: 300_000 });
  const endMs = all.clock.now().getTime();
  const readAll = createReader(all.history);
  const overviewMs = await msOf(async () => {
    await readAll({
      metric: 'cpu_usage',
      owners: [...all.history.book.owners()],
      fromMs: endMs - 30 * 24 * HOUR_MS,
      toMs: endMs,
      points: 700,
    });
  });
  const figure = (name: string, ours: number, bar: string): Measurement => ({
    name,
    ours,
    rival: null,
    ratio: null,
    bar,
    unit: 'ms CPU',
  });
  return [
    figure(
      `history: a day of one VM, ${metrics.length} figures, 1,500 points, the first that hyperd is asked`,
      coldMs,
      '≤ 100',
    ),
    figure('history: the same of a second VM', nextMs, '≤ 100'),
    figure('history: thirty days of 200 VMs', overviewMs, '≤ 300'),
  ];
}

async function msOf(work: () => Promise<void>): Promise<number> {
  const begin = cpuMs();
  await work();
  return cpuMs() - begin;
}

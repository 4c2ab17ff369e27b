/** `hv metrics`: figures, their history, and how long the space will last. */

import type { CapacityItem, LatestFigure, Metric, MetricSeries, PushStatus, Top } from '#contract/metrics.ts';
import { formatBytes } from '#kernel/units.ts';
import { command, defineCommands } from './command.ts';
import type { CommandContext } from './context.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';
import { usageFailure } from './failure.ts';
import { figureText, rangeOf, sparkline } from './metric-text.ts';
import { problemFrom } from './problems.ts';
import { type Column, printTable } from './table.ts';
import { safeText } from './text.ts';
import { ageText, pause } from './time.ts';
import { any, countOption, flag, one, textOption } from './values.ts';

/** Points of the graph beside a figure. */
/** Characters of a graph; what stands beside it takes about sixty columns. */
const graphWidth = (columns: number): number => Math.max(10, Math.min(40, columns - 60));
const EVERY_MS = 10_000;

const entityOption = () => textOption('host|vm|vm:NAME', 'whose figures; otherwise all that you may see');

async function catalogueOf({ api }: CommandContext): Promise<ReadonlyMap<string, Metric>> {
  const { items } = await api('GET /metrics/catalogue');
  return new Map(items.map((metric) => [metric.name, metric]));
}

interface Whose {
  readonly owner: string;
  readonly name: string;
  readonly kind: string;
  readonly sub: string;
}

const ownerText = ({ owner, name }: Whose) => (owner === 'host' ? `host ${safeText(name)}` : safeText(name));
const subText = ({ kind, sub }: Whose) => (sub === '' ? '' : `${kind} ${safeText(sub)}`);

const whoseColumns = <Row extends Whose>(): readonly Column<Row>[] => [
  { title: 'OF', value: ownerText, flexibleTo: 10, colour: (text, _row, paint) => paint('bold', text) },
  { title: 'PART', value: subText, flexibleTo: 8 },
];

const listCommand = command({
  path: ['metrics', 'list'],
  summary: 'List the figures that are kept, and their newest values',
  details: 'Without --of the catalogue: every figure that there is. With it the newest values of the host or a VM.',
  options: { of: entityOption() },
  examples: ['metrics list', 'metrics list --of host', 'metrics list --of vm:web1'],
  run: async (context, { options }) => {
    const { api, output } = context;
    const catalogue = await catalogueOf(context);
    if (options.of === undefined) {
      if (output.isJson) output.json([...catalogue.values()]);
      else printTable(output, CATALOGUE_COLUMNS, [...catalogue.values()], 'No figures.');
      return EXIT.done;
    }
    const { items } = await api('GET /metrics/latest', { query: { entity: options.of } });
    if (output.isJson) output.json(items);
    else
      printTable(output, latestColumns(catalogue), items.toSorted(byPlace), 'Nothing was measured in the last hour.');
    return EXIT.done;
  },
});

const CATALOGUE_COLUMNS: readonly Column<Metric>[] = [
  { title: 'NAME', value: ({ name }) => name, colour: (text, _row, paint) => paint('bold', text) },
  { title: 'UNIT', value: ({ dimension }) => dimension.replaceAll('_', ' ') },
  { title: 'OF', value: ({ kinds }) => kinds.join(', '), flexibleTo: 12 },
  {
    title: 'EVERY',
    value: ({ periodSeconds }) => (periodSeconds === 0 ? 'change' : `${periodSeconds} s`),
    align: 'right',
  },
  { title: 'MEANING', value: ({ help }) => help, flexibleTo: 20, isOptional: true },
];

/** Thing by thing, the machine itself first. */
const byPlace = (a: LatestFigure, b: LatestFigure): number => {
  const placeOf = ({ name, sub, kind, metric }: LatestFigure) => `${name} ${sub === '' ? '' : kind} ${sub} ${metric}`;
  return placeOf(a).localeCompare(placeOf(b), 'en', { numeric: true });
};

const latestColumns = (catalogue: ReadonlyMap<string, Metric>): readonly Column<LatestFigure>[] => [
  { title: 'FIGURE', value: ({ metric }) => metric, colour: (text, _row, paint) => paint('bold', text) },
  ...whoseColumns<LatestFigure>(),
  { title: 'VALUE', value: (row) => valueText(catalogue, row.metric, row.value), align: 'right' },
  { title: 'AGE', value: ({ ageSeconds }) => `${ageSeconds} s`, align: 'right', isOptional: true },
];

function valueText(catalogue: ReadonlyMap<string, Metric>, name: string, value: number | null): string {
  const metric = catalogue.get(name);
  return metric === undefined ? String(value) : figureText(metric, value);
}

const showCommand = command({
  path: ['metrics', 'query'],
  summary: 'Show the history of figures as small graphs',
  details: 'Times are dates as 2026-11-26T10:00:00Z, or times ago as 30min, 6h or 7d.',
  positionals: { metric: one('FIGURE', 'name of a figure, or several separated by commas') },
  options: {
    of: entityOption(),
    part: textOption('NAME', 'only this disk, card, mount point …'),
    from: textOption('TIME', 'beginning', { defaultText: '1h' }),
    to: textOption('TIME', 'end', { defaultText: 'now' }),
    points: countOption('N', 'points of the table; for --csv and --json'),
    csv: flag('print a table for spreadsheets'),
  },
  examples: [
    'metrics query cpu_usage --of host',
    'metrics query disk_used --from 7d',
    'metrics query cpu_usage,mem_usage --from 6h --csv',
  ],
  run: async (context, { args, options }) => {
    const { api, output } = context;
    if (options.csv && output.isJson) throw usageFailure('--csv and --json exclude each other', 'Give one of them.');
    const isTable = options.csv || output.isJson;
    const query = {
      metric: args.metric,
      ...(options.of === undefined ? {} : { entity: options.of }),
      ...(options.part === undefined ? {} : { sub: options.part }),
      ...(options.from === undefined ? {} : { from: options.from }),
      ...(options.to === undefined ? {} : { to: options.to }),
      ...(isTable
        ? options.points === undefined
          ? {}
          : { points: options.points }
        : { points: graphWidth(output.width) }),
    };
    if (options.csv) {
      const words = Object.entries(query).map(([name, value]) => `${name}=${encodeURIComponent(value)}`);
      const { status, body } = await context.transport.send({
        method: 'GET',
        path: `/api/v1/metrics/range.csv?${words.join('&')}`,
      });
      if (status >= 400) throw problemFrom(body.toString('utf8'), status);
      output.bytes(body);
      return EXIT.done;
    }
    const answer = await api('GET /metrics/range', { query });
    if (output.isJson) output.json(answer);
    else
      printTable(output, graphColumns(await catalogueOf(context)), answer.series, 'Nothing was measured in that time.');
    return EXIT.done;
  },
});

const graphColumns = (catalogue: ReadonlyMap<string, Metric>): readonly Column<MetricSeries>[] => [
  { title: 'FIGURE', value: ({ metric }) => metric, colour: (text, _row, paint) => paint('bold', text) },
  ...whoseColumns<MetricSeries>(),
  { title: 'GRAPH', value: ({ metric, avg }) => graphText(catalogue, metric, avg), isOptional: true },
  { title: 'LOWEST', value: ({ metric, min }) => valueText(catalogue, metric, leastOf(min)), align: 'right' },
  { title: 'HIGHEST', value: ({ metric, max }) => valueText(catalogue, metric, mostOf(max)), align: 'right' },
  {
    title: 'NOW',
    value: ({ metric, avg }) => valueText(catalogue, metric, avg.findLast((value) => value !== null) ?? null),
    align: 'right',
  },
];

function graphText(catalogue: ReadonlyMap<string, Metric>, name: string, values: readonly (number | null)[]): string {
  const metric = catalogue.get(name);
  return metric === undefined ? '' : sparkline(values, ...rangeOf(metric, values));
}

const known = (values: readonly (number | null)[]): readonly number[] => values.filter((value) => value !== null);
const leastOf = (values: readonly (number | null)[]) =>
  known(values).length === 0 ? null : Math.min(...known(values));
const mostOf = (values: readonly (number | null)[]) => (known(values).length === 0 ? null : Math.max(...known(values)));

const topCommand = command({
  path: ['metrics', 'top'],
  summary: 'Show who has the most of a figure now',
  details: 'With --watch the table is drawn again every ten seconds, until Ctrl-C.',
  positionals: { metric: any('FIGURE', 'name of a figure; cpu_usage unless given') },
  options: {
    limit: countOption('N', 'how many', { defaultText: '10' }),
    watch: flag('draw it again every ten seconds'),
  },
  examples: ['metrics top', 'metrics top mem_used --limit 5'],
  run: async (context, { args, options }) => {
    const { api, output } = context;
    if (options.watch && output.isJson)
      throw usageFailure('--watch and --json exclude each other', 'Give one of them.');
    const query = {
      metric: args.metric[0] ?? 'cpu_usage',
      ...(options.limit === undefined ? {} : { limit: options.limit }),
    };
    const catalogue = await catalogueOf(context);
    const show = async () => {
      const top = await api('GET /metrics/top', { query });
      if (output.isJson) output.json(top);
      else
        printTable(
          output,
          topColumns(catalogue.get(top.metric), output.width),
          top.items,
          'Nothing was measured in the last minutes.',
        );
    };
    if (!options.watch) {
      await show();
      return EXIT.done;
    }
    return await untilInterrupted(async (signal) => {
      for (;;) {
        // Clears the screen; where there is none the tables follow each other.
        if (output.width !== Number.POSITIVE_INFINITY) output.bytes(Buffer.from('\u001b[H\u001b[2J'));
        await show();
        await pause(EVERY_MS, signal);
      }
    });
  },
});

/** Ctrl-C is the usual end. */
async function untilInterrupted(work: (signal: AbortSignal) => Promise<never>): Promise<ExitCode> {
  const stop = new AbortController();
  const onInterrupt = () => stop.abort(new Error('interrupted'));
  process.once('SIGINT', onInterrupt);
  try {
    return await work(stop.signal);
  } catch (error) {
    if (stop.signal.aborted) return EXIT.done;
    throw error;
  } finally {
    process.off('SIGINT', onInterrupt);
  }
}

const topColumns = (metric: Metric | undefined, width: number): readonly Column<Top['items'][number]>[] => [
  ...whoseColumns<Top['items'][number]>(),
  {
    title: 'VALUE',
    value: ({ value }) => (metric === undefined ? String(value) : figureText(metric, value)),
    align: 'right',
  },
  {
    title: 'LAST 10 MIN',
    value: ({ recent }) =>
      metric === undefined ? '' : sparkline(recent.slice(-graphWidth(width)), ...rangeOf(metric, recent)),
    isOptional: true,
  },
];

const capacityCommand = command({
  path: ['metrics', 'capacity'],
  summary: 'Show how long the space of pools and file systems will last',
  details:
    'From the daily maxima of the last thirty days. The span holds half of what the slopes between days say; it is no promise.',
  examples: ['metrics capacity'],
  run: async ({ api, output }) => {
    const { items } = await api('GET /metrics/capacity');
    if (output.isJson) output.json(items);
    else printTable(output, CAPACITY_COLUMNS, items, 'Nothing was measured yet.');
    return EXIT.done;
  },
});

const CAPACITY_COLUMNS: readonly Column<CapacityItem>[] = [
  {
    title: 'SPACE',
    value: ({ kind, sub }) => `${kind} ${safeText(sub)}`,
    flexibleTo: 10,
    colour: (text, _row, paint) => paint('bold', text),
  },
  { title: 'SIZE', value: ({ sizeBytes }) => (sizeBytes === null ? '–' : formatBytes(sizeBytes)), align: 'right' },
  { title: 'USED', value: ({ usedBytes }) => formatBytes(usedBytes), align: 'right' },
  {
    title: 'FULL',
    value: ({ usedRatio }) => (usedRatio === null ? '–' : `${Math.round(usedRatio * 100)} %`),
    align: 'right',
  },
  { title: 'A DAY', value: ({ bytesPerDay }) => dailyText(bytesPerDay), align: 'right', isOptional: true },
  { title: 'OUTLOOK', value: outlookText },
];

const dailyText = (bytes: number | null) =>
  bytes === null ? '–' : `${bytes < 0 ? '−' : '+'}${formatBytes(Math.abs(bytes))}`;

export function outlookText({ outlook, days, fullInDays }: CapacityItem): string {
  switch (outlook) {
    case 'too_little_data':
      return `too little data: ${days} of 7 days`;
    case 'no_trend':
      return 'no trend';
    case 'shrinking':
      return 'getting emptier';
    case 'filling': {
      if (fullInDays === null) return 'filling, more than 5 years left';
      const { soonest, latest } = fullInDays;
      return latest === null ? `full in ${daysText(soonest)} or later` : spanText(soonest, latest);
    }
  }
}

function spanText(soonest: number, latest: number): string {
  const [from, to] = [daysText(soonest), daysText(latest)];
  return from === to ? `full in ${from}` : `full in ${from} to ${to}`;
}

/** Days up to three weeks, weeks up to three months, then months. */
function daysText(days: number): string {
  const [amount, unit] = days < 21 ? [days, 'day'] : days < 90 ? [days / 7, 'week'] : [days / 30.4, 'month'];
  const whole = Math.max(days < 21 ? 0 : 1, Math.round(amount));
  return `${whole} ${unit}${whole === 1 ? '' : 's'}`;
}

const targetsCommand = command({
  path: ['metrics', 'targets'],
  summary: 'Show where figures are sent, and how that goes',
  details:
    'Targets are entries of metrics.push in the configuration. Sixty measurements wait at most while one is away.',
  examples: ['metrics targets'],
  run: async ({ api, output }) => {
    const { items } = await api('GET /metrics/targets');
    if (output.isJson) output.json(items);
    else printTable(output, TARGET_COLUMNS, items, 'Figures are sent nowhere. Targets are named in metrics.push.');
    return EXIT.done;
  },
});

const TARGET_STATES: Readonly<Record<PushStatus['state'], readonly [text: string, colour: 'green' | 'red' | 'grey']>> =
  {
    ok: ['● ok', 'green'],
    failing: ['■ failing', 'red'],
    waiting: ['○ waiting', 'grey'],
  };

const TARGET_COLUMNS: readonly Column<PushStatus>[] = [
  { title: 'NAME', value: ({ name }) => name, colour: (text, _row, paint) => paint('bold', text) },
  { title: 'KIND', value: ({ kind }) => kind },
  {
    title: 'STATE',
    value: ({ state }) => TARGET_STATES[state][0],
    colour: (text, { state }, paint) => paint(TARGET_STATES[state][1], text),
  },
  { title: 'SENT', value: ({ lastSentAt }) => (lastSentAt === null ? 'never' : ageText(lastSentAt)), align: 'right' },
  { title: 'WAIT', value: ({ queuedTicks }) => String(queuedTicks), align: 'right' },
  { title: 'LOST', value: ({ droppedTicks }) => String(droppedTicks), align: 'right' },
  { title: 'ADDRESS', value: ({ address }) => safeText(address), flexibleTo: 12, isOptional: true },
  { title: 'PROBLEM', value: ({ error }) => safeText(error ?? ''), flexibleTo: 10 },
];

export const commands = defineCommands([listCommand, showCommand, topCommand, capacityCommand, targetsCommand]);

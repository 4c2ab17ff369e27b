/** Which figures stand together in a graph, for a VM and for the host. */

import type { EntityKind, MetricName } from '#contract/metric-catalogue.ts';
import { METRICS } from '#contract/metric-catalogue.ts';
import { text } from '../../text.ts';
import type { GraphData, GraphLine, SeriesColour } from './graph-data.ts';

const words = text.graphs.titles;

interface SetLine {
  readonly metric: MetricName;
  /** Left out where the sub name says it all. */
  readonly label?: string;
  readonly colour: SeriesColour;
  readonly isDashed?: boolean;
}

/** One graph: lines of one dimension. With several entities, as disks, each has its own lines. */
export interface GraphSet {
  readonly id: string;
  readonly title: string;
  readonly kind: EntityKind;
  readonly lines: readonly SetLine[];
  readonly hasArea?: boolean;
  readonly scaleMax?: number;
  /** Not shown where nothing was measured: what not every machine has. */
  readonly isOptional?: boolean;
}

const PRESSURE = ['cpu_psi_some', 'mem_psi_some', 'io_psi_some'] as const;
const pressure = (kind: 'host' | 'vm'): GraphSet => ({
  id: 'pressure',
  title: words.pressure,
  kind,
  isOptional: true,
  lines: PRESSURE.map((metric, index) => ({
    metric,
    label: [words.cpu, words.memory, words.io][index] ?? metric,
    colour: ([1, 2, 4] as const)[index] ?? 8,
  })),
});

const traffic = (kind: 'vdisk' | 'disk'): readonly GraphSet[] => [
  {
    id: `${kind}-bytes`,
    title: words.diskTraffic,
    kind,
    lines: [
      { metric: 'disk_read', label: words.read, colour: 3 },
      { metric: 'disk_write', label: words.write, colour: 3, isDashed: true },
    ],
  },
  {
    id: `${kind}-ops`,
    title: words.diskRequests,
    kind,
    lines: [
      { metric: 'disk_read_ops', label: words.read, colour: 3 },
      { metric: 'disk_write_ops', label: words.write, colour: 3, isDashed: true },
    ],
  },
  { id: `${kind}-latency`, title: words.diskLatency, kind, lines: [{ metric: 'disk_latency', colour: 4 }] },
];

const network = (kind: 'vnic' | 'nic'): readonly GraphSet[] => [
  {
    id: `${kind}-bytes`,
    title: words.netTraffic,
    kind,
    lines: [
      { metric: 'net_rx', label: words.received, colour: 7 },
      { metric: 'net_tx', label: words.sent, colour: 7, isDashed: true },
    ],
  },
  {
    id: `${kind}-lost`,
    title: words.netLost,
    kind,
    isOptional: true,
    lines: [
      { metric: 'net_errors', label: words.errors, colour: 5 },
      { metric: 'net_drops', label: words.drops, colour: 4 },
    ],
  },
];

const space = (kind: 'guestfs' | 'fs' | 'pool', title: string): GraphSet => ({
  id: `${kind}-space`,
  title,
  kind,
  isOptional: true,
  hasArea: true,
  scaleMax: 1,
  lines: [{ metric: 'disk_usage', colour: 6 }],
});

export const VM_GRAPHS: readonly GraphSet[] = [
  {
    id: 'cpu',
    title: words.processors,
    kind: 'vm',
    scaleMax: 1,
    lines: [
      { metric: 'cpu_usage', label: words.inUse, colour: 1 },
      { metric: 'cpu_steal', label: words.steal, colour: 8 },
    ],
  },
  {
    id: 'memory',
    title: words.memoryTitle,
    kind: 'vm',
    hasArea: true,
    lines: [
      { metric: 'mem_used', label: words.usedByGuest, colour: 2 },
      { metric: 'mem_balloon', label: words.given, colour: 8, isDashed: true },
      { metric: 'mem_rss', label: words.ofHost, colour: 4 },
    ],
  },
  ...traffic('vdisk'),
  ...network('vnic'),
  space('guestfs', words.guestSpace),
  pressure('vm'),
];

export const HOST_GRAPHS: readonly GraphSet[] = [
  {
    id: 'cpu',
    title: words.processors,
    kind: 'host',
    scaleMax: 1,
    lines: [
      { metric: 'cpu_usage', label: words.inUse, colour: 1 },
      { metric: 'cpu_iowait', label: words.iowait, colour: 4 },
    ],
  },
  { id: 'load', title: words.load, kind: 'host', lines: [{ metric: 'load15_per_core', label: words.load, colour: 1 }] },
  {
    id: 'memory',
    title: words.memoryTitle,
    kind: 'host',
    hasArea: true,
    lines: [
      { metric: 'mem_used', label: words.used, colour: 2 },
      { metric: 'mem_available', label: words.available, colour: 6, isDashed: true },
    ],
  },
  {
    id: 'swap',
    title: words.swap,
    kind: 'host',
    isOptional: true,
    scaleMax: 1,
    lines: [{ metric: 'swap_usage', label: words.used, colour: 5 }],
  },
  pressure('host'),
  space('fs', words.fileSystems),
  space('pool', words.pools),
  ...traffic('disk'),
  ...network('nic'),
  {
    id: 'temperature',
    title: words.temperature,
    kind: 'sensor',
    isOptional: true,
    lines: [{ metric: 'temperature', colour: 4 }],
  },
];

/** One series as it was measured. */
export interface Measured {
  readonly metric: MetricName;
  readonly kind: EntityKind;
  /** As `vda`; '' for the VM or host itself. */
  readonly sub: string;
  /** What the entity is called, for people. */
  readonly name: string;
  readonly min: readonly (number | null)[];
  readonly avg: readonly (number | null)[];
  readonly max: readonly (number | null)[];
}

const COLOURS: readonly SeriesColour[] = [1, 2, 3, 4, 5, 6, 7, 8];

/** The graph of a set, or null for an optional one without a single sample.
 *  @param isMerged whether a step holds several samples, so that least and most say more than the average alone */
export function graphOf(
  set: GraphSet,
  times: readonly number[],
  measured: readonly Measured[],
  isMerged: boolean,
): GraphData | null {
  const [first] = set.lines;
  if (!first) return null;
  const { dimension } = METRICS[first.metric];
  const subs = [
    ...new Map(
      measured
        .filter(({ kind, metric }) => kind === set.kind && set.lines.some((line) => line.metric === metric))
        .map(({ sub, name }) => [sub, name]),
    ),
  ].sort(([a], [b]) => a.localeCompare(b, 'en', { numeric: true }));
  const lines = subs.flatMap(([sub, name], place) =>
    set.lines.flatMap((line): GraphLine[] => {
      const found = measured.find(
        (one) => one.sub === sub && one.metric === line.metric && one.kind === set.kind && one.avg.some(isNumber),
      );
      if (!found) return [];
      const colour =
        subs.length > 1 ? (COLOURS[(line.colour - 1 + place) % COLOURS.length] ?? line.colour) : line.colour;
      return [
        {
          id: `${sub} ${line.metric}`,
          label: [sub === '' || (subs.length === 1 && line.label !== undefined) ? '' : name, line.label]
            .filter(Boolean)
            .join(' '),
          colour,
          ...(line.isDashed ? { isDashed: true } : {}),
          values: found.avg,
          ...(isMerged ? { band: { min: found.min, max: found.max } } : {}),
        },
      ];
    }),
  );
  if (lines.length === 0 && set.isOptional) return null;
  return {
    title: set.title,
    dimension,
    times,
    lines,
    ...(set.hasArea && subs.length === 1 ? { hasArea: true } : {}),
    ...(set.scaleMax === undefined ? {} : { scaleMax: set.scaleMax }),
  };
}

function isNumber(value: number | null): value is number {
  return value !== null;
}

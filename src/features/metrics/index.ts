/** Metrics: measures every ten seconds, keeps what was measured, answers what it was.
 *  Tables: metric_count; the history is a file of its own, `metrics.db`. Permissions: metrics.read, with vm.read or host.read of what it is about.
 *  Guide: docs/guides/metrics.md */

import { statfsSync } from 'node:fs';
import { join } from 'node:path';
import type { LibvirtJob } from '#contract/libvirt-jobs.ts';
import type { EntityKind, MetricName } from '#contract/metric-catalogue.ts';
import { SUB_LABELS, TICK_MS } from '#contract/metric-catalogue.ts';
import { metricsErrors } from '#contract/metrics.ts';
import type { Overview } from '#contract/system.ts';
import { hosts } from '#features/hosts/index.ts';
import { inventory } from '#features/inventory/index.ts';
import { operations } from '#features/operations/index.ts';
import { projects } from '#features/projects/index.ts';
import { messageOf } from '#kernel/errors.ts';
import { createPulse } from '#platform/db/pulse.ts';
import { defineFeature } from '#platform/feature.ts';
import {
  createCollection,
  eventCountMigrations,
  type JobFigures,
  type LibvirtExporterView,
  type RawFamily,
} from './collect/index.ts';
import { createPeriods } from './periods.ts';
import { historyProblems } from './problems.ts';
import { createForecasts } from './query/forecasts.ts';
import { createReader } from './query/read.ts';
import { createMetricRoutes } from './query/routes.ts';
import { warmUp } from './query/warm.ts';
import type { Collector, Owner, Series, SeriesKey, Tick } from './sample.ts';
import { createHistory } from './store/history.ts';
import { createIntake } from './store/intake.ts';
import { createMemory } from './store/memory.ts';
import { createTickLoop } from './tick-loop.ts';

export type { Collector, Owner, Series, SeriesKey, Tick } from './sample.ts';

export interface MetricsApi {
  /** Owner of the figures of this machine. */
  readonly host: Owner;
  addCollector(collector: Collector): () => void;
  /** After the samples are in the head. Listeners are quick. */
  onTick(listener: (tick: Tick) => void): () => void;
  series(id: number): Series | null;
  /** Series of a metric that have a sample in the last hour. */
  seriesOf(metric: MetricName): readonly Series[];
  /** The newest sample, or null; ageMs by the monotonic clock. */
  latest(seriesId: number): { readonly value: number; readonly atMs: number; readonly ageMs: number } | null;
  /** How often the series is measured at present, milliseconds; 0 = when it changes. */
  periodMs(seriesId: number): number;
  /** Samples of the last durationMs, oldest first: an hour from memory at once, older ones from the disk, where each hour
   *  is read once, and only so many for one tick: empty until all of them are there. */
  window(
    seriesId: number,
    durationMs: number,
  ): { readonly atMs: readonly number[]; readonly values: readonly number[] };
  /** Samples, or rollups of five minutes or an hour where samples are gone or too many; the answer says which.
   *  @throws metrics_budget */
  read(request: {
    readonly metric: MetricName;
    readonly owner?: Owner;
    readonly kind?: EntityKind;
    readonly sub?: string;
    readonly fromMs: number;
    readonly toMs: number;
    readonly points?: number;
    readonly signal?: AbortSignal;
  }): Promise<{
    readonly stepMs: number;
    readonly tier: 'raw' | '5m' | '1h';
    readonly series: readonly {
      readonly key: SeriesKey;
      readonly atMs: readonly number[];
      readonly min: readonly (number | null)[];
      readonly avg: readonly (number | null)[];
      readonly max: readonly (number | null)[];
    }[];
  }>;
  /** What a figure will be, by its trend of the last thirty days; null when nobody can say. Never waits. */
  forecast(seriesId: number, horizonMs: number): number | null;
  /** For people and selectors: host, vm (name), uuid, project, tags, kind and what the thing is called inside its owner. */
  labelsOf(key: SeriesKey): Readonly<Record<string, string>>;
  /** How many jobs of libvirt run, as far as is known. */
  libvirtJobs(): number;
  /** Raw counters as they were last read, for exports. Never waits. */
  rawFamilies(): readonly RawFamily[];
  /** What of it is of these VMs and pools, under the names of Tinkoff/libvirt-exporter. */
  libvirtExporterFamilies(view: LibvirtExporterView): readonly RawFamily[];
  /** What is wrong with the history, for the overview. */
  problems(): Overview['problems'];
}

/** What is told of a job that does not run any more. */
const OVER: JobFigures = {
  kind: 'none',
  ratio: null,
  doneBytes: null,
  totalBytes: null,
  remainingBytes: null,
  elapsedMs: null,
  remainingMs: null,
};
/** Collectors that are later than this are left out. */
const DEADLINE_MS = 5_000;
/** The history takes at most this part of its file system. */
const LARGEST_SHARE = 0.05;
const MIB_16 = 16 * 2 ** 20;
const STOP_MS = 3_000;
/** A start has other things to do first. */
const WARM_AFTER_MS = 30_000;

export const metrics = defineFeature<MetricsApi>({
  name: 'metrics',
  needs: ['inventory', 'hosts', 'projects', 'operations'],
  migrations: eventCountMigrations,
  errors: metricsErrors,
  setup({ address, config, db, libvirt, clock, calendar, events, log, use }) {
    const known = use(inventory);
    const registry = use(projects);
    const journal = use(operations);
    const { local, name: hostName } = use(hosts);
    const hostId = local().id;
    const hostOwner: Owner = { type: 'host', id: hostId };
    const path = join(config.state.root, 'metrics.db');
    const pulse = createPulse(`${path}-pulse`, clock);
    const maxBytes = () => {
      const { blocks, bsize } = statfsSync(config.state.root);
      return Math.max(MIB_16, Math.min(config.metrics.maxBytes, blocks * bsize * LARGEST_SHARE));
    };
    const history = createHistory({
      path,
      clock,
      log,
      limits: () => ({ ...config.metrics, maxBytes: maxBytes() }),
      isGone: (owner) => owner.type === 'vm' && known.staleSince === null && known.vm(owner.id) === null,
      diskAnswers: pulse.check,
    });
    const memory = createMemory(history, clock);
    const periods = createPeriods();
    const intake = createIntake({
      book: history.book,
      log,
      isActive: ({ id }) => memory.isActive(id),
      onPeriod: (entry, periodMs) => periods.note(entry, periodMs, clock.monotonicMs()),
    });
    const loop = createTickLoop({ clock, log, tickMs: TICK_MS, deadlineMs: DEADLINE_MS });
    const read = createReader(history);
    const listeners = new Set<(tick: Tick) => void>();
    const stopping = new AbortController();
    let running: Promise<void> = Promise.resolve();
    let warming: Promise<void> = Promise.resolve();
    let maintaining: Promise<void> | null = null;

    const jobAsSeen = (uuid: string, job: JobFigures): LibvirtJob | null => {
      const vm = known.vm(uuid);
      if (vm === null) return null;
      return { id: uuid, name: vm.name, project: vm.project, operationId: vm.operationId, ...job };
    };
    const collection = createCollection({
      host: hostOwner,
      inventory: known,
      hosts: use(hosts),
      projects: registry,
      libvirt,
      db,
      events,
      clock,
      log,
      jobKindOf: (uuid) => journal.openFor(uuid)?.kind ?? null,
      jobChanged(uuid, job) {
        const seen = jobAsSeen(uuid, job ?? OVER);
        if (seen !== null) events.emit('job.changed', seen);
      },
      certificateEndsAt: () => address().certificateEndsAt,
    });
    for (const collector of collection.collectors) loop.add(collector);
    loop.add({
      name: 'self',
      collect(sink) {
        sink.put(hostOwner, 'host', '', 'collector_missed_total', loop.missed + collection.missed);
        if (history.now.tick % 6 === 0) sink.put(hostOwner, 'host', '', 'metrics_db_size', history.sizeBytes);
      },
    });

    const tell = (tick: Tick) => {
      for (const listener of listeners) {
        try {
          listener(tick);
        } catch (error) {
          // Others hear of the tick all the same.
          log.error({ err: error }, `a listener of figures failed: ${messageOf(error)}`);
        }
      }
    };
    const tick = async (wallTick: number, signal: AbortSignal) => {
      const monotonicMs = clock.monotonicMs();
      const open = intake.open();
      await loop.collect(open.sink, signal);
      const taken = open.close();
      if (signal.aborted) return;
      tell(history.take(taken, wallTick, monotonicMs));
      await history.persist();
      maintaining ??= history
        .maintain(calendar.leap() === null)
        .catch((error: unknown) => log.error({ err: error }, `the history could not be tidied: ${messageOf(error)}`))
        .finally(() => {
          maintaining = null;
        });
    };
    const namesOf = (owner: Owner) => {
      if (owner.type === 'host') return { name: hostName(), project: null };
      const vm = known.vm(owner.id);
      return { name: vm?.name ?? owner.id, project: vm?.project ?? null };
    };
    const ownersOf = (owner: Owner | undefined) => {
      if (owner === undefined) return [...history.book.owners()];
      const found = history.book.recall(owner);
      return found === null ? [] : [found];
    };
    const forecasts = createForecasts({
      series: history.book.entry,
      latest: memory.latest,
      read: ({ owner, metric, kind, sub }, span) => read({ metric, kind, sub, owners: ownersOf(owner), ...span }),
      clock,
      log,
    });

    return {
      api: {
        host: hostOwner,
        addCollector: loop.add,
        onTick(listener) {
          listeners.add(listener);
          return () => void listeners.delete(listener);
        },
        series: history.book.entry,
        seriesOf: (metric) => history.book.ofMetric(metric).filter(({ id }) => memory.isActive(id)),
        latest: memory.latest,
        periodMs(seriesId) {
          const entry = history.book.entry(seriesId);
          return entry === null ? 0 : periods.of(entry, clock.monotonicMs());
        },
        window: memory.window,
        read: ({ owner, ...request }) => read({ ...request, owners: ownersOf(owner) }),
        forecast: forecasts.forecast,
        labelsOf({ owner, kind, sub }) {
          const label = kind === 'host' || kind === 'vm' ? {} : { [SUB_LABELS[kind]]: sub };
          const vm = owner.type === 'vm' ? known.vm(owner.id) : null;
          return {
            host: hostName(),
            ...(owner.type === 'vm'
              ? {
                  vm: vm?.name ?? owner.id,
                  uuid: owner.id,
                  project: vm === null ? '' : (registry.get(vm.project)?.name ?? vm.project),
                  tags: vm?.tags.join(',') ?? '',
                }
              : {}),
            kind,
            ...label,
          };
        },
        libvirtJobs: () => collection.jobs.size,
        rawFamilies: collection.families,
        libvirtExporterFamilies: collection.libvirtExporterFamilies,
        problems: () => historyProblems(history.troubles(), clock.monotonicMs()),
      },
      handlers: {
        ...createMetricRoutes({
          history,
          clock,
          known: { vm: known.vm, named: known.named, project: registry.get },
          hostId,
          namesOf,
          read,
          ...memory,
        }),
        'GET /jobs': ({ may }) => ({
          items: [...collection.jobs]
            .map(([uuid, job]) => jobAsSeen(uuid, job))
            .filter((job) => job !== null)
            .filter(({ id, project }) => may('vm.read', { type: 'vm', id, project, vmId: id })),
        }),
      },
      metrics: () => [
        {
          name: 'hyper_history_series',
          type: 'gauge',
          help: 'Series of the history in memory.',
          samples: [{ value: history.book.size }],
        },
        {
          name: 'hyper_history_rejected_total',
          type: 'counter',
          help: 'Samples that the history cannot hold.',
          samples: [{ value: intake.counts.rejected }],
        },
        {
          name: 'hyper_history_dropped_total',
          type: 'counter',
          help: 'Samples of series beyond the caps of the history.',
          samples: [{ value: intake.counts.dropped }],
        },
      ],
      async start(signal) {
        await history.start();
        await collection.start();
        const end = AbortSignal.any([signal, stopping.signal]);
        running = loop.run(end, (wallTick) => tick(wallTick, end));
        warming = clock.sleep(WARM_AFTER_MS, end).then(
          () => warmUp(history, (request) => read({ ...request, signal: end }), log),
          () => undefined,
        );
      },
      async stop() {
        stopping.abort(new Error('the daemon stops'));
        try {
          await running;
          await warming;
          await collection.stop();
          await Promise.race([forecasts.settled(), clock.sleep(STOP_MS)]);
          // An hour that is half written is in the log as a whole.
          await Promise.race([maintaining ?? Promise.resolve(), clock.sleep(STOP_MS)]);
        } finally {
          history.close();
          await pulse.close();
        }
      },
    };
  },
});

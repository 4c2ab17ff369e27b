/** All that is measured: the collectors, and the raw counters that they last read. Setting up does nothing observable; `start` reads the
 *  table `metric_count` and listens to events, `stop` ends both. */

import { hostname } from 'node:os';
import type { ApiEvents } from '#contract/events.ts';
import type { HostsApi } from '#features/hosts/index.ts';
import { type InventoryApi, isOnState, qemuProcesses } from '#features/inventory/index.ts';
import type { ProjectsApi } from '#features/projects/index.ts';
import type { Clock } from '#kernel/clock.ts';
import type { EventBus } from '#kernel/event-bus.ts';
import type { Logger } from '#kernel/logger.ts';
import type { LibvirtHost } from '#libvirt/index.ts';
import type { Database } from '#platform/db/database.ts';
import type { Collector, Owner } from '../sample.ts';
import { createCounterMemory } from './counter-memory.ts';
import { createEventCounts } from './event-counts.ts';
import { createFileSystemSpace } from './file-system-space.ts';
import { createKernelFiles, createPageSize, type KernelFiles } from './kernel-files.ts';
import { createPrograms, type Programs } from './programs.ts';
import { type RawFamily, type RawSource, readFamilies } from './raw-families.ts';
import { createBonds } from './readers/bonds.ts';
import { cephReader } from './readers/ceph.ts';
import { fileSystemsReader } from './readers/file-systems.ts';
import { createHostDisks } from './readers/host-disks.ts';
import { createHostKernel } from './readers/host-kernel.ts';
import { createHostMemory } from './readers/host-memory.ts';
import { createHostNics } from './readers/host-nics.ts';
import { lvmThinReader } from './readers/lvm-thin.ts';
import { memoryErrorsReader } from './readers/memory-errors.ts';
import { sensorsReader } from './readers/sensors.ts';
import { servicesReader } from './readers/services.ts';
import { isRefusedSignIn } from './readers/sign-ins.ts';
import { smartReader } from './readers/smart.ts';
import { softwareRaidReader } from './readers/software-raid.ts';
import { storagePoolsReader } from './readers/storage-pools.ts';
import { upsReader } from './readers/ups.ts';
import { zfsReader } from './readers/zfs.ts';
import { createTickSink } from './sinks.ts';
import { createSlowCollector, type SlowReader } from './slow-reader.ts';
import { dirtyRatesReader } from './vms/dirty-rates.ts';
import { guestAgentsReader } from './vms/guest-agents.ts';
import type { JobFigures } from './vms/job-figures.ts';
import { createJobWatch } from './vms/job-watch.ts';
import { type LibvirtExporterView, libvirtExporterFamilies } from './vms/libvirt-exporter.ts';
import { createMonitorWatch } from './vms/monitor-watch.ts';
import { createQemuProcesses } from './vms/qemu-processes.ts';
import { rawVms } from './vms/raw-vms.ts';
import { snapshotChainsReader } from './vms/snapshot-chains.ts';
import { isRestart } from './vms/states.ts';
import { createVmFigures } from './vms/vm-figures.ts';

export { eventCountMigrations } from './event-counts.ts';
export type { RawFamily } from './raw-families.ts';
export type { JobFigures } from './vms/job-figures.ts';
export type { LibvirtExporterView } from './vms/libvirt-exporter.ts';

export interface CollectionOptions {
  readonly host: Owner;
  readonly inventory: InventoryApi;
  readonly hosts: Pick<HostsApi, 'kernelReading' | 'processors'>;
  readonly projects: Pick<ProjectsApi, 'domainName' | 'get'>;
  readonly libvirt: LibvirtHost;
  readonly db: Database;
  readonly events: EventBus<ApiEvents>;
  readonly clock: Clock;
  readonly log: Logger;
  /** Kind of the open operation that works on a VM, as `vm.start`; null = none does. */
  jobKindOf(uuid: string): string | null;
  /** A job of libvirt on a VM began, got on or ended (null). */
  jobChanged(uuid: string, job: JobFigures | null): void;
  /** When the certificate of the dashboard ends; null = not known. */
  certificateEndsAt(): Date | null;
  /** Ports for tests. */
  readonly files?: KernelFiles;
  readonly programs?: Programs;
}

export interface Collection {
  /** For `MetricsApi.addCollector`, in no particular order. */
  readonly collectors: readonly Collector[];
  /** Raw counters as last read. Never waits. */
  families(): readonly RawFamily[];
  /** The same under the names of another exporter. */
  libvirtExporterFamilies(view: LibvirtExporterView): readonly RawFamily[];
  /** Jobs of libvirt that run, by VM. */
  readonly jobs: ReadonlyMap<string, JobFigures>;
  /** Readings that were left out since the start, because the one before was still under way. */
  readonly missed: number;
  start(): Promise<void>;
  stop(): Promise<void>;
}

const CONTROL_MS = 1_000;
const TIDY_EVERY_MS = 3_600_000;
const CERTIFICATE_EVERY_MS = 3_600_000;

export function createCollection(options: CollectionOptions): Collection {
  const { host, inventory, hosts, libvirt, db, events, clock, log, jobKindOf } = options;
  const files = options.files ?? createKernelFiles();
  const programs = options.programs ?? createPrograms(clock);
  const memory = createCounterMemory();
  const counts = createEventCounts({ db, clock, log });
  const space = createFileSystemSpace({ programs });
  const projectName = (id: string) => options.projects.get(id)?.name ?? id;
  let missed = 0;
  let rejected = 0;

  const pageSize = createPageSize(files);
  const hostKernel = createHostKernel({
    host,
    files,
    clock,
    memory,
    pageSize,
    reading: hosts.kernelReading,
    processors: hosts.processors,
    committedBytes: () => (inventory.staleSince === null ? committedBytes(inventory) : null),
  });
  const hostDisks = createHostDisks({ host, files, clock, memory });
  const hostNics = createHostNics({ host, files, clock, memory });
  const hostMemory = createHostMemory({ host, files, pageSize });
  const bonds = createBonds({ host, files });
  const processes = createQemuProcesses({
    files,
    clock,
    memory,
    processes: async () => new Map([...(await qemuProcesses())].map(([uuid, { pid }]) => [uuid, pid])),
  });
  const monitors = createMonitorWatch({
    clock,
    log,
    control: (uuid) => libvirt.domains.controlInfo(uuid, { deadlineMs: CONTROL_MS }),
  });
  const vmFigures = createVmFigures({
    host,
    inventory,
    processes,
    monitors,
    counts,
    memory,
    clock,
    jobKindOf,
  });
  const agents = guestAgentsReader({
    log,
    vms: () => inventory.vms().filter(({ state }) => isOnState(state)),
    setResponseTimeout: (uuid, seconds) => libvirt.agent.setResponseTimeout(uuid, seconds),
    guestInfo: (uuid) => libvirt.agent.guestInfo(uuid, ['filesystems', 'os']),
  });
  const chains = snapshotChainsReader({
    // Of a QEMU that is not known to answer nothing is asked: it would hold the question of the others.
    vms: () =>
      inventory.isConnected
        ? inventory.vms().map(({ id, state }) => ({ id, isAsked: isOnState(state) && monitors.stuckSeconds(id) === 0 }))
        : [],
    async blockStats(uuids) {
      const all = await libvirt.domains.stats(uuids, ['block'], { backingChain: true, batchSize: uuids.length });
      return new Map(all.map(({ domain, values }) => [domain.uuid, values]));
    },
    snapshots: (uuid) => libvirt.snapshots.list(uuid),
    snapshotXml: (uuid, name) => libvirt.snapshots.xml(uuid, name),
    nowSeconds: () => Math.floor(clock.now().getTime() / 1000),
  });
  const dirtyRates = dirtyRatesReader({
    clock,
    log,
    vms: inventory.vms,
    isFree: (uuid) =>
      inventory.isConnected &&
      inventory.vm(uuid)?.state === 'running' &&
      jobKindOf(uuid) === null &&
      monitors.stuckSeconds(uuid) === 0,
    control: (uuid) => libvirt.domains.controlInfo(uuid, { deadlineMs: CONTROL_MS }),
    start: libvirt.domains.startDirtyRate,
    async stats(uuids) {
      const all = await libvirt.domains.stats(uuids, ['dirtyrate'], { batchSize: uuids.length });
      return new Map(all.map(({ domain, values }) => [domain.uuid, values]));
    },
  });
  const jobWatch = createJobWatch({
    clock,
    log,
    vms: () =>
      inventory.isConnected
        ? inventory
            .vms()
            .filter(({ state }) => isOnState(state))
            .map(({ id }) => id)
        : [],
    isWorkedOn: (uuid) => jobKindOf(uuid) !== null,
    asked: vmFigures.asked,
    isStuck: (uuid) => (monitors.stuckSeconds(uuid) ?? 0) > 0,
    control: (uuid) => libvirt.domains.controlInfo(uuid, { deadlineMs: CONTROL_MS }),
    job: libvirt.domains.job,
    changed: options.jobChanged,
  });
  const sensors = sensorsReader(host, files);
  const pools = storagePoolsReader(host, {
    space,
    pools: () => (inventory.staleSince === null ? inventory.pools() : null),
  });

  const afterFigures = <Reading>(reader: SlowReader<Reading>): SlowReader<Reading> => ({
    ...reader,
    async read(signal) {
      await vmFigures.asked();
      return reader.read(signal);
    },
  });
  const slow = <Reading>(reader: SlowReader<Reading>) =>
    createSlowCollector(reader, {
      clock,
      log,
      onMissed: () => {
        missed += 1;
      },
    });
  const slowCollectors = [
    slow(agents),
    slow(afterFigures(chains)),
    slow(afterFigures(dirtyRates)),
    slow(pools),
    slow(fileSystemsReader(host, files, space)),
    slow(sensors),
    slow(memoryErrorsReader(host, files)),
    slow(softwareRaidReader(host, files)),
    slow(smartReader(host, { files, programs, isTemperatureKnown: sensors.hasDisk })),
    slow(zfsReader(host, programs)),
    slow(lvmThinReader(host, programs)),
    slow(cephReader(host, programs)),
    slow(upsReader(host, programs)),
    slow(servicesReader(host, files, programs)),
    slow({
      name: 'certificate',
      periodMs: CERTIFICATE_EVERY_MS,
      read: async () => options.certificateEndsAt(),
      put: (sink, endsAt) => sink.put(host, 'host', '', 'cert_expiry', Math.floor(endsAt.getTime() / 1000)),
    }),
  ];
  let tidiedMs = Number.NEGATIVE_INFINITY;
  const eventCounts: Collector = {
    name: 'event-counts',
    async collect(sink) {
      sink.put(host, 'host', '', 'auth_failures_total', counts.count('host', 'auth_failures_total'));
      const nowMs = clock.monotonicMs();
      if (inventory.staleSince === null && nowMs - tidiedMs >= TIDY_EVERY_MS) {
        counts.keep(new Set(inventory.vms().map(({ id }) => id)));
        tidiedMs = nowMs;
      }
      await counts.save();
    },
  };
  const own: RawSource = (sink) => {
    sink.add('hyper_collector_period_seconds', {}, inventory.counters.monitorPeriodMs / 1000);
    sink.add('hyper_collector_lost_calls_total', {}, inventory.counters.lostCalls);
    sink.add('hyper_collector_rejected_total', {}, rejected);
  };
  const sources: readonly RawSource[] = [
    rawVms({
      vms: inventory.vms,
      readings: vmFigures.readings,
      qemus: processes.latest,
      counts,
      systemOf: agents.systemOf,
      dirtyRateOf: dirtyRates.rateOf,
      hostName: hostname,
      projectName,
    }),
    hostKernel.raw,
    hostDisks.raw,
    hostNics.raw,
    hostMemory.raw,
    bonds.raw,
    pools.raw,
    own,
  ];
  const limited = (collector: Collector): Collector => ({
    name: collector.name,
    collect: (sink, signal) =>
      collector.collect(
        createTickSink(sink, () => {
          rejected += 1;
        }),
        signal,
      ),
  });
  const subscriptions: (() => void)[] = [];

  return {
    collectors: [
      hostKernel,
      hostDisks,
      hostNics,
      hostMemory,
      bonds,
      vmFigures,
      eventCounts,
      jobWatch,
      ...slowCollectors,
    ].map(limited),
    families: () => readFamilies(sources),
    libvirtExporterFamilies: (view) =>
      libvirtExporterFamilies(
        {
          readings: vmFigures.readings,
          qemus: processes.latest,
          isUp: () => inventory.isConnected,
          domainName: ({ project, name }) => options.projects.domainName(project, name),
          projectName,
        },
        view,
      ),
    jobs: jobWatch.jobs,
    get missed() {
      return missed;
    },
    async start() {
      subscriptions.push(
        vmFigures.listen(),
        libvirt.onEvent((event) => {
          // A restart that an operation asked for is none of the guest's own.
          const isAsked = event.type === 'domain-rebooted' && isRestart(jobKindOf(event.domain.uuid));
          if (!isAsked) counts.onLibvirtEvent(event);
        }),
        events.on('vm.removed', ({ id }) => {
          // A VM that moves to another project is taken from those of the first.
          if (inventory.vm(id) === null) counts.forget(id);
        }),
        events.on('audit.recorded', (record) => {
          if (isRefusedSignIn(record)) counts.add('host', 'auth_failures_total');
        }),
      );
      await counts.load();
    },
    async stop() {
      for (const end of subscriptions.splice(0)) end();
      await Promise.all([jobWatch, ...slowCollectors].map((collector) => collector.stop()));
      await counts.save();
    },
  };
}

function committedBytes(inventory: InventoryApi): number {
  return inventory
    .vms()
    .filter(({ state }) => isOnState(state))
    .reduce((sum, { memoryBytes }) => sum + memoryBytes, 0);
}

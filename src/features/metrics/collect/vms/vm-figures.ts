/** The figures of VMs at each tick: what libvirt counts, what the kernel knows of their processes, how they stand. When libvirt does not
 *  answer, what comes from it is left out and the rest goes on. */

import type { Vm } from '#contract/vms.ts';
import {
  type CounterBatch,
  type CounterSweeps,
  type DomainCounters,
  type InventoryApi,
  isOnState,
} from '#features/inventory/index.ts';
import type { Clock } from '#kernel/clock.ts';
import type { CounterMemory } from '../counter-memory.ts';
import type { EventCounts } from '../event-counts.ts';
import { type Collector, type Owner, type SampleSink, TICK_MS } from '../measuring.ts';
import { enumNumber, withPeriod } from '../sinks.ts';
import { putDisks, putMemory, putNetwork, putProcessors } from './figures.ts';
import type { MonitorWatch } from './monitor-watch.ts';
import type { QemuFigures, QemuProcesses } from './qemu-processes.ts';
import { putStates } from './states.ts';

const SIZES_EVERY_MS = 60_000;
const SLACK_MS = 1_000;
/** How long a tick waits for libvirt; answers that come later go into the next one. */
const MAX_WAIT_MS = 3_000;
/** VMs that are put at a time. */
const SLICE = 50;

/** What libvirt last counted of a VM. */
export interface VmReading extends DomainCounters {
  /** Monotonic. */
  readonly atMs: number;
  readonly atWallMs: number;
}

export interface VmReadings {
  readonly plain: ReadonlyMap<string, VmReading>;
  readonly monitor: ReadonlyMap<string, VmReading>;
}

/** What figures need to know of a VM. */
export type MeasuredVm = Pick<Vm, 'id' | 'state' | 'stateReason' | 'desired' | 'vcpus'> & {
  readonly nics: readonly Pick<Vm['nics'][number], 'mac'>[];
};

export interface VmFiguresOptions {
  readonly host: Owner;
  readonly inventory: Pick<InventoryApi, 'isConnected' | 'staleSince'> & {
    vms(): readonly MeasuredVm[];
    vm(id: string): MeasuredVm | null;
    readonly counters: Pick<CounterSweeps, 'sweep' | 'monitorPart' | 'onBatch' | 'monitorPeriodMs'>;
  };
  readonly processes: QemuProcesses;
  readonly monitors: MonitorWatch;
  readonly counts: Pick<EventCounts, 'isOutOfSpace' | 'put'>;
  readonly memory: CounterMemory;
  readonly clock: Clock;
  /** Kind of the open operation that works on a VM. */
  jobKindOf(uuid: string): string | null;
}

export interface VmFigures extends Collector {
  /** Begins to listen. @returns the function that ends it */
  listen(): () => void;
  readonly readings: VmReadings;
  /** Resolves when the QEMUs were asked for the figures of this tick, so that it is known which of them answer. Who asks one a second
   *  question waits for it: each question that a stuck QEMU holds takes one of few connections, and two at a time cost figures. */
  asked(): Promise<void>;
}

export function createVmFigures(options: VmFiguresOptions): VmFigures {
  const { host, inventory, processes, monitors, counts, memory, clock } = options;
  const latest = { plain: new Map<string, VmReading>(), monitor: new Map<string, VmReading>() };
  /** Read since the last tick. */
  const fresh = { plain: new Map<string, VmReading>(), monitor: new Map<string, VmReading>() };
  const sizesAtMs = new Map<string, number>();
  /** VMs that have a QEMU; while libvirt is away, those that had one last. */
  let on: readonly MeasuredVm[] = [];
  let watching: Promise<void> = Promise.resolve();
  let round: Promise<void> = Promise.resolve();

  const take = ({ part, atMs, counters }: CounterBatch) => {
    const atWallMs = clock.now().getTime();
    for (const [uuid, { runId, values }] of counters) {
      const reading = { runId, values, atMs, atWallMs };
      latest[part].set(uuid, reading);
      fresh[part].set(uuid, reading);
    }
    if (part !== 'monitor') return;
    const records = new Map([...counters].map(([uuid, { values }]) => [uuid, values]));
    watching = watching.then(() => monitors.look(records));
  };

  const forgetOthers = () => {
    const ids = new Set(on.map(({ id }) => id));
    for (const known of [latest.plain, latest.monitor, fresh.plain, fresh.monitor, sizesAtMs])
      for (const uuid of known.keys()) if (!ids.has(uuid)) known.delete(uuid);
    monitors.keep(ids);
    memory.keep(new Set(['host', ...[...ids].flatMap((uuid) => [`vm/${uuid}`, `qemu/${uuid}`])]));
  };

  const putPlain = (sink: SampleSink, uuid: string, { runId, values, atMs }: VmReading) => {
    const look = { uuid, values, atMs, periodMs: TICK_MS, counters: memory.of(`vm/${uuid}`, runId) };
    putNetwork(
      sink,
      look,
      (inventory.vm(uuid)?.nics ?? []).map(({ mac }) => mac),
    );
  };

  const putMonitor = (sink: SampleSink, uuid: string, reading: VmReading, local: QemuFigures | undefined) => {
    const { runId, values, atMs, atWallMs } = reading;
    const periodMs = Math.max(TICK_MS, inventory.counters.monitorPeriodMs);
    const look = { uuid, values, atMs, periodMs, counters: memory.of(`vm/${uuid}`, runId) };
    const sizedMs = sizesAtMs.get(uuid);
    const isSizeDue = sizedMs === undefined || atMs - sizedMs >= SIZES_EVERY_MS - SLACK_MS;
    if (isSizeDue) sizesAtMs.set(uuid, atMs);
    const slow = withPeriod(sink, periodMs);
    putProcessors(slow, look, local?.group?.cpuMicros != null);
    putMemory(slow, look, atWallMs, local?.rssBytes != null);
    putDisks(slow, look, isSizeDue);
  };

  /** Puts what was read since the last tick; what comes later goes into the next one. */
  const putFresh = async (sink: SampleSink, local: ReadonlyMap<string, QemuFigures>): Promise<void> => {
    const plain = [...fresh.plain];
    const monitor = [...fresh.monitor];
    fresh.plain.clear();
    fresh.monitor.clear();
    await inSlices(plain, ([uuid, reading]) => putPlain(sink, uuid, reading));
    await inSlices(monitor, ([uuid, reading]) => putMonitor(sink, uuid, reading, local.get(uuid)));
  };

  const putAll = async (sink: SampleSink, signal: AbortSignal): Promise<void> => {
    const waiting = new AbortController();
    // A tick takes nothing any more after its own deadline, so what there is must be put before it.
    const late = clock.sleep(MAX_WAIT_MS, AbortSignal.any([signal, waiting.signal])).then(
      () => null,
      () => null,
    );
    const vms = inventory.vms();
    if (inventory.staleSince === null) {
      on = vms.filter(({ state }) => isOnState(state));
      forgetOthers();
    }
    const local = await processes.collect(sink, on);
    const outcome = inventory.isConnected ? await Promise.race([inventory.counters.sweep(), late]) : null;
    const latencyMs = outcome?.latencyMs ?? null;
    const isUp = latencyMs !== null;
    sink.put(host, 'host', '', 'libvirt_up', Number(isUp));
    sink.put(host, 'host', '', 'libvirt_latency', latencyMs === null ? null : latencyMs / 1000);
    sink.put(host, 'host', '', 'host_state', enumNumber('host_state', isUp ? 'online' : 'degraded'));
    if (isUp) {
      await Promise.race([inventory.counters.monitorPart(), late]);
      await Promise.race([watching, late]);
      await inSlices(vms, (vm) => {
        putStates(sink, vm, { jobKind: options.jobKindOf(vm.id), isOutOfSpace: counts.isOutOfSpace(vm.id) });
        counts.put(sink, vm.id);
      });
      for (const { id } of on) sink.put({ type: 'vm', id }, 'vm', '', 'vm_monitor_stuck', monitors.stuckSeconds(id));
    }
    waiting.abort();
    await putFresh(sink, local);
  };

  return {
    name: 'vms',
    readings: latest,
    listen: () => inventory.counters.onBatch(take),
    asked: () => round,
    async collect(sink, signal) {
      const { promise, resolve } = Promise.withResolvers<void>();
      round = promise;
      try {
        await putAll(sink, signal);
      } finally {
        void inventory.counters
          .monitorPart()
          .then(() => watching)
          .then(resolve, resolve);
      }
    },
  };
}

/** Lets others have the event loop after each part. */
async function inSlices<Item>(items: readonly Item[], work: (item: Item) => void): Promise<void> {
  for (const [n, item] of items.entries()) {
    if (n % SLICE === SLICE - 1) await new Promise((resolve) => setImmediate(resolve));
    work(item);
  }
}

/** What is known of the host that hyperd runs on: facts that seldom change, the connection to libvirt, and the figures of the moment. */

import { readFile } from 'node:fs/promises';
import { hostname, release } from 'node:os';
import type { ApiEvents } from '#contract/events.ts';
import type { Host } from '#contract/system.ts';
import { nap } from '#kernel/async.ts';
import type { Clock } from '#kernel/clock.ts';
import type { EventBus } from '#kernel/event-bus.ts';
import type { Logger } from '#kernel/logger.ts';
import { memoryFigures, processors, uptimeSeconds } from './figures.ts';
import { STEP_SECONDS } from './history.ts';
import type { KernelReading, Sampler } from './sampler.ts';

/** The id of the machine that hyperd itself runs on. */
export const LOCAL_HOST_ID = 'local';

/** What the host's picture needs of other parts. */
export interface HostParts {
  connection(): { readonly state: Host['state']; readonly since: Date };
  accel(): Host['accel'];
  /** As `9.0.0`; asked once per connection. @throws while libvirt does not answer */
  libvirtVersion(): Promise<string>;
  /** As `7.2.22`, or null when there is no QEMU. */
  qemuVersion(): Promise<string | null>;
  /** Calls back at each change of the connection; answers the function that ends it. */
  onConnectionChange(listener: () => void): () => void;
  /** Whether somebody looks at a dashboard. */
  isWatched(): boolean;
}

export interface HostsApi {
  /** The host that hyperd runs on. Never waits. */
  local(): Host;
  /** What it calls itself. Labels of figures are made of it by the thousand; `local` puts the usage of ten minutes together each time. */
  name(): string;
  /** How many it has; 0 before the start. */
  processors(): number;
  /** The kernel's figures of this moment, read once for all who ask within a second. */
  kernelReading(): Promise<KernelReading>;
}

export interface HostService extends HostsApi {
  start(signal: AbortSignal): Promise<void>;
  stop(): Promise<void>;
}

export interface HostServiceOptions {
  readonly parts: HostParts;
  readonly sampler: Sampler;
  readonly clock: Clock;
  readonly events: EventBus<ApiEvents>;
  readonly log: Logger;
}

const proc = (name: string) => readFile(`/proc/${name}`, 'utf8');

export function createHostService({ parts, sampler, clock, events, log }: HostServiceOptions): HostService {
  let machine: { readonly model: string | null; readonly count: number; readonly memoryBytes: number } = {
    model: null,
    count: 0,
    memoryBytes: 0,
  };
  let bootedAtMs: number | null = null;
  let libvirtVersion: string | null = null;
  let qemuVersion: string | null = null;
  let stopListening: (() => void) | null = null;
  let running: Promise<void> = Promise.resolve();
  const stopping = new AbortController();

  const local = (): Host => {
    const { state, since } = parts.connection();
    return {
      id: LOCAL_HOST_ID,
      name: hostname(),
      state,
      since: since.toISOString(),
      accel: parts.accel(),
      cpuModel: machine.model,
      cpus: machine.count,
      memoryBytes: machine.memoryBytes,
      libvirtVersion,
      qemuVersion,
      kernel: release(),
      uptimeSeconds: bootedAtMs === null ? null : Math.floor((clock.monotonicMs() - bootedAtMs) / 1000),
      usage: sampler.usage(),
    };
  };

  const readFacts = async (): Promise<void> => {
    const [cpuinfo, meminfo, uptime] = await Promise.all([proc('cpuinfo'), proc('meminfo'), proc('uptime')]);
    machine = { ...processors(cpuinfo), memoryBytes: memoryFigures(meminfo)?.totalBytes ?? 0 };
    const seconds = uptimeSeconds(uptime);
    bootedAtMs = seconds === null ? null : clock.monotonicMs() - seconds * 1000;
  };

  const readVersions = async (): Promise<void> => {
    if (parts.connection().state !== 'connected') return;
    try {
      [libvirtVersion, qemuVersion] = await Promise.all([parts.libvirtVersion(), parts.qemuVersion()]);
    } catch (error) {
      // The connection went away again; the next one asks anew.
      log.debug({ err: error }, 'the versions could not be read');
    }
  };

  const keepMeasuring = async (signal: AbortSignal): Promise<void> => {
    while (!signal.aborted) {
      try {
        await sampler.measure();
        if (parts.isWatched()) events.emit('host.changed', local());
      } catch (error) {
        // A step that fails is a gap in the history; the next one is tried all the same.
        log.warn({ err: error }, 'the host could not be measured');
      }
      await nap(clock, STEP_SECONDS * 1000, signal);
    }
  };

  return {
    local,
    name: hostname,
    processors: () => machine.count,
    kernelReading: sampler.reading,
    async start(signal) {
      await readFacts();
      stopListening = parts.onConnectionChange(() => {
        events.emit('host.changed', local());
        void readVersions().then(() => events.emit('host.changed', local()));
      });
      void readVersions();
      running = keepMeasuring(AbortSignal.any([signal, stopping.signal]));
    },
    async stop() {
      stopListening?.();
      stopping.abort(new Error('the daemon stops'));
      await running;
    },
  };
}

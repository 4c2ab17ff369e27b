/** The picture of the host that every read is answered from. Kept current by the host's events, checked by a reconcile each minute, read
 *  anew after each reconnect. Nothing here waits for libvirt on behalf of a reader. */

import type { ApiEvents } from '#contract/events.ts';
import type { Vm } from '#contract/vms.ts';
import { mapLimit } from '#kernel/async.ts';
import type { Clock } from '#kernel/clock.ts';
import type { EventBus } from '#kernel/event-bus.ts';
import { isUuid } from '#kernel/ids.ts';
import type { Logger } from '#kernel/logger.ts';
import { createChangeQueue } from './change-queue.ts';
import { coalesced } from './coalesce.ts';
import { type CounterSweeps, createCounterSweeps } from './counter-sweeps.ts';
import type { DomainFacts } from './facts.ts';
import { type FileUsers, fileUsersOf } from './file-users.ts';
import { hashText } from './hash-text.ts';
import type { VmRow, VmRows } from './rows.ts';
import type {
  DomainReading,
  HostEvent,
  InventorySource,
  NetworkReading,
  PoolReading,
  VmMove,
  VolumeReading,
} from './source.ts';
import { type Counters, createUsageMeter, type UsageMeter } from './usage.ts';
import { type Addresses, isOnState, mergeAddresses, type VmRecord, vmView } from './view.ts';
import { createVmWaiters, type VmWaiters } from './vm-waiters.ts';
import { createWantedStates } from './wanted-states.ts';

const MAX_WAITING_CHANGES = 10_000;
/** Looks side by side; libvirt serves four calls of ours at a time and others want some of them. */
const PARALLEL_READS = 3;

export interface Definition {
  /** Inactive definition as libvirt last gave it, without secrets. */
  readonly xml: string;
  readonly hash: string;
}

/** What a file of a disk or drive is called for people, and which image it is. */
export type FileDescriber = (path: string) => { readonly imageId: string | null; readonly name: string } | null;

/** A VM that uses something. */
export interface VmUser {
  readonly vmId: string;
  readonly name: string;
  readonly project: string;
}

export interface InventoryApi {
  /** All VMs by name. The same array until something changes; do not modify. */
  vms(): readonly Vm[];
  /** By UUID, else by its name in libvirt, which is that of people for VMs of the default project. */
  vm(idOrName: string): Vm | null;
  /** All VMs that people call so: one in each project at most. */
  named(name: string): readonly Vm[];
  definition(uuid: string): Definition | null;
  /** Of the running guest, or of the definition when it is off. */
  facts(uuid: string): DomainFacts | null;
  /** Of the stored definition. */
  storedFacts(uuid: string): DomainFacts | null;
  row(uuid: string): VmRow | null;
  readonly rows: VmRows;
  networks(): readonly NetworkReading[];
  pools(): readonly PoolReading[];
  /** Which VM uses a file as disk, drive, kernel or firmware store. */
  fileUsers(path: string): readonly VmUser[];
  /** Looks at the VM now and resolves when what readers see is current; for operations after they acted.
   *  @throws libvirt_unavailable and other failures of the host */
  refresh(uuid: string): Promise<Vm | null>;
  refreshNetworks(): Promise<void>;
  refreshPools(): Promise<void>;
  /** Shows a changed row or file name at once. */
  redraw(uuid: string): void;
  /** Shows whose VMs are whose after projects changed. */
  redrawAll(): void;
  readonly waitFor: VmWaiters['waitFor'];
  /** Counts those who look: +1 when a dashboard connects, -1 when it leaves. Figures are measured more often while someone does. */
  watchers(change: 1 | -1): void;
  /** Whether somebody looks at a dashboard now. */
  readonly isWatched: boolean;
  /** Called when another program moved a VM to this host or away from it, as soon as libvirt tells. @returns the function that ends it */
  onMove(listener: (uuid: string, move: VmMove) => void): () => void;
  /** What libvirt counts of running VMs, asked for once for all who need it. */
  readonly counters: CounterSweeps;
  /** Adds a source of names for files; the first that knows a file names it. */
  describeFilesBy(describer: FileDescriber): void;
  /** What the file is called; its path when nobody knows it. */
  describeFile(path: string): { readonly imageId: string | null; readonly name: string };
  readonly isConnected: boolean;
  /** Since when what is shown may be old; null while the host answers. */
  readonly staleSince: string | null;
}

interface Entry {
  record: VmRecord;
  definition: Definition;
  readonly meter: UsageMeter;
  addresses: Addresses;
  agentAddresses: Addresses;
  volumes: ReadonlyMap<string, { sizeBytes: number; allocatedBytes: number }>;
  view: Vm;
  json: string;
}

export interface Inventory {
  readonly api: InventoryApi;
  /** Reads everything anew. */
  resync(): Promise<void>;
  /** Compares the list and one part of the definitions with what is known. */
  reconcile(part: number, parts: number): Promise<void>;
  takeAddresses(uuid: string, from: 'lease' | 'agent', addresses: Addresses): void;
  onHostEvent(event: HostEvent): void;
  connectionChanged(): void;
  operationChanged(objectId: string, operationId: string, isOver: boolean): void;
  watcherCount(): number;
  setStartTimes(times: ReadonlyMap<string, Date>): void;
  onWatcher(listener: () => void): void;
}

interface Dependencies {
  /** Whose a domain is, and what people call it. */
  readonly ofDomain: (domainName: string) => { readonly project: string; readonly name: string };
  readonly source: InventorySource;
  readonly rows: VmRows;
  readonly events: EventBus<ApiEvents>;
  readonly clock: Clock;
  readonly log: Logger;
  /** Called when more changes waited than are kept. */
  readonly onOverflow: () => void;
}

export function createInventory({ ofDomain, source, rows, events, clock, log, onOverflow }: Dependencies): Inventory {
  const entries = new Map<string, Entry>();
  const idsByName = new Map<string, string>();
  const reading = new Map<string, Promise<unknown>>();
  const operationIds = new Map<string, string>();
  const startTimes = new Map<string, string>();
  const waiters = createVmWaiters(clock, (uuid) => entries.get(uuid)?.view ?? null);
  const describers: FileDescriber[] = [];
  const watcherListeners: (() => void)[] = [];
  const moveListeners = new Set<(uuid: string, move: VmMove) => void>();
  let networks: readonly NetworkReading[] = [];
  let pools: readonly PoolReading[] = [];
  let volumes = new Map<string, VolumeReading>();
  let sorted: readonly Vm[] | null = null;
  let users: FileUsers | null = null;
  let staleSince: string | null = clock.now().toISOString();
  let watching = 0;

  const describeFile = (path: string) => {
    for (const describe of describers) {
      const found = describe(path);
      if (found) return found;
    }
    return { imageId: null, name: path };
  };

  const sizeOf = (entry: Pick<Entry, 'volumes'>) => (path: string) => {
    const known = entry.volumes.get(path) ?? volumes.get(path);
    return { sizeBytes: known?.sizeBytes ?? null, allocatedBytes: known?.allocatedBytes ?? null };
  };

  const draw = (entry: Omit<Entry, 'view' | 'json'>): Vm =>
    vmView({
      record: entry.record,
      row: rows.get(entry.record.id),
      usage: entry.meter.current(),
      addresses: mergeAddresses(entry.addresses, entry.agentAddresses),
      operationId: operationIds.get(entry.record.id) ?? null,
      staleSince,
      ofDomain,
      describeFile,
      sizeOf: sizeOf(entry),
    });

  const redraw = (entry: Entry) => {
    const view = draw(entry);
    const json = JSON.stringify(view);
    if (json === entry.json) return;
    // Those who could see it where it was may not where it is now.
    if (view.project !== entry.view.project)
      events.emit('vm.removed', { id: entry.record.id, project: entry.view.project });
    entry.view = view;
    entry.json = json;
    sorted = null;
    events.emit('vm.changed', view);
    waiters.tell(entry.record.id, view);
  };

  const rename = (uuid: string, from: string, to: string) => {
    if (idsByName.get(from) === uuid) idsByName.delete(from);
    idsByName.set(to, uuid);
  };

  const keepDefinition = async (uuid: string, xml: string) => {
    try {
      await rows.keepDefinition(uuid, xml);
    } catch (error) {
      log.warn({ vm: uuid, err: error }, 'the definition could not be kept; it is tried again with its next change');
    }
  };

  const upsert = (uuid: string, seen: DomainReading): Vm => {
    const known = entries.get(uuid);
    const isOn = isOnState(seen.state);
    if (!isOn) startTimes.delete(uuid);
    else if (!startTimes.has(uuid) && known && !isOnState(known.record.state))
      startTimes.set(uuid, clock.now().toISOString());
    const definition =
      known?.definition.xml === seen.definition
        ? known.definition
        : { xml: seen.definition, hash: hashText(seen.definition) };
    const record: VmRecord = {
      id: uuid,
      facts: seen.facts,
      next: seen.next,
      definitionHash: definition.hash,
      state: seen.state,
      stateReason: seen.stateReason,
      autostart: seen.autostart,
      persistent: seen.persistent,
      startedAt: startTimes.get(uuid) ?? null,
    };
    if (known && known.record.facts.name !== record.facts.name)
      rename(uuid, known.record.facts.name, record.facts.name);
    users = null;
    if (record.persistent && rows.get(uuid)?.managed === true) void keepDefinition(uuid, definition.xml);
    if (known) {
      known.record = record;
      known.definition = definition;
      if (!isOn) {
        known.meter.reset();
        known.addresses = new Map();
        known.agentAddresses = new Map();
      }
      redraw(known);
      return known.view;
    }
    const fresh = {
      record,
      definition,
      meter: createUsageMeter(),
      addresses: new Map(),
      agentAddresses: new Map(),
      volumes: new Map(),
    };
    const view = draw(fresh);
    entries.set(uuid, { ...fresh, view, json: JSON.stringify(view) });
    idsByName.set(fresh.record.facts.name, uuid);
    sorted = null;
    events.emit('vm.changed', view);
    waiters.tell(uuid, view);
    return view;
  };

  const drop = (uuid: string) => {
    const entry = entries.get(uuid);
    if (!entry) return;
    entries.delete(uuid);
    startTimes.delete(uuid);
    if (idsByName.get(entry.record.facts.name) === uuid) idsByName.delete(entry.record.facts.name);
    sorted = null;
    users = null;
    events.emit('vm.removed', { id: uuid, project: entry.view.project });
    waiters.tell(uuid, null);
  };

  /** One read of a VM at a time, so that an older answer never replaces a newer one. */
  const refresh = (uuid: string): Promise<Vm | null> => {
    const before = reading.get(uuid) ?? Promise.resolve();
    const read = before
      // The read before has its own listeners; here only its end matters.
      .catch(() => undefined)
      .then(async () => {
        const seen = await source.readDomain(uuid);
        if (seen) {
          const view = upsert(uuid, seen);
          // It moved while nobody listened.
          if (seen.state === 'off' && seen.stateReason === 'migrated' && rows.get(uuid)?.moved === null)
            wantedStates.note(uuid, 'off', 'away');
          return view;
        }
        drop(uuid);
        return null;
      });
    reading.set(uuid, read);
    const forget = () => {
      if (reading.get(uuid) === read) reading.delete(uuid);
    };
    read.then(forget, forget);
    return read;
  };

  const look = async (uuid: string) => {
    try {
      await refresh(uuid);
    } catch (error) {
      // The next event or the reconcile looks again; readers see the last known facts meanwhile.
      log.debug({ vm: uuid, err: error }, 'a VM could not be read');
    }
  };

  const queue = createChangeQueue({
    maxWaiting: MAX_WAITING_CHANGES,
    parallel: PARALLEL_READS,
    work: look,
    onOverflow: () => {
      log.warn({ limit: MAX_WAITING_CHANGES }, 'too many changes at once; everything is read anew');
      onOverflow();
    },
  });

  const refreshNetworks = coalesced(async () => {
    const seen = await source.readNetworks();
    const before = new Map(networks.map((network) => [network.id, JSON.stringify(network)]));
    networks = seen;
    for (const network of seen) {
      if (before.get(network.id) !== JSON.stringify(network)) events.emit('network.changed', { id: network.id });
      before.delete(network.id);
    }
    for (const id of before.keys()) events.emit('network.changed', { id });
  });

  const refreshPools = coalesced(async () => {
    const seen = await source.readPools();
    const before = new Map(pools.map((pool) => [pool.id, JSON.stringify(pool)]));
    pools = seen;
    volumes = new Map(seen.flatMap((pool) => pool.volumes.map((volume) => [volume.path, volume] as const)));
    for (const pool of seen) {
      if (before.get(pool.id) !== JSON.stringify(pool)) events.emit('pool.changed', { id: pool.id });
      before.delete(pool.id);
    }
    for (const id of before.keys()) events.emit('pool.changed', { id });
    for (const entry of entries.values()) redraw(entry);
  });

  const syncDomains = async (isToBeRead: (uuid: string, isOn: boolean, n: number) => boolean) => {
    const seen = await source.listDomains();
    const present = new Set(seen.map((domain) => domain.uuid));
    await mapLimit(
      seen.filter((domain, n) => isToBeRead(domain.uuid, domain.isOn, n)),
      PARALLEL_READS,
      (domain) => look(domain.uuid),
    );
    for (const uuid of [...entries.keys()]) if (!present.has(uuid)) await look(uuid);
  };

  const setStale = (since: string | null) => {
    if ((since === null) === (staleSince === null)) return;
    staleSince = since;
    for (const entry of entries.values()) redraw(entry);
  };

  const counters = createCounterSweeps({
    source,
    clock,
    log,
    running: () => [...entries.values()].filter(({ record }) => isOnState(record.state)).map(({ record }) => record.id),
  });
  counters.onBatch((batch) => {
    const now = clock.now();
    for (const [uuid, { values }] of batch.counters) {
      const entry = entries.get(uuid);
      if (!entry || !isOnState(entry.record.state)) continue;
      entry.meter.add(values, batch.atMs, now);
      entry.volumes = diskSizes(values) ?? entry.volumes;
      redraw(entry);
    }
  });

  const idOf = (idOrName: string): string | undefined =>
    isUuid(idOrName) && entries.has(idOrName) ? idOrName : idsByName.get(idOrName);

  const wantedStates = createWantedStates({
    rows,
    definitionOf(uuid) {
      const entry = entries.get(uuid);
      return entry === undefined ? null : { domainName: entry.record.facts.name, xml: entry.definition.xml };
    },
    clock,
    log,
  });

  const api: InventoryApi = {
    vms() {
      sorted ??= [...entries.values()]
        .map((entry) => entry.view)
        .sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : a.id < b.id ? -1 : 1));
      return sorted;
    },
    vm: (idOrName) => entries.get(idOf(idOrName) ?? '')?.view ?? null,
    named: (name) => api.vms().filter((vm) => vm.name === name),
    definition: (uuid) => entries.get(uuid)?.definition ?? null,
    facts: (uuid) => entries.get(uuid)?.record.facts ?? null,
    storedFacts: (uuid) => entries.get(uuid)?.record.next ?? entries.get(uuid)?.record.facts ?? null,
    row: rows.get,
    rows,
    networks: () => networks,
    pools: () => pools,
    fileUsers(path) {
      users ??= fileUsersOf([...entries.values()].map(({ record }) => record));
      return (users.get(path) ?? []).flatMap((vmId) => {
        const view = entries.get(vmId)?.view;
        return view ? [{ vmId, name: view.name, project: view.project }] : [];
      });
    },
    refresh,
    refreshNetworks,
    refreshPools,
    redraw(uuid) {
      const entry = entries.get(uuid);
      if (entry) redraw(entry);
    },
    redrawAll() {
      for (const entry of entries.values()) redraw(entry);
    },
    waitFor: waiters.waitFor,
    onMove(listener) {
      moveListeners.add(listener);
      return () => void moveListeners.delete(listener);
    },
    watchers(change) {
      watching = Math.max(0, watching + change);
      if (change === 1 && watching === 1) for (const listener of watcherListeners) listener();
    },
    get isWatched() {
      return watching > 0;
    },
    counters,
    describeFilesBy: (describer) => void describers.push(describer),
    describeFile,
    get isConnected() {
      return source.isConnected;
    },
    get staleSince() {
      return staleSince;
    },
  };

  return {
    api,
    async resync() {
      queue.clear();
      await syncDomains(() => true);
      await refreshNetworks();
      await refreshPools();
      if (source.isConnected) setStale(null);
    },
    async reconcile(part, parts) {
      await syncDomains((uuid, isOn, n) => {
        const known = entries.get(uuid);
        return !known || isOnState(known.record.state) !== isOn || n % parts === part;
      });
      await refreshNetworks();
    },
    takeAddresses(uuid, from, addresses) {
      const entry = entries.get(uuid);
      if (!entry) return;
      if (from === 'lease') entry.addresses = addresses;
      else entry.agentAddresses = addresses;
      redraw(entry);
    },
    onHostEvent(event) {
      if ('uuid' in event) {
        if (event.kind === 'domain' && event.intent !== null) wantedStates.note(event.uuid, event.intent, event.move);
        if (event.kind === 'domain' && event.move !== null)
          for (const listener of moveListeners) listener(event.uuid, event.move);
        queue.push(event.uuid);
      } else if (event.kind === 'network') {
        void refreshNetworks().catch((error: unknown) => log.debug({ err: error }, 'networks could not be read'));
      } else {
        void refreshPools().catch((error: unknown) => log.debug({ err: error }, 'pools could not be read'));
      }
    },
    connectionChanged() {
      if (!source.isConnected) setStale(clock.now().toISOString());
    },
    operationChanged(objectId, operationId, isOver) {
      // One that waits for nobody ends beside the one that works on it.
      if (!isOver) operationIds.set(objectId, operationId);
      else if (operationIds.get(objectId) === operationId) operationIds.delete(objectId);
      api.redraw(objectId);
    },
    watcherCount: () => watching,
    setStartTimes(times) {
      for (const [uuid, time] of times) {
        const entry = entries.get(uuid);
        if (!entry || !isOnState(entry.record.state) || startTimes.has(uuid)) continue;
        startTimes.set(uuid, time.toISOString());
        entry.record = { ...entry.record, startedAt: time.toISOString() };
        redraw(entry);
      }
    },
    onWatcher: (listener) => void watcherListeners.push(listener),
  };
}

/** Sizes of the disks by path, as QEMU tells them; null when these counters were not asked for. */
function diskSizes(counters: Counters): ReadonlyMap<string, { sizeBytes: number; allocatedBytes: number }> | null {
  const count = Number(counters.get('block.count') ?? Number.NaN);
  if (Number.isNaN(count)) return null;
  const sizes = new Map<string, { sizeBytes: number; allocatedBytes: number }>();
  for (let n = 0; n < Math.min(count, 256); n += 1) {
    const path = counters.get(`block.${n}.path`);
    const sizeBytes = Number(counters.get(`block.${n}.capacity`) ?? Number.NaN);
    const allocatedBytes = Number(counters.get(`block.${n}.allocation`) ?? Number.NaN);
    if (typeof path === 'string' && !Number.isNaN(sizeBytes) && !Number.isNaN(allocatedBytes))
      sizes.set(path, { sizeBytes, allocatedBytes });
  }
  return sizes;
}

/** The inventory's eyes on a real libvirt host. */

import { mapLimit, withDeadline } from '#kernel/async.ts';
import { isNotFound, type LibvirtEvent, type LibvirtHost } from '#libvirt/index.ts';
import { fileSystemOf } from '#platform/file-system.ts';
import { factsOf } from './domain-facts.ts';
import type { DomainFacts } from './facts.ts';
import { hashText } from './hash-text.ts';
import { createLifecycleReader, type LifecycleReader } from './lifecycle.ts';
import { networkFacts, poolFacts, volumeFacts } from './object-facts.ts';
import type { HostEvent, InventorySource, NetworkReading, PoolReading, VolumeReading } from './source.ts';
import { stateOf } from './states.ts';
import { isTestObject } from './test-objects.ts';
import { isOnState } from './view.ts';

/** Reads of one host side by side, beside those of operations. */
const PARALLEL_READS = 2;
const STATFS_MS = 2_000;
const PROBE_MS = 5_000;
/** Keys of deleted volumes are forgotten at this many. */
const MAX_KNOWN_VOLUMES = 20_000;

interface Parsed {
  readonly liveHash: string | null;
  readonly live: DomainFacts | null;
  readonly inactiveXml: string;
  readonly inactive: DomainFacts;
}

export function createLibvirtSource(libvirt: LibvirtHost): InventorySource {
  const parsed = new Map<string, Parsed>();
  const volumeKinds = new Map<string, { readonly path: string; readonly format: string | null }>();

  /** Parses only what changed: most looks find the same text. */
  const parse = (uuid: string, liveXml: string | null, inactiveXml: string): Parsed => {
    const known = parsed.get(uuid);
    const liveHash = liveXml === null ? null : hashText(liveXml);
    const live = liveXml === null ? null : known?.live && known.liveHash === liveHash ? known.live : factsOf(liveXml);
    const inactive = known?.inactiveXml === inactiveXml ? known.inactive : factsOf(inactiveXml);
    const fresh = {
      liveHash,
      live,
      inactiveXml: known?.inactiveXml === inactiveXml ? known.inactiveXml : inactiveXml,
      inactive,
    };
    parsed.set(uuid, fresh);
    return fresh;
  };

  const readNetwork = async (
    ref: { uuid: string; name: string },
    active: ReadonlySet<string>,
    autostart: ReadonlySet<string>,
  ): Promise<NetworkReading> => {
    const isActive = active.has(ref.uuid);
    const facts = networkFacts(await libvirt.networks.xml(ref.uuid));
    return {
      id: ref.uuid,
      name: ref.name,
      state: isActive ? 'active' : 'inactive',
      kind: facts.kind,
      bridge: facts.bridge,
      addresses: facts.addresses,
      autostart: autostart.has(ref.uuid),
      managed: facts.isManaged,
      leases: isActive && facts.hasDhcp ? (await readLeases(ref.uuid)).map(({ prefix: _, ...lease }) => lease) : [],
    };
  };

  const readLeases = async (uuid: string) => {
    const leases = await libvirt.networks.leases(uuid);
    return leases.flatMap((lease) =>
      lease.mac === null
        ? []
        : [
            {
              mac: lease.mac,
              address: lease.address,
              prefix: lease.prefix,
              hostname: lease.hostname,
              expiresAt: lease.expires.toISOString(),
            },
          ],
    );
  };

  /** Format and path of a volume do not change while it lives under its key; its sizes do, and are cheaper to ask for. */
  const readVolume = async (volume: {
    pool: string;
    name: string;
    key: string;
  }): Promise<Omit<VolumeReading, 'name'>> => {
    const known = volumeKinds.get(volume.key);
    if (known) {
      const { capacityBytes, allocationBytes } = await libvirt.volumes.info(volume);
      return { ...known, sizeBytes: Number(capacityBytes), allocatedBytes: Number(allocationBytes) };
    }
    const facts = volumeFacts(await libvirt.volumes.xml(volume));
    volumeKinds.set(volume.key, { path: facts.path, format: facts.format });
    return facts;
  };

  const readPool = async (
    ref: { uuid: string; name: string },
    autostart: ReadonlySet<string>,
  ): Promise<PoolReading> => {
    const info = await libvirt.pools.info(ref.uuid);
    const facts = poolFacts(await libvirt.pools.xml(ref.uuid));
    const isActive = info.state === 'running' || info.state === 'degraded';
    const volumes = isActive ? await libvirt.volumes.list(ref.uuid) : [];
    const seen = await mapLimit(
      // What is still being written is nobody's volume yet.
      volumes.filter((volume) => !volume.name.endsWith('.part')),
      PARALLEL_READS,
      async (volume) => {
        try {
          return { name: volume.name, ...(await readVolume(volume)) };
        } catch (error) {
          // It was deleted between the list and the look.
          if (isNotFound(error)) return null;
          throw error;
        }
      },
    );
    return {
      id: ref.uuid,
      name: ref.name,
      state: info.state === 'running' ? 'active' : info.state === 'inaccessible' ? 'unknown' : info.state,
      kind: facts.kind,
      path: facts.path,
      capacityBytes: isActive ? info.capacityBytes : null,
      allocatedBytes: isActive ? info.allocationBytes : null,
      availableBytes: isActive ? await usableBytes(facts, info.availableBytes) : null,
      autostart: autostart.has(ref.uuid),
      volumes: seen.filter((volume) => volume !== null),
    };
  };

  return {
    get isConnected() {
      return libvirt.state.status === 'connected';
    },
    onConnection: (listener) => libvirt.onStateChange(() => listener()),
    onEvent(listener) {
      const read = createLifecycleReader();
      return libvirt.onEvent((event) => {
        const told = hostEvent(event, read);
        if (told) listener(told);
      });
    },
    async listDomains() {
      const domains = (await libvirt.domains.list()).filter(({ name }) => !isTestObject(name));
      const present = new Set(domains.map((domain) => domain.uuid));
      for (const uuid of parsed.keys()) if (!present.has(uuid)) parsed.delete(uuid);
      return domains.map((domain) => ({ uuid: domain.uuid, isOn: domain.id !== null }));
    },
    async readDomain(uuid) {
      try {
        const [seen, autostart, persistent] = await Promise.all([
          libvirt.domains.state(uuid),
          libvirt.domains.autostart(uuid),
          libvirt.domains.isPersistent(uuid),
        ]);
        const { state, reason } = stateOf(seen.state, seen.reason);
        const inactiveXml = await libvirt.domains.xml(uuid, { inactive: true });
        const liveXml = isOnState(state) ? await libvirt.domains.xml(uuid) : null;
        const { live, inactive } = parse(uuid, liveXml, inactiveXml);
        return {
          facts: live ?? inactive,
          next: persistent ? inactive : null,
          definition: inactiveXml,
          state,
          stateReason: reason,
          autostart,
          persistent,
        };
      } catch (error) {
        if (!isNotFound(error)) throw error;
        parsed.delete(uuid);
        return null;
      }
    },
    async counters(uuids, part) {
      // An empty list would mean all domains to libvirt.
      if (uuids.length === 0) {
        await libvirt.node.libVersion({ deadlineMs: PROBE_MS });
        return new Map();
      }
      const all = await libvirt.domains.stats(
        uuids,
        part === 'plain' ? ['state', 'interface'] : ['cpu', 'balloon', 'vcpu', 'block'],
        { batchSize: uuids.length },
      );
      return new Map(all.map(({ domain, values }) => [domain.uuid, { runId: domain.id, values }]));
    },
    async readNetworks() {
      const [all, active, autostart] = await Promise.all([
        libvirt.networks.list().then((all) => all.filter(({ name }) => !isTestObject(name))),
        libvirt.networks.list({ active: true }),
        libvirt.networks.list({ autostart: true }),
      ]);
      const [activeIds, autostartIds] = [idsOf(active), idsOf(autostart)];
      return (
        await mapLimit(all, PARALLEL_READS, (ref) => unlessGone(readNetwork(ref, activeIds, autostartIds)))
      ).filter((network) => network !== null);
    },
    async readPools() {
      const [all, autostart] = await Promise.all([libvirt.pools.list(), libvirt.pools.list({ autostart: true })]);
      const autostartIds = idsOf(autostart);
      if (volumeKinds.size > MAX_KNOWN_VOLUMES) volumeKinds.clear();
      return (await mapLimit(all, PARALLEL_READS, (ref) => unlessGone(readPool(ref, autostartIds)))).filter(
        (pool) => pool !== null,
      );
    },
    async readLeases(networkName) {
      const network = await unlessGone(libvirt.networks.byName(networkName));
      return network ? await readLeases(network.uuid) : [];
    },
    async readAgentAddresses(uuid) {
      const interfaces = await libvirt.agent.addresses(uuid, 'agent');
      return interfaces.flatMap(({ mac, addresses }) =>
        mac === null || mac === '00:00:00:00:00:00'
          ? []
          : [
              {
                mac,
                // A link-local address comes seconds before the real one and reaches nobody who does not name the link too.
                addresses: addresses
                  .filter(({ address }) => !/^(fe[89ab][0-9a-f]:|169\.254\.)/i.test(address))
                  .map(({ address, prefix }) => ({ address, prefix, from: 'agent' as const })),
              },
            ],
      );
    },
  };
}

/** libvirt counts blocks of a folder's file system that only root may use as available; disks cannot have them (QEMU is not root). */
async function usableBytes(
  { kind, path }: { readonly kind: string; readonly path: string | null },
  toldBytes: number,
): Promise<number> {
  if (kind !== 'dir' || path === null) return toldBytes;
  try {
    const { availableBytes } = await withDeadline('statfs', STATFS_MS, () => fileSystemOf(path));
    return Math.min(toldBytes, availableBytes);
  } catch {
    // The folder is not to be seen from here, or its server hangs: libvirt's own figure is the best there is.
    return toldBytes;
  }
}

async function unlessGone<Value>(work: Promise<Value>): Promise<Value | null> {
  try {
    return await work;
  } catch (error) {
    if (isNotFound(error)) return null;
    throw error;
  }
}

function idsOf(refs: readonly { readonly uuid: string }[]): ReadonlySet<string> {
  return new Set(refs.map((ref) => ref.uuid));
}

function hostEvent(event: LibvirtEvent, read: LifecycleReader): HostEvent | null {
  if ('domain' in event && isTestObject(event.domain.name)) return null;
  if (event.type === 'network-lifecycle' && isTestObject(event.network.name)) return null;
  if (event.type === 'domain-agent') return { kind: 'agent', uuid: event.domain.uuid, isConnected: event.isConnected };
  if ('domain' in event)
    return {
      kind: 'domain',
      uuid: event.domain.uuid,
      ...(event.type === 'domain-lifecycle' ? read(event) : { intent: null, move: null }),
    };
  if (event.type === 'network-lifecycle') return { kind: 'network', name: event.network.name };
  if (event.type === 'pool-lifecycle' || event.type === 'pool-refreshed')
    return { kind: 'pool', name: event.pool.name };
  return null;
}

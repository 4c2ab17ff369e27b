/** Keeps the network filters of our NICs in libvirt: there, as we want them, with this machine's addresses as they are now. A change
 *  reaches running guests at once: libvirt makes their rules anew. */

import { networkInterfaces } from 'node:os';
import { filterUse, type InventoryApi } from '#features/inventory/index.ts';
import { createQueue, nap } from '#kernel/async.ts';
import type { Clock } from '#kernel/clock.ts';
import { AppError, messageOf } from '#kernel/errors.ts';
import type { Logger } from '#kernel/logger.ts';
import { isNotFound, LibvirtError, type LibvirtHost } from '#libvirt/index.ts';
import { closedPorts, type Edition, editionOf, filterDocuments } from './filter-documents.ts';

/** How long a new address of this machine can be unknown to the filters. */
const LOOK_EVERY_MS = 10_000;

/** libvirt makes the rules of every running guest anew before it answers: seconds for each on a busy host. */
const DEFINE_MS = 120_000;

interface Dependencies {
  readonly libvirt: Pick<LibvirtHost, 'networkFilters'>;
  readonly known: Pick<InventoryApi, 'networks'>;
  /** TCP port of our API. */
  port(): number;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface NicFilters {
  /** Defines what is missing or different. False: libvirt cannot filter here. @throws failures of libvirt */
  ensure(): Promise<boolean>;
  /** Has libvirt make the rules of every running guest anew, although nothing changed. Those who ask before it begins share it.
   *  @throws AppError nic_filter_unavailable, failures of libvirt */
  renew(): Promise<void>;
  /** What `ensure` last found; true until then. Never waits. */
  isThere(): boolean;
  /** Looks again and again until the signal. */
  run(signal: AbortSignal): Promise<void>;
}

export function createNicFilters({ libvirt, known, port, clock, log }: Dependencies): NicFilters {
  const inTurn = createQueue();
  /** By name: what we wanted, and what libvirt made of it. */
  const defined = new Map<string, { readonly wanted: string; readonly stored: string }>();
  let isThere = true;
  /** The renewal that has not begun. */
  let waiting: Promise<void> | null = null;

  /** Another daemon on this libvirt, as one that runs beside ours for a test, closes its own port in the same filter: what it closed stays
   *  closed, or the two would rewrite each other's for ever. Only ports of this machine are meant, so one too many harms nobody. */
  const presentIn = async (uuid: string | null): Promise<{ ports: number[]; edition: Edition }> => {
    const xml = uuid === null ? null : await libvirt.networkFilters.xml(uuid);
    const closed = xml === null ? [] : closedPorts(xml);
    return {
      ports: [...new Set([...closed, port()])].sort((a, b) => a - b),
      edition: xml === null ? 0 : editionOf(xml),
    };
  };

  const uuidOf = async (name: string): Promise<string | null> => {
    try {
      return (await libvirt.networkFilters.byName(name)).uuid;
    } catch (error) {
      if (isNotFound(error)) return null;
      throw error;
    }
  };

  const ensure = (isToRenew: boolean) =>
    inTurn(async () => {
      if (isToRenew) waiting = null;
      let present: Awaited<ReturnType<typeof presentIn>>;
      try {
        present = await presentIn(await uuidOf(filterUse('mac').name));
      } catch (error) {
        if (!(error instanceof LibvirtError && error.code === 'unsupported_by_host')) throw error;
        if (isThere) log.warn({ err: error }, 'libvirt cannot filter NICs here: VMs of projects get none');
        isThere = false;
        return false;
      }
      const { ports } = present;
      const edition = isToRenew ? otherThan(present.edition) : present.edition;
      for (const { name, xml } of filterDocuments({ addresses: addressesOf(known.networks()), ports, edition })) {
        const uuid = await uuidOf(name);
        const before = defined.get(name);
        const wanted = xml(null);
        if (uuid !== null && before?.wanted === wanted && before.stored === (await libvirt.networkFilters.xml(uuid)))
          continue;
        const made = await libvirt.networkFilters.define(xml(uuid), { deadlineMs: DEFINE_MS });
        defined.set(name, { wanted, stored: await libvirt.networkFilters.xml(made.uuid) });
        log.info({ filter: name }, 'a network filter was defined');
      }
      isThere = true;
      return true;
    });

  return {
    ensure: () => ensure(false),
    renew() {
      waiting ??= ensure(true).then((canFilter) => {
        if (!canFilter) throw new AppError('nic_filter_unavailable');
      });
      return waiting;
    },
    isThere: () => isThere,
    async run(signal) {
      let complaint = '';
      while (!signal.aborted) {
        try {
          await ensure(false);
          complaint = '';
        } catch (error) {
          if (messageOf(error) !== complaint) log.warn({ err: error }, 'the network filters could not be looked after');
          complaint = messageOf(error);
        }
        await nap(clock, LOOK_EVERY_MS, signal);
      }
    },
  };
}

const otherThan = (edition: Edition): Edition => (edition === 0 ? 1 : 0);

/** All of this machine's, sorted. A bridge without a guest has no carrier and is not in the system's list, so those of libvirt's networks
 *  are added. Link-local ones are left out: the filters mean all of them. */
function addressesOf(networks: ReturnType<InventoryApi['networks']>): string[] {
  const own = Object.values(networkInterfaces()).flatMap((addresses) =>
    (addresses ?? []).filter(({ internal, scopeid }) => !internal && !scopeid).map(({ address }) => address),
  );
  const ofNetworks = networks.flatMap(({ addresses }) => addresses.map(({ address }) => address));
  return [...new Set([...own, ...ofNetworks])].sort();
}

/** What keeps the inventory current besides events: the reconcile, the figures, the addresses. Each loop ends with the signal, and a failure
 *  in one round is logged and tried again in the next. */

import { createWaker, nap } from '#kernel/async.ts';
import type { Clock } from '#kernel/clock.ts';
import type { Logger } from '#kernel/logger.ts';
import type { Inventory } from './inventory.ts';
import type { InventorySource } from './source.ts';
import { qemuStartTimes } from './start-times.ts';
import { type Addresses, isOnState } from './view.ts';

const RECONCILE_EVERY_MS = 60_000;
/** Each reconcile reads this part of the definitions again, for changes that libvirt tells nobody of. */
const RECONCILE_PARTS = 5;
const POOLS_EVERY_ROUNDS = 5;

const FAST_EVERY_MS = 5_000;
const UNWATCHED_EVERY_MS = 60_000;

const ADDRESS_EVERY_MS = 30_000;
const UNWATCHED_ADDRESS_EVERY_MS = 60_000;
/** A guest that just started gets its address within seconds; it is looked for more often that long. */
const FRESH_MS = 120_000;
const FRESH_EVERY_MS = 3_000;
/** After a failure the agent of a guest is left alone that long. */
const AGENT_PAUSE_MS = 300_000;

interface Dependencies {
  readonly inventory: Inventory;
  readonly source: InventorySource;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface Background {
  /** Runs until the signal. */
  run(signal: AbortSignal): Promise<void>;
  /** Resolves when the host was read wholly for the first time, at the latest after so long. */
  firstPicture(maxMs: number, signal: AbortSignal): Promise<void>;
  /** Reads everything anew as soon as possible; several wishes at once make one. */
  requestResync(): void;
  agentConnected(uuid: string): void;
}

export function createBackground({ inventory, source, clock, log }: Dependencies): Background {
  const { api } = inventory;
  const quietUntil = new Map<string, number>();
  const syncing = createWaker(clock);
  const sweeping = createWaker(clock);
  let isResyncWanted = true;
  let tellFirst: () => void = () => undefined;
  const first = new Promise<void>((resolve) => {
    tellFirst = resolve;
  });

  const guarded = async (what: string, work: () => Promise<void>) => {
    try {
      await work();
    } catch (error) {
      log.debug({ err: error }, `${what} failed for now`);
    }
  };

  const syncLoop = async (signal: AbortSignal) => {
    for (let round = 0; !signal.aborted; round += 1) {
      if (source.isConnected) {
        await guarded('the reconcile', async () => {
          if (isResyncWanted) {
            isResyncWanted = false;
            await inventory.resync().catch((error: unknown) => {
              isResyncWanted = true;
              throw error;
            });
            tellFirst();
            inventory.setStartTimes(await qemuStartTimes());
          } else {
            await inventory.reconcile(round % RECONCILE_PARTS, RECONCILE_PARTS);
            if (round % POOLS_EVERY_ROUNDS === 0) await api.refreshPools();
          }
        });
      }
      if (signal.aborted) return;
      await syncing.wait(isResyncWanted && source.isConnected ? 1_000 : RECONCILE_EVERY_MS, signal);
    }
  };

  /** Sweeps that others ask for count too: the history does every ten seconds. */
  const statsLoop = async (signal: AbortSignal) => {
    const startedMs = clock.monotonicMs();
    let hasNewWatcher = false;
    inventory.onWatcher(() => {
      hasNewWatcher = true;
      sweeping.wake();
    });
    while (!signal.aborted) {
      const everyMs = inventory.watcherCount() > 0 ? FAST_EVERY_MS : UNWATCHED_EVERY_MS;
      const dueInMs = Math.max(startedMs, api.counters.lastMs ?? 0) + everyMs - clock.monotonicMs();
      if ((dueInMs > 0 && !hasNewWatcher) || !source.isConnected) {
        await sweeping.wait(dueInMs > 0 ? dueInMs : FAST_EVERY_MS, signal);
      } else {
        hasNewWatcher = false;
        await api.counters.sweep();
      }
    }
  };

  const readLeases = async () => {
    const byNetwork = new Map<string, string[]>();
    for (const vm of api.vms()) {
      if (!isOnState(vm.state)) continue;
      for (const nic of vm.nics) {
        if (nic.sourceType === 'network' && nic.source !== null)
          byNetwork.set(nic.source, [...(byNetwork.get(nic.source) ?? []), vm.id]);
      }
    }
    const byMac = new Map<string, { address: string; prefix: number; from: 'lease' }[]>();
    for (const name of byNetwork.keys()) {
      for (const lease of await source.readLeases(name)) {
        byMac.set(lease.mac, [
          ...(byMac.get(lease.mac) ?? []),
          { address: lease.address, prefix: lease.prefix, from: 'lease' },
        ]);
      }
    }
    for (const uuid of new Set([...byNetwork.values()].flat())) {
      const found: Addresses = new Map(
        (api.vm(uuid)?.nics ?? []).flatMap((nic) =>
          byMac.has(nic.mac) ? [[nic.mac, byMac.get(nic.mac) ?? []] as const] : [],
        ),
      );
      inventory.takeAddresses(uuid, 'lease', found);
    }
  };

  const readAgent = async (uuid: string) => {
    const nowMs = clock.monotonicMs();
    if ((quietUntil.get(uuid) ?? 0) > nowMs) return;
    try {
      const found = await source.readAgentAddresses(uuid);
      inventory.takeAddresses(uuid, 'agent', new Map(found.map((nic) => [nic.mac, nic.addresses])));
    } catch (error) {
      quietUntil.set(uuid, nowMs + AGENT_PAUSE_MS);
      log.debug({ vm: uuid, err: error }, 'the guest agent told no addresses');
    }
  };

  const isFresh = () => {
    const since = clock.now().getTime() - FRESH_MS;
    return api
      .vms()
      .some(
        (vm) =>
          isOnState(vm.state) &&
          vm.startedAt !== null &&
          Date.parse(vm.startedAt) > since &&
          vm.nics.some((nic) => nic.sourceType === 'network' && nic.addresses.length === 0),
      );
  };

  const addressLoop = async (signal: AbortSignal) => {
    let sinceFullMs = Number.POSITIVE_INFINITY;
    while (!signal.aborted) {
      const everyMs = inventory.watcherCount() > 0 ? ADDRESS_EVERY_MS : UNWATCHED_ADDRESS_EVERY_MS;
      const isDue = sinceFullMs >= everyMs;
      if (source.isConnected && (isDue || isFresh())) await guarded('reading leases', readLeases);
      if (source.isConnected && isDue) {
        for (const vm of api.vms())
          if (vm.agent === 'connected' && isOnState(vm.state) && !signal.aborted) await readAgent(vm.id);
      }
      if (isDue) sinceFullMs = 0;
      sinceFullMs += FRESH_EVERY_MS;
      await nap(clock, FRESH_EVERY_MS, signal);
    }
  };

  return {
    async run(signal) {
      await Promise.all([syncLoop(signal), statsLoop(signal), addressLoop(signal)]);
    },
    async firstPicture(maxMs, signal) {
      // The limit and the end of the daemon are both no failure here.
      await Promise.race([first, clock.sleep(maxMs, signal).catch(() => undefined)]);
    },
    requestResync() {
      isResyncWanted = true;
      syncing.wake();
    },
    agentConnected(uuid) {
      quietUntil.delete(uuid);
      void readAgent(uuid);
    },
  };
}

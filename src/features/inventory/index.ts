/** Inventory: what the host has, kept in memory by events, so that no read waits for libvirt.
 *  Tables: vm. Events in: operation.changed. Events out: vm.changed, vm.removed, network.changed, pool.changed.
 *  Permissions: none of its own; the slices vms, networks and storage show it. Guide: docs/guides/vms.md */

import { FINAL_STATES } from '#contract/operations.ts';
import { projects } from '#features/projects/index.ts';
import { defineFeature } from '#platform/feature.ts';
import { createBackground } from './background.ts';
import { createInventory, type InventoryApi } from './inventory.ts';
import { createLibvirtSource } from './libvirt-source.ts';
import { createVmRows, inventoryMigrations } from './rows.ts';

export type { CounterBatch, CounterSweeps } from './counter-sweeps.ts';
export { factsOf } from './domain-facts.ts';
export type { DomainFacts } from './facts.ts';
export { hashText } from './hash-text.ts';
export type { InventoryApi, VmUser } from './inventory.ts';
export { filterUse, isWeaker, NIC_FILTERS } from './nic-filters.ts';
export { type MovedAway, movedFromText, movedToText, type VmRow } from './rows.ts';
export type { DomainCounters, VmMove } from './source.ts';
export { qemuProcesses, qemuRuns } from './start-times.ts';
export { TEST_OBJECT_PREFIX } from './test-objects.ts';
export { isOnState } from './view.ts';

/** How long start-up waits for a slow host before it goes on without a picture. */
const FIRST_PICTURE_MS = 10_000;

const STOP_MS = 2_000;

export const inventory = defineFeature<InventoryApi>({
  name: 'inventory',
  needs: ['projects'],
  migrations: inventoryMigrations,
  setup({ db, libvirt, clock, events, log, use }) {
    const source = createLibvirtSource(libvirt);
    const rows = createVmRows(db);
    const picture = createInventory({
      ofDomain: use(projects).ofDomain,
      source,
      rows,
      events,
      clock,
      log,
      onOverflow: () => background.requestResync(),
    });
    const background = createBackground({ inventory: picture, source, clock, log });
    const subscriptions: (() => void)[] = [];
    let loops: Promise<void> = Promise.resolve();

    return {
      api: picture.api,
      metrics: () => [
        {
          name: 'hyper_vms',
          type: 'gauge',
          help: 'VMs by state.',
          samples: [...countBy(picture.api.vms().map((vm) => vm.state))].map(([state, value]) => ({
            labels: { state },
            value,
          })),
        },
        {
          name: 'hyper_inventory_is_current',
          type: 'gauge',
          help: '1 while libvirt answers and the inventory follows it.',
          samples: [{ value: picture.api.staleSince === null ? 1 : 0 }],
        },
      ],
      async start(signal) {
        await rows.load();
        subscriptions.push(
          source.onEvent((event) => {
            picture.onHostEvent(event);
            if (event.kind === 'agent' && event.isConnected) background.agentConnected(event.uuid);
          }),
          source.onConnection(() => {
            picture.connectionChanged();
            if (source.isConnected) background.requestResync();
          }),
          events.on('project.changed', () => picture.api.redrawAll()),
          events.on('project.removed', () => picture.api.redrawAll()),
          events.on('operation.changed', (operation) => {
            if (operation.objectType !== 'vm' || operation.objectId === null) return;
            picture.operationChanged(operation.objectId, operation.id, FINAL_STATES.includes(operation.state));
          }),
        );
        loops = background.run(signal);
        // Ready means that requests find the VMs; without libvirt there is nothing to wait for.
        if (source.isConnected) await background.firstPicture(FIRST_PICTURE_MS, signal);
      },
      async stop() {
        for (const end of subscriptions.splice(0)) end();
        // A call that hangs in libvirt ends when its connections are closed, right after this.
        await Promise.race([loops, clock.sleep(STOP_MS)]);
      },
    };
  },
});

function countBy(values: readonly string[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return counts;
}

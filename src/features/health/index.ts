/** Health: the preflight, and the proof which accelerator VMs may use here.
 *  Tables: health_memory. Events out: preflight.changed. Permissions: host.read, host.configure.
 *  A new check is one entry in a group of `checks/`. Guide: docs/guides/preflight.md */

import { join } from 'node:path';
import { DEFAULT_PROJECT } from '#contract/common.ts';
import { metricsDoor } from '#contract/config.ts';
import type { Check, Preflight } from '#contract/system.ts';
import { filterUse, type InventoryApi, inventory } from '#features/inventory/index.ts';
import { operations } from '#features/operations/index.ts';
import { messageOf } from '#kernel/errors.ts';
import { isNotFound, LibvirtError, type LibvirtHost } from '#libvirt/index.ts';
import { defineFeature } from '#platform/feature.ts';
import { buildMicroGuest } from '#platform/hello-disk/index.ts';
import { type Accel, createAccelService } from './accel.ts';
import { preflightChecks } from './checks/index.ts';
import { type LibvirtFacts, qemuUserOf } from './libvirt-facts.ts';
import { thisMachine } from './machine.ts';
import { preflightOperation } from './operation.ts';
import { createPreflightService } from './service.ts';
import { createHealthStore, healthMigrations } from './store.ts';

export type { Accel } from './accel.ts';
export { worstStatus } from './check.ts';
export { preflightChecks } from './checks/index.ts';
export { qemuUserOf } from './libvirt-facts.ts';

export { type Machine, thisMachine } from './machine.ts';

export interface HealthApi {
  /** What VMs may use; `unknown` until the first proof. Never waits. */
  accel(): Accel | 'unknown';
  /** Waits for the first proof after a start (about 15 s where it is not kept, four minutes at most); `tcg` when it does not come. */
  accelProven(): Promise<Accel>;
  /** The last preflight, or null before the first. */
  last(): Preflight | null;
  /** Checks the machine now; the accelerator is probed anew when `isForced`. */
  run(options?: { readonly isForced?: boolean; readonly signal?: AbortSignal }): Promise<Preflight>;
  /** Runs the checks of one group now, as `fence`, and answers them alone; the last preflight stays what it was. */
  runGroup(group: string, signal: AbortSignal): Promise<readonly Check[]>;
}

export const health = defineFeature<HealthApi>({
  name: 'health',
  needs: ['operations', 'inventory'],
  migrations: healthMigrations,
  setup(context) {
    const { address, config, db, clock, events, libvirt, log } = context;
    const journal = context.use(operations);
    const store = createHealthStore(db, clock);
    const cacheDir = join(config.state.scratch, 'guest-parts');
    const stopping = new AbortController();
    const accel = createAccelService({
      machine: thisMachine,
      buildGuest: (signal) => buildMicroGuest({ cacheDir, signal }),
      folder: join(config.state.scratch, 'probe'),
      isKvmAllowed: config.accel === 'auto',
      cache: { read: store.readProof, write: store.writeProof },
      clock,
      log,
      lifetime: stopping.signal,
    });
    const service = createPreflightService({
      checks: preflightChecks,
      context: {
        machine: thisMachine,
        libvirt: libvirtFacts(libvirt, context.use(inventory)),
        settings: {
          stateRoot: config.state.root,
          disks: config.state.disks,
          metricsDoor: metricsDoor(config),
          port: () => portOf(address().origin),
        },
        probeDatabase: store.probe,
      },
      accel,
      clock,
      events,
      log,
    });
    const run = journal.register(preflightOperation(service));
    let running: Promise<void> = Promise.resolve();

    return {
      api: {
        accel: accel.accel,
        accelProven: accel.accelProven,
        last: service.last,
        run: service.run,
        runGroup: service.runGroup,
      },
      handlers: {
        'GET /preflight': () => service.last(),
        'POST /preflight': (request) => journal.start(run, {}, { ...request, action: 'POST /preflight' }),
      },
      async start(signal) {
        running = service.keepFresh(AbortSignal.any([signal, stopping.signal]));
      },
      async stop() {
        stopping.abort(new Error('the daemon stops'));
        await running;
      },
    };
  },
});

/** The port of an https address; the scheme's own where it names none. */
function portOf(origin: string): number {
  return Number(new URL(origin).port || 443);
}

const NOBODY = { userName: 'nobody', userId: 65_534, groupName: 'nogroup', groupId: 65_534 } as const;

function libvirtFacts(libvirt: LibvirtHost, known: InventoryApi): LibvirtFacts {
  return {
    uri: libvirt.uri,
    connection() {
      const { status, since, error } = libvirt.state;
      return { state: status, since, problem: error === null ? null : messageOf(error.cause ?? error) };
    },
    version: () => libvirt.node.libVersion(),
    qemuUser: async () => qemuUserOf(await libvirt.node.capabilities()),
    async asNobody() {
      try {
        await libvirt.asIdentity(NOBODY, (domains) => domains.list());
        return 'answered';
      } catch (error) {
        if (error instanceof LibvirtError && error.code === 'libvirt_forbidden') return 'refused';
        throw error;
      }
    },
    async canFilterNics() {
      try {
        await libvirt.networkFilters.byName(filterUse('mac').name);
        return true;
      } catch (error) {
        if (isNotFound(error)) return true;
        if (error instanceof LibvirtError && error.code === 'unsupported_by_host') return false;
        throw error;
      }
    },
    unfilteredVms: () =>
      known
        .vms()
        .filter(({ managed, project }) => managed || project !== DEFAULT_PROJECT)
        .filter(({ nics }) =>
          nics.some(({ filter, sourceType }) => filter === null && ['network', 'bridge'].includes(sourceType)),
        )
        .map(({ name }) => name),
    networks: () => known.networks(),
    pools: () => known.pools(),
    vmNames: () => known.vms().map(({ name }) => name),
  };
}

/** Consoles: screens (VNC) and serial consoles in the browser, screenshots, key presses.
 *  Tables: none; tickets live in memory. Events in: vm.changed, vm.removed, ended sessions. Permissions: vm.screen, vm.console.
 *  Guide: docs/guides/consoles.md */

import { dirname, join } from 'node:path';
import { consoleErrors } from '#contract/consoles.ts';
import { access } from '#features/access/index.ts';
import { type InventoryApi, inventory, isOnState } from '#features/inventory/index.ts';
import { type VmsApi, vmObject, vms as vmsFeature } from '#features/vms/index.ts';
import { AppError } from '#kernel/errors.ts';
import type { Config } from '#platform/config.ts';
import { defineFeature } from '#platform/feature.ts';
import { KEY_HOLD_MS } from './keys.ts';
import { createOpenConsoles } from './open-consoles.ts';
import type { ConsoleHost, ConsoleVms } from './ports.ts';
import { createConsoleRoutes } from './routes.ts';
import { createScreenshots } from './screenshots.ts';
import { createSerialHubs } from './serial-hubs.ts';
import { createTickets } from './tickets.ts';

function consoleVms(known: InventoryApi): ConsoleVms {
  return {
    get(idOrName) {
      const vm = known.vm(idOrName);
      if (!vm) throw new AppError('not_found', { detail: `There is no VM "${idOrName.slice(0, 80)}".` });
      const vncSocket = known.facts(vm.id)?.vncSocketPath ?? null;
      return {
        id: vm.id,
        name: vm.name,
        // A guest goes on while libvirt is away, and so does its screen.
        isActive: isOnState(vm.state) || (vm.state === 'unknown' && (vncSocket ?? vm.startedAt) !== null),
        hasScreen: vm.hasVnc,
        hasSerial: vm.hasSerial,
        vncSocket,
      };
    },
  };
}

function consoleHost({ fenced }: Pick<VmsApi, 'fenced'>): ConsoleHost {
  return {
    openSerial: async (vmId, signal) => (await fenced(vmId)).openConsole(vmId, { signal }),
    screenshot: async (vmId) => (await (await fenced(vmId)).screenshot(vmId)).bytes,
    sendKeys: async (vmId, codes) => (await fenced(vmId)).sendKey(vmId, codes, { holdMs: KEY_HOLD_MS }),
    mayOpenScreen: async (vmId) => (await fenced(vmId)).mayOpenScreen(vmId),
  };
}

/** Only logs that we asked libvirt for are read: another definition may name any file. */
function serialLogs(known: InventoryApi, config: Config): (vmId: string) => string | null {
  const folder = join(config.state.root, 'serial');
  return (vmId) => {
    const path = known.facts(vmId)?.serialLogPath ?? null;
    return path !== null && dirname(path) === folder ? path : null;
  };
}

export { asPng } from './picture.ts';

/** No console outlives the right to it by more than this. */
const RECHECK_MS = 5000;

export const consoles = defineFeature<Record<string, never>>({
  name: 'consoles',
  needs: ['access', 'inventory', 'vms'],
  errors: consoleErrors,
  setup(context) {
    const { config, clock, events, log } = context;
    const { decide, sessions } = context.use(access);
    const known = context.use(inventory);
    const vms = consoleVms(known);
    const host = consoleHost(context.use(vmsFeature));
    const tickets = createTickets({ clock });
    const screenshots = createScreenshots({ capture: host.screenshot, clock });
    const hubs = createSerialHubs({ vms, host, logPath: serialLogs(known, config), clock, log });
    const open = createOpenConsoles((identity, vmId, mode) => {
      const vm = known.vm(vmId);
      return vm !== null && decide(identity, mode === 'control' ? 'vm.console' : 'vm.screen', vmObject(vm)).allow;
    });
    let rechecking: NodeJS.Timeout | undefined;
    const endings: (() => void)[] = [];
    return {
      api: {},
      handlers: createConsoleRoutes({ vms, host, tickets, screenshots, hubs, open, log }),
      metrics: () => [
        { name: 'hyper_consoles_open', type: 'gauge', help: 'Consoles open now', samples: [{ value: open.count }] },
      ],
      async start() {
        // A token can run out, and a VM can change hands, without anybody changing a grant.
        rechecking = setInterval(open.recheck, RECHECK_MS);
        endings.push(
          () => clearInterval(rechecking),
          sessions.onSessionEnded((sessionId) => {
            tickets.dropSession(sessionId);
            open.endSession(sessionId);
          }),
          events.on('access.changed', open.recheck),
          events.on('vm.changed', (vm) => hubs.wake(vm.id)),
          events.on('vm.removed', ({ id }) => {
            screenshots.drop(id);
            hubs.drop(id);
          }),
        );
      },
      async stop() {
        for (const end of endings.splice(0)) end();
        open.endAll(1001, 'The daemon stops.');
        hubs.close(1001, 'The daemon stops.');
      },
    };
  },
});

/** The console routes: screenshot, serial log, keys, tickets and the two WebSockets. */

import { AppError } from '#kernel/errors.ts';
import type { Logger } from '#kernel/logger.ts';
import type { Handlers } from '#platform/feature.ts';
import { keyCodes } from './keys.ts';
import type { OpenConsoles } from './open-consoles.ts';
import type { ConsoleHost, ConsoleVm, ConsoleVms } from './ports.ts';
import type { Screenshots } from './screenshots.ts';
import type { SerialHubs } from './serial-hubs.ts';
import type { ConsoleKind, ConsoleMode, Tickets } from './tickets.ts';
import { bridgeVnc } from './vnc-bridge.ts';

export interface ConsoleRoutesOptions {
  readonly vms: ConsoleVms;
  readonly host: ConsoleHost;
  readonly tickets: Tickets;
  readonly screenshots: Screenshots;
  readonly hubs: SerialHubs;
  readonly open: OpenConsoles;
  readonly log: Logger;
}

function mustBeActive(vm: ConsoleVm): void {
  if (!vm.isActive) throw new AppError('wrong_state', { detail: `${vm.name} is off.`, hint: 'Start it first.' });
}

function mustHaveScreen(vm: ConsoleVm): void {
  if (!vm.hasScreen) throw new AppError('no_screen', { detail: `${vm.name} is headless.` });
}

/** The socket of a running VM's screen. @throws no_screen, wrong_state */
function screenSocket(vm: ConsoleVm): string {
  mustHaveScreen(vm);
  mustBeActive(vm);
  if (vm.vncSocket === null) {
    throw new AppError('no_screen', {
      detail: `The screen of ${vm.name} is not on a local socket.`,
      hint: "Give its <graphics type='vnc'> a <listen type='socket'/> and start it anew, or use its serial console.",
    });
  }
  return vm.vncSocket;
}

function mustHaveSerial(vm: ConsoleVm): void {
  if (!vm.hasSerial) throw new AppError('no_serial', { detail: `${vm.name} has no serial console.` });
}

/** The right to type may have gone since the ticket was made. @throws ticket_refused */
function mustStillHold(mode: ConsoleMode, mayType: () => boolean): void {
  if (mode === 'control' && !mayType()) throw new AppError('ticket_refused');
}

const PATHS: Readonly<Record<ConsoleKind, string>> = { vnc: 'console', serial: 'serial' };

export function createConsoleRoutes({
  vms,
  host,
  tickets,
  screenshots,
  hubs,
  open,
  log,
}: ConsoleRoutesOptions): Handlers {
  return {
    'GET /vms/{id}/screenshot': async ({ params, query, headers }) => {
      const vm = vms.get(params.id);
      mustHaveScreen(vm);
      mustBeActive(vm);
      const { png, etag } = await screenshots.get(vm.id, query.width ?? null);
      const isKnown = headers['if-none-match']?.split(/\s*,\s*/).includes(etag) ?? false;
      return {
        contentType: 'image/png',
        bytes: isKnown ? '' : png,
        headers: { etag, 'cache-control': 'private, no-cache' },
        ...(isKnown ? { status: 304 } : {}),
      };
    },

    'GET /vms/{id}/serial/log': async ({ params }) => {
      const vm = vms.get(params.id);
      mustHaveSerial(vm);
      return {
        contentType: 'text/plain; charset=utf-8',
        bytes: await hubs.log(vm.id),
        headers: { 'cache-control': 'no-store' },
      };
    },

    'POST /vms/{id}/keys': async ({ params, body }) => {
      const codes = keyCodes(body.keys);
      const vm = vms.get(params.id);
      mustBeActive(vm);
      await host.sendKeys(vm.id, codes);
      return undefined;
    },

    'POST /vms/{id}/tickets': ({ params, body, identity, project, may }) => {
      const object = { type: 'vm', id: params.id, project, vmId: params.id } as const;
      if (body.mode === 'control' && !may('vm.console', object)) {
        throw new AppError('forbidden', {
          detail: 'Typing into a console needs the permission vm.console.',
          params: { permission: 'vm.console' },
          fields: [
            {
              path: 'mode',
              problem: 'you may not type into this console',
              mend: 'Use "view", or ask an administrator.',
            },
          ],
        });
      }
      const vm = vms.get(params.id);
      if (body.kind === 'vnc') screenSocket(vm);
      else mustHaveSerial(vm);
      const { ticket, expiresAt } = tickets.issue(identity, { vmId: vm.id, kind: body.kind, mode: body.mode });
      return {
        ticket,
        path: `/api/v1/vms/${vm.id}/${PATHS[body.kind]}?ticket=${ticket}`,
        expiresAt: expiresAt.toISOString(),
      };
    },

    'GET /vms/{id}/console': async ({ params, query, identity, project, may }) => {
      const vm = vms.get(params.id);
      const { mode } = tickets.redeem(identity, query.ticket, { vmId: vm.id, kind: 'vnc' });
      mustStillHold(mode, () => may('vm.console', { type: 'vm', id: vm.id, project, vmId: vm.id }));
      const path = screenSocket(vm);
      await host.mayOpenScreen(vm.id);
      return (socket) =>
        open.add({ identity, vmId: vm.id, mode }, (onEnd) =>
          bridgeVnc({ socket, path, mode, log: log.child({ vm: vm.id }), onEnd }),
        );
    },

    'GET /vms/{id}/serial': ({ params, query, identity, project, may }) => {
      const vm = vms.get(params.id);
      const { mode } = tickets.redeem(identity, query.ticket, { vmId: vm.id, kind: 'serial' });
      mustStillHold(mode, () => may('vm.console', { type: 'vm', id: vm.id, project, vmId: vm.id }));
      mustHaveSerial(vm);
      return (socket) =>
        open.add({ identity, vmId: vm.id, mode }, (onEnd) => hubs.of(vm.id).attach(socket, mode, onEnd));
    },
  };
}

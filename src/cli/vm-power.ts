/** Power: start, shutdown, stop, reboot, reset, pause, resume; each takes several names. */

import type { Operation } from '#contract/operations.ts';
import { command } from './command.ts';
import type { CommandContext } from './context.ts';
import { finishEach } from './follow.ts';
import { about } from './objects.ts';
import { countOption, many } from './values.ts';

const names = many('NAME', 'names, PROJECT/NAME or UUIDs of the VMs', { completes: 'vm' });

type PowerRoute =
  | 'POST /vms/{id}/start'
  | 'POST /vms/{id}/stop'
  | 'POST /vms/{id}/reboot'
  | 'POST /vms/{id}/reset'
  | 'POST /vms/{id}/pause'
  | 'POST /vms/{id}/resume';

function press(context: CommandContext, route: PowerRoute, name: string): Promise<Operation> {
  return about(context, 'vm', name, (id) => context.api(route, { params: { id } }));
}

function powerCommand(verb: string, route: PowerRoute, summary: string, details = '') {
  return command({
    path: ['vm', verb],
    summary,
    details,
    positionals: { names },
    isLong: true,
    examples: [`vm ${verb} web1`, `vm ${verb} web1 web2`],
    run: (context, { args }) => finishEach(context, args.names, (name) => press(context, route, name)),
  });
}

export const powerCommands = [
  powerCommand('start', 'POST /vms/{id}/start', 'Start VMs'),
  command({
    path: ['vm', 'shutdown'],
    summary: 'Ask the guests to shut down: guest agent first, then ACPI',
    details: 'The guest may refuse or take its time; `hv vm stop` cuts the power.',
    positionals: { names },
    options: { timeout: countOption('SECONDS', 'how long the guest may take', { defaultText: '90' }) },
    isLong: true,
    examples: ['vm shutdown web1', 'vm shutdown web1 web2 --timeout 300'],
    run: (context, { args, options }) =>
      finishEach(context, args.names, (name) =>
        about(context, 'vm', name, (id) =>
          context.api('POST /vms/{id}/shutdown', { params: { id }, body: { timeoutSeconds: options.timeout ?? 90 } }),
        ),
      ),
  }),
  powerCommand(
    'stop',
    'POST /vms/{id}/stop',
    'Cut the power',
    'As pulling the plug: what the guest has not written is lost. `hv vm shutdown` asks the guest instead.',
  ),
  powerCommand('reboot', 'POST /vms/{id}/reboot', 'Ask the guests to reboot'),
  powerCommand(
    'reset',
    'POST /vms/{id}/reset',
    'Press the reset button',
    'What the guest has not written is lost. `hv vm reboot` asks the guest instead.',
  ),
  powerCommand('pause', 'POST /vms/{id}/pause', 'Freeze the vCPUs; memory stays'),
  powerCommand('resume', 'POST /vms/{id}/resume', 'Let paused VMs run on'),
];

/** `hv system`: sign-in links, status, the demo guest; the state in repositories is in `system-state.ts`, the second fence in `access-setup`. */

import { accessSetupCommands } from './access-setup/commands.ts';
import { command, defineCommands } from './command.ts';
import { EXIT } from './exit-codes.ts';
import { finish } from './follow.ts';
import { showStatus } from './status.ts';
import { stateCommands } from './system-state.ts';
import { safeText } from './text.ts';
import { ageText } from './time.ts';
import { textOption } from './values.ts';

export const commands = defineCommands([
  command({
    path: ['system', 'link'],
    summary: 'Make a one-time link that signs a browser in',
    details:
      'The link works once and for a few minutes. The certificate was made on this machine: compare its fingerprint with what the browser shows.',
    options: {
      user: textOption('NAME', 'whom it signs in; `admin` may do everything, `operator` looks and changes nothing', {
        defaultText: 'admin',
      }),
    },
    examples: ['system link', 'system link --user operator'],
    run: async ({ api, output }, { options }) => {
      const link = await api('POST /auth/links', { body: { user: options.user ?? 'admin' } });
      if (output.isJson) {
        output.json(link);
        return EXIT.done;
      }
      output.line(safeText(link.url));
      output.message(`works once, ends ${ageText(link.expiresAt)}`);
      output.message(`certificate SHA-256 ${safeText(link.fingerprint)}`);
      return EXIT.done;
    },
  }),
  command({
    path: ['system', 'status'],
    summary: 'Show what runs here, as `hv status`',
    examples: ['system status'],
    run: showStatus,
  }),
  command({
    path: ['system', 'demo'],
    summary: 'On a machine without VMs, make and boot the small guest "hello"',
    isLong: true,
    examples: ['system demo'],
    run: async (context) => {
      const operation = await context.api('POST /system/demo');
      if (operation !== null)
        return finish(context, operation, () => 'hello runs. `hv vm serial hello` opens its console.');
      if (context.output.isJson) context.output.json(null);
      else context.output.message('There are VMs here already: nothing was made.');
      return EXIT.done;
    },
  }),
  ...stateCommands,
  ...accessSetupCommands,
]);

/** `hv vm`: all commands about virtual machines, in the order of help. */

import { defineCommands } from './command.ts';
import { consoleCommands } from './vm-console.ts';
import { createCommands } from './vm-create.ts';
import { editCommands } from './vm-edit.ts';
import { powerCommands } from './vm-power.ts';
import { showCommands } from './vm-show.ts';

export const commands = defineCommands([
  ...showCommands,
  ...createCommands,
  ...powerCommands,
  ...editCommands,
  ...consoleCommands,
]);

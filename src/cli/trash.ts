/** `hv trash`: deleted VMs that can be restored. */

import type { TrashItem } from '#contract/vms.ts';
import { formatBytes } from '#kernel/units.ts';
import { CONFIRM_OPTIONS, confirmByName } from './ask.ts';
import { command, defineCommands } from './command.ts';
import type { CommandContext } from './context.ts';
import { EXIT } from './exit-codes.ts';
import { Failure, usageFailure } from './failure.ts';
import { finish } from './follow.ts';
import { about, collect } from './objects.ts';
import { didYouMean } from './parse.ts';
import { projectNames, withProject } from './project-names.ts';
import { type Column, printTable } from './table.ts';
import { safeText } from './text.ts';
import { ageText } from './time.ts';
import { one } from './values.ts';

const COLUMNS: readonly Column<TrashItem>[] = [
  {
    title: 'NAME',
    value: (item) => safeText(item.name),
    flexibleTo: 12,
    colour: (text, _item, paint) => paint('bold', text),
  },
  { title: 'DELETED', value: (item) => ageText(item.deletedAt) },
  { title: 'GONE', value: (item) => (item.purgeAt === null ? 'kept' : ageText(item.purgeAt)) },
  { title: 'SIZE', value: (item) => formatBytes(item.sizeBytes), align: 'right' },
  { title: 'BY', value: (item) => safeText(item.deletedBy), flexibleTo: 6, isOptional: true },
  { title: 'ID', value: (item) => safeText(item.id), isOptional: true },
];

const itemName = one('NAME', 'name of the VM, PROJECT/NAME, or trash id', { completes: 'trash' });

/** The one item with this name or id. */
async function findItem(context: CommandContext, name: string): Promise<TrashItem> {
  const items = await collect((query) => context.api('GET /trash', { query }));
  const { nameOf } = await projectNames(context);
  const found = items.filter(
    (item) => item.id === name || item.name === name || name === `${nameOf(item.project)}/${item.name}`,
  );
  const [item] = found;
  if (item === undefined) {
    throw new Failure(
      `no VM in the trash "${name}"${didYouMean(
        name,
        items.map((each) => each.name),
      )}`,
      { exit: EXIT.notFound, code: 'not_found', hint: '`hv trash list` lists them.' },
    );
  }
  if (found.length > 1)
    throw usageFailure(
      `${found.length} VMs in the trash were called "${name}"`,
      `Name one by its id: ${found.map(({ id }) => id).join(', ')}.`,
    );
  return item;
}

export const commands = defineCommands([
  command({
    path: ['trash', 'list'],
    summary: 'List deleted VMs that can be restored',
    examples: ['trash list'],
    run: async (context) => {
      const { api, output } = context;
      const items = await collect((query) => api('GET /trash', { query }));
      if (output.isJson) output.json(items);
      else printTable(output, withProject(COLUMNS, await projectNames(context)), items, 'The trash is empty.');
      return EXIT.done;
    },
  }),
  command({
    path: ['trash', 'restore'],
    summary: 'Bring a deleted VM back, with its disks',
    positionals: { name: itemName },
    isLong: true,
    examples: ['trash restore web1'],
    run: async (context, { args }) => {
      const operation = await about(context, 'trash', args.name, (id) =>
        context.api('POST /trash/{id}/restore', { params: { id } }),
      );
      return finish(context, operation);
    },
  }),
  command({
    path: ['trash', 'purge'],
    summary: 'Delete a VM in the trash for good',
    details: 'Its disks are gone then. On a terminal its name is asked for; elsewhere --yes --name NAME is needed.',
    positionals: { name: itemName },
    options: CONFIRM_OPTIONS,
    isLong: true,
    examples: ['trash purge web1', 'trash purge web1 --yes --name web1'],
    run: async (context, { args, options }) => {
      const item = await findItem(context, args.name);
      await confirmByName(context, {
        what: `"${item.name}" and its disks (${formatBytes(item.sizeBytes)}) are deleted for good.`,
        name: item.name,
        options,
      });
      return finish(
        context,
        await context.api('DELETE /trash/{id}', { params: { id: item.id } }),
        () => `${safeText(item.name)} is deleted for good`,
      );
    },
  }),
]);

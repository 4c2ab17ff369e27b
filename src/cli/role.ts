/** `hv role`: lists of permissions, built in and of one's own. */

import type { Role } from '#contract/access.ts';
import { PERMISSION_MEANINGS, type Permission } from '#contract/permissions.ts';
import { CONFIRM_OPTIONS, confirmByName } from './ask.ts';
import { command, defineCommands } from './command.ts';
import type { CommandContext } from './context.ts';
import { EXIT } from './exit-codes.ts';
import { usageFailure } from './failure.ts';
import { about, collect } from './objects.ts';
import { permissionList } from './permission-values.ts';
import { type Column, printFacts, printHeading, printTable } from './table.ts';
import { safeText } from './text.ts';
import { one, textOption } from './values.ts';

const COLUMNS: readonly Column<Role>[] = [
  {
    title: 'NAME',
    value: (role) => safeText(role.name),
    flexibleTo: 12,
    colour: (text, _role, paint) => paint('bold', text),
  },
  { title: 'KIND', value: (role) => (role.state === 'built_in' ? 'built in' : 'own') },
  { title: 'PERMISSIONS', value: (role) => String(role.permissions.length), align: 'right' },
  { title: 'GRANTED', value: (role) => String(role.grants), align: 'right', isOptional: true },
  { title: 'WHAT IT IS', value: (role) => safeText(role.title), flexibleTo: 10, isOptional: true },
];

const roleName = one('NAME', 'name or id of the role', { completes: 'role' });
const from = textOption('ROLE', 'begin with the permissions of this role', { completes: 'role' });

const find = (context: CommandContext, name: string): Promise<Role> =>
  about(context, 'role', name, (id) => context.api('GET /roles/{id}', { params: { id } }));

/** @throws Failure exit 2 when nothing is left: a role without permissions gives nothing */
function notEmpty(permissions: readonly Permission[]): Permission[] {
  if (permissions.length === 0)
    throw usageFailure(
      'a role needs at least one permission',
      'Give --permission, as --permission vm.read,vm.power, or --from ROLE.',
    );
  return [...permissions];
}

export const commands = defineCommands([
  command({
    path: ['role', 'list'],
    summary: 'List roles',
    examples: ['role list'],
    run: async ({ api, output }) => {
      const roles = await collect((query) => api('GET /roles', { query }));
      if (output.isJson) output.json(roles);
      else printTable(output, COLUMNS, roles, 'No roles.');
      return EXIT.done;
    },
  }),
  command({
    path: ['role', 'show'],
    summary: 'Show what a role lets one do',
    positionals: { name: roleName },
    examples: ['role show vm-operator'],
    run: async (context, { args }) => {
      const { output } = context;
      const role = await find(context, args.name);
      if (output.isJson) {
        output.json(role);
        return EXIT.done;
      }
      printFacts(output, [
        ['name', output.paint('bold', safeText(role.name))],
        ['what it is', safeText(role.title)],
        ['kind', role.state === 'built_in' ? 'built in: cannot be changed' : 'own'],
        ['granted', role.grants === 1 ? 'once' : `${role.grants} times`],
      ]);
      printHeading(output, 'Permissions');
      printTable(
        output,
        [
          { title: 'PERMISSION', value: (permission) => permission },
          { title: 'LETS ONE', value: (permission) => PERMISSION_MEANINGS[permission], flexibleTo: 15 },
        ],
        role.permissions,
        'None.',
      );
      return EXIT.done;
    },
  }),
  command({
    path: ['role', 'create'],
    summary: 'Make a role of your own',
    details: 'It may hold only what you hold yourself on the whole system.',
    positionals: { name: one('NAME', 'name of the role') },
    options: {
      permission: permissionList('what it lets one do'),
      from,
      title: textOption('TEXT', 'what it is for'),
    },
    examples: [
      'role create power-only --permission vm.read,vm.power',
      'role create viewer --from vm-operator --title "VMs and screens"',
    ],
    run: async (context, { args, options }) => {
      const { api, output } = context;
      const first = options.from === undefined ? [] : (await find(context, options.from)).permissions;
      const permissions = notEmpty([...new Set([...first, ...options.permission])]);
      const role = await api('POST /roles', {
        body: { name: args.name, permissions, ...(options.title === undefined ? {} : { title: options.title }) },
      });
      if (output.isJson) output.json(role);
      else
        output.message(
          `${output.paintMessage('green', '●')} role ${safeText(role.name)} is made: ${role.permissions.join(', ')}`,
        );
      return EXIT.done;
    },
  }),
  command({
    path: ['role', 'edit'],
    summary: 'Rename a role or change its permissions',
    details: 'Takes hold at once for everybody who holds it.',
    positionals: { name: roleName },
    options: {
      rename: textOption('NAME', 'new name'),
      title: textOption('TEXT', 'what it is for'),
      add: permissionList('give these too'),
      remove: permissionList('give these no more'),
    },
    examples: ['role edit power-only --add vm.screen', 'role edit power-only --remove vm.screen'],
    run: async (context, { args, options }) => {
      const { api, output } = context;
      const before = await find(context, args.name);
      const isOther = options.add.length + options.remove.length > 0;
      const body = {
        ...(options.rename === undefined ? {} : { name: options.rename }),
        ...(options.title === undefined ? {} : { title: options.title }),
        ...(isOther
          ? {
              permissions: notEmpty(
                [...new Set([...before.permissions, ...options.add])].filter((one) => !options.remove.includes(one)),
              ),
            }
          : {}),
      };
      if (Object.keys(body).length === 0)
        throw usageFailure('nothing to change', 'Give --rename, --title, --add or --remove.');
      const role = await api('PATCH /roles/{id}', { params: { id: before.id }, body });
      if (output.isJson) output.json(role);
      else
        output.message(
          `${output.paintMessage('green', '●')} role ${safeText(role.name)}: ${role.permissions.join(', ')}`,
        );
      return EXIT.done;
    },
  }),
  command({
    path: ['role', 'delete'],
    summary: 'Delete a role that is not granted any more',
    positionals: { name: roleName },
    options: CONFIRM_OPTIONS,
    examples: ['role delete power-only', 'role delete power-only --yes --name power-only'],
    run: async (context, { args, options }) => {
      const { api, output } = context;
      const role = await find(context, args.name);
      await confirmByName(context, { what: `role "${role.name}" goes`, name: role.name, options });
      await api('DELETE /roles/{id}', { params: { id: role.id } });
      if (output.isJson) output.json({ id: role.id, name: role.name, state: 'deleted' });
      else output.message(`${output.paintMessage('green', '●')} role ${safeText(role.name)} is deleted`);
      return EXIT.done;
    },
  }),
]);

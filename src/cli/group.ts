/** `hv group`: users who get the same rights. */

import type { Group } from '#contract/access.ts';
import { CONFIRM_OPTIONS, confirmByName } from './ask.ts';
import { type Command, command, defineCommands } from './command.ts';
import { EXIT } from './exit-codes.ts';
import { usageFailure } from './failure.ts';
import { about, collect } from './objects.ts';
import { type Column, printFacts, printHeading, printTable } from './table.ts';
import { safeText } from './text.ts';
import { many, one, textList, textOption } from './values.ts';

const COLUMNS: readonly Column<Group>[] = [
  {
    title: 'NAME',
    value: (group) => safeText(group.name),
    flexibleTo: 10,
    colour: (text, _group, paint) => paint('bold', text),
  },
  {
    title: 'MEMBERS',
    value: (group) => safeText(group.members.map(({ name }) => name).join(', ')) || '–',
    flexibleTo: 12,
  },
  { title: 'TITLE', value: (group) => safeText(group.title ?? ''), flexibleTo: 8, isOptional: true },
];

const groupName = one('NAME', 'name or id of the group', { completes: 'group' });

function memberCommand(verb: 'add-member' | 'remove-member', summary: string): Command {
  return command({
    path: ['group', verb],
    summary,
    positionals: { name: groupName, users: many('USER', 'name or id of a user', { completes: 'user' }) },
    examples: [`group ${verb} shop-team alice`],
    run: async (context, { args }) => {
      const { api, output } = context;
      // Asked for one by one first, so that a wrong name is told as such and nothing is half done.
      for (const user of args.users)
        await about(context, 'user', user, (id) => api('GET /users/{id}', { params: { id } }));
      const body = verb === 'add-member' ? { add: [...args.users] } : { remove: [...args.users] };
      const group = await about(context, 'group', args.name, (id) =>
        api('PATCH /groups/{id}', { params: { id }, body }),
      );
      if (output.isJson) output.json(group);
      else
        output.message(
          `${output.paintMessage('green', '●')} ${safeText(group.name)}: ${safeText(group.members.map(({ name }) => name).join(', ')) || 'no members'}`,
        );
      return EXIT.done;
    },
  });
}

export const commands = defineCommands([
  command({
    path: ['group', 'list'],
    summary: 'List groups with their members',
    examples: ['group list'],
    run: async ({ api, output }) => {
      const groups = await collect((query) => api('GET /groups', { query }));
      if (output.isJson) output.json(groups);
      else printTable(output, COLUMNS, groups, 'No groups. `hv group create NAME` makes one.');
      return EXIT.done;
    },
  }),
  command({
    path: ['group', 'show'],
    summary: 'Show a group with members and grants',
    positionals: { name: groupName },
    examples: ['group show shop-team'],
    run: async (context, { args }) => {
      const { api, output } = context;
      const group = await about(context, 'group', args.name, (id) => api('GET /groups/{id}', { params: { id } }));
      const grants = await collect((page) => api('GET /grants', { query: { ...page, group: group.id } }));
      if (output.isJson) {
        output.json({ ...group, grants });
        return EXIT.done;
      }
      printFacts(output, [
        ['name', output.paint('bold', safeText(group.name))],
        ['title', group.title === null ? null : safeText(group.title)],
        ['members', safeText(group.members.map(({ name }) => name).join(', ')) || 'nobody'],
        ['id', group.id],
      ]);
      printHeading(output, 'Grants');
      printTable(
        output,
        [
          { title: 'ROLE', value: (grant) => safeText(grant.role) },
          { title: 'ON', value: (grant) => safeText(grant.scopeName), flexibleTo: 12 },
          { title: 'ID', value: (grant) => grant.id, isOptional: true },
        ],
        grants,
        `None. \`hv grant create --group ${safeText(group.name)} --role ROLE --all\` gives a role to all members.`,
      );
      return EXIT.done;
    },
  }),
  command({
    path: ['group', 'create'],
    summary: 'Make a group',
    positionals: { name: one('NAME', 'name of the group') },
    options: {
      title: textOption('TEXT', 'what it is for'),
      member: textList('USER', 'a first member', { completes: 'user' }),
    },
    examples: ['group create shop-team --member alice'],
    run: async (context, { args, options }) => {
      const { api, output } = context;
      for (const user of options.member)
        await about(context, 'user', user, (id) => api('GET /users/{id}', { params: { id } }));
      const made = await api('POST /groups', {
        body: { name: args.name, ...(options.title === undefined ? {} : { title: options.title }) },
      });
      const group =
        options.member.length === 0
          ? made
          : await api('PATCH /groups/{id}', { params: { id: made.id }, body: { add: [...options.member] } });
      if (output.isJson) output.json(group);
      else {
        output.message(`${output.paintMessage('green', '●')} group ${safeText(group.name)} is made`);
        output.message(
          `  Give a role:  hv grant create --group ${safeText(group.name)} --role vm-operator --project NAME`,
        );
      }
      return EXIT.done;
    },
  }),
  command({
    path: ['group', 'edit'],
    summary: 'Rename a group or change its title',
    positionals: { name: groupName },
    options: {
      rename: textOption('NAME', 'new name'),
      title: textOption('TEXT', 'what it is for; empty takes it away'),
    },
    examples: ['group edit shop-team --title "People of the shop"'],
    run: async (context, { args, options }) => {
      const { api, output } = context;
      const body = {
        ...(options.rename === undefined ? {} : { name: options.rename }),
        ...(options.title === undefined ? {} : { title: options.title || null }),
      };
      if (Object.keys(body).length === 0) throw usageFailure('nothing to change', 'Give --rename or --title.');
      const group = await about(context, 'group', args.name, (id) =>
        api('PATCH /groups/{id}', { params: { id }, body }),
      );
      if (output.isJson) output.json(group);
      else output.message(`${output.paintMessage('green', '●')} ${safeText(group.name)} is changed`);
      return EXIT.done;
    },
  }),
  memberCommand('add-member', 'Add users to a group'),
  memberCommand('remove-member', 'Take users out of a group'),
  command({
    path: ['group', 'delete'],
    summary: 'Delete a group with its grants; its members stay',
    positionals: { name: groupName },
    options: CONFIRM_OPTIONS,
    examples: ['group delete shop-team', 'group delete shop-team --yes --name shop-team'],
    run: async (context, { args, options }) => {
      const { api, output } = context;
      const group = await about(context, 'group', args.name, (id) => api('GET /groups/{id}', { params: { id } }));
      await confirmByName(context, {
        what: `group "${group.name}" goes with its grants; ${group.members.length} members lose what it gave`,
        name: group.name,
        options,
      });
      await api('DELETE /groups/{id}', { params: { id: group.id } });
      if (output.isJson) output.json({ id: group.id, name: group.name, state: 'deleted' });
      else output.message(`${output.paintMessage('green', '●')} group ${safeText(group.name)} is deleted`);
      return EXIT.done;
    },
  }),
]);

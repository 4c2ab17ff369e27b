/** `hv user`: people and programs with an account, and what they may do. */

import type { User } from '#contract/access.ts';
import { CONFIRM_OPTIONS, confirmByName } from './ask.ts';
import { type Command, command, defineCommands } from './command.ts';
import { EXIT } from './exit-codes.ts';
import { usageFailure } from './failure.ts';
import { about, collect } from './objects.ts';
import { type Column, printFacts, printHeading, printTable } from './table.ts';
import { safeText } from './text.ts';
import { ageText, timeText } from './time.ts';
import { keyCommands } from './user-keys.ts';
import { rightsCommand } from './user-rights.ts';
import { countOption, flag, one, textOption } from './values.ts';

const MARKS = { active: '● active', disabled: '○ disabled' } as const;
const list = (names: readonly string[], none = '–') => safeText(names.join(', ')) || none;

const COLUMNS: readonly Column<User>[] = [
  {
    title: 'NAME',
    value: (user) => safeText(user.name),
    flexibleTo: 10,
    colour: (text, _user, paint) => paint('bold', text),
  },
  {
    title: 'STATE',
    value: (user) => MARKS[user.state],
    colour: (text, user, paint) => paint(user.state === 'active' ? 'green' : 'grey', text),
  },
  { title: 'ROLES', value: (user) => list(user.roles), flexibleTo: 10 },
  { title: 'GROUPS', value: (user) => list(user.groups.map(({ name }) => name)), flexibleTo: 8, isOptional: true },
  { title: 'SIGNED IN', value: (user) => (user.lastSignInAt ? ageText(user.lastSignInAt) : 'never'), isOptional: true },
  { title: 'FULL NAME', value: (user) => safeText(user.title ?? ''), flexibleTo: 8, isOptional: true },
];

const userName = one('NAME', 'name or id of the user', { completes: 'user' });

function idleText(user: User): string {
  return user.idleMinutes === null
    ? '15 idle minutes, 8 hours for those who only read'
    : `${user.idleMinutes} idle minutes`;
}

function stateCommand(verb: 'disable' | 'enable', summary: string, details: string): Command {
  return command({
    path: ['user', verb],
    summary,
    details,
    positionals: { name: userName },
    examples: [`user ${verb} alice`],
    run: async (context, { args }) => {
      const { api, output } = context;
      const state = verb === 'disable' ? 'disabled' : 'active';
      const user = await about(context, 'user', args.name, (id) =>
        api('PATCH /users/{id}', { params: { id }, body: { state } }),
      );
      if (output.isJson) output.json(user);
      else output.message(`${MARKS[user.state].slice(0, 1)} ${safeText(user.name)} is ${user.state}`);
      return EXIT.done;
    },
  });
}

export const commands = defineCommands([
  command({
    path: ['user', 'list'],
    summary: 'List users with their roles',
    options: { search: textOption('TEXT', 'only with this in the name') },
    examples: ['user list', 'user list --search ali'],
    run: async ({ api, output }, { options }) => {
      const q = options.search;
      const users = await collect((page) => api('GET /users', { query: { ...page, ...(q ? { q } : {}) } }));
      if (output.isJson) output.json(users);
      else printTable(output, COLUMNS, users, q ? 'No user fits.' : 'No users. `hv user create NAME` makes one.');
      return EXIT.done;
    },
  }),
  command({
    path: ['user', 'show'],
    summary: 'Show a user with groups and grants',
    positionals: { name: userName },
    examples: ['user show alice'],
    run: async (context, { args }) => {
      const { api, output } = context;
      const user = await about(context, 'user', args.name, (id) => api('GET /users/{id}', { params: { id } }));
      const { grants } = await api('GET /users/{id}/rights', { params: { id: user.id } });
      if (output.isJson) {
        output.json({ ...user, grants });
        return EXIT.done;
      }
      printFacts(output, [
        ['name', output.paint('bold', safeText(user.name))],
        ['full name', user.title === null ? null : safeText(user.title)],
        ['state', MARKS[user.state]],
        ['groups', list(user.groups.map(({ name }) => name))],
        ['session ends after', idleText(user)],
        ['signed in', user.lastSignInAt ? ageText(user.lastSignInAt) : 'never'],
        ['made', timeText(user.createdAt)],
        ['from', user.source === 'local' ? null : safeText(user.source)],
        ['id', user.id],
      ]);
      printHeading(output, 'Grants');
      printTable(
        output,
        [
          { title: 'ROLE', value: (grant) => safeText(grant.role) },
          { title: 'ON', value: (grant) => safeText(grant.scopeName), flexibleTo: 12 },
          { title: 'THROUGH', value: (grant) => (grant.through === null ? '–' : `group ${safeText(grant.through)}`) },
          { title: 'ID', value: (grant) => grant.id, isOptional: true },
        ],
        grants,
        `None: ${safeText(user.name)} may do nothing yet. \`hv grant create --user ${safeText(user.name)} --role ROLE --all\` gives a role.`,
      );
      return EXIT.done;
    },
  }),
  command({
    path: ['user', 'create'],
    summary: 'Make a user; it may do nothing until a role is granted',
    positionals: { name: one('NAME', 'name to sign in with') },
    options: {
      title: textOption('TEXT', 'full name'),
      'idle-minutes': countOption('N', 'sessions end after so many idle minutes', {
        defaultText: '15, or 480 for those who only read',
      }),
    },
    examples: ['user create alice --title "Alice Arbor"'],
    run: async ({ api, output }, { args, options }) => {
      const idleMinutes = options['idle-minutes'];
      const user = await api('POST /users', {
        body: {
          name: args.name,
          ...(options.title === undefined ? {} : { title: options.title }),
          ...(idleMinutes === undefined ? {} : { idleMinutes }),
        },
      });
      if (output.isJson) {
        output.json(user);
        return EXIT.done;
      }
      output.message(`${output.paintMessage('green', '●')} ${safeText(user.name)} is made, and may do nothing yet`);
      output.message(`  Give a role:  hv grant create --user ${safeText(user.name)} --role vm-operator --project NAME`);
      output.message(`  Add its key:  hv user key add ${safeText(user.name)} ~/.ssh/id_ed25519.pub`);
      output.message(`  Let in once:  hv system link --user ${safeText(user.name)}`);
      return EXIT.done;
    },
  }),
  command({
    path: ['user', 'edit'],
    summary: 'Rename a user, or change its full name or idle limit',
    positionals: { name: userName },
    options: {
      rename: textOption('NAME', 'new name'),
      title: textOption('TEXT', 'full name; empty takes it away'),
      'idle-minutes': countOption('N', 'sessions end after so many idle minutes'),
      'default-idle': flag('take the own idle limit away'),
    },
    examples: ['user edit alice --title "Alice Beech"', 'user edit alice --idle-minutes 60'],
    run: async (context, { args, options }) => {
      const { api, output } = context;
      const idleMinutes = options['idle-minutes'];
      if (idleMinutes !== undefined && options['default-idle'])
        throw usageFailure('--idle-minutes and --default-idle exclude each other', 'Give one of them.');
      const body = {
        ...(options.rename === undefined ? {} : { name: options.rename }),
        ...(options.title === undefined ? {} : { title: options.title || null }),
        ...(idleMinutes === undefined ? {} : { idleMinutes }),
        ...(options['default-idle'] ? { idleMinutes: null } : {}),
      };
      if (Object.keys(body).length === 0)
        throw usageFailure('nothing to change', 'Give --rename, --title, --idle-minutes or --default-idle.');
      const user = await about(context, 'user', args.name, (id) => api('PATCH /users/{id}', { params: { id }, body }));
      if (output.isJson) output.json(user);
      else output.message(`${output.paintMessage('green', '●')} ${safeText(user.name)} is changed`);
      return EXIT.done;
    },
  }),
  stateCommand(
    'disable',
    'Disable a user: nothing is allowed any more, at once',
    'Sessions end, tokens stop working, and operations that wait are refused. Grants stay, so that `hv user enable` brings all back.',
  ),
  stateCommand('enable', 'Enable a disabled user', 'Grants, keys and tokens are those of before.'),
  command({
    path: ['user', 'delete'],
    summary: 'Delete a user with its keys, tokens, sessions and grants',
    details: 'VMs stay: they belong to projects. What the user did stays in the audit log.',
    positionals: { name: userName },
    options: CONFIRM_OPTIONS,
    examples: ['user delete alice', 'user delete alice --yes --name alice'],
    run: async (context, { args, options }) => {
      const { api, output } = context;
      const user = await about(context, 'user', args.name, (id) => api('GET /users/{id}', { params: { id } }));
      await confirmByName(context, {
        what: `user "${user.name}" goes with its keys, tokens, sessions and grants`,
        name: user.name,
        options,
      });
      await api('DELETE /users/{id}', { params: { id: user.id } });
      if (output.isJson) output.json({ id: user.id, name: user.name, state: 'deleted' });
      else output.message(`${output.paintMessage('green', '●')} user ${safeText(user.name)} is deleted`);
      return EXIT.done;
    },
  }),
  rightsCommand,
  ...keyCommands,
]);

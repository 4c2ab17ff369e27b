/** `hv grant`: who holds which role where. */

import type { Grant } from '#contract/access.ts';
import { command, defineCommands } from './command.ts';
import type { CommandContext } from './context.ts';
import { EXIT } from './exit-codes.ts';
import { Failure, usageFailure } from './failure.ts';
import { about, collect } from './objects.ts';
import { readScope, SCOPE_OPTIONS } from './scope.ts';
import { type Column, printTable } from './table.ts';
import { safeText } from './text.ts';
import { ageText } from './time.ts';
import { any, textOption } from './values.ts';

const COLUMNS: readonly Column<Grant>[] = [
  {
    title: 'WHO',
    value: (grant) => `${grant.subject.type === 'group' ? 'group ' : ''}${safeText(grant.subject.name)}`,
    flexibleTo: 10,
    colour: (text, _grant, paint) => paint('bold', text),
  },
  { title: 'ROLE', value: (grant) => safeText(grant.role), flexibleTo: 10 },
  { title: 'ON', value: (grant) => safeText(grant.scopeName), flexibleTo: 12 },
  { title: 'ID', value: (grant) => grant.id },
  {
    title: 'GIVEN BY',
    value: (grant) => safeText(grant.source === 'local' ? grant.createdBy : grant.source),
    isOptional: true,
  },
  { title: 'SINCE', value: (grant) => ageText(grant.createdAt), isOptional: true },
];

const SUBJECT_OPTIONS = {
  user: textOption('NAME', 'the user', { completes: 'user' }),
  group: textOption('NAME', 'the group: all its members', { completes: 'group' }),
  role: textOption('NAME', 'the role', { completes: 'role' }),
  ...SCOPE_OPTIONS,
} as const;

interface GrantChoice {
  readonly user: string | undefined;
  readonly group: string | undefined;
  readonly role: string | undefined;
  readonly all: boolean;
  readonly project: string | undefined;
  readonly vm: string | undefined;
}

/** The named subject and role by their ids, as queries and bodies take them. */
async function readChoice(context: CommandContext, options: GrantChoice) {
  const { api } = context;
  const { user, group, role } = options;
  if (user !== undefined && group !== undefined)
    throw usageFailure('--user and --group exclude each other', 'A grant is for a user or for a group.');
  const scope = await readScope(context, options);
  const idOf = async (kind: 'user' | 'group' | 'role', name: string | undefined): Promise<string | undefined> => {
    if (name === undefined) return undefined;
    const at = (id: string) => ({ params: { id } });
    if (kind === 'user') return (await about(context, kind, name, (id) => api('GET /users/{id}', at(id)))).id;
    if (kind === 'group') return (await about(context, kind, name, (id) => api('GET /groups/{id}', at(id)))).id;
    return (await about(context, kind, name, (id) => api('GET /roles/{id}', at(id)))).id;
  };
  const ids = { user: await idOf('user', user), group: await idOf('group', group), role: await idOf('role', role) };
  return { ...ids, scope };
}

type Choice = Awaited<ReturnType<typeof readChoice>>;

const given = ({ user, group, role, scope }: Choice) => ({
  ...(user === undefined ? {} : { user }),
  ...(group === undefined ? {} : { group }),
  ...(role === undefined ? {} : { role }),
  ...(scope === null ? {} : { scope }),
});

export const commands = defineCommands([
  command({
    path: ['grant', 'list'],
    summary: 'List grants, all or some',
    options: SUBJECT_OPTIONS,
    examples: ['grant list', 'grant list --user alice', 'grant list --project shop'],
    run: async (context, { options }) => {
      const { api, output } = context;
      const choice = given(await readChoice(context, options));
      const grants = await collect((page) => api('GET /grants', { query: { ...page, ...choice } }));
      if (output.isJson) output.json(grants);
      else
        printTable(
          output,
          COLUMNS,
          grants,
          Object.keys(choice).length > 0
            ? 'No grant fits. Those that come through a group are listed with the group.'
            : 'No grants. `hv grant create --user NAME --role ROLE --all` makes one.',
        );
      return EXIT.done;
    },
  }),
  command({
    path: ['grant', 'create'],
    summary: 'Give a role to a user or group',
    details:
      'Holds for the whole system (--all), for a project with all that is in it, or for one VM. Nobody gives more than he holds there himself. It takes hold at once.',
    options: SUBJECT_OPTIONS,
    examples: [
      'grant create --user alice --role vm-operator --project shop',
      'grant create --user alice --role vm-operator --vm web1',
      'grant create --group shop-team --role project-admin --project shop',
    ],
    run: async (context, { options }) => {
      const { api, output } = context;
      if ((options.user ?? options.group) === undefined)
        throw usageFailure('who gets the role is missing', 'Give --user NAME or --group NAME.');
      if (options.role === undefined) throw usageFailure('--role is missing', '`hv role list` lists the roles.');
      const choice = await readChoice(context, options);
      if (choice.scope === null)
        throw usageFailure(
          'where the role holds is missing',
          'Give --project NAME, --vm NAME, or --all for everything.',
        );
      const { role = options.role, scope } = choice;
      const grant = await api('POST /grants', { body: { ...given(choice), role, scope } });
      if (output.isJson) output.json(grant);
      else output.message(`${output.paintMessage('green', '●')} ${safeText(grant.name)}`);
      return EXIT.done;
    },
  }),
  command({
    path: ['grant', 'delete'],
    summary: 'Take a grant away',
    details:
      'Named by its id, or by the very options that made it. It takes hold at once: open consoles end within 5 seconds.',
    positionals: { id: any('ID', 'id of a grant', { completes: 'grant' }) },
    options: SUBJECT_OPTIONS,
    examples: ['grant delete grant-01h2…', 'grant delete --user alice --role vm-operator --vm web1'],
    run: async (context, { args, options }) => {
      const { api, output } = context;
      const isNamed = (options.user ?? options.group) !== undefined && options.role !== undefined;
      const [id] = args.id;
      if (args.id.length > 1 || (id !== undefined) === isNamed)
        throw usageFailure(
          'which grant to take away is not clear',
          'Give its id, or --user or --group with --role and --project, --vm or --all.',
        );
      const grant = id ?? (await theOne(context, options));
      await about(context, 'grant', grant, (one) => api('DELETE /grants/{id}', { params: { id: one } }));
      if (output.isJson) output.json({ id: grant, state: 'deleted' });
      else output.message(`${output.paintMessage('green', '●')} grant ${safeText(grant)} is taken away`);
      return EXIT.done;
    },
  }),
]);

/** The id of the only grant that fits. */
async function theOne(context: CommandContext, options: GrantChoice): Promise<string> {
  const choice = await readChoice(context, options);
  if (choice.scope === null)
    throw usageFailure('where the role holds is missing', 'Give --project NAME, --vm NAME, or --all.');
  const { items } = await context.api('GET /grants', { query: given(choice) });
  const [first] = items;
  if (first === undefined)
    throw new Failure('there is no such grant', {
      exit: EXIT.notFound,
      code: 'not_found',
      hint: '`hv grant list` lists them; one that comes through a group is taken from the group.',
    });
  return first.id;
}

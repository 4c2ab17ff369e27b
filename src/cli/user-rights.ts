/** `hv user rights`: what a user may do, and which grant gives it. */

import { PERMISSIONS, type Permission } from '#contract/permissions.ts';
import { command } from './command.ts';
import { EXIT } from './exit-codes.ts';
import { usageFailure } from './failure.ts';
import { about } from './objects.ts';
import { permissionOption } from './permission-values.ts';
import { printTable } from './table.ts';
import { safeText } from './text.ts';
import { one, textOption } from './values.ts';

interface RightsRow {
  readonly permission: Permission;
  readonly on: string;
  readonly because: string;
}

export const rightsCommand = command({
  path: ['user', 'rights'],
  summary: 'What a user may do, and why',
  details:
    'Without --can it lists every permission with the grant that gives it. With --can it answers one question and exits 3 when the answer is no. Without --on and --project the question is about the whole system.',
  positionals: { name: one('NAME', 'name or id of the user', { completes: 'user' }) },
  options: {
    can: permissionOption('ask for this permission'),
    on: textOption('VM', 'on this VM', { completes: 'vm' }),
    project: textOption('NAME', 'on this project', { completes: 'project' }),
  },
  examples: ['user rights alice', 'user rights alice --can vm.power --on web1'],
  run: async (context, { args, options }) => {
    const { api, output } = context;
    const { can, on, project } = options;
    if (can === undefined && (on !== undefined || project !== undefined))
      throw usageFailure('--on and --project need a question', 'Add --can PERMISSION, as --can vm.power.');
    if (on !== undefined && project !== undefined)
      throw usageFailure('--on and --project exclude each other', 'Give one of them.');
    const query = {
      ...(can === undefined ? {} : { permission: can }),
      ...(on === undefined ? {} : { vm: on }),
      ...(project === undefined ? {} : { project }),
    };
    const user = await about(context, 'user', args.name, (id) => api('GET /users/{id}', { params: { id } }));
    const ask = () => api('GET /users/{id}/rights', { params: { id: user.id }, query });
    const rights =
      on !== undefined
        ? await about(context, 'vm', on, ask)
        : project !== undefined
          ? await about(context, 'project', project, ask)
          : await ask();
    if (output.isJson) output.json(rights);
    if (rights.answer !== null) {
      if (!output.isJson) output.line(safeText(rights.answer.because));
      return rights.answer.allow ? EXIT.done : EXIT.denied;
    }
    if (output.isJson) return EXIT.done;
    const rows = PERMISSIONS.flatMap((permission): RightsRow[] =>
      rights.grants
        .filter(({ permissions }) => permissions.includes(permission))
        .map((grant) => ({
          permission,
          on: grant.scopeName,
          because: `${grant.through === null ? '' : `group ${grant.through} is `}${grant.role}`,
        })),
    );
    if (user.state === 'disabled')
      output.message(
        `▲ ${safeText(user.name)} is disabled and may do nothing; these would hold after \`hv user enable\`.`,
      );
    printTable(
      output,
      [
        { title: 'PERMISSION', value: (row) => row.permission },
        { title: 'ON', value: (row) => safeText(row.on), flexibleTo: 12 },
        { title: 'BECAUSE', value: (row) => safeText(row.because), flexibleTo: 10 },
      ],
      rows,
      `${safeText(user.name)} may do nothing but manage its own keys, tokens and sessions.`,
    );
    return EXIT.done;
  },
});

/** `hv token`: secrets with which scripts use the API as their owner, within limits. */

import type { Token } from '#contract/access.ts';
import { command, defineCommands } from './command.ts';
import type { CommandContext } from './context.ts';
import { EXIT } from './exit-codes.ts';
import { Failure, usageFailure } from './failure.ts';
import { about, collect } from './objects.ts';
import { permissionList } from './permission-values.ts';
import { readScope, SCOPE_OPTIONS } from './scope.ts';
import { type Column, printTable } from './table.ts';
import { safeText } from './text.ts';
import { ageText } from './time.ts';
import { countOption, one, textOption } from './values.ts';

const DEFAULT_DAYS = 90;

const scopeText = (scope: string): string => (scope === 'all' ? 'wherever its owner may' : safeText(scope));

const COLUMNS: readonly Column<Token>[] = [
  {
    title: 'NAME',
    value: (token) => safeText(token.name),
    flexibleTo: 10,
    colour: (text, _token, paint) => paint('bold', text),
  },
  { title: 'OF', value: (token) => safeText(token.user), flexibleTo: 6 },
  {
    title: 'STATE',
    value: (token) => (token.state === 'active' ? '● active' : '○ expired'),
    colour: (text, token, paint) => paint(token.state === 'active' ? 'green' : 'grey', text),
  },
  { title: 'ENDS', value: (token) => ageText(token.expiresAt) },
  { title: 'MAY', value: (token) => token.permissions.join(', '), flexibleTo: 12, isOptional: true },
  { title: 'ON', value: (token) => scopeText(token.scope), flexibleTo: 10, isOptional: true },
  { title: 'USED', value: (token) => (token.lastUsedAt ? ageText(token.lastUsedAt) : 'never'), isOptional: true },
  { title: 'ID', value: (token) => token.id, isOptional: true },
];

export const commands = defineCommands([
  command({
    path: ['token', 'list'],
    summary: 'List API tokens; secrets are not kept and cannot be shown',
    options: { user: textOption('NAME', 'only those of this user', { completes: 'user' }) },
    examples: ['token list', 'token list --user alice'],
    run: async ({ api, output }, { options }) => {
      const all = await collect((query) => api('GET /tokens', { query }));
      const { user } = options;
      const tokens = user === undefined ? all : all.filter((token) => token.user === user || token.userId === user);
      if (output.isJson) output.json(tokens);
      else printTable(output, COLUMNS, tokens, 'No tokens. `hv token create NAME` makes one.');
      return EXIT.done;
    },
  }),
  command({
    path: ['token', 'create'],
    summary: 'Make an API token; its secret is printed once',
    details:
      'The secret goes to stdout and is never shown again. The token may do what is named here, as far as its owner may do it at that moment; it makes no tokens, keys or proofs. A token belongs to a user: over the local socket name the user.',
    positionals: { name: one('NAME', 'what it is for') },
    options: {
      user: textOption('NAME', 'its owner, when root makes it on the machine', { completes: 'user' }),
      permission: permissionList('what it may do'),
      role: textOption('NAME', 'it may do what this role lets one do', { completes: 'role' }),
      ...SCOPE_OPTIONS,
      days: countOption('N', 'it ends after so many days, at most 366', { defaultText: String(DEFAULT_DAYS) }),
    },
    examples: [
      'token create nightly --user alice --permission vm.read,vm.power --project shop',
      'token create metrics --user operator --role operator --days 30',
    ],
    run: async (context, { args, options }) => {
      const { api, output } = context;
      const ofRole =
        options.role === undefined
          ? []
          : (await about(context, 'role', options.role, (id) => api('GET /roles/{id}', { params: { id } })))
              .permissions;
      // A token never manages its owner's keys and sessions.
      const permissions = [...new Set([...ofRole, ...options.permission])].filter((one) => one !== 'self.manage');
      if (permissions.length === 0)
        throw usageFailure(
          'what the token may do is missing',
          'Give --permission, as --permission vm.read,vm.power, or --role NAME; self.manage alone is nothing a token can have.',
        );
      const { user, via } = await api('GET /auth/session');
      if (options.user === undefined && via.endsWith('_socket'))
        throw usageFailure(
          'a token belongs to a user, and the local socket is none',
          'Add --user NAME for its owner; `hv user list` lists the users.',
        );
      const owner = options.user;
      if (owner !== undefined && via === 'admin_socket')
        await about(context, 'user', owner, (id) => api('GET /users/{id}', { params: { id } }));
      const scope = (await readScope(context, options)) ?? 'all';
      const token = await api('POST /tokens', {
        body: {
          name: args.name,
          permissions,
          scope,
          days: options.days ?? DEFAULT_DAYS,
          ...(owner === undefined || owner === user ? {} : { user: owner }),
        },
      });
      if (output.isJson) {
        output.json(token);
        return EXIT.done;
      }
      output.line(token.secret);
      output.message(`${output.paintMessage('green', '●')} token ${safeText(token.name)} of ${safeText(token.user)}`);
      output.message(`  Ends ${ageText(token.expiresAt)}. Keep the secret now: it is not shown again.`);
      output.message('  Use: curl --cacert ca.pem -H "Authorization: Bearer SECRET" https://…/api/v1/vms');
      return EXIT.done;
    },
  }),
  command({
    path: ['token', 'revoke'],
    summary: 'End a token at once',
    positionals: { token: one('NAME', 'name or id of the token', { completes: 'token' }) },
    options: { user: textOption('NAME', 'its owner, when two users have a token of that name', { completes: 'user' }) },
    examples: ['token revoke nightly'],
    run: async (context, { args, options }) => {
      const { api, output } = context;
      const token = await find(context, args.token, options.user);
      await api('DELETE /tokens/{id}', { params: { id: token.id } });
      if (output.isJson) output.json({ id: token.id, name: token.name, state: 'revoked' });
      else
        output.message(
          `${output.paintMessage('green', '●')} token ${safeText(token.name)} of ${safeText(token.user)} is revoked`,
        );
      return EXIT.done;
    },
  }),
]);

async function find(context: CommandContext, name: string, user: string | undefined): Promise<Token> {
  const all = await collect((query) => context.api('GET /tokens', { query }));
  const fitting = all.filter(
    (token) => (token.id === name || token.name === name) && (user === undefined || token.user === user),
  );
  const [first] = fitting;
  if (fitting.length > 1)
    throw usageFailure(
      `${fitting.length} users have a token "${name}": ${fitting.map((token) => token.user).join(', ')}`,
      'Add --user NAME, or name the token by its id.',
    );
  if (first !== undefined) return first;
  return about(context, 'token', name, () =>
    Promise.reject(new Failure(`no token "${name}"`, { exit: EXIT.notFound, code: 'not_found' })),
  );
}

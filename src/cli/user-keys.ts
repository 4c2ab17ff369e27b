/** `hv user key`: the SSH keys that open an account. One's own keys need no further right. */

import type { SshKey } from '#contract/sign-in.ts';
import { CONFIRM_OPTIONS, confirmByName } from './ask.ts';
import { command, defineCommands } from './command.ts';
import type { CommandContext } from './context.ts';
import { EXIT } from './exit-codes.ts';
import { Failure } from './failure.ts';
import { sshKeysFrom } from './files.ts';
import { didYouMean } from './parse.ts';
import { type Column, printTable } from './table.ts';
import { safeText } from './text.ts';
import { ageText } from './time.ts';
import { many, one } from './values.ts';

const COLUMNS: readonly Column<SshKey>[] = [
  { title: 'FINGERPRINT', value: (key) => safeText(key.fingerprint) },
  { title: 'TYPE', value: (key) => safeText(key.type), isOptional: true },
  { title: 'COMMENT', value: (key) => safeText(key.comment) || '–', flexibleTo: 8 },
  { title: 'FROM', value: (key) => (key.source === 'config' ? 'configuration' : 'here') },
  { title: 'USED', value: (key) => (key.lastUsedAt === null ? 'never' : ageText(key.lastUsedAt)) },
];

const userName = one('NAME', 'name of the user');

async function isMe({ api }: CommandContext, name: string): Promise<boolean> {
  const { user, via } = await api('GET /auth/session');
  return via === 'session' && user === name;
}

async function keysOf(context: CommandContext, name: string): Promise<SshKey[]> {
  const { api } = context;
  const { items } = (await isMe(context, name))
    ? await api('GET /keys')
    : await api('GET /users/{id}/keys', { params: { id: name } });
  return items;
}

export const keyCommands = defineCommands([
  command({
    path: ['user', 'key', 'list'],
    summary: 'List the SSH keys of a user',
    positionals: { name: userName },
    examples: ['user key list alice'],
    run: async (context, { args }) => {
      const { output } = context;
      const keys = await keysOf(context, args.name);
      if (output.isJson) output.json(keys);
      else
        printTable(
          output,
          COLUMNS,
          keys,
          `No keys. \`hv user key add ${safeText(args.name)} ~/.ssh/id_ed25519.pub\` adds one.`,
        );
      return EXIT.done;
    },
  }),
  command({
    path: ['user', 'key', 'add'],
    summary: 'Add SSH keys of a user',
    details:
      'Ed25519, ECDSA, RSA from 2048 bits on, and security keys. Lines with options, as from= or command=, are refused: they would not hold here.',
    positionals: { name: userName, keys: many('KEY', 'a public key or a file with one key a line; - reads stdin') },
    examples: ['user key add alice ~/.ssh/id_ed25519.pub'],
    run: async (context, { args }) => {
      const { api, output } = context;
      const lines = await sshKeysFrom(args.keys);
      const isOwn = await isMe(context, args.name);
      const added: SshKey[] = [];
      for (const key of lines)
        added.push(
          isOwn
            ? await api('POST /keys', { body: { key } })
            : await api('POST /users/{id}/keys', { params: { id: args.name }, body: { key } }),
        );
      if (output.isJson) output.json(added);
      else
        for (const key of added)
          output.message(
            `${output.paintMessage('green', '●')} ${safeText(args.name)} can sign in with ${safeText(key.fingerprint)} ${safeText(key.comment)}`,
          );
      return EXIT.done;
    },
  }),
  command({
    path: ['user', 'key', 'remove'],
    summary: 'Remove an SSH key of a user; sessions that it began go on',
    positionals: { name: userName, key: one('KEY', 'fingerprint or id of the key') },
    options: CONFIRM_OPTIONS,
    examples: ['user key remove alice SHA256:…'],
    run: async (context, { args, options }) => {
      const { api, output } = context;
      const keys = await keysOf(context, args.name);
      const found = keys.find((key) => key.id === args.key || key.fingerprint === args.key);
      if (!found)
        throw new Failure(
          `${args.name} has no key "${args.key}"${didYouMean(
            args.key,
            keys.map((key) => key.fingerprint),
          )}`,
          {
            exit: EXIT.notFound,
            code: 'not_found',
            hint: `\`hv user key list ${args.name}\` lists them.`,
          },
        );
      await confirmByName(context, {
        what: `${args.name} will not be able to sign in with ${found.fingerprint} ${found.comment}`,
        name: args.name,
        options,
      });
      await api('DELETE /keys/{id}', { params: { id: found.id } });
      if (output.isJson) output.json({ id: found.id, fingerprint: found.fingerprint, state: 'removed' });
      else output.message(`${output.paintMessage('green', '●')} the key ${safeText(found.fingerprint)} is removed`);
      return EXIT.done;
    },
  }),
]);

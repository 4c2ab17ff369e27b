/** `hv channel`: where messages about alerts go. Secrets come from files or stdin, never from the command line, which others can read. */

import { readFile } from 'node:fs/promises';
import { text as textOfStream } from 'node:stream/consumers';
import { CHANNEL_KINDS, type Channel } from '#contract/notifications.ts';
import { CONFIRM_OPTIONS, confirmByName } from './ask.ts';
import { command, defineCommands } from './command.ts';
import { EXIT } from './exit-codes.ts';
import { Failure, usageFailure } from './failure.ts';
import { about, collect } from './objects.ts';
import type { Output } from './output.ts';
import { type Column, type Fact, printFacts, printTable } from './table.ts';
import { safeText, wrapText } from './text.ts';
import { ageText } from './time.ts';
import { flag, one, textList, textOption } from './values.ts';

const STATES = {
  ok: ['●', 'green'],
  failing: ['●', 'red'],
  unused: ['○', 'grey'],
} as const;

const COLUMNS: readonly Column<Channel>[] = [
  {
    title: 'NAME',
    value: (channel) => safeText(channel.name),
    flexibleTo: 10,
    colour: (text, _channel, paint) => paint('bold', text),
  },
  { title: 'KIND', value: (channel) => channel.kind },
  {
    title: 'STATE',
    value: (channel) => (channel.isEnabled ? `${STATES[channel.state][0]} ${channel.state}` : '○ off'),
    colour: (text, channel, paint) => paint(channel.isEnabled ? STATES[channel.state][1] : 'grey', text),
  },
  { title: 'SENT', value: (channel) => (channel.lastSentAt ? ageText(channel.lastSentAt) : 'never') },
  { title: 'PROJECT', value: (channel) => safeText(channel.project ?? 'all'), isOptional: true },
  {
    title: 'MANAGED BY',
    value: (channel) => (channel.origin === 'api' ? 'dashboard, hv' : 'configuration'),
    isOptional: true,
  },
  { title: 'ERROR', value: (channel) => safeText(channel.lastError ?? ''), flexibleTo: 12, isOptional: true },
];

const channelName = () => one('NAME', 'name or id of the channel', { completes: 'channel' });

/** `NAME=VALUE`. @throws Failure exit 2 */
function pair(text: string, option: string): readonly [name: string, value: string] {
  const [, name, value] = /^([A-Za-z][A-Za-z0-9]*)=(.*)$/s.exec(text) ?? [];
  if (name === undefined || value === undefined)
    throw usageFailure(
      `--${option} ${JSON.stringify(text)} is not NAME=VALUE`,
      `Write it as --${option} server=https://ntfy.example.`,
    );
  return [name, value];
}

async function settingValue(name: string, value: string): Promise<unknown> {
  if (value.startsWith('@') && name === 'ca') return readFile(value.slice(1), 'utf8');
  if (name === 'to') return value.split(',');
  if (name === 'threadId') return Number(value);
  return value;
}

async function settingsOf(texts: readonly string[]): Promise<Record<string, unknown>> {
  const settings: Record<string, unknown> = {};
  for (const text of texts) {
    const [name, value] = pair(text, 'set');
    settings[name] = value === '' ? null : await settingValue(name, value);
  }
  return settings;
}

async function secretsOf(texts: readonly string[]): Promise<Record<string, string | null>> {
  const secrets: Record<string, string | null> = {};
  for (const text of texts) {
    const [name, file] = pair(text, 'secret');
    secrets[name] = file === '' ? null : (await readSecret(file)).trim();
  }
  return secrets;
}

async function readSecret(file: string): Promise<string> {
  if (file === '-') return textOfStream(process.stdin);
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new Failure(`the secret cannot be read: ${error instanceof Error ? error.message : String(error)}`, {
      exit: EXIT.usage,
      hint: 'Give a file that holds nothing but the secret, or - for stdin.',
    });
  }
}

function print(output: Output, channel: Channel): void {
  if (output.isJson) {
    output.json(channel);
    return;
  }
  printFacts(output, [
    ['name', output.paint('bold', safeText(channel.name))],
    ['kind', channel.kind],
    ['state', channel.isEnabled ? channel.state : 'off'],
    ['project', safeText(channel.project ?? 'all')],
    ['managed by', channel.origin === 'api' ? 'dashboard and hv' : 'the configuration'],
    ['title', channel.title === null ? null : safeText(channel.title)],
    ...Object.entries(channel.settings).map(([name, value]): Fact => [name, safeText(settingText(value))]),
    ['secrets', channel.secretNames.length === 0 ? null : channel.secretNames.join(', ')],
    ['last sent', channel.lastSentAt === null ? 'never' : ageText(channel.lastSentAt)],
    ['error', channel.lastError === null ? null : safeText(channel.lastError)],
  ]);
}

function settingText(value: unknown): string {
  if (typeof value === 'string') return value;
  return Array.isArray(value) ? value.map(settingText).join(', ') : JSON.stringify(value);
}

const FIELD_OPTIONS = {
  set: textList(
    'NAME=VALUE',
    'a setting, as server=https://ntfy.example; `hv channel kinds` lists them; to=A,B; ca=@FILE',
  ),
  secret: textList('NAME=FILE', 'a secret from a file, - for stdin, as url=/root/slack-url'),
  title: textOption('TEXT', 'what messages are called, as "{severity}: {rule} on {host}"'),
} as const;

export const commands = defineCommands([
  command({
    path: ['channel', 'list'],
    summary: 'List where messages go',
    examples: ['channel list'],
    run: async ({ api, output }) => {
      const channels = await collect((query) => api('GET /channels', { query }));
      if (output.isJson) output.json(channels);
      else printTable(output, COLUMNS, channels, 'No channels. `hv channel add NAME --kind KIND` adds one.');
      return EXIT.done;
    },
  }),
  command({
    path: ['channel', 'kinds'],
    summary: 'List the kinds of channels and what each takes',
    examples: ['channel kinds'],
    run: async ({ api, output }) => {
      const { items } = await api('GET /channel-kinds');
      if (output.isJson) {
        output.json(items);
        return EXIT.done;
      }
      for (const [n, { kind, title, fields }] of items.entries()) {
        if (n > 0) output.line('');
        output.line(`${output.paint('bold', kind)}  ${title}`);
        for (const { name, isSecret, isRequired, description } of fields) {
          const option = isSecret ? `--secret ${name}=FILE` : `--set ${name}=VALUE`;
          output.line(`  ${option}${isRequired ? '' : output.paint('grey', '  may be left out')}`);
          for (const line of wrapText(description, output.width - 6)) output.line(`      ${line}`);
        }
      }
      return EXIT.done;
    },
  }),
  command({
    path: ['channel', 'show'],
    summary: 'Show a channel; its secrets are not shown',
    positionals: { channel: channelName() },
    examples: ['channel show team'],
    run: async (context, { args }) => {
      print(
        context.output,
        await about(context, 'channel', args.channel, (id) => context.api('GET /channels/{id}', { params: { id } })),
      );
      return EXIT.done;
    },
  }),
  command({
    path: ['channel', 'add'],
    summary: 'Add a channel',
    details:
      'It gets the messages of its project, or without one those of all. `hv channel test` shows whether they arrive.',
    positionals: { name: one('NAME', 'what it is called') },
    options: {
      kind: textOption(CHANNEL_KINDS.join('|'), 'the service'),
      project: textOption('NAME', 'only messages about this project', { completes: 'project' }),
      ...FIELD_OPTIONS,
    },
    examples: [
      'channel add team --kind slack --secret url=/root/slack-url',
      'channel add ops --kind email --set smtp=mail.example.org:587 --set from=hyper@example.org --set to=ops@example.org',
    ],
    run: async ({ api, output }, { args, options }) => {
      const kind = CHANNEL_KINDS.find((each) => each === options.kind);
      if (kind === undefined)
        throw usageFailure('--kind is missing or unknown', `Give one of ${CHANNEL_KINDS.join(', ')}.`);
      const channel = await api('POST /channels', {
        body: {
          name: args.name,
          kind,
          settings: await settingsOf(options.set),
          secrets: await secretsOf(options.secret),
          ...(options.project === undefined ? {} : { project: options.project }),
          ...(options.title === undefined ? {} : { title: options.title }),
        },
      });
      if (output.isJson) output.json(channel);
      else {
        output.message(`${output.paintMessage('green', '●')} channel ${safeText(channel.name)} is there`);
        output.message(`  See whether messages arrive: hv channel test ${safeText(channel.name)}`);
      }
      return EXIT.done;
    },
  }),
  command({
    path: ['channel', 'edit'],
    summary: 'Change a channel',
    details: 'What is not named stays. NAME= with nothing behind it removes a setting or secret.',
    positionals: { channel: channelName() },
    options: {
      ...FIELD_OPTIONS,
      enable: flag('switch it on'),
      disable: flag('switch it off: it gets nothing'),
    },
    examples: ['channel edit team --title "{severity}: {rule} on {host}"', 'channel edit team --disable'],
    run: async (context, { args, options }) => {
      if (options.enable && options.disable)
        throw usageFailure('--enable and --disable cannot both be', 'Give one of them.');
      const body = {
        settings: await settingsOf(options.set),
        secrets: await secretsOf(options.secret),
        ...(options.title === undefined ? {} : { title: options.title === '' ? null : options.title }),
        ...(options.enable || options.disable ? { isEnabled: options.enable } : {}),
      };
      const channel = await about(context, 'channel', args.channel, (id) =>
        context.api('PATCH /channels/{id}', { params: { id }, body }),
      );
      print(context.output, channel);
      return EXIT.done;
    },
  }),
  command({
    path: ['channel', 'remove'],
    summary: 'Remove a channel; what waits for it is not sent',
    positionals: { channel: channelName() },
    options: CONFIRM_OPTIONS,
    examples: ['channel remove team'],
    run: async (context, { args, options }) => {
      const { api, output } = context;
      const channel = await about(context, 'channel', args.channel, (id) =>
        api('GET /channels/{id}', { params: { id } }),
      );
      await confirmByName(context, {
        what: `the channel "${channel.name}" and its secrets are removed`,
        name: channel.name,
        options,
      });
      await api('DELETE /channels/{id}', { params: { id: channel.id } });
      if (output.isJson) output.json({ id: channel.id, name: channel.name, state: 'removed' });
      else output.message(`${output.paintMessage('green', '●')} channel ${safeText(channel.name)} is removed`);
      return EXIT.done;
    },
  }),
  command({
    path: ['channel', 'test'],
    summary: 'Send a test message and tell whether it was taken',
    details: 'It goes the way of all messages, through the outbox. Exit 1 when it was not taken.',
    positionals: { channel: channelName() },
    examples: ['channel test team'],
    run: async (context, { args }) => {
      const { output } = context;
      const result = await about(context, 'channel', args.channel, (id) =>
        context.api('POST /channels/{id}/test', { params: { id } }),
      );
      if (output.isJson) output.json(result);
      else if (result.isDelivered) {
        output.message(`${output.paintMessage('green', '●')} the test message was taken`);
        if (result.note !== null) output.message(`  ${safeText(result.note)}`);
      } else output.message(`${output.paintMessage('red', '●')} not taken: ${safeText(result.error ?? '')}`);
      return result.isDelivered ? EXIT.done : EXIT.failed;
    },
  }),
]);

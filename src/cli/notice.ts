/** `hv notice`: what was sent, waits, or was given up. */

import { NOTICE_STATES, type Notice } from '#contract/notifications.ts';
import { command, defineCommands } from './command.ts';
import { EXIT } from './exit-codes.ts';
import { type Column, printTable } from './table.ts';
import { safeText } from './text.ts';
import { ageText } from './time.ts';
import { choiceOption, countOption, one, textOption } from './values.ts';

const COLOURS: Readonly<Partial<Record<Notice['state'], 'green' | 'red' | 'yellow'>>> = {
  sent: 'green',
  dead: 'red',
  waiting: 'yellow',
};

const COLUMNS: readonly Column<Notice>[] = [
  { title: 'WHEN', value: (notice) => ageText(notice.at) },
  {
    title: 'STATE',
    value: (notice) => notice.state.replace('_', ' '),
    colour: (text, notice, paint) => paint(COLOURS[notice.state] ?? 'grey', text),
  },
  { title: 'CHANNEL', value: (notice) => safeText(notice.channel ?? '–'), flexibleTo: 8 },
  { title: 'MESSAGE', value: (notice) => safeText(notice.title), flexibleTo: 24 },
  { title: 'TRIES', value: (notice) => String(notice.attempts), align: 'right', isOptional: true },
  { title: 'WHY', value: (notice) => safeText(notice.lastError ?? ''), flexibleTo: 12, isOptional: true },
];
const ID: Column<Notice> = { title: 'ID', value: (notice) => notice.id };
/** Its id is what `hv notice retry` asks for. */
const COLUMNS_OF_DEAD = [...COLUMNS.filter(({ title }) => title !== 'STATE'), ID];
const COLUMNS_OF_ALL = [...COLUMNS, { ...ID, isOptional: true }];

export const commands = defineCommands([
  command({
    path: ['notice', 'list'],
    summary: 'List messages, the newest first',
    options: {
      state: choiceOption(NOTICE_STATES, 'only those in this state; dead = given up'),
      channel: textOption('NAME', 'only those of this channel', { completes: 'channel' }),
      limit: countOption('N', 'how many at most', { defaultText: '100' }),
    },
    examples: ['notice list', 'notice list --state dead'],
    run: async ({ api, output }, { options }) => {
      const { state, channel, limit } = options;
      const { items } = await api('GET /notices', {
        query: {
          ...(limit === undefined ? {} : { limit }),
          ...(state === undefined ? {} : { state }),
          ...(channel === undefined ? {} : { channel }),
        },
      });
      if (output.isJson) output.json(items);
      else printTable(output, state === 'dead' ? COLUMNS_OF_DEAD : COLUMNS_OF_ALL, items, 'No messages.');
      return EXIT.done;
    },
  }),
  command({
    path: ['notice', 'retry'],
    summary: 'Send a message again that was given up',
    positionals: { notice: one('ID', 'id of the message') },
    examples: ['notice retry ntc-01h2…'],
    run: async ({ api, output }, { args }) => {
      const notice = await api('POST /notices/{id}/retry', { params: { id: args.notice } });
      if (output.isJson) output.json(notice);
      else output.message(`${output.paintMessage('green', '●')} it waits to be sent again`);
      return EXIT.done;
    },
  }),
]);

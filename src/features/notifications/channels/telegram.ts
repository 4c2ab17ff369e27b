/** Telegram, Bot API sendMessage in HTML mode: https://core.telegram.org/bots/api#sendmessage. 4,096 characters after the tags are read.
 *  The token is part of the address. */

import { z } from 'zod';
import { linesOf, linkOf } from '../message.ts';
import { cut, escapeAngles, inert } from '../text.ts';
import { httpChannel, httpUrl, jsonCall, ownServer, parseJson } from './channel.ts';

const answerSchema = z.object({ ok: z.boolean(), description: z.string().optional() });

export const telegram = httpChannel({
  id: 'telegram',
  title: 'Telegram',
  settings: z.strictObject({
    chatId: z.string().regex(/^(-?\d{1,20}|@[A-Za-z0-9_]{1,64})$/, 'use the number of the chat, or @name of a channel'),
    threadId: z.int().positive().optional().describe('topic of a group'),
    server: httpUrl().default('https://api.telegram.org').describe('address of the Bot API'),
    ...ownServer,
  }),
  secrets: z.strictObject({
    token: z.string().regex(/^\d{1,20}:[A-Za-z0-9_-]{20,100}$/, 'use the token as @BotFather gave it'),
  }),
  build(message, { settings, secrets }) {
    const lines = cut(inert(linesOf(message).join('\n')), 3500);
    const link = linkOf(message);
    const title = escapeAngles(cut(inert(message.title), 400));
    return [
      jsonCall(new URL(`/bot${secrets.token}/sendMessage`, settings.server).href, {
        chat_id: settings.chatId,
        ...(settings.threadId === undefined ? {} : { message_thread_id: settings.threadId }),
        text: [
          `<b>${title}</b>`,
          ...(lines === '' ? [] : [escapeAngles(lines)]),
          ...(link === null ? [] : [escapeAngles(link)]),
        ].join('\n'),
        parse_mode: 'HTML',
        link_preview_options: { is_disabled: true },
      }),
    ];
  },
  complaint(answer) {
    const parsed = answerSchema.safeParse(parseJson(answer.body.toString('utf8')));
    if (!parsed.success) return 'the server does not answer as the Bot API does';
    return parsed.data.ok ? null : `Telegram refused it: ${parsed.data.description ?? 'without a reason'}`;
  },
});

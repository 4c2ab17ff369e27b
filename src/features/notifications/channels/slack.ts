/** Slack, incoming webhook: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks. All text is `plain_text`, so that
 *  no name can mention or format; the fallback line is mrkdwn and is escaped. Caps: header 150, section 3,000, the whole 10,000. */

import { z } from 'zod';
import { factsOf, isResolved, linesOf, linkOf } from '../message.ts';
import { cut, escapeAngles, inert } from '../text.ts';
import { httpChannel, httpUrl, jsonCall } from './channel.ts';
import { COLOURS } from './colours.ts';

const plain = (text: string, max: number) => ({ type: 'plain_text', text: cut(inert(text), max), emoji: false });

export const slack = httpChannel({
  id: 'slack',
  title: 'Slack',
  settings: z.strictObject({}),
  secrets: z.strictObject({ url: httpUrl().describe('address of the incoming webhook') }),
  build(message, { secrets }) {
    const facts = factsOf(message);
    const link = linkOf(message);
    const lines = linesOf(message).join('\n');
    const blocks = [
      { type: 'header', text: plain(message.title, 150) },
      ...(lines === '' ? [] : [{ type: 'section', text: plain(lines, 2900) }]),
      ...(facts.length === 0
        ? []
        : [{ type: 'section', fields: facts.map(([name, value]) => plain(`${name}: ${value}`, 300)) }]),
      { type: 'context', elements: [plain(`${message.host} · ${new Date(message.atMs).toISOString()}`, 300)] },
      ...(link === null
        ? []
        : [{ type: 'actions', elements: [{ type: 'button', text: plain('Open', 75), url: link }] }]),
    ];
    return [
      jsonCall(secrets.url, {
        text: escapeAngles(cut(inert(message.title), 500)),
        unfurl_links: false,
        unfurl_media: false,
        attachments: [{ color: COLOURS[isResolved(message) ? 'resolved' : message.severity], blocks }],
      }),
    ];
  },
});

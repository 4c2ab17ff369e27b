/** Discord, channel webhook: https://docs.discord.com/developers/resources/webhook. Mentions are off for the whole message; Markdown is
 *  escaped besides. Caps: title 256, description 4,096, field 256/1,024, the embed 6,000. */

import { z } from 'zod';
import { factsOf, isResolved, linesOf, linkOf } from '../message.ts';
import { cut, escapeMarkdown } from '../text.ts';
import { httpChannel, httpUrl, jsonCall } from './channel.ts';
import { COLOURS } from './colours.ts';

export const discord = httpChannel({
  id: 'discord',
  title: 'Discord',
  settings: z.strictObject({}),
  secrets: z.strictObject({ url: httpUrl().describe('address of the webhook of a channel') }),
  build(message, { secrets }) {
    const url = new URL(secrets.url);
    url.searchParams.set('wait', 'true');
    const link = linkOf(message);
    const lines = linesOf(message).join('\n');
    const embed = {
      title: cut(escapeMarkdown(message.title), 256),
      ...(lines === '' ? {} : { description: cut(escapeMarkdown(lines), 3000) }),
      color: Number.parseInt(COLOURS[isResolved(message) ? 'resolved' : message.severity].slice(1), 16),
      fields: factsOf(message).map(([name, value]) => ({
        name: cut(escapeMarkdown(name), 50),
        value: cut(escapeMarkdown(value), 230),
        inline: true,
      })),
      timestamp: new Date(message.atMs).toISOString(),
      ...(link === null ? {} : { url: link }),
    };
    return [jsonCall(url.href, { username: 'Hyper-NixOS', allowed_mentions: { parse: [] }, embeds: [embed] })];
  },
});

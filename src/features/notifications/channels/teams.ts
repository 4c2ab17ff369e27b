/** Microsoft Teams through a Workflows webhook: an Adaptive Card 1.4 of at most 28 KB. Its answer says only that the flow began. */

import { z } from 'zod';
import { factsOf, linesOf, linkOf } from '../message.ts';
import { cut, escapeMarkdown } from '../text.ts';
import { httpChannel, httpUrl, jsonCall } from './channel.ts';

const block = (text: string, more: Readonly<Record<string, unknown>> = {}) => ({
  type: 'TextBlock',
  text,
  wrap: true,
  ...more,
});

export const teams = httpChannel({
  id: 'teams',
  title: 'Microsoft Teams (Workflows)',
  note: 'Teams took it for the flow; whether the flow posted it shows only in the channel.',
  settings: z.strictObject({}),
  secrets: z.strictObject({
    url: httpUrl().describe('address of the workflow "When a Teams webhook request is received"'),
  }),
  build(message, { secrets }) {
    const facts = factsOf(message).map(([name, value]) => ({
      title: escapeMarkdown(name),
      value: cut(escapeMarkdown(value), 500),
    }));
    const link = linkOf(message);
    const content = {
      $schema: 'http://adaptivecards.io/schemas/adaptive-card.json',
      type: 'AdaptiveCard',
      version: '1.4',
      body: [
        block(cut(escapeMarkdown(message.title), 400), { weight: 'Bolder', size: 'Medium' }),
        ...linesOf(message).map((line) => block(cut(escapeMarkdown(line), 1500))),
        ...(facts.length === 0 ? [] : [{ type: 'FactSet', facts }]),
      ],
      actions: link === null ? [] : [{ type: 'Action.OpenUrl', title: 'Open', url: link }],
      msteams: { width: 'full' },
    };
    const attachment = { contentType: 'application/vnd.microsoft.card.adaptive', contentUrl: null, content };
    return [jsonCall(secrets.url, { type: 'message', attachments: [attachment] })];
  },
});

/** ntfy: publish as JSON, https://docs.ntfy.sh/publish/#publish-as-json. A message above 4,096 bytes would become a file. */

import { z } from 'zod';
import type { Severity } from '#contract/alerts-config.ts';
import { isResolved, linesOf, linkOf } from '../message.ts';
import { cutBytes, inert } from '../text.ts';
import { headerText, httpChannel, httpUrl, jsonCall, ownServer } from './channel.ts';

const PRIORITIES: Readonly<Record<Severity, number>> = { info: 3, warning: 4, critical: 5 };
const TAGS: Readonly<Record<Severity, string>> = {
  info: 'information_source',
  warning: 'warning',
  critical: 'rotating_light',
};

export const ntfy = httpChannel({
  id: 'ntfy',
  title: 'ntfy',
  settings: z.strictObject({
    server: httpUrl().default('https://ntfy.sh').describe('address of the server'),
    topic: z.string().regex(/^[-_A-Za-z0-9]{1,64}$/, 'use letters, digits, - and _, at most 64'),
    ...ownServer,
  }),
  secrets: z.strictObject({ token: headerText(200).optional().describe('access token') }),
  build(message, { settings, secrets }) {
    const link = linkOf(message);
    const isDone = isResolved(message);
    return [
      jsonCall(
        new URL('/', settings.server).href,
        {
          topic: settings.topic,
          title: cutBytes(message.title, 1000),
          message: cutBytes(inert(linesOf(message).join('\n')) || message.title, 4000),
          priority: isDone ? 3 : PRIORITIES[message.severity],
          tags: [isDone ? 'white_check_mark' : TAGS[message.severity]],
          ...(link === null ? {} : { click: link }),
        },
        secrets.token === undefined ? {} : { authorization: `Bearer ${secrets.token}` },
      ),
    ];
  },
});

/** Gotify: https://gotify.net/docs/pushmsg. */

import { z } from 'zod';
import type { Severity } from '#contract/alerts-config.ts';
import { isResolved, linesOf, linkOf } from '../message.ts';
import { cut, inert } from '../text.ts';
import { headerText, httpChannel, httpUrl, jsonCall, ownServer } from './channel.ts';

const PRIORITIES: Readonly<Record<Severity, number>> = { info: 2, warning: 5, critical: 8 };

export const gotify = httpChannel({
  id: 'gotify',
  title: 'Gotify',
  settings: z.strictObject({ server: httpUrl().describe('address of the server'), ...ownServer }),
  secrets: z.strictObject({ token: headerText(200).describe('token of an application') }),
  build(message, { settings, secrets }) {
    const link = linkOf(message);
    const base = settings.server.endsWith('/') ? settings.server : `${settings.server}/`;
    return [
      jsonCall(
        new URL('message', base).href,
        {
          title: message.title,
          message: [
            cut(inert(linesOf(message).join('\n')) || message.title, 8000),
            ...(link === null ? [] : [link]),
          ].join('\n'),
          priority: isResolved(message) ? 2 : PRIORITIES[message.severity],
          extras: { 'client::display': { contentType: 'text/plain' } },
        },
        { 'x-gotify-key': secrets.token },
      ),
    ];
  },
});

/** Apprise API: https://github.com/caronc/apprise-api, `POST /notify/KEY`. Reaches the services that have no channel here. */

import { z } from 'zod';
import type { Severity } from '#contract/alerts-config.ts';
import { isResolved, linesOf, linkOf } from '../message.ts';
import { cut, inert } from '../text.ts';
import { httpChannel, httpUrl, jsonCall, ownServer } from './channel.ts';

const TYPES: Readonly<Record<Severity, string>> = { info: 'info', warning: 'warning', critical: 'failure' };

export const apprise = httpChannel({
  id: 'apprise',
  title: 'Apprise',
  settings: z.strictObject({
    tag: z.string().max(200).optional().describe('only services with this tag'),
    ...ownServer,
  }),
  secrets: z.strictObject({ url: httpUrl().describe('address with the key, as https://apprise.example/notify/KEY') }),
  build(message, { settings, secrets }) {
    const link = linkOf(message);
    return [
      jsonCall(secrets.url, {
        title: message.title,
        body: [cut(inert(linesOf(message).join('\n')) || message.title, 8000), ...(link === null ? [] : [link])].join(
          '\n',
        ),
        type: isResolved(message) ? 'success' : TYPES[message.severity],
        format: 'text',
        ...(settings.tag === undefined ? {} : { tag: settings.tag }),
      }),
    ];
  },
});

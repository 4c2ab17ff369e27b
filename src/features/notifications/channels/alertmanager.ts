/** Alertmanager, API v2: a state, not messages. What fires is sent each minute with an end four minutes ahead, so that it ends by itself
 *  should we fall silent; what is over is sent with its end for five minutes more. */

import { z } from 'zod';
import { alertLink, isOver } from '../message.ts';
import { annotationsOf, labelsOf } from './alertmanager-alert.ts';
import { headerText, httpChannel, httpUrl, jsonCall, ownServer } from './channel.ts';

export const ALERTMANAGER_EVERY_MS = 60_000;
export const ALERTMANAGER_RESOLVED_MS = 5 * 60_000;
const AHEAD_MS = 4 * 60_000;

export const alertmanager = httpChannel({
  id: 'alertmanager',
  title: 'Prometheus Alertmanager',
  isLoop: true,
  settings: z.strictObject({ server: httpUrl().describe('address of the Alertmanager'), ...ownServer }),
  secrets: z.strictObject({ token: headerText(4096).optional().describe('bearer token of a proxy before it') }),
  build(message, { settings, secrets, nowMs }) {
    const base = settings.server.endsWith('/') ? settings.server : `${settings.server}/`;
    const iso = (ms: number) => new Date(ms).toISOString();
    const hasAddress = message.origin.startsWith('https://');
    const alerts =
      message.alerts.length > 0
        ? message.alerts.map(({ kind, notice }) => ({
            labels: labelsOf(notice),
            annotations: annotationsOf(notice),
            startsAt: iso(notice.startedAtMs),
            endsAt: iso(isOver(kind) ? (notice.endedAtMs ?? nowMs) : nowMs + AHEAD_MS),
            ...(hasAddress ? { generatorURL: alertLink(message.origin, notice) } : {}),
          }))
        : [
            {
              labels: {
                alertname: message.kind === 'test' ? 'HyperTest' : 'HyperEvent',
                severity: message.severity,
                host: message.host,
              },
              annotations: { summary: message.title, description: message.text },
              startsAt: iso(message.atMs),
              endsAt: iso(nowMs + AHEAD_MS),
              ...(hasAddress ? { generatorURL: message.origin } : {}),
            },
          ];
    const headers = secrets.token === undefined ? {} : { authorization: `Bearer ${secrets.token}` };
    return [jsonCall(new URL('api/v2/alerts', base).href, alerts, headers)];
  },
});

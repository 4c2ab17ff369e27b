/** PagerDuty, Events API v2: https://developer.pagerduty.com/docs/events-api-v2. One event for each alert; the fingerprint makes firing and
 *  resolve one incident. Caps: summary 1,024, dedup_key 255. */

import { z } from 'zod';
import { alertLink, entityText, isOver, linesOf, type Message, type ToldAlert } from '../message.ts';
import { cleanLine, cut } from '../text.ts';
import { headerText, httpChannel, httpUrl, jsonCall, ownServer } from './channel.ts';

const eventOf = (message: Message, alert: ToldAlert) => {
  const { notice } = alert;
  if (isOver(alert.kind)) return { event_action: 'resolve', dedup_key: cut(notice.fingerprint, 255) };
  return {
    event_action: 'trigger',
    dedup_key: cut(notice.fingerprint, 255),
    payload: {
      summary: cleanLine(`${entityText(notice)}: ${notice.rule.name} ${notice.valueText}`, 1000),
      source: cleanLine(notice.host, 255) || 'unknown',
      severity: notice.severity,
      timestamp: new Date(notice.startedAtMs).toISOString(),
      component: cleanLine(notice.entity.name, 255),
      group: cleanLine(notice.project ?? 'system', 255),
      class: cleanLine(notice.rule.name, 255),
      custom_details: { condition: notice.rule.condition, text: notice.text, labels: notice.labels },
    },
    client: 'Hyper-NixOS',
    client_url: alertLink(message.origin, notice),
  };
};

export const pagerduty = httpChannel({
  id: 'pagerduty',
  title: 'PagerDuty',
  settings: z.strictObject({
    server: httpUrl().default('https://events.pagerduty.com').describe('address of the Events API'),
    ...ownServer,
  }),
  secrets: z.strictObject({ routingKey: headerText(64).describe('integration key of the service') }),
  build(message, { settings, secrets }) {
    const url = new URL('/v2/enqueue', settings.server).href;
    const events =
      message.alerts.length > 0
        ? message.alerts.map((alert) => eventOf(message, alert))
        : [
            {
              event_action: 'trigger',
              dedup_key: message.key,
              payload: {
                summary: cut(message.title, 1000),
                source: message.host,
                severity: message.severity,
                timestamp: new Date(message.atMs).toISOString(),
                custom_details: { text: linesOf(message).join('\n') },
              },
              client: 'Hyper-NixOS',
              client_url: message.origin,
            },
          ];
    return events.map((event) => jsonCall(url, { routing_key: secrets.routingKey, ...event }));
  },
});

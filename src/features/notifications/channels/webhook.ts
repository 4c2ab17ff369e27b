/** Any address that takes JSON: the shape of Alertmanager's webhook, version 4. Signed with HMAC-SHA256 over `timestamp.body` when there
 *  is a secret; with two secrets, as while one is replaced, there are two signatures. */

import { createHmac } from 'node:crypto';
import { z } from 'zod';
import { alertLink, isOver, isResolved } from '../message.ts';
import { annotationsOf, labelsOf } from './alertmanager-alert.ts';
import { httpChannel, httpUrl, jsonCall, ownServer } from './channel.ts';

const signingSecret = () => z.string().min(16).max(512).optional();

export const webhook = httpChannel({
  id: 'webhook',
  title: 'Webhook',
  settings: z.strictObject({ ...ownServer }),
  secrets: z.strictObject({
    url: httpUrl().describe('where the JSON is posted to'),
    signingSecret: signingSecret().describe('what messages are signed with'),
    nextSigningSecret: signingSecret().describe('a second one, while receivers change over to it'),
  }),
  build(message, { secrets, nowMs }) {
    const iso = (ms: number) => new Date(ms).toISOString();
    const alerts = message.alerts.map(({ kind, notice }) => ({
      status: isOver(kind) ? 'resolved' : 'firing',
      labels: labelsOf(notice),
      annotations: annotationsOf(notice),
      startsAt: iso(notice.startedAtMs),
      endsAt: notice.endedAtMs === null ? '0001-01-01T00:00:00Z' : iso(notice.endedAtMs),
      generatorURL: alertLink(message.origin, notice),
      fingerprint: notice.fingerprint,
      episode: notice.episode,
      kind,
    }));
    const shared = Object.entries(alerts[0]?.labels ?? {}).filter(([name, value]) =>
      alerts.every(({ labels }) => labels[name] === value),
    );
    const commonLabels = Object.fromEntries(shared);
    const call = jsonCall(secrets.url, {
      version: '4',
      groupKey: message.thread,
      truncatedAlerts: 0,
      status: isResolved(message) ? 'resolved' : 'firing',
      receiver: 'hyper-nixos',
      groupLabels: Object.fromEntries(shared.filter(([name]) => name === 'alertname' || name === 'host')),
      commonLabels,
      commonAnnotations: { title: message.title, ...(message.text === '' ? {} : { text: message.text }) },
      externalURL: message.origin,
      kind: message.kind,
      severity: message.severity,
      alerts,
    });
    const timestamp = String(Math.floor(nowMs / 1000));
    const signatures = [secrets.signingSecret, secrets.nextSigningSecret].flatMap((secret) =>
      secret === undefined
        ? []
        : [`v1=${createHmac('sha256', secret).update(`${timestamp}.${call.body}`).digest('hex')}`],
    );
    return [
      {
        ...call,
        headers: {
          ...call.headers,
          'x-hyper-timestamp': timestamp,
          ...(signatures.length === 0 ? {} : { 'x-hyper-signature': signatures.join(',') }),
        },
      },
    ];
  },
});

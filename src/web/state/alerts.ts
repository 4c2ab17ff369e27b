/** What fires now, and the rules, channels, silences and messages around it. */

import { computed } from '@preact/signals';
import type { Alert } from '#contract/alerts.ts';
import { api } from './api.ts';
import { createCollection, createResource, readAllPages } from './collection.ts';
import { onEvent } from './live.ts';

/** Alerts that fire, clear or are held back; those that end leave. */
export const alerts = createCollection(
  () => readAllPages((cursor) => api('GET /alerts', { query: { cursor } })),
  'alert.changed',
  [],
  (items) => {
    for (const [id, alert] of items) if (alert.state === 'ok' || alert.state === 'pending') items.delete(id);
  },
);

const SEVERITY_ORDER = { critical: 0, warning: 1, info: 2 } as const;

/** What needs somebody first: firing before held back, not acknowledged before acknowledged, then the worst, then the newest. */
export const alertList = computed(() => [...(alerts.data.value?.values() ?? [])].sort(byUrgency));

function byUrgency(a: Alert, b: Alert): number {
  return (
    Number(!isFiring(a)) - Number(!isFiring(b)) ||
    Number(a.acknowledged !== null) - Number(b.acknowledged !== null) ||
    SEVERITY_ORDER[a.severity] - SEVERITY_ORDER[b.severity] ||
    b.since.localeCompare(a.since) ||
    a.id.localeCompare(b.id)
  );
}

/** It was told of and is not over. */
export const isFiring = ({ state }: Pick<Alert, 'state'>): boolean => state === 'firing' || state === 'clearing';

export const firingAlerts = computed(() => alertList.value.filter(isFiring));

/** Puts what a request answered in place of what is known, before its event comes. */
export const putAlert = (alert: Alert): void => alerts.put(alert);

export const alertRules = createResource(
  () => readAllPages((cursor) => api('GET /rules', { query: { cursor } })),
  ['rule.changed'],
);

onEvent('alert.changed', ({ rule, state, since }) => {
  if (state !== 'firing') return;
  alertRules.patch((before) =>
    before.map((one) => (one.id === rule.id && (one.lastFiredAt ?? '') < since ? { ...one, lastFiredAt: since } : one)),
  );
});

export const channels = createResource(
  () => readAllPages((cursor) => api('GET /channels', { query: { cursor } })),
  ['channel.changed', 'notice.changed'],
  500,
);

export const channelKinds = createResource(async () => (await api('GET /channel-kinds')).items);

export const routing = createResource(() => api('GET /notification-routing'), ['channel.changed']);

export const silences = createResource(
  () => readAllPages((cursor) => api('GET /silences', { query: { cursor, all: 'true' } })),
  ['silence.changed', 'notice.changed'],
  500,
);

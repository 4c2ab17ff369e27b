/** Images, uploads that are under way, networks, pools, trash and sessions, each read when first needed and kept by events. */

import type { Preflight } from '#contract/system.ts';
import { api } from './api.ts';
import { createCollection, createResource, readAllPages } from './collection.ts';

export const images = createCollection(
  () => readAllPages((cursor) => api('GET /images', { query: { limit: 1000, cursor } })),
  'image.changed',
  ['image.removed', 'image.unshared'],
);

export const serverUploads = createCollection(async () => (await api('GET /images/uploads')).items, 'upload.changed', [
  'upload.removed',
]);

export const catalogue = createResource(async () => (await api('GET /images/catalogue', { query: {} })).items);

export const networks = createResource(
  () => readAllPages((cursor) => api('GET /networks', { query: { cursor } })),
  ['network.changed'],
);

export const pools = createResource(
  () => readAllPages((cursor) => api('GET /pools', { query: { cursor } })),
  ['pool.changed'],
);

export const trash = createResource(
  () => readAllPages((cursor) => api('GET /trash', { query: { cursor } })),
  ['trash.changed'],
);

export const hosts = createResource(async () => (await api('GET /hosts')).items, ['host.changed'], 2000);

/** Before the first check there are no checks; that is not the same as "not read yet". */
const NEVER_CHECKED: Preflight = { status: 'unknown', accel: 'none', checkedAt: new Date(0).toISOString(), checks: [] };

export const preflight = createResource(
  async () => (await api('GET /preflight')) ?? NEVER_CHECKED,
  ['preflight.changed'],
);

export const systemStatus = createResource(() => api('GET /system/status'));

export const sessions = createResource(async () => (await api('GET /auth/sessions')).items);

/** Identity providers that one can sign in with; told to everybody. */
export const oidcProviders = createResource(async () => (await api('GET /auth/oidc')).items);

/** Audit: an intent row before each change and an outcome row after it, refusals included.
 *  Tables: audit. Events out: audit.recorded. Permissions: audit.read. Guide: docs/guides/audit.md */

import { defineFeature } from '#platform/feature.ts';
import { type AuditApi, auditMigrations, createAuditStore } from './store.ts';

export type { AuditApi, AuditEntry } from './store.ts';

export const audit = defineFeature<AuditApi>({
  name: 'audit',
  migrations: auditMigrations,
  setup({ db, clock, events }) {
    const store = createAuditStore({ db, clock, events });
    return { api: store, handlers: { 'GET /audit': ({ query }) => store.list(query) } };
  },
});

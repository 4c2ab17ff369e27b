/** What the health checks found, kept current by events. */

import type { Health } from '#contract/health.ts';
import { api } from './api.ts';
import { createResource } from './collection.ts';

export const health = createResource<Health>(() => api('GET /health'), ['health.changed'], 1000);

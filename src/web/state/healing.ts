/** What healing may do, and what it did lately, kept current by events. */

import { api } from './api.ts';
import { createResource } from './collection.ts';

export const healing = createResource(() => api('GET /healing/actions'), ['healing.changed']);

const SHOWN_ACTS = 10;

export const healingActs = createResource(
  async () => (await api('GET /healing/acts', { query: { limit: SHOWN_ACTS } })).items,
  ['healing.acted'],
);

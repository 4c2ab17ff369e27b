/** HTTP of operations: list, show (optionally waiting for the end), cancel, retry, dismiss. */

import { AppError } from '#kernel/errors.ts';
import type { Handlers } from '#platform/feature.ts';
import type { OperationsApi } from './runner.ts';
import type { OperationStore } from './store.ts';

export function createOperationRoutes(store: OperationStore, api: OperationsApi): Handlers {
  return {
    'GET /operations': async ({ query }) => {
      const page = await store.list(query);
      const items = await Promise.all(
        page.items.map(async (item) => (item.finishedAt ? item : ((await api.get(item.id)) ?? item))),
      );
      return { ...page, items };
    },
    'GET /operations/{id}': async ({ params, query }) => {
      if (query.waitSeconds) return api.waitFor(params.id, query.waitSeconds * 1000);
      const operation = await api.get(params.id);
      if (!operation) throw new AppError('not_found', { detail: `There is no operation ${params.id}.` });
      return operation;
    },
    'POST /operations/{id}/cancel': ({ params }) => api.cancel(params.id),
    'POST /operations/{id}/retry': ({ params }) => api.retry(params.id),
    'POST /operations/{id}/dismiss': ({ params }) => api.dismiss(params.id),
  };
}

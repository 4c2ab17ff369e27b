/** HTTP of operations: list, show (optionally waiting for the end), cancel, retry, dismiss. */

import { AppError } from '#kernel/errors.ts';
import { type ApiRequest, type Handlers, SYSTEM } from '#platform/feature.ts';
import type { OperationsApi } from './runner.ts';
import type { OperationStore } from './store.ts';

const storedTime = (time: string | undefined) => (time === undefined ? undefined : new Date(time).toISOString());

export function createOperationRoutes(store: OperationStore, api: OperationsApi): Handlers {
  /** Who holds the right on the whole system stops any operation; others stop their own. */
  const requireOwn = async (
    request: Pick<ApiRequest<'POST /operations/{id}/cancel'>, 'params' | 'identity' | 'may'>,
  ): Promise<void> => {
    if (request.may('operation.cancel', SYSTEM)) return;
    const row = await store.row(request.params.id);
    if (row?.user_id !== request.identity.userId)
      throw new AppError('forbidden', {
        detail: 'Somebody else started this operation.',
        hint: 'Ask the one who started it, or an administrator.',
      });
  };

  return {
    'GET /operations': async ({ query, reach }) => {
      const page = await store.list({ ...query, of: reach('operation.read') });
      const items = await Promise.all(
        page.items.map(async (item) => (item.finishedAt ? item : ((await api.get(item.id)) ?? item))),
      );
      return { ...page, items };
    },
    'GET /operations/timeline': ({ query: { vm, from, to }, reach }) =>
      store.timeline({ vm, from: storedTime(from), to: storedTime(to), of: reach('operation.read') }),
    'GET /operations/{id}': async ({ params, query }) => {
      if (query.waitSeconds) return api.waitFor(params.id, query.waitSeconds * 1000);
      const operation = await api.get(params.id);
      if (!operation) throw new AppError('not_found', { detail: `There is no operation ${params.id}.` });
      return operation;
    },
    'POST /operations/{id}/cancel': async (request) => {
      await requireOwn(request);
      return api.cancel(request.params.id);
    },
    'POST /operations/{id}/retry': async (request) => {
      await requireOwn(request);
      return api.retry(request.params.id);
    },
    'POST /operations/{id}/dismiss': async (request) => {
      await requireOwn(request);
      return api.dismiss(request.params.id);
    },
  };
}

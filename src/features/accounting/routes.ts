/** Accounting over HTTP. */

import type { ProjectUsage } from '#contract/quotas.ts';
import type { ProjectsApi } from '#features/projects/index.ts';
import type { Clock } from '#kernel/clock.ts';
import { AppError } from '#kernel/errors.ts';
import type { Handlers } from '#platform/feature.ts';
import { monthsAsked, type PriceList, usageCsv, usageReport } from './report.ts';
import type { AccountingStore } from './store.ts';

export interface AccountingRouteDependencies {
  readonly store: AccountingStore;
  readonly projects: Pick<ProjectsApi, 'get'>;
  readonly prices: PriceList | null;
  readonly clock: Clock;
  /** Writes down what was counted up to now. */
  readonly tick: () => Promise<void>;
  /** What a user is called now. */
  nameOf(userId: string): string;
}

export function createAccountingRoutes(dependencies: AccountingRouteDependencies): Handlers {
  const { store, projects, prices, clock, tick, nameOf } = dependencies;

  const usageOf = async (idOrName: string, month: string | undefined): Promise<ProjectUsage> => {
    const project = projects.get(idOrName);
    if (!project) throw new AppError('not_found', { detail: `There is no project "${idOrName.slice(0, 80)}".` });
    await tick();
    const now = clock.now();
    const { from, to } = monthsAsked(month, now);
    return usageReport(project, await store.usage(project.id, from, to), { prices, now, nameOf });
  };

  return {
    'GET /projects/{id}/usage': ({ params, query }) => usageOf(params.id, query.month),
    'GET /projects/{id}/usage.csv': async ({ params, query }) => ({
      contentType: 'text/csv; charset=utf-8',
      bytes: usageCsv(await usageOf(params.id, query.month)),
      headers: { 'content-disposition': 'attachment; filename="usage.csv"' },
    }),
  };
}

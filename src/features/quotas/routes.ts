/** Quotas over HTTP. */

import { QUOTA_FACTS, QUOTA_RESOURCES } from '#contract/quota-facts.ts';
import type { Quota } from '#contract/quotas.ts';
import type { ProjectsApi } from '#features/projects/index.ts';
import { AppError } from '#kernel/errors.ts';
import type { Database } from '#platform/db/database.ts';
import { type Handlers, SYSTEM } from '#platform/feature.ts';
import type { QuotaLedger } from './ledger.ts';

export interface QuotaRouteDependencies {
  readonly db: Database;
  readonly ledger: QuotaLedger;
  readonly projects: Pick<ProjectsApi, 'get'>;
}

export function createQuotaRoutes({ db, ledger, projects }: QuotaRouteDependencies): Handlers {
  const find = (id: string) => {
    const project = projects.get(id);
    if (!project) throw new AppError('not_found', { detail: `There is no project "${id.slice(0, 80)}".` });
    return project;
  };
  const answer = async (id: string) => {
    const project = find(id);
    const rows = await ledger.quotas(project.id);
    const quotas = QUOTA_RESOURCES.map((resource): Quota => {
      const row = rows.find((each) => each.resource === resource);
      return {
        resource,
        unit: QUOTA_FACTS[resource].unit,
        limit: row ? row.hard_limit : 0,
        used: row?.used ?? 0,
      };
    });
    return { projectId: project.id, project: project.name, quotas };
  };

  return {
    'GET /projects/{id}/quotas': ({ params }) => answer(params.id),
    'PATCH /projects/{id}/quotas': async ({ params, body, require }) => {
      const { id } = find(params.id);
      // Room is the system's to give: who manages this project alone must not widen his own.
      require('project.manage', { ...SYSTEM, name: 'the whole system' });
      await db.transaction((tx) => ledger.setLimits(tx, id, body.limits));
      return answer(id);
    },
  };
}

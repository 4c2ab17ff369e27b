/** Quotas: how much of each resource a project may have, kept in the transactions of operations.
 *  Tables: quota, charge, reservation. Events in: vm.changed, vm.removed, project.removed. Permissions: project.read, project.manage.
 *  Guide: docs/guides/projects.md */

import { quotaErrors } from '#contract/quotas.ts';
import { operations } from '#features/operations/index.ts';
import { projects } from '#features/projects/index.ts';
import { defineFeature } from '#platform/feature.ts';
import { createKeeping, type Keeping } from './keeping.ts';
import { createQuotaLedger, type QuotaLedger, type QuotaTables } from './ledger.ts';
import { quotaMigrations } from './migrations.ts';
import type { ExistingSource } from './reconcile.ts';
import { createQuotaRoutes } from './routes.ts';

export type { OwnedHolding } from './ledger.ts';
export type { Existing, ExistingSource } from './reconcile.ts';

export interface QuotasApi extends Pick<QuotaLedger, 'requireRoom' | 'hold' | 'move' | 'holdings' | 'onChange'> {
  /** A slice tells what exists of its resources; during set-up only. */
  existsBy(source: ExistingSource): void;
  /** Something that is charged may have changed without an operation: look soon. */
  readonly noticed: Keeping['noticed'];
  /** What was wrong in the ledger within the last day. */
  readonly repairs: Keeping['repairs'];
}

export const quotas = defineFeature<QuotasApi>({
  name: 'quotas',
  needs: ['projects', 'operations'],
  migrations: quotaMigrations,
  errors: quotaErrors,
  setup({ db, clock, events, log, use }) {
    const registry = use(projects);
    const ledger = createQuotaLedger(db, (id) => registry.get(id)?.name ?? id);
    use(operations).chargeTo(ledger);
    const sources: ExistingSource[] = [];
    const keeping = createKeeping({ db, ledger, sources, clock, log });
    const subscriptions: (() => void)[] = [];
    let running: Promise<void> = Promise.resolve();

    return {
      api: {
        requireRoom: ledger.requireRoom,
        hold: ledger.hold,
        move: ledger.move,
        holdings: ledger.holdings,
        onChange: ledger.onChange,
        existsBy: (source) => void sources.push(source),
        noticed: keeping.noticed,
        repairs: keeping.repairs,
      },
      handlers: createQuotaRoutes({ db, ledger, projects: registry }),
      async start() {
        subscriptions.push(
          events.on('project.removed', ({ id }) => {
            // It was empty: only its limits are left.
            db.tables<QuotaTables>()
              .deleteFrom('quota')
              .where('project_id', '=', id)
              .execute()
              .catch((error: unknown) => log.warn({ err: error }, 'limits of a removed project could not be removed'));
          }),
        );
      },
      async resume(signal) {
        // Every slice has loaded what it knows by now.
        running = keeping.run(signal);
      },
      async stop() {
        for (const end of subscriptions.splice(0)) end();
        await running;
      },
    };
  },
});

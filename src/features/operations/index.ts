/** Operations: the journal that makes every change either done or undone, and said so.
 *  Tables: operation, op_step, op_lock, idempotency. Events out: operation.changed. Permissions: operation.read, operation.cancel.
 *  Other slices define kinds (`defineOperation`) and start them through this slice's interface. Guide: docs/guides/operations.md */

import { FINAL_STATES, type Operation, operationErrors } from '#contract/operations.ts';
import { access } from '#features/access/index.ts';
import { audit } from '#features/audit/index.ts';
import { projects } from '#features/projects/index.ts';
import { defineFeature, type FoundObject } from '#platform/feature.ts';
import { operationMigrations } from './migrations.ts';
import { createOperationRoutes } from './routes.ts';
import { createRunner, type OperationsApi } from './runner.ts';
import { createOperationStore } from './store.ts';

export {
  type Charge,
  defineOperation,
  type OperationDefinition,
  type Step,
  type StepContext,
} from './definition.ts';
export type { OperationsApi, RegisteredKind, StartRequest } from './runner.ts';

/** An operation is seen by those who see what it works on. */
export const operationObject = (operation: Pick<Operation, 'id' | 'title' | 'project' | 'vmId'>): FoundObject => ({
  type: 'operation',
  id: operation.id,
  name: operation.title,
  project: operation.project,
  vmId: operation.vmId ?? undefined,
});

export const operations = defineFeature<OperationsApi>({
  name: 'operations',
  needs: ['audit', 'access', 'projects'],
  migrations: operationMigrations,
  errors: operationErrors,
  setup(context) {
    const records = context.use(audit);
    const registry = context.use(projects);
    const store = createOperationStore(context.db);
    const runner = createRunner({
      store,
      db: context.db,
      audit: records,
      decide: context.use(access).decide,
      isProjectOpen: registry.isOpen,
      events: context.events,
      clock: context.clock,
      calendar: context.calendar,
      log: context.log.child({ feature: 'operations' }),
      killPoint: context.config.killPoint,
    });
    registry.contains('operations', {
      count: runner.api.countIn,
      remaining(id) {
        const open = runner.api.countIn(id);
        return open === 0 ? null : `${open} operations that are not over`;
      },
    });
    return {
      api: runner.api,
      handlers: createOperationRoutes(store, runner.api),
      resolvers: {
        async operation(id) {
          const operation = await store.get(id);
          return operation ? operationObject(operation) : null;
        },
      },
      metrics: runner.metrics,
      async resume(signal) {
        await runner.start(signal);
        records.findUnanswered(async (id) => {
          const operation = await runner.api.get(id);
          return operation !== null && !FINAL_STATES.includes(operation.state);
        });
      },
      stop: runner.stop,
    };
  },
});

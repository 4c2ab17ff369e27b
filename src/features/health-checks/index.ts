/** Health checks: what is looked at all the time, what was found, since when.
 *  Tables: health_result, health_change. Events out: health.changed. Permissions: host.read, host.configure.
 *  A new check is one entry in a group of `checks/`. Guide: docs/guides/health.md */

import { audit } from '#features/audit/index.ts';
import { backups } from '#features/backups/index.ts';
import { copies } from '#features/copies/index.ts';
import { health, thisMachine } from '#features/health/index.ts';
import { hosts } from '#features/hosts/index.ts';
import { type InventoryApi, inventory } from '#features/inventory/index.ts';
import { metrics } from '#features/metrics/index.ts';
import { notifications } from '#features/notifications/index.ts';
import { operations } from '#features/operations/index.ts';
import { protection } from '#features/protection/index.ts';
import { stateBackups } from '#features/state-backups/index.ts';
import { defineFeature } from '#platform/feature.ts';
import { healthCheckList } from './checks/index.ts';
import type { HealthFacts, VmFacts } from './facts.ts';
import { createFigures } from './figures.ts';
import { healthRunOperation } from './operation.ts';
import { createHealthCheckService, type HealthChecksApi } from './service.ts';
import { createHealthResultStore, healthCheckMigrations } from './store.ts';

export { healthCheckList } from './checks/index.ts';
export type { HealthChecksApi } from './service.ts';
export { limitText } from './text.ts';

/** Open operations among so many of the newest are looked at. */
const LOOKED_AT = 200;

export const healthChecks = defineFeature<HealthChecksApi>({
  name: 'health-checks',
  needs: [
    'audit',
    'backups',
    'copies',
    'health',
    'hosts',
    'inventory',
    'metrics',
    'notifications',
    'operations',
    'protection',
    'state-backups',
  ],
  migrations: healthCheckMigrations,
  setup({ address, calendar, clock, config, db, events, log, use }) {
    const journal = use(operations);
    const known = use(inventory);
    const figures = use(metrics);
    const messages = use(notifications);
    const facts: HealthFacts = {
      vms: () => vmFacts(known),
      pools: () => known.pools(),
      isCurrent: () => known.staleSince === null,
      hosts: () => [use(hosts).local()],
      accel: use(health).accel,
      certificateEndsAt: () => address().certificateEndsAt,
      auditProblems: use(audit).problems,
      historyProblems: figures.problems,
      messages: messages.health,
      protection: use(protection).standing,
      instantRestores: use(backups).instantRestores,
      copies: use(copies).standing,
      stateBackups: use(stateBackups).standing,
      async downloads() {
        const newest = await journal.newest(LOOKED_AT);
        return newest
          .filter(({ kind, finishedAt }) => kind === 'image.download' && finishedAt === null)
          .map(({ title, createdAt }) => ({ title, startedAt: new Date(createdAt) }));
      },
      historyMaxBytes: config.metrics.maxBytes,
    };
    const service = createHealthCheckService({
      checks: healthCheckList,
      context: { figures: createFigures(figures), machine: thisMachine, facts },
      limits: config.health.limits,
      store: createHealthResultStore(db),
      db,
      clock,
      calendar,
      events,
      log,
      announce: messages.announceEvent,
    });
    const run = journal.register(healthRunOperation(service));
    const stopping = new AbortController();
    let running: Promise<void> = Promise.resolve();

    return {
      api: {
        results: service.results,
        onChange: (listener) => events.on('health.changed', listener),
      },
      handlers: {
        'GET /health': () => service.results(),
        'GET /health/{id}': ({ params }) => service.detail(params.id),
        'POST /health/run': (request) => journal.start(run, {}, { ...request, action: 'POST /health/run' }),
      },
      async start() {
        await service.load();
      },
      async resume(signal) {
        running = service.keepFresh(AbortSignal.any([signal, stopping.signal]));
      },
      async stop() {
        stopping.abort(new Error('the daemon stops'));
        await running;
      },
    };
  },
});

function vmFacts(known: InventoryApi): readonly VmFacts[] {
  return known.vms().map(({ id, name, state, desired, agent, nics }) => ({
    id,
    name,
    state,
    desired,
    agent,
    nics,
    diskPaths: (known.storedFacts(id)?.disks ?? []).flatMap(({ path }) => (path?.startsWith('/') ? [path] : [])),
  }));
}

/** Accounting: hours of processors, memory, disks and backups by month, project and user.
 *  Tables: usage, usage_sample, usage_mark. Events in: vm.changed, vm.removed. Permissions: project.read.
 *  Guide: docs/guides/projects.md */

import { DEFAULT_PROJECT } from '#contract/common.ts';
import { access } from '#features/access/index.ts';
import { inventory, qemuRuns } from '#features/inventory/index.ts';
import { projects } from '#features/projects/index.ts';
import { quotas } from '#features/quotas/index.ts';
import { nap } from '#kernel/async.ts';
import { systemBootClock } from '#platform/boot-clock.ts';
import { defineFeature } from '#platform/feature.ts';
import { createAccountingClock } from './clock.ts';
import { createAccounting } from './keeper.ts';
import { createAccountingRoutes } from './routes.ts';
import { accountingMigrations, createAccountingStore } from './store.ts';

/** What a crash may lose of what changed since. */
const TICK_MS = 60_000;

export const accounting = defineFeature({
  name: 'accounting',
  needs: ['access', 'inventory', 'projects', 'quotas'],
  migrations: accountingMigrations,
  setup({ config, db, clock, calendar, events, log, use }) {
    const known = use(inventory);
    const book = use(quotas);
    const { nameOf } = use(access);
    const store = createAccountingStore(db);
    const keeper = createAccounting({
      store,
      time: createAccountingClock({ clock, calendar, bootClock: systemBootClock }),
      vm: (id) => known.vm(id),
      vms: known.vms,
      isCurrent: () => known.staleSince === null,
      runs: qemuRuns,
      defaultProject: DEFAULT_PROJECT,
    });
    const subscriptions: (() => void)[] = [];
    let running: Promise<void> = Promise.resolve();
    book.onChange(keeper.charged);

    let ticking: Promise<void> = Promise.resolve();
    /** One after the other. What could not be written is counted with the next tick. */
    const tick = () => {
      ticking = ticking
        .then(keeper.tick)
        .catch((error: unknown) =>
          log.warn({ err: error }, 'what was used could not be written down; it is tried again in a minute'),
        );
      return ticking;
    };
    const keepTicking = async (signal: AbortSignal) => {
      while (!signal.aborted) {
        await tick();
        await nap(clock, TICK_MS, signal);
      }
    };

    return {
      api: null,
      handlers: createAccountingRoutes({
        store,
        projects: use(projects),
        prices:
          config.accounting.currency === null
            ? null
            : { currency: config.accounting.currency, ...config.accounting.prices },
        clock,
        tick,
        nameOf: (userId) => nameOf(userId) ?? userId,
      }),
      async start() {
        await keeper.load(await book.holdings());
        subscriptions.push(
          events.on('vm.changed', ({ id }) => keeper.vmChanged(id)),
          events.on('vm.removed', ({ id }) => keeper.vmChanged(id)),
        );
      },
      async resume(signal) {
        running = keepTicking(signal);
      },
      async stop() {
        for (const end of subscriptions.splice(0)) end();
        await running;
        await tick();
      },
    };
  },
});

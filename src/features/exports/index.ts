/** Exports: figures for other systems, fetched by them from `/metrics` or sent to them at each measurement.
 *  Tables: none. Events: none. Permissions: metrics.read, with vm.read or host.read of what it is about.
 *  Guide: docs/guides/metrics-export.md */

import type { Overview } from '#contract/system.ts';
import { access } from '#features/access/index.ts';
import { hosts } from '#features/hosts/index.ts';
import { inventory } from '#features/inventory/index.ts';
import { metrics } from '#features/metrics/index.ts';
import { messageOf } from '#kernel/errors.ts';
import { defineFeature, type MetricFamily } from '#platform/feature.ts';
import { createPages, type Page, type PageRequest } from './page.ts';
import { createPush } from './push/push.ts';
import { openTarget } from './push/target.ts';

export type { Page, PageRequest } from './page.ts';

export interface ExportsApi {
  /** The families of the program itself; told once, by the composition root. */
  familiesFrom(source: () => readonly MetricFamily[]): void;
  /** The answer to `GET /metrics`. Never waits. @throws forbidden, invalid_input */
  page(request: PageRequest): Page;
  /** Targets that have failed for long, for the overview. */
  problems(): Overview['problems'];
}

const STOP_MS = 2_000;

export const exports = defineFeature<ExportsApi>({
  name: 'exports',
  needs: ['access', 'hosts', 'inventory', 'metrics'],
  setup({ clock, config, log, use }) {
    const measured = use(metrics);
    const hostName = use(hosts).name;
    const stopping = new AbortController();
    const subscriptions: (() => void)[] = [];
    let own: () => readonly MetricFamily[] = () => [];
    let sending: Promise<unknown> = Promise.resolve();
    const push = createPush({
      clock,
      log,
      families: () => [...measured.rawFamilies(), ...own()],
      hostName,
    });
    const pages = createPages({
      access: use(access),
      metrics: measured,
      inventory: use(inventory),
      families: () => own(),
      hostName,
    });

    return {
      api: {
        familiesFrom(source) {
          own = source;
        },
        page: pages.page,
        problems: push.problems,
      },
      handlers: {
        'GET /metrics/targets': () => ({ items: [...push.status()] }),
      },
      metrics: push.families,
      async start(signal) {
        push.open(await Promise.all(config.metrics.push.map((target) => openTarget(target, clock))));
        sending = push.run(AbortSignal.any([signal, stopping.signal]));
        subscriptions.push(
          measured.onTick(({ atMs }) => {
            pages.ticked();
            // After the others that listen to the tick: rules are more urgent.
            setImmediate(() => {
              try {
                push.ticked(atMs);
              } catch (error) {
                log.error({ err: error }, `figures could not be put together to be sent: ${messageOf(error)}`);
              }
            });
          }),
        );
      },
      async stop() {
        for (const end of subscriptions.splice(0)) end();
        stopping.abort(new Error('the daemon stops'));
        await Promise.race([sending, clock.sleep(STOP_MS)]);
      },
    };
  },
});

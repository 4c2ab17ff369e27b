/** Support: one file that somebody who helps can read, without secrets.
 *  Tables: none. Permissions: host.configure. Guide: docs/guides/support.md */

import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { METRIC_NAMES } from '#contract/metric-catalogue.ts';
import { health } from '#features/health/index.ts';
import { healthChecks } from '#features/health-checks/index.ts';
import { hosts } from '#features/hosts/index.ts';
import { inventory } from '#features/inventory/index.ts';
import { metrics } from '#features/metrics/index.ts';
import { operations } from '#features/operations/index.ts';
import { defineFeature } from '#platform/feature.ts';
import { VERSION } from '#platform/version.ts';
import { scrub, scrubLine } from './scrub.ts';
import { tarOf } from './tar.ts';

const LAST_OPERATIONS = 100;

export const support = defineFeature<Record<string, never>>({
  name: 'support',
  needs: ['health', 'health-checks', 'hosts', 'inventory', 'metrics', 'operations'],
  setup({ clock, config, recentLog, startedAt, use }) {
    const figures = use(metrics);
    const known = use(inventory);

    /** The newest figure of each thing of the host, and how many things there are of each figure. */
    const figureSummary = () =>
      METRIC_NAMES.flatMap((metric) => {
        const series = figures.seriesOf(metric);
        if (series.length === 0) return [];
        const ofHost = series.filter(({ owner }) => owner.type === 'host');
        return [
          {
            metric,
            series: series.length,
            host: ofHost.map(({ id, sub }) => ({ sub, value: figures.latest(id)?.value ?? null })),
          },
        ];
      });

    const files = async (): Promise<Readonly<Record<string, unknown>>> => ({
      'versions.json': {
        hyperd: VERSION,
        node: process.version,
        startedAt,
        writtenAt: clock.now(),
        memoryBytes: process.memoryUsage.rss(),
        host: use(hosts).local(),
        vms: countsOf(known.vms().map(({ state }) => state)),
      },
      'preflight.json': use(health).last(),
      'health.json': use(healthChecks).results(),
      'config.json': config,
      'figures.json': figureSummary(),
      // What was asked for and what came of it is told by kind and code; texts may quote what a user typed.
      'operations.json': (await use(operations).newest(LAST_OPERATIONS)).map(
        ({ id, kind, state, createdAt, finishedAt, error, steps }) => ({
          id,
          kind,
          state,
          createdAt,
          finishedAt,
          error: error?.code ?? null,
          steps: steps.map((step) => `${step.name}: ${step.state}`),
        }),
      ),
    });

    return {
      api: {},
      handlers: {
        async 'GET /support/bundle'() {
          const documents = Object.entries(await files()).map(([name, value]) => ({
            name,
            // As JSON first: dates and the like become the texts that are scrubbed.
            text: `${JSON.stringify(scrub(JSON.parse(JSON.stringify(value))), null, 1)}\n`,
          }));
          const log = {
            name: 'log.jsonl',
            text: recentLog()
              .map((line) => `${scrubLine(line)}\n`)
              .join(''),
          };
          const archive = tarOf([...documents, log], clock.now());
          return { contentType: 'application/gzip', bytes: await promisify(gzip)(archive) };
        },
      },
    };
  },
});

function countsOf(words: readonly string[]): Readonly<Record<string, number>> {
  return Object.fromEntries([...Map.groupBy(words, (word) => word)].map(([word, all]) => [word, all.length]));
}

/** Puts the features together: order by needs, migrations, set-up, start and stop. A mistake in a declaration stops start-up. */

import { allRoutes } from '#contract/api.ts';
import { PERMISSIONS } from '#contract/permissions.ts';
import { messageOf, registerErrors } from '#kernel/errors.ts';
import type { Logger } from '#kernel/logger.ts';
import type {
  Feature,
  FeatureContext,
  FeatureParts,
  Handlers,
  MetricFamily,
  ObjectResolver,
} from '#platform/feature.ts';

const STOP_LIMIT_MS = 10_000;

export interface Composition {
  readonly handlers: Handlers;
  readonly resolvers: Readonly<Record<string, ObjectResolver>>;
  metrics(): readonly MetricFamily[];
  use<FeatureApi>(feature: Feature<FeatureApi>): FeatureApi;
  start(signal: AbortSignal): Promise<void>;
  /** In the reverse order of the start; one that fails or hangs does not keep the others from stopping. */
  stop(): Promise<void>;
}

/** Features in an order in which each comes after those it needs. @throws Error for an unknown name, a doubled one or a cycle */
export function inStartOrder(features: readonly Feature[]): Feature[] {
  const byName = new Map<string, Feature>();
  for (const feature of features) {
    if (byName.has(feature.name)) throw new Error(`feature "${feature.name}" is there twice`);
    byName.set(feature.name, feature);
  }
  const order: Feature[] = [];
  const visit = (feature: Feature, path: readonly string[]) => {
    if (order.includes(feature)) return;
    if (path.includes(feature.name))
      throw new Error(`features need each other in a circle: ${[...path, feature.name].join(' → ')}`);
    for (const name of feature.needs ?? []) {
      const needed = byName.get(name);
      if (!needed) throw new Error(`feature "${feature.name}" needs "${name}", which does not exist`);
      visit(needed, [...path, feature.name]);
    }
    order.push(feature);
  };
  for (const feature of features) visit(feature, []);
  return order;
}

/** @param shared everything of the context but `use` */
export function compose(
  features: readonly Feature[],
  shared: Omit<FeatureContext, 'use' | 'log'>,
  log: Logger,
): Composition {
  for (const [key, route] of allRoutes()) {
    if (route.permission && !PERMISSIONS.includes(route.permission))
      throw new Error(`route "${key}" names the unknown permission "${route.permission}"`);
  }
  const order = inStartOrder(features);
  const ready = new Map<Feature, FeatureParts<unknown>>();
  const handlers: Record<string, unknown> = {};
  const resolvers: Record<string, ObjectResolver> = {};

  const use = <FeatureApi>(feature: Feature<FeatureApi>, by: Feature | null): FeatureApi => {
    if (by && !by.needs?.includes(feature.name))
      throw new Error(`feature "${by.name}" uses "${feature.name}" without naming it in needs`);
    const parts = ready.get(feature);
    if (!parts) throw new Error(`feature "${feature.name}" is not set up`);
    // The feature object itself is the key, so what comes out is what its own setup put in.
    return parts.api as FeatureApi;
  };

  for (const feature of order) {
    if (feature.errors) registerErrors(feature.errors);
    if (feature.migrations) shared.db.migrate(feature.name, feature.migrations);
    const parts = feature.setup({
      ...shared,
      log: log.child({ feature: feature.name }),
      use: (needed) => use(needed, feature),
    });
    ready.set(feature, parts);
    for (const [key, handler] of Object.entries(parts.handlers ?? {})) {
      if (key in handlers) throw new Error(`two features answer "${key}"`);
      handlers[key] = handler;
    }
    for (const [type, resolver] of Object.entries(parts.resolvers ?? {})) {
      if (type in resolvers) throw new Error(`two features resolve objects of type "${type}"`);
      resolvers[type] = resolver;
    }
  }

  return {
    handlers: handlers as Handlers,
    resolvers,
    metrics: () => [...ready.values()].flatMap((parts) => parts.metrics?.() ?? []),
    use: (feature) => use(feature, null),
    async start(signal) {
      for (const feature of order) {
        signal.throwIfAborted();
        await ready.get(feature)?.start?.(signal);
      }
      // What an earlier life left unfinished needs every feature: its steps read stores that are loaded by now.
      for (const feature of order) {
        signal.throwIfAborted();
        await ready.get(feature)?.resume?.(signal);
      }
    },
    async stop() {
      for (const feature of [...order].reverse()) {
        const stopped = Promise.resolve(ready.get(feature)?.stop?.()).catch((error: unknown) =>
          log.error({ feature: feature.name, err: error }, `stopping failed: ${messageOf(error)}`),
        );
        let timer: NodeJS.Timeout | undefined;
        const late = new Promise<void>((resolve) => {
          timer = setTimeout(() => {
            log.error({ feature: feature.name }, 'did not stop in time');
            resolve();
          }, STOP_LIMIT_MS);
        });
        await Promise.race([stopped, late]);
        clearTimeout(timer);
      }
    },
  };
}

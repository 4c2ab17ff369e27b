/** Alerts: rules over figures, judged at each tick, with a state machine for each thing that a rule is about.
 *  Tables: alert_rule, alert, alert_event, alert_mark, alert_mask. Events in: operation.changed, project.removed. Events out: alert.changed, rule.changed.
 *  Permissions: alert.read, alert.ack, alert.configure. Guide: docs/guides/alerts.md */

import type { Alert } from '#contract/alerts.ts';
import { alertErrors } from '#contract/alerts.ts';
import { inventory, isOnState } from '#features/inventory/index.ts';
import { metrics } from '#features/metrics/index.ts';
import { notifications } from '#features/notifications/index.ts';
import { operations } from '#features/operations/index.ts';
import { projects } from '#features/projects/index.ts';
import { nap } from '#kernel/async.ts';
import { messageOf } from '#kernel/errors.ts';
import { systemBootClock } from '#platform/boot-clock.ts';
import { defineFeature } from '#platform/feature.ts';
import { countAlerts, createAlertRoutes } from './alert-routes.ts';
import { createEngine } from './live/engine.ts';
import { createLiveView } from './live/live-view.ts';
import { createMaskBook } from './live/mask-book.ts';
import { outboxCollector } from './live/outbox-collector.ts';
import { watchTicks } from './live/tick-watch.ts';
import { createWorld } from './live/world.ts';
import { alertObject, objectOfRule } from './objects.ts';
import { committingWith, factsOfRule, removeOrphans } from './rule-changes.ts';
import { createRuleRoutes } from './rule-routes.ts';
import { tellOfBadRules } from './rules/bad-rules.ts';
import { createRuleRegistry } from './rules/registry.ts';
import { alertMigrations, createAlertStore } from './store.ts';

export { alertAsSeen, alertObject } from './objects.ts';

export interface AlertsApi {
  /** All alerts that are not over, and those that were. */
  all(): readonly Alert[];
}

const PRUNE_EVERY_MS = 86_400_000;

export const alerts = defineFeature<AlertsApi>({
  name: 'alerts',
  needs: ['projects', 'operations', 'inventory', 'metrics', 'notifications'],
  migrations: alertMigrations,
  errors: alertErrors,
  setup({ config, db, clock, calendar, events, log, use }) {
    const figures = use(metrics);
    const announcer = use(notifications);
    const [known, registry, journal] = [use(inventory), use(projects), use(operations)];
    const store = createAlertStore(db);
    const rules = createRuleRegistry({ db, store, configured: config.alerts.rules });
    const masks = createMaskBook(clock);
    const world = createWorld({
      figures,
      vm: (id) => known.vm(id),
      isConnected: () => known.isConnected,
      isOn: isOnState,
    });
    const projectOf = (vmId: string) => known.vm(vmId)?.project;
    const engine = createEngine({
      db,
      store,
      rules: () => rules.all().flatMap(({ running }) => running ?? []),
      factsOf(id) {
        const entry = rules.get(id);
        return entry === null ? null : factsOfRule(entry);
      },
      view: createLiveView({ figures, vms: () => known.vms(), forecast: figures.forecast }),
      masks,
      surroundings: () => world.surroundings,
      announcer,
      heldBy: announcer.heldBy,
      async clocks() {
        const boot = await systemBootClock();
        return { monotonicMs: clock.monotonicMs(), wallMs: clock.now().getTime(), boot };
      },
      onChange: (alert) => events.emit('alert.changed', alert),
      log,
    });
    const commit = committingWith(db, engine);
    const forgetOrphans = async () => {
      const gone = await removeOrphans(rules, (id) => registry.all().some((project) => project.id === id), commit);
      for (const { id, spec } of gone) events.emit('rule.changed', { id, project: spec.project });
    };
    announcer.onChannelUse(({ id, name, project }) =>
      rules
        .all()
        .map(({ spec }) => spec)
        .filter(({ channels }) => channels?.some((one) => one === id || one === name))
        // A rule of another project cannot send there, whatever it names.
        .filter((spec) => project === null || spec.project === null || spec.project === project)
        .map((spec) =>
          project === null || spec.project === project ? `the rule "${spec.name}"` : 'a rule of the system',
        ),
    );
    const subscriptions: (() => void)[] = [];
    let background: Promise<unknown> = Promise.resolve();

    const prune = async (signal: AbortSignal) => {
      while (!signal.aborted) {
        if (calendar.leap() === null) engine.forget(await store.prune(clock.now().getTime()));
        await nap(clock, PRUNE_EVERY_MS, signal);
      }
    };

    return {
      api: { all: engine.all },
      handlers: {
        ...createAlertRoutes({ engine, store, rules, projects: registry, inventory: known }),
        ...createRuleRoutes({
          registry: rules,
          engine,
          store,
          commit,
          past: { figures, masksWithin: store.masksWithin, projectOf },
          projects: registry,
          channelExists: announcer.channelExists,
          clock,
          events,
        }),
      },
      resolvers: {
        alert(id) {
          const alert = engine.get(id);
          return alert === null ? null : alertObject(alert);
        },
        rule(idOrName) {
          const entry = rules.get(idOrName);
          return entry === null ? null : objectOfRule(entry);
        },
      },
      metrics: () => [
        {
          name: 'hyper_alerts',
          type: 'gauge',
          help: 'Alerts by severity and state.',
          samples: countAlerts(engine.all()),
        },
        {
          name: 'hyper_alert_evaluation_seconds',
          type: 'gauge',
          help: 'Time that the last evaluation of all rules took.',
          samples: [{ value: engine.figures.lastMs / 1000 }],
        },
        {
          name: 'hyper_alert_evaluations_missed_total',
          type: 'counter',
          help: 'Evaluations that were left out because the one before still ran.',
          samples: [{ value: engine.figures.missed }],
        },
      ],
      async start() {
        await rules.load();
        await engine.load();
        await forgetOrphans();
      },
      async resume(signal) {
        const open = await store.openMasks();
        masks.load(open, ({ operation_id, vm_id }) => journal.openFor(vm_id)?.id === operation_id);
        await tellOfBadRules({ db, rules: rules.all(), announcer, log });
        const watch = watchTicks({ db, clock, announcer, log });
        subscriptions.push(
          figures.addCollector(outboxCollector(figures.host, announcer.health)),
          events.on('operation.changed', masks.operationChanged),
          events.on('project.removed', () => {
            forgetOrphans().catch((error: unknown) =>
              log.warn({ err: error }, `rules of a removed project could not be removed: ${messageOf(error)}`),
            );
          }),
          figures.onTick((tick) => {
            watch.measured();
            world.look();
            engine.tick(tick).then(
              (isEvaluated) => isEvaluated && watch.evaluated(),
              (error: unknown) => log.error({ err: error }, 'alerts could not be evaluated'),
            );
          }),
          announcer.onHeld((id) => {
            const alert = engine.get(id);
            if (alert !== null) events.emit('alert.changed', alert);
          }),
          announcer.watch('figures', watch.isMeasuring),
          announcer.watch('alert rules', watch.isEvaluating),
        );
        background = Promise.all([
          watch.run(signal),
          prune(signal).catch((error: unknown) => log.error({ err: error }, 'old alerts could not be forgotten')),
        ]);
      },
      async stop() {
        for (const end of subscriptions.splice(0)) end();
        await engine.drain();
        await background;
      },
    };
  },
});

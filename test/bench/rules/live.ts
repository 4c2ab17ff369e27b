/** The alerts of a whole host as hyperd runs them: figures go into a history on the disk, the live engine reads them from there, its state
 *  machines go on, and the state database is asked for what it is asked. Labels are made as cheaply as hyperd makes them. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AlertRuleSpec } from '#contract/alert-rule-spec.ts';
import { alertErrors } from '#contract/alerts.ts';
import { fakeVm } from '#contract/fake-vm.ts';
import type { Figures } from '#features/alerts/figures.ts';
import { createEngine, type Engine } from '#features/alerts/live/engine.ts';
import { createLiveView } from '#features/alerts/live/live-view.ts';
import { createMaskBook } from '#features/alerts/live/mask-book.ts';
import { createWorld } from '#features/alerts/live/world.ts';
import { factsOfRule } from '#features/alerts/rule-changes.ts';
import { createRuleRegistry } from '#features/alerts/rules/registry.ts';
import { alertMigrations, createAlertStore } from '#features/alerts/store.ts';
import { createHistory, type History, TICK_MS } from '#features/metrics/store/history.ts';
import { createIntake, type Intake } from '#features/metrics/store/intake.ts';
import { createMemory } from '#features/metrics/store/memory.ts';
import { TestClock } from '#kernel/clock.ts';
import { registerErrors } from '#kernel/errors.ts';
import { silentLogger } from '#kernel/logger.ts';
import { openDatabase } from '#platform/db/database.ts';

export interface LiveHouse extends AsyncDisposable {
  readonly clock: TestClock;
  readonly history: History;
  readonly engine: Engine;
  readonly rules: number;
  /** How often people would have seen an alert change. */
  readonly changes: number;
  /** One moment. The engine runs after the figures are there and before they are on the disk, as in hyperd.
   *  @param put brings the figures into the history */
  tick(
    put: (sink: ReturnType<Intake['open']>['sink']) => void,
    around?: (evaluate: () => Promise<void>) => Promise<void>,
  ): Promise<void>;
}

export interface LiveHouseOptions {
  readonly vmIds: readonly string[];
  /** As in config.json. */
  readonly rules: readonly Pick<AlertRuleSpec, 'name' | 'condition'>[];
  /** Whether the rules that come with the program run too. */
  readonly hasDefaults: boolean;
}

export async function openLiveHouse({ vmIds, rules: configured, hasDefaults }: LiveHouseOptions): Promise<LiveHouse> {
  const dir = await mkdtemp(join(tmpdir(), 'hv-bench-live-'));
  const clock = new TestClock(new Date('2026-03-01T00:00:00Z'));
  const history = createHistory({
    path: join(dir, 'metrics.db'),
    clock,
    log: silentLogger,
    limits: () => ({ rawDays: 7, fiveMinuteDays: 60, hourDays: 730, maxBytes: 2 ** 40 }),
    isGone: () => false,
    diskAnswers: async () => undefined,
  });
  await history.start();
  const memory = createMemory(history, clock);
  const intake = createIntake({
    book: history.book,
    log: silentLogger,
    isActive: ({ id }) => memory.isActive(id),
    onPeriod: () => undefined,
  });
  const vms = new Map(vmIds.map((id, n) => [id, fakeVm(`vm${n}`, { id, state: 'running', desired: 'running' })]));
  const figures: Figures = {
    onTick: () => () => undefined,
    seriesOf: (metric) => history.book.ofMetric(metric).filter(({ id }) => memory.isActive(id)),
    latest: memory.latest,
    periodMs: () => TICK_MS,
    window: memory.window,
    read: () => Promise.reject(new Error('the live engine reads only the last hour')),
    labelsOf({ owner, kind, sub }) {
      const vm = owner.type === 'vm' ? vms.get(owner.id) : undefined;
      const own = vm === undefined ? {} : { vm: vm.name, uuid: vm.id, project: vm.project, tags: vm.tags.join(',') };
      return { host: 'host1', ...own, kind, ...(sub === '' ? {} : { part: sub }) };
    },
  };
  registerErrors(alertErrors);
  const db = openDatabase(join(dir, 'state.db'));
  db.migrate('alerts', alertMigrations);
  const store = createAlertStore(db);
  const registry = createRuleRegistry({ db, store, configured });
  const masks = createMaskBook(clock);
  const world = createWorld({
    figures,
    vm: (id) => vms.get(id) ?? null,
    isConnected: () => true,
    isOn: (state) => state !== 'off' && state !== 'crashed',
  });
  const running = () =>
    registry
      .all()
      .flatMap(({ running: rule, origin }) => (rule !== null && (hasDefaults || origin !== 'default') ? rule : []));
  let changes = 0;
  const engine = createEngine({
    db,
    store,
    rules: running,
    factsOf(id) {
      const entry = registry.get(id);
      return entry === null ? null : factsOfRule(entry);
    },
    view: createLiveView({ figures, vms: () => [...vms.values()], forecast: () => null }),
    masks,
    surroundings: () => world.surroundings,
    announcer: {
      announce: async () => undefined,
      announceEvent: async () => undefined,
      acknowledge: async () => undefined,
    },
    heldBy: () => null,
    clocks: async () => ({
      monotonicMs: clock.monotonicMs(),
      wallMs: clock.now().getTime(),
      boot: { id: 'boot', ms: clock.monotonicMs() },
    }),
    onChange: () => {
      changes += 1;
    },
    log: silentLogger,
  });
  await registry.load();
  await engine.load();
  return {
    clock,
    history,
    engine,
    rules: running().length,
    get changes() {
      return changes;
    },
    async tick(put, around = (evaluate) => evaluate()) {
      await clock.advance(TICK_MS);
      const { sink, close } = intake.open();
      put(sink);
      const { atMs, monotonicMs } = history.take(
        close(),
        Math.round(clock.now().getTime() / TICK_MS),
        clock.monotonicMs(),
      );
      world.look();
      await around(async () => void (await engine.tick({ atMs, monotonicMs })));
      await history.persist();
      await history.maintain(true);
    },
    async [Symbol.asyncDispose]() {
      await engine.drain();
      await db.close();
      history.close();
      await rm(dir, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
    },
  };
}

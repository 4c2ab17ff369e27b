/** The whole slice over a real database with figures, VMs and a clock that a test moves, for tests. Stopping it is like a kill: what is not
 *  in the database is gone. */

import { type AlertRuleSpec, alertRuleSpecSchema } from '#contract/alert-rule-spec.ts';
import { type Alert, alertErrors } from '#contract/alerts.ts';
import { fakeVm } from '#contract/fake-vm.ts';
import { METRICS } from '#contract/metric-catalogue.ts';
import type { Operation } from '#contract/operations.ts';
import type { Vm } from '#contract/vms.ts';
import { TestClock } from '#kernel/clock.ts';
import { registerErrors } from '#kernel/errors.ts';
import { silentLogger } from '#kernel/logger.ts';
import { type Database, openDatabase } from '#platform/db/database.ts';
import { type BacktestRequest, backtest } from './backtest/backtest.ts';
import { createFakeFigures, type FakeFigures, type Sample } from './fake-figures.ts';
import { createEngine, type Engine } from './live/engine.ts';
import { createLiveView } from './live/live-view.ts';
import { createMaskBook, type MaskBook } from './live/mask-book.ts';
import { createWorld } from './live/world.ts';
import { TICK_MS } from './machine/machine.ts';
import type { AlertNotice, Announcer } from './notices.ts';
import { committingWith, factsOfRule } from './rule-changes.ts';
import { type CommitChange, checkRule, createRuleRegistry, type RuleRegistry } from './rules/registry.ts';
import { type AlertStore, alertMigrations, createAlertStore } from './store.ts';

registerErrors(alertErrors);

export type VmState = (typeof METRICS.vm_state.values)[number];

/** What a test moves: it outlives the daemon. */
export interface FakeMachine {
  readonly clock: TestClock;
  readonly figures: FakeFigures;
  readonly vms: Map<string, Vm>;
  bootId: string;
}

export function createFakeMachine(vmNames: readonly string[]): FakeMachine {
  const vms = new Map(
    vmNames.map((name, n) => {
      const id = `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`;
      return [id, fakeVm(name, { id, state: 'running', desired: 'running' })];
    }),
  );
  const names = new Map([...vms.values()].map(({ id, name }) => [id, name]));
  return { clock: new TestClock(), figures: createFakeFigures(names), vms, bootId: 'boot-1' };
}

export interface FakeDaemonOptions {
  readonly machine: FakeMachine;
  /** Open already, or the file of one. */
  readonly database: Database | string;
  /** As in config.json. */
  readonly rules: readonly (Partial<AlertRuleSpec> & Pick<AlertRuleSpec, 'name' | 'condition'>)[];
  /** Default: notices are kept in `notices`. */
  readonly announcer?: Announcer;
}

export interface FakeDaemon {
  readonly engine: Engine;
  readonly store: AlertStore;
  readonly masks: MaskBook;
  readonly rules: RuleRegistry;
  /** Takes changes of rules to their alerts. */
  readonly commit: CommitChange;
  readonly notices: readonly AlertNotice[];
  readonly changes: readonly Alert[];
  /** One moment: samples come in and all rules are evaluated. @param byMs how long after the one before */
  tick(samples: readonly Sample[], byMs?: number): Promise<void>;
  backtest(
    rule: FakeDaemonOptions['rules'][number],
    range: Pick<BacktestRequest, 'fromMs' | 'toMs'>,
  ): ReturnType<typeof backtest>;
  close(): Promise<void>;
}

export async function startFakeDaemon({
  machine,
  database,
  rules: configured,
  announcer,
}: FakeDaemonOptions): Promise<FakeDaemon> {
  const { clock, figures, vms } = machine;
  const db = typeof database === 'string' ? openDatabase(database) : database;
  db.migrate('alerts', alertMigrations);
  const store = createAlertStore(db);
  // Defaults have tests of their own.
  const rules = createRuleRegistry({ db, store, configured });
  const masks = createMaskBook(clock);
  const world = createWorld({
    figures,
    vm: (id) => vms.get(id) ?? null,
    isConnected: () => true,
    isOn: (state) => state !== 'off' && state !== 'crashed',
  });
  /** What owners want of the VMs whose state is told. */
  const desiredOf = (samples: readonly Sample[]): Sample[] =>
    samples.flatMap(({ key: { metric, owner } }) => {
      const desired = vms.get(owner.id)?.desired;
      if (metric !== 'vm_state' || desired === undefined) return [];
      return [vmSample(owner.id, 'vm_state_desired', METRICS.vm_state_desired.values.indexOf(desired))];
    });
  const notices: AlertNotice[] = [];
  const changes: Alert[] = [];
  const keeping: Announcer = {
    announce: async (tx, notice) => tx.afterCommit(() => notices.push(notice)),
    announceEvent: async () => undefined,
    acknowledge: async () => undefined,
  };
  const engine = createEngine({
    db,
    store,
    rules: () =>
      rules.all().flatMap(({ running, origin }) => (running !== null && origin !== 'default' ? running : [])),
    factsOf(id) {
      const entry = rules.get(id);
      return entry === null ? null : factsOfRule(entry);
    },
    view: createLiveView({ figures, vms: () => [...vms.values()], forecast: () => null }),
    masks,
    surroundings: () => world.surroundings,
    announcer: announcer ?? keeping,
    heldBy: () => null,
    clocks: async () => ({
      monotonicMs: clock.monotonicMs(),
      wallMs: clock.now().getTime(),
      boot: { id: machine.bootId, ms: clock.monotonicMs() },
    }),
    onChange: (alert) => changes.push(alert),
    log: silentLogger,
  });
  await rules.load();
  masks.load(await store.openMasks(), () => false);
  await engine.load();

  return {
    engine,
    store,
    masks,
    rules,
    commit: committingWith(db, engine),
    notices,
    changes,
    async tick(samples, byMs = TICK_MS) {
      await clock.advance(byMs);
      const tick = { atMs: clock.now().getTime(), monotonicMs: clock.monotonicMs() };
      figures.tick(tick, [...samples, ...desiredOf(samples)]);
      world.look();
      await engine.tick(tick);
    },
    backtest(rule, { fromMs, toMs }) {
      const spec = alertRuleSpecSchema.parse(rule);
      const { compiled } = checkRule(spec);
      if (compiled === null) throw new Error(`"${spec.condition}" cannot be compiled`);
      return backtest(
        { spec, compiled, fromMs, toMs, signal: new AbortController().signal },
        { figures, masksWithin: store.masksWithin, projectOf: (id) => vms.get(id)?.project },
      );
    },
    close: () => db.close(),
  };
}

export const hostSample = (metric: Sample['key']['metric'], value: number): Sample => ({
  key: { owner: { type: 'host', id: 'host1' }, kind: 'host', sub: '', metric },
  value,
});

export const vmSample = (id: string, metric: Sample['key']['metric'], value: number): Sample => ({
  key: { owner: { type: 'vm', id }, kind: 'vm', sub: '', metric },
  value,
});

export const stateSample = (id: string, state: VmState): Sample =>
  vmSample(id, 'vm_state', METRICS.vm_state.values.indexOf(state));

/** An operation on a VM, as the journal tells of it. */
export function vmOperation(id: string, vmId: string, change: Partial<Operation> = {}): Operation {
  return {
    id,
    kind: 'vm.start',
    title: 'Start web1',
    state: 'running',
    actor: 'admin',
    objectType: 'vm',
    objectId: vmId,
    objectName: 'web1',
    vmId,
    project: 'default',
    steps: [],
    progress: null,
    canCancel: false,
    isDismissed: false,
    error: null,
    result: null,
    createdAt: '2026-01-01T00:00:00Z',
    finishedAt: null,
    requestId: null,
    ...change,
  };
}

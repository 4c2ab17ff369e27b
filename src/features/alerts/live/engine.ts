/** The live evaluation: at each tick every rule is evaluated, and all that changes by it, rows, events and messages, is written in one
 *  transaction. What is in memory changes only once that is on disk; after a failure the next tick tries again. */

import type { Alert } from '#contract/alerts.ts';
import { ACTIVE_STATES } from '#contract/alerts.ts';
import { createBreather, createQueue, withBreaths } from '#kernel/async.ts';
import { AppError } from '#kernel/errors.ts';
import type { Logger } from '#kernel/logger.ts';
import type { Database, Transaction } from '#platform/db/database.ts';
import { type Change, evaluate, type RunningRule, type Surroundings, type Track } from '../evaluation.ts';
import type { Tick } from '../figures.ts';
import type { Closing, Effect, Machine, Moment } from '../machine/machine.ts';
import type { Announcer } from '../notices.ts';
import { momentOf, type SampleView } from '../rule-language.ts';
import type { AlertStore, Mark } from '../store.ts';
import { alertView, eventOf, noticeOf, type RuleFacts } from '../view.ts';
import { type Clocks, isNewsForPeople, isNewsForRow, isWorthKeeping, rowOf, trackOf } from './kept.ts';
import type { MaskBook } from './mask-book.ts';
import { endingOf } from './retire.ts';

export interface EngineDependencies {
  readonly db: Database;
  readonly store: AlertStore;
  readonly rules: () => readonly RunningRule[];
  /** Of any rule that there is, switched off or not. */
  readonly factsOf: (ruleId: string) => RuleFacts | null;
  readonly view: (tick: Tick) => SampleView;
  readonly masks: Pick<MaskBook, 'sweep' | 'maskOf'>;
  readonly surroundings: () => Pick<Surroundings, 'isLost' | 'canResolve' | 'vm' | 'projectOf'>;
  readonly announcer: Announcer;
  /** The alert that tells of this one in its stead. */
  readonly heldBy: (alertId: string) => Alert['inhibitedBy'];
  readonly clocks: () => Promise<Clocks>;
  readonly onChange: (alert: Alert) => void;
  readonly log: Logger;
}

export interface Engine {
  load(): Promise<void>;
  /** Evaluates everything. One that comes while another runs is left out and counted; then the answer is false. */
  tick(tick: Tick): Promise<boolean>;
  /** Ends all alerts of a rule. @param facts of the rule as it was @param save writes what became of the rule, in the same transaction */
  retire(facts: RuleFacts, closing: Closing, save: (tx: Transaction) => Promise<void>): Promise<void>;
  all(): readonly Alert[];
  get(id: string): Alert | null;
  /** @throws not_found, alert_not_active */
  acknowledge(id: string, by: string, note: string | null): Promise<Alert>;
  forget(ids: readonly string[]): void;
  readonly figures: {
    readonly ticks: number;
    readonly missed: number;
    readonly lastMs: number;
    /** Moment of the last tick that was evaluated, by the monotonic clock; null before the first. */
    readonly evaluatedMs: number | null;
  };
  /** Waits for what runs. */
  drain(): Promise<void>;
}

/** Other work gets its turn after so long. */
const SLICE_MS = 25;

interface Staged {
  readonly ruleId: string;
  readonly facts: RuleFacts;
  readonly change: Change;
}

export function createEngine(dependencies: EngineDependencies): Engine {
  const { db, store, rules, factsOf, view, masks, surroundings, announcer, heldBy, clocks, onChange, log } =
    dependencies;
  const tracks = new Map<string, Map<string, Track>>();
  const byId = new Map<string, { readonly ruleId: string; readonly key: string }>();
  /** Names of rules that are gone, for the alerts that they left. */
  const oldNames = new Map<string, string>();
  const queue = createQueue();
  const figures: { ticks: number; missed: number; lastMs: number; evaluatedMs: number | null } = {
    ticks: 0,
    missed: 0,
    lastMs: 0,
    evaluatedMs: null,
  };
  let isBusy = false;

  const factsFor = (ruleId: string): RuleFacts =>
    factsOf(ruleId) ?? { id: ruleId, name: oldNames.get(ruleId) ?? ruleId, spec: null, compiled: null };

  const viewOf = (facts: RuleFacts, track: Track): Alert => alertView(facts, track, heldBy(track.id));

  const put = (ruleId: string, key: string, track: Track) => {
    const own = tracks.get(ruleId) ?? new Map<string, Track>();
    tracks.set(ruleId, own);
    if (isWorthKeeping(track.machine)) {
      own.set(key, track);
      if (!byId.has(track.id)) byId.set(track.id, { ruleId, key });
    } else {
      own.delete(key);
      byId.delete(track.id);
      if (own.size === 0) tracks.delete(ruleId);
    }
  };

  const find = (id: string): { readonly track: Track; readonly key: string; readonly ruleId: string } | null => {
    const at = byId.get(id);
    const track = at === undefined ? undefined : tracks.get(at.ruleId)?.get(at.key);
    return at === undefined || track === undefined ? null : { track, ...at };
  };

  /** Rows, events and messages of what was staged. */
  const write = async (tx: Transaction, staged: readonly Staged[], now: Clocks) => {
    for (const { facts, change } of staged) {
      const { before, after, effects } = change;
      if (isNewsForRow(before?.machine ?? null, after.machine) || effects.length > 0) {
        const isKept = isWorthKeeping(after.machine);
        if (isKept) await store.putAlert(tx, rowOf(after, facts.name, now));
        else if (before !== null) await store.removeAlert(tx, after.id);
      }
      for (const effect of effects) await writeEffect(tx, facts, after, effect, now);
    }
  };
  const writeEffect = async (tx: Transaction, facts: RuleFacts, track: Track, effect: Effect, now: Clocks) => {
    if (effect.type === 'event')
      await store.addEvent(tx, eventOf(facts, track, effect.kind, effect.reason, now.wallMs));
    else await announcer.announce(tx, noticeOf(facts, track, effect));
  };
  const publish = (staged: readonly Staged[]) => {
    for (const { ruleId, change } of staged) put(ruleId, change.key, change.after);
    for (const { facts, change } of staged)
      if (isNewsForPeople(change.before?.machine ?? null, change.after.machine)) onChange(viewOf(facts, change.after));
  };

  const stage = (rule: RunningRule, changes: readonly Change[]): Staged[] =>
    changes.map((change) => ({ ruleId: rule.id, facts: factsFor(rule.id), change }));

  const evaluateAll = async (tick: Tick): Promise<Staged[]> => {
    const now: Moment = { monotonicMs: tick.monotonicMs, wallMs: tick.atMs };
    const seen = momentOf(view(tick));
    const around: Surroundings = { ...surroundings(), maskOf: masks.maskOf, closing: null };
    const staged: Staged[] = [];
    const breathe = createBreather(SLICE_MS);
    for (const rule of rules()) {
      try {
        const steps = evaluate(rule, seen, tracks.get(rule.id) ?? new Map(), around, now);
        staged.push(...stage(rule, await withBreaths(steps, breathe)));
      } catch (error) {
        // One rule that cannot be evaluated must not keep the others from it.
        log.error({ err: error, rule: rule.spec.name }, 'a rule could not be evaluated');
      }
      await breathe();
    }
    return staged;
  };

  const evaluateTick = async (tick: Tick) => {
    const startMs = performance.now();
    const swept = masks.sweep(tick.atMs);
    const staged = await evaluateAll(tick);
    const hasTimers = ({ phase }: Machine) => phase === 'pending' || phase === 'clearing';
    const isWritten =
      swept.rows.length > 0 ||
      staged.some(
        ({ change }) =>
          hasTimers(change.after.machine) ||
          change.effects.length > 0 ||
          (change.before !== null && isNewsForRow(change.before.machine, change.after.machine)),
      );
    if (isWritten) {
      const read = await clocks();
      // Everything of this tick happened at its moment.
      const now: Clocks = {
        monotonicMs: tick.monotonicMs,
        wallMs: tick.atMs,
        boot:
          read.boot === null ? null : { id: read.boot.id, ms: read.boot.ms - (read.monotonicMs - tick.monotonicMs) },
      };
      await db.transaction(async (tx) => {
        await write(tx, staged, now);
        for (const row of swept.rows) await store.putMask(tx, row);
        await store.putMark(tx, markOf(now));
      });
      swept.written();
    }
    publish(staged);
    figures.ticks += 1;
    figures.lastMs = performance.now() - startMs;
    figures.evaluatedMs = tick.monotonicMs;
  };

  const everything = function* (): Generator<{ readonly ruleId: string; readonly track: Track }> {
    for (const [ruleId, own] of tracks) for (const track of own.values()) yield { ruleId, track };
  };

  const retire = async (facts: RuleFacts, closing: Closing, save: (tx: Transaction) => Promise<void>) => {
    const ruleId = facts.id;
    const own = tracks.get(ruleId);
    if (own === undefined || own.size === 0) {
      await db.transaction(save);
      tracks.delete(ruleId);
      return;
    }
    const now = await clocks();
    const staged = endingOf(facts, own, closing, now).map((change) => ({ ruleId, facts, change }));
    await db.transaction(async (tx) => {
      await save(tx);
      await write(tx, staged, now);
      if (closing === 'rule_removed') for (const track of own.values()) await store.removeAlert(tx, track.id);
    });
    publish(staged);
    if (closing !== 'rule_removed') return;
    for (const track of own.values()) byId.delete(track.id);
    tracks.delete(ruleId);
  };

  return {
    load: () =>
      queue(async () => {
        const [rows, mark, now] = [await store.alerts(), await store.mark(), await clocks()];
        for (const row of rows) {
          oldNames.set(row.rule_id, row.rule_name);
          const track = trackOf(row, mark, now);
          put(row.rule_id, `${row.owner_type} ${row.owner_id} ${row.kind} ${row.sub}`, track);
        }
        // What became of rules while nothing ran.
        for (const ruleId of [...tracks.keys()]) {
          if (factsOf(ruleId) === null) await retire(factsFor(ruleId), 'rule_removed', nothing);
          else if (!rules().some(({ id }) => id === ruleId)) await retire(factsFor(ruleId), 'rule_disabled', nothing);
        }
        oldNames.clear();
      }),
    async tick(tick) {
      if (isBusy) {
        figures.missed += 1;
        return false;
      }
      isBusy = true;
      try {
        await queue(() => evaluateTick(tick));
        return true;
      } finally {
        isBusy = false;
      }
    },
    retire: (facts, closing, save) => queue(() => retire(facts, closing, save)),
    all: () => [...everything()].map(({ ruleId, track }) => viewOf(factsFor(ruleId), track)),
    get(id) {
      const found = find(id);
      return found === null ? null : viewOf(factsFor(found.ruleId), found.track);
    },
    acknowledge: (id, by, note) =>
      queue(async () => {
        const found = find(id);
        if (found === null) throw new AppError('not_found', { detail: `There is no alert "${id.slice(0, 80)}".` });
        const { track, ruleId, key } = found;
        const facts = factsFor(ruleId);
        if (!ACTIVE_STATES.includes(track.machine.phase))
          throw new AppError('alert_not_active', { detail: `"${facts.name}" does not fire there.` });
        const now = await clocks();
        const machine: Machine = { ...track.machine, acknowledged: { by, atMs: now.wallMs, note } };
        const after: Track = { ...track, machine };
        await db.transaction(async (tx) => {
          await store.putAlert(tx, rowOf(after, facts.name, now));
          await store.addEvent(tx, eventOf(facts, after, 'acknowledged', by, now.wallMs));
          await announcer.acknowledge(tx, id);
        });
        publish([{ ruleId, facts, change: { key, before: track, after, effects: [] } }]);
        return viewOf(facts, after);
      }),
    forget(ids) {
      for (const id of ids) {
        const found = find(id);
        if (found === null) continue;
        tracks.get(found.ruleId)?.delete(found.key);
        byId.delete(id);
      }
    },
    figures,
    drain: () => queue(async () => undefined),
  };
}

const nothing = async (): Promise<void> => undefined;

const markOf = ({ boot, wallMs }: Clocks): Mark => ({ boot, wallMs });

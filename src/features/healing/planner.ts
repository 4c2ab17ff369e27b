/** Decides when something is done about what finders find: modes, back-off, budgets, and that a person who takes over is left alone.
 *  It looks at nothing itself and can start nothing but allowed work. Each act is written down and counted before it begins. */

import type { ApiEvents } from '#contract/events.ts';
import { HEALER } from '#contract/healer.ts';
import { FINAL_STATES, type Operation } from '#contract/operations.ts';
import type { NotificationsApi } from '#features/notifications/index.ts';
import { createQueue } from '#kernel/async.ts';
import type { Clock } from '#kernel/clock.ts';
import { AppError, messageOf } from '#kernel/errors.ts';
import type { EventBus } from '#kernel/event-bus.ts';
import { newId } from '#kernel/ids.ts';
import type { Logger } from '#kernel/logger.ts';
import type { Database, Transaction } from '#platform/db/database.ts';
import type { Hands } from './allowed-work.ts';
import type { Finder, Finding, HealedObject } from './finding.ts';
import type { ActRow } from './migrations.ts';
import type { SteadyTime } from './steady-time.ts';
import type { Case, HealingStore } from './store.ts';

const HOUR_MS = 3_600_000;

interface Dependencies {
  readonly db: Database;
  readonly clock: Clock;
  readonly time: SteadyTime;
  readonly store: HealingStore;
  readonly hands: Hands;
  readonly notices: Pick<NotificationsApi, 'announceEvent'>;
  readonly events: EventBus<ApiEvents>;
  readonly log: Logger;
  readonly finders: readonly Finder[];
  /** For each action how often in an hour; the contract's figure unless the configuration has one. */
  readonly perHour: (action: Finder['action']) => number;
  /** While healing is paused, why nothing is done: `healing is paused until …`; null = it is not. */
  readonly pausedBecause: () => string | null;
  /** What the kernel counted, kept with the time. */
  readonly oomKills: () => number | null;
  /** `healing:ACTION:noted|begun`, where the fault tests want the process to die; null in normal use. */
  readonly killPoint: string | null;
}

export interface Planner {
  /** Takes up what an earlier life began. */
  resume(): Promise<void>;
  /** Looks once at everything. @returns milliseconds until something is due; null = nothing waits for its time */
  round(): Promise<number | null>;
  /** Hears of every operation: ends of our own, and what people begin. */
  heardOf(operation: Operation): void;
  /** Somebody else acted on a thing: nothing more is done about it until it was well again. */
  takenOver(action: Finder['action'], objectId: string, text: string): void;
  /** Resolves when all that was begun is written down. */
  settled(): Promise<void>;
}

type Result = ActRow['result'];

export function createPlanner(dependencies: Dependencies): Planner {
  const { db, clock, time, store, hands, notices, events, log, finders, perHour, oomKills, killPoint, pausedBecause } =
    dependencies;
  /** One change of cases at a time. */
  const inTurn = createQueue();
  /** By id of the operation. */
  const running = new Map<string, ActRow>();
  /** What was last known of a thing, for acts that tell of its end. */
  const objects = new Map<string, HealedObject>();

  const killHere = (action: string, when: 'noted' | 'begun') => {
    if (killPoint === `healing:${action}:${when}`) process.kill(process.pid, 'SIGKILL');
  };

  const write = (work: (tx: Transaction) => Promise<void>) =>
    db.transaction(async (tx) => {
      await work(tx);
      await time.keep(tx, oomKills());
    });

  const actOf = (action: Finder['action'], object: HealedObject, result: Result, text: string): ActRow => ({
    id: newId('heal', clock.now().getTime()),
    at: clock.now().toISOString(),
    steady_ms: time.nowMs(),
    action,
    object_type: object.type,
    object_id: object.id,
    object_name: object.name,
    project: object.project,
    result,
    text,
    operation_id: null,
  });

  const showSoon = (tx: Transaction, act: ActRow) =>
    tx.afterCommit(() =>
      events.emit('healing.acted', {
        id: act.id,
        project: act.project,
        vmId: act.object_type === 'vm' ? act.object_id : null,
      }),
    );

  const tell = async (tx: Transaction, act: ActRow, severity: 'info' | 'warning' | 'critical', title: string) => {
    await notices.announceEvent(tx, {
      key: `healing:${act.id}:${act.result}`,
      severity,
      title,
      text: act.text,
      project: act.object_type === 'vm' ? act.project : null,
      labels: {
        category: 'healing',
        action: act.action,
        [act.object_type === 'host' ? 'folder' : act.object_type]: act.object_name,
      },
    });
    showSoon(tx, act);
  };

  /** Written down, for whoever looks. */
  const noted = async (tx: Transaction, act: ActRow) => {
    await store.addAct(tx, act);
    showSoon(tx, act);
  };

  const told = async (tx: Transaction, act: ActRow, severity: 'info' | 'warning' | 'critical', title: string) => {
    await store.addAct(tx, act);
    await tell(tx, act, severity, title);
  };

  const title = (what: string, { object_name }: ActRow) => `${what}: ${object_name}`;

  /** Writes down how an act ended. */
  const settle = async (act: ActRow, operation: Operation) => {
    running.delete(operation.id);
    const result = operation.state === 'done' ? 'done' : operation.state === 'cancelled' ? 'cancelled' : 'failed';
    const detail = operation.error === null ? '' : ` ${operation.error.detail} ${operation.error.hint}`;
    const ended: ActRow = { ...act, result, text: `${act.text}${detail}`, operation_id: operation.id };
    await write(async (tx) => {
      await store.settleAct(tx, act.id, { result, text: ended.text, operation_id: operation.id });
      const one = store.case(act.action, act.object_id);
      const finder = finders.find(({ action }) => action === act.action);
      if (one && result === 'cancelled') await store.putCase(tx, { ...one, endedBy: 'operator' });
      else if (one && result === 'done' && finder?.isOnce === true)
        await store.putCase(tx, { ...one, endedBy: 'done' });
      // A crash is worth a look although it is mended.
      const severity = result === 'done' && act.action !== 'vm-restart' ? 'info' : 'warning';
      await tell(tx, ended, severity, title(result === 'done' ? 'Healed' : `Healing ${result}`, ended));
    });
  };

  const settleLater = (act: ActRow, operation: Operation) =>
    void inTurn(() => settle(act, operation)).catch((error: unknown) =>
      log.error({ err: error, act: act.id }, `the end of an act could not be written down: ${messageOf(error)}`),
    );

  const follow = async (act: ActRow, operation: Operation) => {
    running.set(operation.id, act);
    // It may have ended before anybody listened for it.
    const now = FINAL_STATES.includes(operation.state) ? operation : await hands.get(operation.id);
    if (now && FINAL_STATES.includes(now.state) && running.has(operation.id)) await settle(act, now);
  };

  const neverBegan = (act: ActRow, why: string) =>
    write((tx) => store.settleAct(tx, act.id, { result: 'not_begun', text: `${act.text} ${why}`, operation_id: null }));

  const perform = async (one: Case, finding: Finding, finder: Finder) => {
    const { action } = one;
    const nowMs = time.nowMs();
    const actsMs = [...one.actsMs, nowMs];
    const act = actOf(action, finding.object, 'begun', `${sentence(finding.found)} Healing: ${finding.remedy}.`);
    await write(async (tx) => {
      await noted(tx, act);
      await store.putCase(tx, { ...one, actsMs, nextMs: nowMs + delay(finder, actsMs.length), heldBy: null });
    });
    killHere(action, 'noted');
    if (!finding.isStillSo()) return neverBegan(act, 'It was no longer so.');
    let operation: Operation;
    try {
      operation = await hands.start(finding.work, { actId: act.id, project: finding.object.project, action });
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      log.warn({ err: error, action, object: finding.object.id }, `healing could not begin: ${error.message}`);
      return neverBegan(act, error.message);
    }
    killHere(action, 'begun');
    log.info({ action, object: finding.object.id, operation: operation.id }, `healing: ${finding.remedy}`);
    await write((tx) => store.settleAct(tx, act.id, { result: 'begun', text: act.text, operation_id: operation.id }));
    await follow({ ...act, operation_id: operation.id }, operation);
  };

  /** @returns when it is to be looked at again; null = when something changes */
  const consider = async (finder: Finder, finding: Finding): Promise<number | null> => {
    const { action } = finder;
    const { object } = finding;
    objects.set(`${action} ${object.id}`, object);
    const mode = store.effective(action, object.type === 'vm' ? object.id : null);
    const known = store.case(action, object.id);
    if (mode === 'off') return null;
    const nowMs = time.nowMs();
    const actsMs = recent(known?.actsMs ?? [], nowMs);
    if (known?.openedMs === null || known === null || known === undefined) {
      const nextMs = nowMs + delay(finder, actsMs.length);
      await write((tx) =>
        store.putCase(tx, {
          action,
          objectId: object.id,
          openedMs: nowMs,
          nextMs,
          endedBy: null,
          heldBy: null,
          actsMs,
        }),
      );
      return nextMs;
    }
    if (known.endedBy !== null) return null;
    if ([...running.values()].some((act) => act.action === action && act.object_id === object.id)) return null;
    const one: Case = { ...known, actsMs };
    if (nowMs < one.nextMs) return one.nextMs;
    const paused = pausedBecause();
    if (paused !== null) {
      if (one.heldBy === paused) return null;
      // Whoever paused it knows that things are not as they should be: it is written down, and nobody is told.
      await write(async (tx) => {
        const text = `${sentence(finding.found)} Not done (${finding.remedy}): ${sentence(paused)}`;
        await store.putCase(tx, { ...one, heldBy: paused });
        await noted(tx, actOf(action, object, 'held', text));
      });
      return null;
    }
    const { obstacle } = finding;
    if (obstacle !== null) {
      if (!obstacle.isWorthTelling || one.heldBy === obstacle.text) return null;
      await write(async (tx) => {
        const act = actOf(
          action,
          object,
          'held',
          `${sentence(finding.found)} Not done (${finding.remedy}): ${sentence(obstacle.text)}`,
        );
        await store.putCase(tx, { ...one, heldBy: obstacle.text });
        await told(tx, act, 'warning', title('Not healed', act));
      });
      return null;
    }
    const limit = perHour(action);
    if (actsMs.length >= limit) {
      await write(async (tx) => {
        const often = `It was done ${limit} times within an hour; a person has to look. Nothing more is done until it was well again.`;
        const act = actOf(action, object, 'gave_up', `${sentence(finding.found)} ${often}`);
        await store.putCase(tx, { ...one, endedBy: 'gave_up' });
        await told(tx, act, 'critical', title('Healing gave up', act));
      });
      return null;
    }
    if (mode === 'observe') {
      await write(async (tx) => {
        const act = actOf(
          action,
          object,
          'would_have',
          `${sentence(finding.found)} Healing would have: ${finding.remedy}.`,
        );
        await store.putCase(tx, { ...one, endedBy: 'observed' });
        await told(tx, act, 'info', title('Would have healed', act));
      });
      return null;
    }
    await perform(one, finding, finder);
    return store.case(action, object.id)?.nextMs ?? null;
  };

  /** What is no longer wrong is closed; what was done about it is remembered for the hour. */
  const close = async (finder: Finder, isWrong: (objectId: string) => boolean) => {
    const nowMs = time.nowMs();
    for (const one of store.cases()) {
      if (one.action !== finder.action || isWrong(one.objectId)) continue;
      const actsMs = recent(one.actsMs, nowMs);
      if (actsMs.length === 0) await write((tx) => store.dropCase(tx, one));
      else if (one.openedMs !== null)
        await write((tx) => store.putCase(tx, { ...one, openedMs: null, endedBy: null, heldBy: null, actsMs }));
    }
  };

  const end = async (one: Case, object: HealedObject, text: string) => {
    await write(async (tx) => {
      const act = actOf(one.action, object, 'ended', text);
      await store.putCase(tx, { ...one, endedBy: 'operator' });
      await noted(tx, act);
    });
    log.info({ action: one.action, object: object.id }, `healing leaves it alone: ${text}`);
  };

  const objectOf = (one: Pick<Case, 'action' | 'objectId'>, fallback: Partial<HealedObject>): HealedObject =>
    objects.get(`${one.action} ${one.objectId}`) ?? {
      type: fallback.type ?? 'vm',
      id: one.objectId,
      name: fallback.name ?? one.objectId,
      project: fallback.project ?? null,
    };

  const quietly = (what: string, work: () => Promise<void>) =>
    void inTurn(work).catch((error: unknown) => log.error({ err: error }, `${what}: ${messageOf(error)}`));

  return {
    async resume() {
      for (const act of await store.begun()) {
        const operation =
          act.operation_id === null ? await hands.startedFor(act.id) : await hands.get(act.operation_id);
        if (operation === null) await neverBegan(act, 'hyperd ended before it began.');
        else await inTurn(() => follow(act, operation));
      }
    },

    round: () =>
      inTurn(async () => {
        let nextMs: number | null = null;
        for (const finder of finders) {
          const found = await finder.find();
          if (found === null) continue;
          const ids = new Set(found.findings.map(({ object }) => object.id));
          await close(finder, (id) => ids.has(id) || found.isUnknown(id));
          for (const finding of found.findings) {
            const dueMs = await consider(finder, finding);
            if (dueMs !== null) nextMs = Math.min(nextMs ?? dueMs, dueMs);
          }
        }
        return nextMs === null ? null : Math.max(0, nextMs - time.nowMs());
      }),

    heardOf(operation) {
      const act = running.get(operation.id);
      if (act !== undefined) {
        if (FINAL_STATES.includes(operation.state)) {
          running.delete(operation.id);
          settleLater(act, operation);
        }
        return;
      }
      const { objectId, actor } = operation;
      // What the machine does by its own timetable is nobody's wish.
      if (objectId === null || actor === HEALER || actor === 'system') return;
      const isOpen = (one: Case) => one.objectId === objectId && one.openedMs !== null && one.endedBy === null;
      if (!store.cases().some(isOpen)) return;
      quietly('healing could not note that somebody took over', async () => {
        for (const one of store.cases().filter(isOpen))
          await end(
            one,
            objectOf(one, { name: operation.objectName ?? objectId, project: operation.project }),
            `${actor} took over: ${operation.title}.`,
          );
      });
    },

    takenOver(action, objectId, text) {
      quietly('healing could not note that somebody took over', async () => {
        const nowMs = time.nowMs();
        const known = store.case(action, objectId);
        if (known?.endedBy === 'operator') return;
        const one = {
          action,
          objectId,
          nextMs: nowMs,
          endedBy: null,
          heldBy: null,
          actsMs: [],
          ...known,
          openedMs: known?.openedMs ?? nowMs,
        };
        await end(one, objectOf(one, { type: action === 'pool-start' ? 'pool' : 'vm' }), text);
      });
    },

    settled: () => inTurn(async () => undefined),
  };
}

const recent = (actsMs: readonly number[], nowMs: number) => actsMs.filter((atMs) => nowMs - atMs < HOUR_MS);

const delay = (finder: Finder, acts: number): number =>
  finder.delaysMs[Math.min(acts, finder.delaysMs.length - 1)] ?? 0;

const sentence = (text: string): string => {
  const begun = `${text.charAt(0).toUpperCase()}${text.slice(1)}`;
  return /[.!?]$/.test(begun) ? begun : `${begun}.`;
};

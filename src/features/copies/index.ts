/** Copies of repositories at other places, made after each backup: a second copy of every restore point and
 *  of the state of this host, off this machine.
 *  Tables: backup_copy, backup_copy_point. Events in: operation.changed, repository.changed. Events out: repository.changed, backup.changed.
 *  Permissions: backup.read, backup.run, backup.configure. Guide: docs/guides/backup-copies.md */

import type { BackupCopy } from '#contract/backup-copies.ts';
import { backupPlaceErrors } from '#contract/backup-places.ts';
import { FINAL_STATES, type Operation } from '#contract/operations.ts';
import { backups, repositoryObject } from '#features/backups/index.ts';
import { metrics } from '#features/metrics/index.ts';
import { notifications } from '#features/notifications/index.ts';
import { type OperationsApi, operations } from '#features/operations/index.ts';
import { protection } from '#features/protection/index.ts';
import { stateBackups } from '#features/state-backups/index.ts';
import { AppError } from '#kernel/errors.ts';
import { page } from '#kernel/page.ts';
import { defineFeature, SYSTEM_IDENTITY } from '#platform/feature.ts';
import { chooseForCopy, type SourcePoint } from './choose.ts';
import { COPY, copyLock, copyOperation } from './copy-operation.ts';
import { type CopiedPoint, type Copy, createCopyStore } from './copy-store.ts';
import { createCopyKeeper, pauseAfter } from './keeper.ts';
import { copyMigrations } from './migrations.ts';
import { type CopyStanding, copyCollector, copyMetrics } from './standing.ts';

export type { CopyStanding } from './standing.ts';

export interface CopiesApi {
  /** How far each copy is behind. Never waits. */
  standing(): readonly CopyStanding[];
}

export const copies = defineFeature<CopiesApi>({
  name: 'copies',
  needs: ['backups', 'metrics', 'notifications', 'operations', 'protection', 'state-backups'],
  migrations: copyMigrations,
  errors: backupPlaceErrors,
  setup({ db, clock, calendar, events, log, use }) {
    const journal = use(operations);
    const { catalogue, repositories, runKinds, copiesKnownTo } = use(backups);
    const messages = use(notifications);
    const figures = use(metrics);
    const { isPointProtected, secondCopies } = use(protection);
    const { statesIn, retention: stateRetention, writeKind } = use(stateBackups);
    const store = createCopyStore(db);

    const nameOf = (id: string) => repositories.find(id)?.name ?? null;
    const choose = (copy: Copy) =>
      chooseForCopy({
        copy,
        stateRetention,
        source: [
          ...catalogue
            .known()
            .filter(({ repositoryId }) => repositoryId === copy.sourceId)
            .map((point): SourcePoint => ({ ...point, kind: 'vm' })),
          ...statesIn(copy.sourceId).map(
            ({ id, series, seq, madeAt, problem }): SourcePoint => ({
              ...{ id, kind: 'state', vmId: series, seq, pointInTime: madeAt, isGood: problem === null },
            }),
          ),
        ],
        there: store.points(copy.repositoryId),
        isProtected: isPointProtected,
        nowMs: clock.now().getTime(),
      });
    const holds = (repositoryId: string, pointId: string) =>
      store.points(repositoryId).some(({ point_id, is_good }) => point_id === pointId && is_good === 1);

    copiesKnownTo({
      holder: (pointId, repositoryId) =>
        store.all().find((copy) => copy.repositoryId !== repositoryId && holds(copy.repositoryId, pointId))
          ?.repositoryId ?? null,
      sourceOf: (id) => store.find(id)?.sourceId ?? null,
      pointsIn: (id) => store.points(id).flatMap(({ point_id, kind }) => (kind === 'vm' ? [point_id] : [])),
      namesOf: (pointId) =>
        store.all().flatMap(({ repositoryId }) => (holds(repositoryId, pointId) ? (nameOf(repositoryId) ?? []) : [])),
    });
    secondCopies((vmId, sourceIds) => {
      const asked = store.all().filter(({ isEnabled, sourceId }) => isEnabled && sourceIds.includes(sourceId));
      if (asked.length === 0) return null;
      const times = asked.flatMap(({ repositoryId }) =>
        store
          .points(repositoryId)
          .filter(({ vm_id, is_good }) => vm_id === vmId && is_good === 1)
          .map(({ point_in_time }) => Date.parse(point_in_time)),
      );
      return { newestCopiedMs: times.length === 0 ? null : Math.max(...times) };
    });

    const nextTry = ({ lastAt, failures }: Copy): string => {
      const nowMs = clock.now().getTime();
      const dueMs = lastAt === null ? nowMs : Date.parse(lastAt) + pauseAfter(failures);
      return new Date(Math.max(nowMs, dueMs)).toISOString();
    };
    const view = (copy: Copy): BackupCopy => {
      const all = store.points(copy.repositoryId);
      const { vm: points = [], state: states = [] } = Object.groupBy(all, ({ kind }) => kind);
      const { vm: missing = [], state: missingStates = [] } = Object.groupBy(choose(copy).missing, ({ kind }) => kind);
      const newest = (of: readonly CopiedPoint[]) =>
        of
          .map(({ point_in_time }) => point_in_time)
          .sort()
          .at(-1) ?? null;
      const isRunning = journal.isLocked(copyLock(copy.repositoryId));
      return {
        repositoryId: copy.repositoryId,
        repositoryName: nameOf(copy.repositoryId) ?? '',
        sourceId: nameOf(copy.sourceId) === null ? null : copy.sourceId,
        sourceName: nameOf(copy.sourceId),
        isEnabled: copy.isEnabled,
        retention: copy.retention,
        timeZone: copy.timeZone,
        bytesPerSecond: copy.bytesPerSecond,
        state: isRunning
          ? 'running'
          : copy.problem !== null
            ? 'failed'
            : copy.lastAt === null
              ? 'never'
              : missing.length + missingStates.length > 0
                ? 'behind'
                : 'current',
        points: points.length,
        missing: missing.length,
        missingSince: missing.map(({ pointInTime }) => pointInTime).sort()[0] ?? null,
        newestAt: newest(points),
        takesStates: copy.takesStates,
        states: states.length,
        missingStates: missingStates.length,
        newestStateAt: newest(states),
        lastAt: copy.lastAt,
        succeededAt: copy.succeededAt,
        nextAt: isRunning || !copy.isEnabled || missing.length + missingStates.length === 0 ? null : nextTry(copy),
        problem: copy.problem,
        lockedPoints: all.filter(({ is_locked }) => is_locked === 1).length,
      };
    };

    const standing = (): readonly CopyStanding[] =>
      store.all().map((copy) => {
        const { missing } = choose(copy);
        const times = missing.map(({ pointInTime }) => Date.parse(pointInTime));
        return {
          repositoryId: copy.repositoryId,
          name: nameOf(copy.repositoryId) ?? '',
          isEnabled: copy.isEnabled,
          missing: missing.length,
          waitingSinceMs: times.length === 0 ? null : Math.min(...times),
          succeededAtMs: copy.succeededAt === null ? null : Date.parse(copy.succeededAt),
          problem: copy.problem,
        };
      });

    const kind = journal.register(
      copyOperation({
        clock,
        repositories,
        store,
        choose,
        doubt: () => (calendar.leap() === null ? null : 'the date of this machine leapt'),
        isFree: (pointId) => !journal.isHeld(`restore-point:${pointId}`),
        pointChanged(pointId) {
          const point = catalogue.known().find(({ id }) => id === pointId);
          if (point) events.emit('backup.changed', { id: pointId, project: point.project, vmId: point.vmId });
        },
        async pointsLeft(pointIds, repositoryId) {
          const listed = catalogue
            .known()
            .filter((point) => point.repositoryId === repositoryId && pointIds.includes(point.id));
          await db.transaction((tx) =>
            catalogue.remove(
              tx,
              listed.map(({ id }) => id),
            ),
          );
          for (const { id, project, vmId } of listed) events.emit('backup.changed', { id, project, vmId });
        },
        async ended(copy, problem, { name, sourceName }) {
          const at = clock.now().toISOString();
          await store.put({
            ...copy,
            lastAt: at,
            succeededAt: problem === null ? at : copy.succeededAt,
            problem: problem === null ? null : `${problem.message} ${problem.hint}`,
            failures: problem === null ? 0 : copy.failures + 1,
          });
          events.emit('repository.changed', { id: copy.repositoryId });
          if (problem === null) return;
          await db.transaction((tx) =>
            messages.announceEvent(tx, {
              key: `backup-copy:${copy.repositoryId}:${at.slice(0, 10)}`,
              severity: 'warning',
              title: `The copy of ${sourceName} to ${name} failed`,
              text: `${problem.message} ${problem.hint}`,
              project: null,
              labels: { category: 'backups', repository: name },
            }),
          );
        },
      }),
    );
    const begin = (copy: Copy, request: Parameters<OperationsApi['start']>[2]): Promise<Operation> => {
      const source = repositories.find(copy.sourceId);
      if (!source) throw new AppError('wrong_state', { detail: 'The repository that it is a copy of was forgotten.' });
      return journal.start(
        kind,
        {
          repositoryId: copy.repositoryId,
          name: repositories.get(copy.repositoryId).name,
          sourceId: source.id,
          sourceName: source.name,
        },
        request,
      );
    };
    const found = (idOrName: string): Copy => {
      const row = repositories.get(idOrName);
      const copy = store.find(row.id);
      if (!copy)
        throw new AppError('not_found', {
          detail: `"${row.name}" is no copy of another repository.`,
          hint: 'Make it one with `hv repo copy NAME --of REPOSITORY`.',
        });
      return copy;
    };

    /** After them something may be missing in a copy. */
    const wakingKinds = [...runKinds, writeKind, COPY];
    const keeper = createCopyKeeper({
      clock,
      log,
      copies: store.all,
      isDue: (copy) =>
        repositories.find(copy.sourceId) !== null &&
        !journal.isLocked(copyLock(copy.repositoryId)) &&
        choose(copy).missing.length > 0,
      async begin(copy) {
        await begin(copy, {
          identity: SYSTEM_IDENTITY,
          project: null,
          requestId: null,
          idempotencyKey: null,
          requestHash: COPY,
          action: 'copy after backup',
        });
      },
    });

    const stopping = new AbortController();
    const ends: (() => void)[] = [];
    let work: Promise<unknown> = Promise.resolve();

    return {
      api: { standing },
      metrics: () => copyMetrics(standing(), clock.now().getTime()),
      handlers: {
        'GET /backup-copies': ({ may, query }) => {
          const seen = store.all().flatMap((copy) => {
            const row = repositories.find(copy.repositoryId);
            return row !== null && may('backup.read', repositoryObject(row))
              ? [{ id: row.id, name: row.name, copy }]
              : [];
          });
          return page(
            seen.toSorted((a, b) => a.name.localeCompare(b.name, 'en')),
            query,
            ({ copy }) => view(copy),
          );
        },
        'GET /repositories/{id}/copy': ({ params }) => view(found(params.id)),
        'PUT /repositories/{id}/copy': async ({ params, body }) => {
          const row = repositories.get(params.id);
          const source = repositories.get(body.source);
          const before = store.find(row.id);
          if (source.id === row.id || source.is_copy === 1 || source.place !== null)
            throw new AppError('wrong_state', {
              detail: `"${source.name}" cannot be the source of a copy.`,
              hint: 'Name the repository on this host that VMs are backed up to.',
            });
          if (
            row.is_default === 1 ||
            (before === null && catalogue.known().some(({ repositoryId }) => repositoryId === row.id))
          )
            throw new AppError('wrong_state', {
              detail: `"${row.name}" holds restore points of its own.`,
              hint: 'Add an empty place for the copy: `hv repo add`.',
            });
          await repositories.becomeCopy(row, source);
          await store.put({
            repositoryId: row.id,
            sourceId: source.id,
            isEnabled: body.isEnabled,
            retention: body.retention,
            timeZone: body.timeZone,
            bytesPerSecond: body.bytesPerSecond,
            lastAt: before?.lastAt ?? null,
            succeededAt: before?.succeededAt ?? null,
            problem: before?.problem ?? null,
            failures: 0,
            takesStates: body.takesStates,
          });
          keeper.wake();
          return view(found(row.id));
        },
        'POST /repositories/{id}/copy': async (request) => {
          const { identity, project, requestId, idempotencyKey, requestHash } = request;
          return begin(found(request.params.id), {
            identity,
            project,
            requestId,
            idempotencyKey,
            requestHash,
            action: 'POST /repositories/{id}/copy',
          });
        },
      },
      async start() {
        await store.load();
        ends.push(
          events.on('repository.changed', ({ id }) => {
            if (repositories.find(id) === null) store.forget(id);
          }),
          events.on('operation.changed', ({ kind: ended, state, objectId, result }) => {
            if (FINAL_STATES.includes(state) && wakingKinds.includes(ended)) keeper.wake();
            if (ended !== 'repository.check' || !FINAL_STATES.includes(state) || objectId === null) return;
            noteDamage(objectId, result).catch((error: unknown) =>
              log.warn({ err: error }, 'what a check found in a copy was not written down'),
            );
          }),
        );
      },
      async resume(signal) {
        ends.push(figures.addCollector(copyCollector(figures.host, clock, standing)));
        work = keeper.run(AbortSignal.any([signal, stopping.signal]));
      },
      async stop() {
        for (const end of ends.splice(0)) end();
        stopping.abort(new Error('the daemon stops'));
        await work;
      },
    };

    async function noteDamage(repositoryId: string, result: unknown): Promise<void> {
      if (!store.find(repositoryId) || typeof result !== 'object' || result === null || !('damagedPoints' in result))
        return;
      const damaged: unknown = result.damagedPoints;
      if (!Array.isArray(damaged)) return;
      for (const point of store.points(repositoryId)) {
        const is_good = damaged.includes(point.point_id) ? 0 : 1;
        if (is_good !== point.is_good) await store.putPoint(repositoryId, { ...point, is_good });
      }
    }
  },
});

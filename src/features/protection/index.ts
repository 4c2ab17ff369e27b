/** Protection: which VMs are backed up when, what is kept of it, and how well each VM is protected.
 *  Tables: backup_schedule, backup_round, backup_round_vm, backup_last_run, backup_kept_point, backup_prune, backup_accepted_disk. Events in: operation.changed.
 *  Events out: schedule.changed, backup.changed. Permissions: backup.read, backup.run, backup.delete, backup.configure.
 *  Guide: docs/guides/backups.md */

import type { Operation } from '#contract/operations.ts';
import { protectionErrors, type VmPosture } from '#contract/protection.ts';
import { backups } from '#features/backups/index.ts';
import { inventory } from '#features/inventory/index.ts';
import { metrics } from '#features/metrics/index.ts';
import { notifications } from '#features/notifications/index.ts';
import { operations } from '#features/operations/index.ts';
import { projects } from '#features/projects/index.ts';
import { quotas } from '#features/quotas/index.ts';
import { verification } from '#features/verification/index.ts';
import { nap } from '#kernel/async.ts';
import { messageOf } from '#kernel/errors.ts';
import { defineFeature, SYSTEM_IDENTITY } from '#platform/feature.ts';
import { backupCollector } from './figures.ts';
import { createLastRuns } from './last-runs.ts';
import { type ProtectionTables, type PruneRow, protectionMigrations } from './migrations.ts';
import { proofsOf } from './proofs.ts';
import { choosePoints } from './pruning/keeping.ts';
import { createKeptPoints } from './pruning/kept-points.ts';
import { doubtOf, type PruneInput, pruneOperation } from './pruning/prune-operation.ts';
import { createUpkeep } from './pruning/upkeep.ts';
import { reportReply } from './report/reply.ts';
import { createWeekly } from './report/weekly.ts';
import { roundOperation } from './rounds/round-operation.ts';
import { createRoundStore } from './rounds/round-store.ts';
import { createTurns } from './rounds/turns.ts';
import { coverageOf } from './schedules/coverage.ts';
import { createScheduleRoutes, scheduleObject } from './schedules/schedule-routes.ts';
import { createScheduleStore, type Schedule } from './schedules/schedule-store.ts';
import { createScheduler } from './schedules/scheduler.ts';
import { createAcceptedDisks } from './standing/accepted-disks.ts';
import { createStanding } from './standing/standing.ts';
import { createStandingRoutes } from './standing/standing-routes.ts';

const WEEKLY_LOOK_MS = 600_000;
const LOOKS_PER_DAY = 86_400_000 / WEEKLY_LOOK_MS;

export interface ProtectionApi {
  /** How each VM stands, the worst first; null while nothing backs any VM up: no schedule, no restore point. */
  standing(): readonly VmPosture[] | null;
  /** Somebody said that it stays. */
  isPointProtected(pointId: string): boolean;
  /** Whoever keeps second copies; during set-up only. The answer is null when none is asked for of these repositories. */
  secondCopies(ask: SecondCopyOf): void;
}

export type SecondCopyOf = (
  vmId: string,
  repositoryIds: readonly string[],
) => { readonly newestCopiedMs: number | null } | null;

export { type CandidatePoint, decideRetention, type RetentionPolicy } from './retention.ts';

export const protection = defineFeature<ProtectionApi>({
  name: 'protection',
  needs: ['backups', 'inventory', 'metrics', 'notifications', 'operations', 'projects', 'quotas', 'verification'],
  migrations: protectionMigrations,
  errors: protectionErrors,
  setup({ address, config, db, clock, calendar, events, log, use }) {
    const journal = use(operations);
    const known = use(inventory);
    const store = use(backups);
    const { catalogue, repositories, beginRun, beginScan, runKinds } = store;
    const ledger = use(quotas);
    const registry = use(projects);
    const messages = use(notifications);
    const figures = use(metrics);
    const schedules = createScheduleStore(db);
    const rounds = createRoundStore(db);
    const lastRuns = createLastRuns(db, () => runKinds);
    const kept = createKeptPoints(db);
    const accepted = createAcceptedDisks(db);
    store.keptBy((pointId) => kept.ids().has(pointId));
    let secondCopyOf: SecondCopyOf = () => null;
    const prunes = new Map<string, PruneRow>();
    const proofs = proofsOf(use(verification));

    /** What we begin ourselves. @param key the same for the same moment */
    const own = (action: string, project: string | null, key: string | null) => ({
      identity: SYSTEM_IDENTITY,
      project,
      requestId: null,
      idempotencyKey: key,
      requestHash: key ?? action,
      action,
    });
    const defaultRepositoryId = () => repositories.list().find(({ is_default }) => is_default === 1)?.id ?? null;
    const choose = (repositoryId: string | null) =>
      choosePoints({
        points: catalogue.known().filter((point) => repositoryId === null || point.repositoryId === repositoryId),
        schedules: schedules.all(),
        vms: known.vms(),
        defaultRepositoryId: defaultRepositoryId(),
        protectedPoints: kept.ids(),
        pointsInUse: store.pointsInUse(),
        passedPoints: new Set(known.vms().flatMap(({ id }) => proofs.latest(id).passed?.pointId ?? [])),
        nowMs: clock.now().getTime(),
      });
    const changed = (id: string) => events.emit('schedule.changed', { id });

    const pruneKind = journal.register(
      pruneOperation({
        clock,
        calendar,
        choose,
        async sweep(repositoryId, { remove, maxSweepRatio, signal }) {
          const repository = await repositories.open(repositoryId);
          // The store itself looks at those that stay. One that is to go and cannot be read is for a person too.
          for await (const { manifest, problem } of repository.points()) if (manifest === null) throw problem;
          // What was decided may be from before a restart.
          const inUse = store.pointsInUse();
          return repository.prune({
            points: { remove: remove.filter((id) => !inUse.has(id)) },
            signal,
            ...(maxSweepRatio === null ? {} : { maxSweepRatio }),
          });
        },
        async forget(_repositoryId, ids) {
          const gone = catalogue.known().filter(({ id }) => ids.includes(id));
          await db.transaction(async (tx) => {
            await catalogue.remove(tx, ids);
            await kept.forget(tx, ids);
            for (const { project, operationId } of gone)
              await ledger.hold(tx, null, [{ project, resource: 'backups', objectId: operationId, amount: 0 }]);
          });
          for (const { id, project, vmId } of gone) events.emit('backup.changed', { id, project, vmId });
        },
        async ended(row, input) {
          await db.transaction(async (tx) => {
            await tx
              .tables<ProtectionTables>()
              .insertInto('backup_prune')
              .values(row)
              .onConflict((conflict) => conflict.column('repository').doUpdateSet(row))
              .execute();
            if (row.state !== 'done') await messages.announceEvent(tx, troubleOf(row, input));
          });
          prunes.set(row.repository, row);
        },
      }),
    );
    const beginPrune = (repositoryId: string, name: string) =>
      journal.start(pruneKind, { repositoryId, name, isLargeAllowed: false }, own('retention', null, null));

    const roundKind = journal.register(
      roundOperation({
        rounds,
        clock,
        turns: createTurns(config.backups.parallel),
        parallel: config.backups.parallel,
        schedule: schedules.find,
        vms: known.vms,
        backUp: (vmId, schedule, roundId, isAgain) =>
          beginRun(
            { vm: vmId, repository: schedule.repository, isFull: false, scrubDays: schedule.scrubDays },
            own(
              `schedule ${schedule.name}`,
              known.vm(vmId)?.project ?? null,
              `${roundId} ${vmId}${isAgain ? ' again' : ''}`,
            ),
          ),
        operation: journal.get,
        waitFor: journal.waitFor,
        cancel: journal.cancel,
        pointOf: (id) => catalogue.known().find(({ operationId }) => operationId === id)?.id ?? null,
        async afterwards(schedule, done) {
          try {
            if (schedule.proof === 'each')
              for (const { vmId, pointId } of done) {
                const vm = known.vm(vmId);
                if (vm !== null && pointId !== null) await proofs.prove(vm, pointId);
              }
            const id = schedule.repository ?? defaultRepositoryId();
            const repository = id === null ? null : repositories.find(id);
            if (repository !== null && calendar.leap() === null) await beginPrune(repository.id, repository.name);
          } catch (error) {
            // What cannot begin now does at the daily look.
            log.warn(
              { err: error, schedule: schedule.name },
              `what follows a backup did not begin: ${messageOf(error)}`,
            );
          }
        },
        changed,
      }),
    );
    const beginRound = (
      schedule: Schedule,
      dueMs: number,
      request: Parameters<typeof journal.start>[2],
    ): Promise<Operation> =>
      journal.start(
        roundKind,
        { scheduleId: schedule.id, scheduleName: schedule.name, dueAt: new Date(dueMs).toISOString() },
        request,
      );

    const scheduler = createScheduler({
      store: schedules,
      clock,
      log,
      async begin(schedule, dueMs) {
        await beginRound(schedule, dueMs, own(`schedule ${schedule.name}`, null, `${schedule.id} ${dueMs}`));
      },
      async skip(schedule, dueMs, why) {
        const now = clock.now();
        await rounds.skipped(
          {
            id: `${schedule.id}-${dueMs}`,
            schedule_id: schedule.id,
            schedule_name: schedule.name,
            due_at: new Date(dueMs).toISOString(),
            began_at: now.toISOString(),
          },
          why,
        );
        changed(schedule.id);
      },
    });

    const readAtMs = ({ scanned_at, created_at }: { scanned_at: string | null; created_at: string }) =>
      Date.parse(scanned_at ?? created_at);
    const standing = createStanding({
      clock,
      calendar,
      lastRuns,
      proofs,
      acceptedDisks: accepted.of,
      schedules: schedules.all,
      vms: known.vms,
      points: catalogue.known,
      secondCopy: (vmId, repositoryIds) => secondCopyOf(vmId, repositoryIds),
      repositories: () =>
        repositories
          .list()
          .map((row) => ({ id: row.id, name: row.name, isDefault: row.is_default === 1, readAtMs: readAtMs(row) })),
    });
    const upkeep = createUpkeep({
      clock,
      log,
      repositories: () =>
        repositories.list().map((row) => ({
          id: row.id,
          name: row.name,
          readAtMs: readAtMs(row),
          prunedAtMs: dateOf(prunes.get(row.id)?.at),
        })),
      async read(repositoryId) {
        await beginScan(repositoryId, own('daily look', null, null));
      },
      async prune(repositoryId, name) {
        if (calendar.leap() === null) await beginPrune(repositoryId, name);
      },
    });

    const weekly = createWeekly({ db, clock, rounds, standing, messages, origin: () => address().origin });
    const provenWeekly = () => {
      const plans = schedules.all().filter(({ isEnabled, proof }) => isEnabled && proof !== 'never');
      const vms = known.vms();
      const covered = new Set(plans.flatMap(({ targets }) => coverageOf(targets, vms).covered.map(({ id }) => id)));
      return vms.filter(({ id }) => covered.has(id));
    };
    const keepWeekly = async (signal: AbortSignal) => {
      while (!signal.aborted) {
        try {
          await weekly.look();
          const vms = provenWeekly();
          // All of them are due at the first start: spread over a day they stay spread.
          await proofs.proveDue(vms, Math.ceil(vms.length / LOOKS_PER_DAY));
        } catch (error) {
          log.warn({ err: error }, `what comes each week is tried again: ${messageOf(error)}`);
        }
        await nap(clock, WEEKLY_LOOK_MS, signal);
      }
    };

    const stopping = new AbortController();
    let endListening: () => void = () => undefined;
    let endMeasuring: () => void = () => undefined;
    let work: Promise<unknown> = Promise.resolve();

    return {
      api: {
        isPointProtected: (pointId) => kept.ids().has(pointId),
        secondCopies(ask) {
          secondCopyOf = ask;
        },
        standing: () => (schedules.all().length === 0 && catalogue.known().length === 0 ? null : standing.all()),
      },
      handlers: {
        ...createScheduleRoutes({
          store: schedules,
          rounds,
          clock,
          vms: known.vms,
          repository: repositories.get,
          findRepository: repositories.find,
          findProject: registry.get,
          isRunning: (id) => journal.isLocked(`schedule:${id}`),
          changed,
          begin: (schedule, request) =>
            beginRound(schedule, clock.now().getTime(), { ...request, action: 'POST /backup-schedules/{id}/run' }),
        }),
        ...createStandingRoutes({
          standing,
          kept,
          accepted,
          clock,
          known,
          choose: () => choose(null),
          doubt: () => doubtOf(calendar),
          repository: repositories.get,
          repositoryName: (id) => repositories.find(id)?.name ?? id,
          findProject: registry.get,
          prune: ({ id, name }, request) =>
            journal.start(
              pruneKind,
              { repositoryId: id, name, isLargeAllowed: request.body.allowLarge },
              { ...request, action: 'POST /backup-retention/run' },
            ),
          vmChanged: ({ id, project }) => events.emit('backup.changed', { id, project, vmId: id }),
          pointChanged(pointId) {
            const point = catalogue.known().find(({ id }) => id === pointId);
            if (point) events.emit('backup.changed', { id: pointId, project: point.project, vmId: point.vmId });
          },
        }),
        'GET /backup-report': async ({ query }) => reportReply(await weekly.gather(), query.format),
      },
      resolvers: {
        schedule(idOrName) {
          const schedule = schedules.find(idOrName);
          return schedule === null ? null : scheduleObject(schedule);
        },
      },
      async start() {
        await schedules.load();
        await lastRuns.load();
        await kept.load();
        await accepted.load();
        for (const row of await db.tables<ProtectionTables>().selectFrom('backup_prune').selectAll().execute())
          prunes.set(row.repository, row);
        endListening = events.on('operation.changed', (operation) => {
          lastRuns
            .heardOf(operation)
            .catch((error: unknown) =>
              log.warn({ err: error }, `how a backup ended was not written down: ${messageOf(error)}`),
            );
        });
      },
      async resume(signal) {
        endMeasuring = figures.addCollector(
          backupCollector({
            clock,
            postures: standing.all,
            points: catalogue.known,
            inconclusiveProofs: proofs.inconclusiveInRow,
            isRunning: (vmId) => runKinds.includes(journal.openFor(vmId)?.kind ?? ''),
          }),
        );
        const ends = AbortSignal.any([signal, stopping.signal]);
        work = Promise.all([scheduler.run(ends), upkeep.run(ends), keepWeekly(ends)]);
      },
      async stop() {
        endListening();
        endMeasuring();
        stopping.abort(new Error('the daemon stops'));
        await work;
      },
    };
  },
});

const dateOf = (text: string | undefined): number | null => (text === undefined ? null : Date.parse(text));

function troubleOf(row: PruneRow, { name }: PruneInput) {
  const isAsking = row.state === 'asks';
  return {
    key: `backup-prune:${row.repository}:${row.at.slice(0, 10)}`,
    severity: 'warning' as const,
    title: isAsking ? `Cleaning the repository ${name} waits for you` : `The repository ${name} could not be cleaned`,
    text: `${row.detail ?? ''} ${isAsking ? 'See what would go with `hv backup prune --dry-run`.' : 'Nothing was removed; see it with `hv repo check`.'}`.trim(),
    project: null,
    labels: { category: 'backups', repository: name },
  };
}

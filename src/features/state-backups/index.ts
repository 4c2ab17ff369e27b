/** State backups: users, grants, settings, schedules, definitions, keys of this installation in its repositories, and how they come back.
 *  Tables: state_series, state_backup, state_restore. Permissions: backup.configure, settings.change, access.manage.
 *  Guide: docs/guides/disaster-recovery.md */

import { hostname } from 'node:os';
import { join } from 'node:path';
import { FINAL_STATES } from '#contract/operations.ts';
import { stateBackupErrors } from '#contract/state-backups.ts';
import { audit } from '#features/audit/index.ts';
import { backups } from '#features/backups/index.ts';
import { inventory } from '#features/inventory/index.ts';
import { operations } from '#features/operations/index.ts';
import { decideRetention, type RetentionPolicy } from '#features/protection/index.ts';
import { newUuid } from '#kernel/ids.ts';
import { defineFeature, SYSTEM_IDENTITY } from '#platform/feature.ts';
import { VERSION } from '#platform/version.ts';
import { afterRestore } from './after-restore.ts';
import { createDaily } from './daily.ts';
import { readDefinitions } from './definitions.ts';
import { readKeyFiles } from './key-files.ts';
import { type FoundState, listStates } from './read-point.ts';
import { createStateRoutes } from './routes.ts';
import { createStateKeys } from './state-key.ts';
import { type StateTables, stateMigrations } from './tables.ts';
import { WRITE, writeOperation } from './write-operation.ts';
import { writePoint } from './write-point.ts';

/** How the state stands in one repository. */
export interface StateInRepository {
  readonly repositoryName: string;
  /** When it was last written there; null = never. */
  readonly atMs: number | null;
  /** Since when the repository is known. */
  readonly sinceMs: number;
  /** It would be lost together with the host, and no copy holds it. */
  readonly isInStateFolder: boolean;
  /** Why the last try failed; null = it did not. */
  readonly problem: string | null;
  /** Keys and passwords are in it. */
  readonly hasSecrets: boolean;
}

export interface StateBackupsApi {
  standing(): Promise<readonly StateInRepository[]>;
  /** Good and damaged states of all hosts in a repository, newest first, as last read; empty before that. */
  statesIn(repositoryId: string): readonly FoundState[];
  /** How long states stay. */
  readonly retention: RetentionPolicy;
  /** Kind of the operation that writes them. */
  readonly writeKind: string;
}

/** Whatever the days say: when the newest is damaged the one before is looked for. */
const KEPT_LAST = 3;
/** Kinds of operations after which a repository may hold other states than before. */
const READING: readonly string[] = ['repository.scan', 'repository.check', 'repository.repair'];

export const stateBackups = defineFeature<StateBackupsApi>({
  name: 'state-backups',
  needs: ['audit', 'backups', 'inventory', 'operations', 'protection'],
  migrations: stateMigrations,
  errors: stateBackupErrors,
  setup({ calendar, clock, config, db, events, libvirt, log, restart, use }) {
    const journal = use(operations);
    const known = use(inventory);
    const { copiesOf, repositories } = use(backups);
    const retention: RetentionPolicy = { last: KEPT_LAST, hourly: 0, yearly: 0, ...config.backups.state };
    const keys = createStateKeys(config.state.root);
    const database = join(config.state.root, 'state.db');
    const tables = () => db.tables<StateTables>();
    const tries = new Map<string, { at: string | null; triedAt: string; problem: string | null }>();
    let series: string | null = null;

    /** By repository, as last read. */
    const statesIn = new Map<string, readonly FoundState[]>();
    const readStates = async (repositoryId: string): Promise<readonly FoundState[]> => {
      const states = await listStates(await repositories.open(repositoryId), series);
      statesIn.set(repositoryId, states);
      return states;
    };
    /** Those that a state can be written to; copies get theirs with the other points. */
    const written = () => repositories.list().filter(({ is_copy, place }) => is_copy === 0 && place === null);
    const lookInto = async (ids: readonly string[]) => {
      for (const id of ids)
        await readStates(id).catch((error: unknown) =>
          log.info({ repository: id, err: error }, 'its states are looked for again when it is read'),
        );
    };

    const ownSeries = async (): Promise<string> => {
      if (series === null) {
        const uuid = newUuid();
        await tables().insertInto('state_series').values({ id: 1, uuid }).execute();
        series = uuid;
      }
      return series;
    };

    const kind = journal.register(
      writeOperation({
        async isWritten(repositoryId, operationId) {
          for await (const { manifest } of (await repositories.open(repositoryId)).points(await ownSeries()))
            if (manifest?.op === operationId) return true;
          return false;
        },
        async write(repositoryId, operationId, signal) {
          await writePoint({
            repository: await repositories.open(repositoryId),
            repositoryId,
            database,
            series: await ownSeries(),
            host: hostname(),
            version: VERSION,
            operationId,
            definitions: await readDefinitions(known, libvirt, log),
            secrets: await readKeyFiles(config.state.root),
            key: await keys.current(),
            now: clock.now,
            signal,
          });
        },
        async thin(repositoryId) {
          const own = (await readStates(repositoryId)).filter(({ isOwn }) => isOwn);
          if (calendar.leap() !== null) return;
          const decisions = decideRetention(
            own.map(({ id, seq, madeAt, problem }) => ({
              id,
              seq,
              atMs: Date.parse(madeAt),
              isGood: problem === null,
              hasPassed: false,
              isProtected: false,
              isInUse: false,
              isCopyMissing: false,
            })),
            retention,
            { timeZone: 'UTC', nowMs: clock.now().getTime() },
          );
          const leaving = decisions.filter(({ reasons }) => reasons.length === 0).map(({ id }) => id);
          if (leaving.length === 0) return;
          await (await repositories.open(repositoryId)).remove(leaving);
          await readStates(repositoryId);
        },
        async ended(repository, problem) {
          const now = clock.now().toISOString();
          const at = problem === null ? now : (tries.get(repository)?.at ?? null);
          const row = { at, tried_at: now, problem };
          await tables()
            .insertInto('state_backup')
            .values({ repository, ...row })
            .onConflict((conflict) => conflict.column('repository').doUpdateSet(row))
            .execute();
          tries.set(repository, { at, triedAt: now, problem });
        },
      }),
    );

    const daily = createDaily({
      clock,
      log,
      repositories: () =>
        written()
          .filter(({ is_confirmed }) => is_confirmed === 1)
          .map(({ id, name }) => ({
            id,
            name,
            at: tries.get(id)?.at ?? null,
            triedAt: tries.get(id)?.triedAt ?? null,
          })),
      async begin(due) {
        await journal.start(
          kind,
          { repositories: [...due] },
          {
            identity: SYSTEM_IDENTITY,
            project: null,
            requestId: null,
            idempotencyKey: null,
            requestHash: 'daily state backup',
            action: 'daily state backup',
          },
        );
      },
    });

    const stopping = new AbortController();
    let work: Promise<unknown> = Promise.resolve();
    let reading: Promise<unknown> = Promise.resolve();
    let endListening: () => void = () => undefined;
    return {
      api: {
        async standing() {
          const isSealed = (await keys.current()) !== null;
          const isCopied = (id: string) =>
            (statesIn.get(id) ?? []).some((state) => state.isOwn && copiesOf(state.id).length > 0);
          return written().map(({ id, name, is_encrypted, is_default, created_at }) => ({
            repositoryName: name,
            atMs: dateOf(tries.get(id)?.at),
            sinceMs: Date.parse(created_at),
            isInStateFolder: is_default === 1 && !isCopied(id),
            problem: tries.get(id)?.problem ?? null,
            hasSecrets: is_encrypted === 1 || isSealed,
          }));
        },
        statesIn: (repositoryId) => statesIn.get(repositoryId) ?? [],
        retention,
        writeKind: WRITE,
      },
      handlers: createStateRoutes({
        db,
        clock,
        root: config.state.root,
        killPoint: config.killPoint,
        database,
        operations: journal,
        repositories,
        written,
        copiesOf,
        keys,
        kind,
        series: () => series,
        tries: () => tries,
        vmIds: () => known.vms().map(({ id }) => id),
        restart,
      }),
      async start() {
        series = (await tables().selectFrom('state_series').select('uuid').executeTakeFirst())?.uuid ?? null;
        for (const row of await tables().selectFrom('state_backup').selectAll().execute())
          tries.set(row.repository, { at: row.at, triedAt: row.tried_at, problem: row.problem });
        endListening = events.on('operation.changed', ({ kind: ended, state, objectId }) => {
          if (objectId === null || !READING.includes(ended) || !FINAL_STATES.includes(state)) return;
          if (written().some(({ id }) => id === objectId)) reading = reading.then(() => lookInto([objectId]));
        });
      },
      async resume(signal) {
        const wasRestored = await afterRestore({
          root: config.state.root,
          db,
          audit: use(audit),
          now: clock.now,
        });
        if (wasRestored) log.info({}, 'the state of this host was brought back');
        reading = lookInto(written().map(({ id }) => id));
        work = daily.run(AbortSignal.any([signal, stopping.signal]));
      },
      async stop() {
        endListening();
        stopping.abort(new Error('the daemon stops'));
        await Promise.all([work, reading]);
      },
    };
  },
});

const dateOf = (text: string | null | undefined): number | null =>
  text === null || text === undefined ? null : Date.parse(text);

/** The routes of state backups. */

import { hostname } from 'node:os';
import type { StateBackups } from '#contract/state-backups.ts';
import type { Repositories } from '#features/backups/index.ts';
import type { OperationsApi, RegisteredKind } from '#features/operations/index.ts';
import type { Clock } from '#kernel/clock.ts';
import { AppError, messageOf } from '#kernel/errors.ts';
import { newId } from '#kernel/ids.ts';
import type { Database } from '#platform/db/database.ts';
import type { Handlers, Identity } from '#platform/feature.ts';
import { asideName } from '#platform/state-swap.ts';
import { blockersOf, planRestore } from './plan-restore.ts';
import { type FoundState, listStates, type OpenState, openState } from './read-point.ts';
import { asRestoreFailure, type OpenSource, openSource, type StateSource } from './source.ts';
import { stageRestore } from './stage-restore.ts';
import type { StateKeys } from './state-key.ts';
import type { StateTables } from './tables.ts';
import type { WriteInput } from './write-operation.ts';

/** The answer is on its way before the doors close. */
const RESTART_AFTER_MS = 500;

export interface StateRouteDependencies {
  readonly db: Database;
  readonly clock: Clock;
  /** The state folder. */
  readonly root: string;
  readonly killPoint: string | null;
  /** File of the database. */
  readonly database: string;
  readonly operations: OperationsApi;
  readonly repositories: Repositories;
  /** Those that a state can be written to. */
  written(): ReturnType<Repositories['list']>;
  /** Names of the copies that hold a state. */
  copiesOf(pointId: string): readonly string[];
  readonly keys: StateKeys;
  readonly kind: RegisteredKind<WriteInput>;
  /** Null before the first state was written. */
  series(): string | null;
  tries(): ReadonlyMap<string, { readonly at: string | null; readonly problem: string | null }>;
  vmIds(): readonly string[];
  restart(): void;
}

export function createStateRoutes(dependencies: StateRouteDependencies): Handlers {
  const { db, clock, root, database, operations, repositories, keys, kind, series, tries, vmIds } = dependencies;
  const { copiesOf, written } = dependencies;
  let isRestoring = false;

  const onConsole = ({ via }: Identity) => {
    if (via !== 'admin_socket') throw new AppError('restore_on_console');
  };

  const withSource = async <Result>(
    source: StateSource,
    needsKey: boolean,
    work: (from: OpenSource, all: readonly FoundState[]) => Promise<Result>,
  ): Promise<Result> => {
    try {
      const from = await openSource(source, { root, needsKey, killPoint: dependencies.killPoint });
      try {
        return await work(from, await listStates(from.repository, series()));
      } finally {
        await from.close();
      }
    } catch (error) {
      throw asRestoreFailure(error);
    }
  };
  const withState = <Result>(
    source: StateSource & { readonly point?: string | undefined },
    work: (state: OpenState, found: FoundState, all: readonly FoundState[], from: OpenSource) => Promise<Result>,
  ): Promise<Result> =>
    withSource(source, true, async (from, all) => {
      const found = chosen(all, source.point, from.title);
      try {
        if (found.problem !== null)
          throw new AppError('state_damaged', { detail: found.problem, params: { point: found.id } });
        const state = await openState(await from.forPoint(found.id), found.id, source.recoveryKey);
        try {
          return await work(state, found, all, from);
        } finally {
          await state.close();
        }
      } catch (error) {
        throw withEarlier(error, found, all);
      }
    });
  const planOf = (state: OpenState, found: FoundState, all: readonly FoundState[]) =>
    planRestore(state, found, all, {
      host: hostname(),
      migrations: db.migrations,
      blockers: blockersOf(database),
    });

  const pointsOf = async (repositoryId: string) => {
    try {
      const states = await listStates(await repositories.open(repositoryId), series());
      return {
        problem: null,
        points: states.map(({ series: _series, ...point }) => ({ ...point, copies: [...copiesOf(point.id)] })),
      };
    } catch (error) {
      return { problem: messageOf(error), points: [] };
    }
  };

  return {
    'GET /system/state-backups': async (): Promise<StateBackups> => {
      const last = await db
        .tables<StateTables>()
        .selectFrom('state_restore')
        .selectAll()
        .orderBy('at', 'desc')
        .limit(1)
        .executeTakeFirst();
      return {
        recoveryKey: await keys.state(),
        repositories: await Promise.all(
          written().map(async ({ id, name, is_encrypted }) => {
            const { points, problem } = await pointsOf(id);
            return {
              id,
              name,
              isEncrypted: is_encrypted === 1,
              lastAt: points.find(({ isOwn }) => isOwn)?.madeAt ?? null,
              problem: problem ?? tries().get(id)?.problem ?? null,
              points,
            };
          }),
        ),
        lastRestore: last
          ? {
              at: last.at,
              by: last.by,
              point: last.point,
              host: last.host,
              madeAt: last.made_at,
              asideFolder: last.aside,
            }
          : null,
      };
    },
    'POST /system/state-backups': async (request) => {
      const { repository } = request.body;
      const rows = repository === undefined ? written() : [repositories.get(repository)];
      const [copy] = rows.filter(({ id }) => written().every((each) => each.id !== id));
      if (copy)
        throw new AppError('repository_is_copy', {
          detail: `"${copy.name}" gets its states from the repository that it is a copy of.`,
          hint: 'Write the state into that one: it is copied by itself.',
        });
      if (rows.length === 0)
        throw new AppError('wrong_state', {
          detail: 'There is no repository yet.',
          hint: 'Make one on another disk: `hv repo create NAME FOLDER`.',
        });
      return operations.start(
        kind,
        { repositories: rows.map(({ id, name }) => ({ id, name })) },
        { ...request, action: 'POST /system/state-backups' },
      );
    },
    'POST /system/recovery-key': async () => ({ recoveryKey: await keys.make() }),
    'POST /system/recovery-key/confirm': async ({ body }) => {
      await keys.confirm(body.recoveryKey);
      return undefined;
    },
    'POST /system/restore/states': async ({ body, identity }) => {
      onConsole(identity);
      return withSource(body, false, async ({ title, repository }, all) => ({
        place: title,
        isEncrypted: repository.isEncrypted,
        points: all.map(({ series: _series, ...point }) => point),
      }));
    },
    'POST /system/restore/plan': async ({ body, identity }) => {
      onConsole(identity);
      return withState(body, planOf);
    },
    'POST /system/restore': async ({ body, identity }) => {
      onConsole(identity);
      if (isRestoring) throw new AppError('busy', { detail: 'A state is being brought back already.' });
      isRestoring = true;
      const id = newId('op', clock.now().getTime()).slice(3);
      try {
        await withState(body, async (state, found, all, from) => {
          const plan = await planOf(state, found, all);
          if (plan.digest !== body.digest)
            throw new AppError('conflict', { detail: 'The state is another one than that of the plan.' });
          if (plan.blockers.length > 0 && !body.force)
            throw new AppError('machine_not_empty', { detail: `There are ${plan.blockers.join(', ')} here.` });
          if (plan.proof === 'none' && !body.unproven) throw new AppError('state_unproven');
          await stageRestore({
            root,
            id,
            pointId: found.id,
            from,
            state,
            vmIds: vmIds(),
            migrations: db.migrations,
            killPoint: dependencies.killPoint,
            about: {
              by: identity.user,
              userId: identity.userId,
              at: clock.now().toISOString(),
              point: found.id,
              host: found.host,
              madeAt: found.madeAt,
              version: plan.version,
              proof: plan.proof,
              secrets: plan.secrets,
              repository: state.header.repository,
              from: from.title,
              auditHead: state.header.auditHead,
            },
          });
        });
      } catch (error) {
        isRestoring = false;
        throw error;
      }
      setTimeout(dependencies.restart, RESTART_AFTER_MS);
      return { asideFolder: asideName(id) };
    },
  };
}

function chosen(all: readonly FoundState[], pointId: string | undefined, title: string): FoundState {
  const found = pointId === undefined ? all[0] : all.find(({ id }) => id === pointId);
  if (!found)
    throw new AppError('state_not_found', {
      detail:
        pointId === undefined ? `No host has its state in ${title}.` : `There is no state ${pointId} in ${title}.`,
    });
  const others = all.filter(({ series }) => series !== found.series);
  const newestOf = (state: FoundState) => all.find(({ series }) => series === state.series) === state;
  if (pointId === undefined && others.length > 0)
    throw new AppError('state_choice_needed', {
      detail: `The newest of each: ${[found, ...others.filter(newestOf)].map(({ id, host, madeAt }) => `${id} of ${host}, ${madeAt}`).join('; ')}.`,
    });
  return found;
}

/** Of one that is damaged the one before is named: it is what people need next. */
function withEarlier(error: unknown, found: FoundState, all: readonly FoundState[]): unknown {
  if (!(error instanceof AppError) || error.code !== 'state_damaged') return error;
  const earlier = all.find(
    ({ series, madeAt, problem }) => series === found.series && madeAt < found.madeAt && problem === null,
  );
  return new AppError('state_damaged', {
    detail: error.message,
    hint: earlier
      ? `Bring the one before back, of ${earlier.madeAt}: add \`--point ${earlier.id}\`.`
      : 'There is no earlier one in this repository. Look into another one.',
    params: { point: found.id, earlier: earlier?.id ?? null },
    cause: error,
  });
}

/** The routes of schedules and of what their runs did: everybody sees what of it is about VMs that he may see. */

import type { BackupRound, BackupSchedule, ScheduleTargets } from '#contract/protection.ts';
import type { Vm } from '#contract/vms.ts';
import { vmObject } from '#features/vms/index.ts';
import type { Clock } from '#kernel/clock.ts';
import { AppError } from '#kernel/errors.ts';
import { type ApiRequest, type FoundObject, type Handlers, SYSTEM } from '#platform/feature.ts';
import { type RoundStore, reportView, roundView } from '../rounds/round-store.ts';
import { runCalendar } from '../run-calendar.ts';
import { coverageOf } from './coverage.ts';
import type { Schedule, ScheduleFields, ScheduleStore } from './schedule-store.ts';
import { hostTimeZone } from './time-zone.ts';

export const scheduleObject = ({ id, name }: Pick<Schedule, 'id' | 'name'>): FoundObject => ({
  type: 'schedule',
  id,
  name,
  project: null,
  sharedWith: 'all',
});

export interface ScheduleRouteDependencies {
  readonly store: ScheduleStore;
  readonly rounds: RoundStore;
  readonly clock: Clock;
  vms(): readonly Vm[];
  /** @throws not_found */
  repository(idOrName: string): { readonly id: string; readonly name: string };
  findRepository(id: string): { readonly id: string; readonly name: string } | null;
  findProject(idOrName: string): { readonly id: string } | null;
  isRunning(scheduleId: string): boolean;
  changed(scheduleId: string): void;
  begin: (
    schedule: Schedule,
    request: ApiRequest<'POST /backup-schedules/{id}/run'>,
  ) => ReturnType<NonNullable<Handlers['POST /backup-schedules/{id}/run']>>;
}

type May = ApiRequest<'GET /backup-schedules'>['may'];

const PREVIEWED_RUNS = 10;
const MOST_RUNS = 1000;
const SHOWN_ROUNDS = 50;

export function createScheduleRoutes(dependencies: ScheduleRouteDependencies): Handlers {
  const { store, rounds, clock, vms, changed } = dependencies;
  const isSeen = (may: May) => (vm: { readonly id: string; readonly project: string }) =>
    may('backup.read', vmObject({ name: '', ...vm }));

  const found = (idOrName: string): Schedule => {
    const schedule = store.find(idOrName);
    if (schedule === null)
      throw new AppError('not_found', { detail: `There is no schedule "${idOrName.slice(0, 80)}".` });
    return schedule;
  };

  const roundFor = async (id: string, may: May): Promise<BackupRound | null> => {
    const row = (await rounds.newest([id])).get(id);
    return row === undefined ? null : seenRound(row, await rounds.vms(row.id), may);
  };

  const seenRound = (
    row: Parameters<typeof roundView>[0],
    all: Parameters<typeof roundView>[1],
    may: May,
  ): BackupRound =>
    roundView(
      // It names VMs.
      may('backup.read', SYSTEM) ? row : { ...row, note: null },
      all.filter(({ vm_id: id, project }) => isSeen(may)({ id, project })),
    );

  const view = async (schedule: Schedule, may: May): Promise<BackupSchedule> => ({
    id: schedule.id,
    name: schedule.name,
    isEnabled: schedule.isEnabled,
    calendar: schedule.calendar,
    timeZone: schedule.timeZone,
    targets: seenTargets(schedule.targets, vms().filter(isSeen(may)), may('backup.read', SYSTEM)),
    repository: schedule.repository,
    repositoryName:
      schedule.repository === null ? null : (dependencies.findRepository(schedule.repository)?.name ?? null),
    retention: schedule.retention,
    proof: schedule.proof,
    scrubDays: schedule.scrubDays,
    priority: schedule.priority,
    jitterMinutes: schedule.jitterMinutes,
    catchUp: schedule.catchUp,
    windowHours: schedule.windowHours,
    covered: coverageOf(schedule.targets, vms()).covered.filter(isSeen(may)).length,
    nextAt: schedule.nextMs === null ? null : new Date(schedule.nextMs).toISOString(),
    lastRound: await roundFor(schedule.id, may),
    createdAt: schedule.createdAt,
  });

  const preview = (fields: Pick<Schedule, 'calendar' | 'timeZone' | 'targets'>, may: May, until?: string) => {
    const calendar = runCalendar(fields.calendar, fields.timeZone);
    const untilMs = until === undefined ? Number.POSITIVE_INFINITY : Date.parse(until);
    const most = until === undefined ? PREVIEWED_RUNS : MOST_RUNS;
    const runs: string[] = [];
    for (
      let at = calendar.next(clock.now().getTime());
      at !== null && at <= untilMs && runs.length < most;
      at = calendar.next(at)
    )
      runs.push(new Date(at).toISOString());
    const { covered, leftOut } = coverageOf(fields.targets, vms());
    const short = ({ id, name, project }: Vm) => ({ id, name, project });
    return {
      timeZone: fields.timeZone,
      runs,
      vms: covered.filter(isSeen(may)).map(short),
      leftOut: leftOut.filter(isSeen(may)).map(short),
    };
  };

  /** Names that may change become ids that do not. */
  const settled = <Fields extends Partial<ScheduleFields>>(fields: Fields): Fields => {
    const { targets, repository } = fields;
    return {
      ...fields,
      ...(targets === undefined ? {} : { targets: settledTargets(targets) }),
      ...(repository ? { repository: dependencies.repository(repository).id } : {}),
    };
  };
  const settledTargets = (targets: ScheduleTargets): ScheduleTargets => {
    if (targets.kind !== 'project') return targets;
    const project = dependencies.findProject(targets.project);
    if (project === null)
      throw new AppError('not_found', { detail: `There is no project "${targets.project.slice(0, 80)}".` });
    return { ...targets, project: project.id };
  };

  return {
    'GET /backup-schedules': async ({ may }) => {
      const items = await Promise.all(
        store
          .all()
          .filter((schedule) => may('backup.read', scheduleObject(schedule)))
          .map((schedule) => view(schedule, may)),
      );
      return { items, total: items.length };
    },
    'POST /backup-schedules': async ({ body, may }) => {
      const schedule = await store.add(settled({ ...body, timeZone: body.timeZone ?? hostTimeZone() }), clock.now());
      changed(schedule.id);
      return view(schedule, may);
    },
    'POST /backup-schedules/preview': ({ body, may }) =>
      preview({ ...body, timeZone: body.timeZone ?? hostTimeZone(), targets: settledTargets(body.targets) }, may),
    'GET /backup-schedules/{id}': ({ params, may }) => view(found(params.id), may),
    'GET /backup-schedules/{id}/preview': ({ params, query, may }) => preview(found(params.id), may, query.until),
    'PATCH /backup-schedules/{id}': async ({ params, body, may }) => {
      const given = Object.fromEntries(Object.entries(body).filter(([, value]) => value !== undefined));
      const schedule = await store.change(found(params.id).id, settled(given), clock.now());
      changed(schedule.id);
      return view(schedule, may);
    },
    'DELETE /backup-schedules/{id}': async ({ params }) => {
      const schedule = found(params.id);
      if (dependencies.isRunning(schedule.id))
        throw new AppError('busy', {
          detail: `A run of the schedule "${schedule.name}" is under way.`,
          hint: 'Wait for its end or cancel it (`hv op list`), then delete the schedule.',
        });
      await store.remove(schedule.id);
      changed(schedule.id);
    },
    'POST /backup-schedules/{id}/run': (request) => dependencies.begin(found(request.params.id), request),
    'GET /backup-runs': async ({ query, may }) => {
      const scheduleId = query.schedule === undefined ? undefined : found(query.schedule).id;
      const { rows, next, total } = await rounds.list({
        limit: Math.min(query.limit, SHOWN_ROUNDS),
        cursor: query.cursor,
        scheduleId,
      });
      const items = await Promise.all(rows.map(async (row) => seenRound(row, await rounds.vms(row.id), may)));
      return { items, next, total };
    },
    'GET /backup-runs/{id}': async ({ params, may }) => {
      const row = await rounds.row(params.id);
      if (row === null) throw new AppError('not_found', { detail: `There is no run "${params.id.slice(0, 80)}".` });
      const seen = (await rounds.vms(row.id)).filter(({ vm_id: id, project }) => isSeen(may)({ id, project }));
      return reportView(may('backup.read', SYSTEM) ? row : { ...row, note: null }, seen);
    },
  };
}

/** Without the ids of VMs that the asker may not know of. */
function seenTargets(targets: ScheduleTargets, seen: readonly Vm[], isAllSeen: boolean): ScheduleTargets {
  if (isAllSeen) return targets;
  const ids = new Set(seen.map(({ id }) => id));
  const except = targets.except.filter((id) => ids.has(id));
  return targets.kind === 'vms'
    ? { ...targets, except, vms: targets.vms.filter((id) => ids.has(id)) }
    : { ...targets, except };
}

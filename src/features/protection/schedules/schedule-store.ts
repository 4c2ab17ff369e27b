/** Schedules: kept in the database and in memory, with the calendar of each. */

import type { Retention, ScheduleCreate, ScheduleTargets } from '#contract/protection.ts';
import { AppError } from '#kernel/errors.ts';
import { newId } from '#kernel/ids.ts';
import type { Database } from '#platform/db/database.ts';
import type { ProtectionTables, ScheduleRow } from '../migrations.ts';
import { type RunCalendar, runCalendar } from '../run-calendar.ts';

export interface Schedule extends Omit<ScheduleCreate, 'timeZone'> {
  readonly id: string;
  readonly timeZone: string;
  readonly targets: ScheduleTargets;
  readonly retention: Retention;
  /** Id of its repository; null = the default one. */
  readonly repository: string | null;
  /** The moment that is waited for, in milliseconds since the epoch; null = none comes, or it is switched off. */
  readonly nextMs: number | null;
  readonly createdAt: string;
  readonly runs: RunCalendar;
}

export type ScheduleFields = Omit<Schedule, 'id' | 'nextMs' | 'createdAt' | 'runs'>;

export interface ScheduleStore {
  load(): Promise<void>;
  /** By name. */
  all(): readonly Schedule[];
  find(idOrName: string): Schedule | null;
  /** @throws AppError schedule_name_taken */
  add(fields: ScheduleFields, now: Date): Promise<Schedule>;
  /** @throws AppError schedule_name_taken */
  change(id: string, fields: Partial<ScheduleFields>, now: Date): Promise<Schedule>;
  setNext(id: string, nextMs: number | null): Promise<void>;
  remove(id: string): Promise<void>;
}

export function createScheduleStore(db: Database): ScheduleStore {
  const known = new Map<string, Schedule>();
  const tables = () => db.tables<ProtectionTables>();
  const refuseTaken = (name: string | undefined, ownId: string | null) => {
    if ([...known.values()].some((other) => other.name === name && other.id !== ownId))
      throw new AppError('schedule_name_taken', { detail: `There is a schedule ${name}.` });
  };

  const store: ScheduleStore = {
    async load() {
      known.clear();
      for (const row of await tables().selectFrom('backup_schedule').selectAll().execute()) known.set(row.id, of(row));
    },
    all: () => [...known.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1)),
    find: (idOrName) => known.get(idOrName) ?? store.all().find(({ name }) => name === idOrName) ?? null,
    async add(fields, now) {
      refuseTaken(fields.name, null);
      const runs = runCalendar(fields.calendar, fields.timeZone);
      const schedule: Schedule = {
        ...fields,
        id: newId('sched', now.getTime()),
        runs,
        nextMs: fields.isEnabled ? runs.next(now.getTime()) : null,
        createdAt: now.toISOString(),
      };
      await tables().insertInto('backup_schedule').values(rowOf(schedule)).execute();
      known.set(schedule.id, schedule);
      return schedule;
    },
    async change(id, fields, now) {
      const before = store.find(id);
      if (before === null) throw new AppError('not_found', { detail: `There is no schedule "${id.slice(0, 80)}".` });
      refuseTaken(fields.name, before.id);
      const merged = { ...before, ...fields };
      const isReplanned =
        merged.calendar !== before.calendar ||
        merged.timeZone !== before.timeZone ||
        merged.isEnabled !== before.isEnabled;
      const runs = isReplanned ? runCalendar(merged.calendar, merged.timeZone) : before.runs;
      const after: Schedule = {
        ...merged,
        runs,
        nextMs: !merged.isEnabled ? null : isReplanned ? runs.next(now.getTime()) : before.nextMs,
      };
      const { id: _id, ...values } = rowOf(after);
      await tables().updateTable('backup_schedule').set(values).where('id', '=', before.id).execute();
      known.set(before.id, after);
      return after;
    },
    async setNext(id, nextMs) {
      await tables().updateTable('backup_schedule').set({ next_ms: nextMs }).where('id', '=', id).execute();
      const schedule = known.get(id);
      if (schedule) known.set(id, { ...schedule, nextMs });
    },
    async remove(id) {
      await tables().deleteFrom('backup_schedule').where('id', '=', id).execute();
      known.delete(id);
    },
  };
  return store;
}

function of(row: ScheduleRow): Schedule {
  return {
    id: row.id,
    name: row.name,
    isEnabled: row.is_enabled === 1,
    calendar: row.calendar,
    timeZone: row.time_zone,
    targets: JSON.parse(row.targets),
    repository: row.repository,
    retention: JSON.parse(row.retention),
    proof: row.proof,
    scrubDays: row.scrub_days,
    priority: row.priority,
    jitterMinutes: row.jitter_minutes,
    catchUp: row.catch_up === 1,
    windowHours: row.window_hours,
    nextMs: row.next_ms,
    createdAt: row.created_at,
    runs: runCalendar(row.calendar, row.time_zone),
  };
}

function rowOf(schedule: Schedule): ScheduleRow {
  return {
    id: schedule.id,
    name: schedule.name,
    is_enabled: schedule.isEnabled ? 1 : 0,
    calendar: schedule.calendar,
    time_zone: schedule.timeZone,
    targets: JSON.stringify(schedule.targets),
    repository: schedule.repository,
    retention: JSON.stringify(schedule.retention),
    proof: schedule.proof,
    scrub_days: schedule.scrubDays,
    priority: schedule.priority,
    jitter_minutes: schedule.jitterMinutes,
    catch_up: schedule.catchUp ? 1 : 0,
    window_hours: schedule.windowHours,
    next_ms: schedule.nextMs,
    created_at: schedule.createdAt,
  };
}

/** A schedule as its form holds it: texts that may still be wrong, and what the API is told in the end. */

import type { BackupSchedule, Retention, ScheduleCreate, ScheduleTargets } from '#contract/protection.ts';
import { backupsText } from '../../text-backups.ts';
import { cronOf, type ScheduleTimes, timesOf } from './schedule-times.ts';

export const KEPT = ['last', 'hourly', 'daily', 'weekly', 'monthly', 'yearly'] as const;
type Kept = (typeof KEPT)[number];
/** How many of each are kept, as typed. */
export type KeepTexts = Readonly<Record<Kept, string>>;

export interface ScheduleDraft {
  readonly name: string;
  readonly times: ScheduleTimes;
  readonly timeZone: string;
  readonly kind: ScheduleTargets['kind'];
  readonly project: string;
  /** Separated by spaces. */
  readonly tags: string;
  readonly vms: readonly string[];
  readonly except: readonly string[];
  /** Empty = the default one. */
  readonly repository: string;
  readonly keep: KeepTexts;
  readonly proof: BackupSchedule['proof'];
  readonly jitterMinutes: string;
  /** Empty = no end. */
  readonly windowHours: string;
  /** Empty = as configured for all. */
  readonly scrubDays: string;
  readonly priority: string;
  readonly catchUp: boolean;
}

/** @param vmId the VM that it is made for; null = all */
export function newDraft(timeZone: string, vmId: string | null): ScheduleDraft {
  return {
    name: '',
    times: timesOf('0 2 * * *'),
    timeZone,
    kind: vmId === null ? 'all' : 'vms',
    project: '',
    tags: '',
    vms: vmId === null ? [] : [vmId],
    except: [],
    repository: '',
    keep: { last: '0', hourly: '0', daily: '7', weekly: '4', monthly: '6', yearly: '0' },
    proof: 'weekly',
    jitterMinutes: '10',
    windowHours: '',
    scrubDays: '',
    priority: '5',
    catchUp: true,
  };
}

export function draftOf({ targets, retention, ...schedule }: BackupSchedule): ScheduleDraft {
  return {
    name: schedule.name,
    times: timesOf(schedule.calendar),
    timeZone: schedule.timeZone,
    kind: targets.kind,
    project: targets.kind === 'project' ? targets.project : '',
    tags: targets.kind === 'tags' ? targets.tags.join(' ') : '',
    vms: targets.kind === 'vms' ? targets.vms : [],
    except: targets.except,
    repository: schedule.repository ?? '',
    keep: keepTexts(retention),
    proof: schedule.proof,
    jitterMinutes: String(schedule.jitterMinutes),
    windowHours: schedule.windowHours === null ? '' : String(schedule.windowHours),
    scrubDays: schedule.scrubDays === null ? '' : String(schedule.scrubDays),
    priority: String(schedule.priority),
    catchUp: schedule.catchUp,
  };
}

export const keepTexts = (retention: Retention): KeepTexts => ({
  last: String(retention.last),
  hourly: String(retention.hourly),
  daily: String(retention.daily),
  weekly: String(retention.weekly),
  monthly: String(retention.monthly),
  yearly: String(retention.yearly),
});

/** Null when one of them is no number. */
export function retentionOf(keep: KeepTexts): Retention | null {
  const counts = KEPT.map((period) => whole(keep[period]));
  if (counts.some((count) => count === null)) return null;
  const [last = 0, hourly = 0, daily = 0, weekly = 0, monthly = 0, yearly = 0] = counts.map(Number);
  return { last, hourly, daily, weekly, monthly, yearly };
}

export type ScheduleFields = Omit<ScheduleCreate, 'isEnabled' | 'timeZone'> & { timeZone: string };
export type DraftProblems = Readonly<Partial<Record<'times' | 'targets' | 'keep' | 'more', string>>>;

/** Numbers as people type them; null for anything else. */
const whole = (text: string): number | null => (/^\d{1,6}$/.test(text.trim()) ? Number(text) : null);

/** Null where nothing was typed, NaN for what is no number. */
const wholeOrNone = (text: string): number | null => (text.trim() === '' ? null : (whole(text) ?? Number.NaN));

function targetsOf({ kind, project, tags, vms, except }: ScheduleDraft): ScheduleTargets | null {
  const left = [...except];
  switch (kind) {
    case 'all':
      return { kind, except: left };
    case 'project':
      return project === '' ? null : { kind, project, except: left };
    case 'tags': {
      const words = tags.split(/[\s,]+/).filter(Boolean);
      return words.length === 0 ? null : { kind, tags: words, except: left };
    }
    case 'vms':
      return vms.length === 0 ? null : { kind, vms: [...vms], except: [] };
  }
}

/** What the API is told, or what is missing in which part of the form. */
export function fieldsOf(draft: ScheduleDraft): {
  readonly fields: ScheduleFields | null;
  readonly problems: DraftProblems;
} {
  const words = backupsText.schedule;
  const calendar = cronOf(draft.times);
  const targets = targetsOf(draft);
  const retention = retentionOf(draft.keep);
  const jitterMinutes = whole(draft.jitterMinutes);
  const priority = whole(draft.priority);
  const windowHours = wholeOrNone(draft.windowHours);
  const scrubDays = wholeOrNone(draft.scrubDays);
  const isMoreWrong =
    jitterMinutes === null || priority === null || Number.isNaN(windowHours) || Number.isNaN(scrubDays);
  const problems: DraftProblems = {
    ...(calendar === null ? { times: draft.times.pace === 'weekly' ? words.needDays : words.needTime } : {}),
    ...(targets === null ? { targets: draft.kind === 'tags' ? words.needTags : words.needVms } : {}),
    ...(retention === null ? { keep: words.needNumber } : {}),
    ...(isMoreWrong ? { more: words.needNumber } : {}),
  };
  if (
    calendar === null ||
    targets === null ||
    retention === null ||
    jitterMinutes === null ||
    priority === null ||
    isMoreWrong
  )
    return { fields: null, problems };
  return {
    problems,
    fields: {
      name: draft.name.trim(),
      calendar,
      timeZone: draft.timeZone.trim(),
      targets,
      repository: draft.repository === '' ? null : draft.repository,
      retention,
      proof: draft.proof,
      priority,
      jitterMinutes,
      catchUp: draft.catchUp,
      scrubDays,
      windowHours,
    },
  };
}

/** As "7 daily, 4 weekly". */
export function retentionText(retention: Retention): string {
  const parts = KEPT.filter((period) => retention[period] > 0).map((period) =>
    backupsText.keeps[period](retention[period]),
  );
  return parts.length === 0 ? backupsText.keepsAll : parts.join(', ');
}

/** When a schedule runs: the five fields of cron as what people choose from, and back. What does not fit the choices stays text. */

import { backupsText } from '../../text-backups.ts';

export const PACES = ['hourly', 'daily', 'weekly', 'monthly', 'other'] as const;
export type Pace = (typeof PACES)[number];

export interface ScheduleTimes {
  readonly pace: Pace;
  /** HH:MM; of an hourly one only the minutes count. */
  readonly time: string;
  /** 0 = Sunday. */
  readonly days: readonly number[];
  readonly dayOfMonth: string;
  /** The text itself, for what the other choices cannot say. */
  readonly cron: string;
}

const USUAL: ScheduleTimes = { pace: 'daily', time: '02:00', days: [0], dayOfMonth: '1', cron: '0 2 * * *' };

const two = (number: number): string => String(number).padStart(2, '0');
const NAMES = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];

function dayOf(text: string): number | null {
  const named = NAMES.indexOf(text.toLowerCase());
  if (named >= 0) return named;
  return /^[0-7]$/.test(text) ? Number(text) % 7 : null;
}

/** `mon-fri` and `6,0` as numbers; null when it is anything else. */
function daysOf(text: string): readonly number[] | null {
  const days = new Set<number>();
  for (const part of text.split(',')) {
    const [from = '', to] = part.split('-');
    const first = dayOf(from);
    const last = to === undefined ? first : to === '7' ? 7 : dayOf(to);
    if (first === null || last === null || last < first) return null;
    for (let day = first; day <= last; day += 1) days.add(day % 7);
  }
  return [...days].toSorted((a, b) => a - b);
}

/** @param cron five fields as the API has them */
export function timesOf(cron: string): ScheduleTimes {
  const other: ScheduleTimes = { ...USUAL, pace: 'other', cron };
  const [minute = '', hour = '', day = '', month = '', weekday = '', ...more] = cron.trim().split(/\s+/);
  if (more.length > 0 || month !== '*' || !/^\d{1,2}$/.test(minute)) return other;
  if (hour === '*')
    return day === '*' && weekday === '*' ? { ...other, pace: 'hourly', time: `00:${two(Number(minute))}` } : other;
  if (!/^\d{1,2}$/.test(hour)) return other;
  const time = `${two(Number(hour))}:${two(Number(minute))}`;
  if (day === '*' && weekday === '*') return { ...other, pace: 'daily', time };
  if (day === '*') {
    const days = daysOf(weekday);
    return days === null ? other : { ...other, pace: 'weekly', time, days };
  }
  return weekday === '*' && /^\d{1,2}$/.test(day)
    ? { ...other, pace: 'monthly', time, dayOfMonth: String(Number(day)) }
    : other;
}

/** Null when something is missing. */
export function cronOf({ pace, time, days, dayOfMonth, cron }: ScheduleTimes): string | null {
  if (pace === 'other') return cron.trim() === '' ? null : cron.trim();
  const [, hour, minute] = /^(\d{2}):(\d{2})$/.exec(time) ?? [];
  if (hour === undefined || minute === undefined) return null;
  const at = `${Number(minute)} ${Number(hour)}`;
  switch (pace) {
    case 'hourly':
      return `${Number(minute)} * * * *`;
    case 'daily':
      return `${at} * * *`;
    case 'weekly':
      return days.length === 0 ? null : `${at} * * ${days.toSorted((a, b) => a - b).join(',')}`;
    case 'monthly':
      return /^([1-9]|[12]\d|3[01])$/.test(dayOfMonth.trim()) ? `${at} ${Number(dayOfMonth)} * *` : null;
  }
}

/** As "Sun at 01:30"; a text that is none of the usual ones stands as it is. */
export function timesText(cron: string): string {
  const { pace, time, days, dayOfMonth } = timesOf(cron);
  const words = backupsText.times;
  switch (pace) {
    case 'hourly':
      return words.hourly(time.slice(3));
    case 'daily':
      return words.daily(time);
    case 'weekly':
      return words.weekly(days.map((day) => backupsText.schedule.dayNames[day] ?? '').join(', '), time);
    case 'monthly':
      return words.monthly(Number(dayOfMonth), time);
    case 'other':
      return cron;
  }
}

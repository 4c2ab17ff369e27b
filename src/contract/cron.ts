/** The five fields of cron: minute, hour, day of month, month, day of week. Times are those of the host's time zone.
 *  As in cron itself, when both days are restricted either of them is enough. */

interface Field {
  readonly min: number;
  readonly max: number;
  readonly names: readonly string[];
}

const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];
const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];

const FIELDS: readonly Field[] = [
  { min: 0, max: 59, names: [] },
  { min: 0, max: 23, names: [] },
  { min: 1, max: 31, names: [] },
  { min: 1, max: 12, names: MONTHS },
  { min: 0, max: 7, names: DAYS },
];

export interface CronSchedule {
  /** Whether it begins in the minute of this time. */
  matches(at: Date): boolean;
}

function numberOf(text: string, { min, max, names }: Field): number | null {
  const named = names.indexOf(text.toLowerCase());
  const value = named >= 0 ? named + (min === 1 ? 1 : 0) : /^\d{1,2}$/.test(text) ? Number(text) : Number.NaN;
  return value >= min && value <= max ? value : null;
}

function valuesOf(text: string, field: Field): ReadonlySet<number> | null {
  const values = new Set<number>();
  for (const part of text.split(',')) {
    const [range = '', stepText] = part.split('/');
    const step = stepText === undefined ? 1 : /^[1-9]\d?$/.test(stepText) ? Number(stepText) : 0;
    if (step === 0 || part.split('/').length > 2) return null;
    const [fromText = '', toText] = range === '*' ? [String(field.min), String(field.max)] : range.split('-');
    const from = numberOf(fromText, field);
    const to = toText === undefined ? (stepText === undefined ? from : field.max) : numberOf(toText, field);
    if (from === null || to === null || to < from || range.split('-').length > 2) return null;
    for (let value = from; value <= to; value += step) values.add(value);
  }
  return values;
}

/** Null for a text that is none, and for one that never comes, as 30 February. */
export function parseCron(text: string): CronSchedule | null {
  const parts = text.trim().split(/\s+/);
  if (parts.length !== FIELDS.length || text.length > 200) return null;
  const sets = FIELDS.map((field, index) => valuesOf(parts[index] ?? '', field));
  const [minutes, hours, days, months, weekdays] = sets;
  if (!minutes || !hours || !days || !months || !weekdays) return null;
  const anyDay = parts[2]?.startsWith('*') ?? false;
  const anyWeekday = parts[4]?.startsWith('*') ?? false;
  const longest = (month: number) => (month === 2 ? 29 : [4, 6, 9, 11].includes(month) ? 30 : 31);
  if (anyWeekday && ![...months].some((month) => [...days].some((day) => day <= longest(month)))) return null;
  return {
    matches(at) {
      if (!minutes.has(at.getMinutes()) || !hours.has(at.getHours()) || !months.has(at.getMonth() + 1)) return false;
      const isDay = days.has(at.getDate());
      const isWeekday = weekdays.has(at.getDay()) || (at.getDay() === 0 && weekdays.has(7));
      return anyDay || anyWeekday ? isDay && isWeekday : isDay || isWeekday;
    },
  };
}

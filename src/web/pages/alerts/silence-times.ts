/** How long a silence lasts, as the form has it. Pure. */

export const LENGTHS = ['1h', '4h', '1d', '7d', 'other', 'window'] as const;
export type Length = (typeof LENGTHS)[number];

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const MS: Readonly<Partial<Record<Length, number>>> = {
  '1h': HOUR_MS,
  '4h': 4 * HOUR_MS,
  '1d': DAY_MS,
  '7d': 7 * DAY_MS,
};
/** Plans of windows last so long unless a last day is given. */
const PLAN_MS = 365 * DAY_MS;

/** A window that comes again. Days: 0 = Sunday; none = every day. */
export interface WindowPlan {
  readonly days: readonly number[];
  /** `HH:MM`, in the time zone of the host. */
  readonly time: string;
  readonly minutes: string;
  /** `YYYY-MM-DD`; empty = in a year. */
  readonly lastDay: string;
}

/** Beginning (null = now) and end; null when they do not fit together.
 *  @param from,to as a field for local times gives them */
export function timesOf(
  length: Length,
  from: string,
  to: string,
  plan: WindowPlan,
  nowMs: number,
): { readonly from: string | null; readonly to: string } | null {
  const iso = (ms: number) => new Date(ms).toISOString();
  const ms = MS[length];
  if (ms !== undefined) return { from: null, to: iso(nowMs + ms) };
  if (length === 'other') {
    const [begin, end] = [Date.parse(from), Date.parse(to)];
    return Number.isFinite(begin) && end > begin && end > nowMs ? { from: iso(begin), to: iso(end) } : null;
  }
  const minutes = Number(plan.minutes);
  const lastMs = plan.lastDay === '' ? nowMs + PLAN_MS : Date.parse(`${plan.lastDay}T23:59:59`);
  const isGood = Number.isInteger(minutes) && minutes >= 1 && minutes <= 1440 && /^\d\d:\d\d$/.test(plan.time);
  return isGood && lastMs > nowMs ? { from: null, to: iso(lastMs) } : null;
}

/** `30 3 * * 0,6`. */
export function cronOf({ days, time }: WindowPlan): string {
  const [hours = '0', minutes = '0'] = time.split(':');
  return `${Number(minutes)} ${Number(hours)} * * ${days.length === 0 ? '*' : days.toSorted((a, b) => a - b).join(',')}`;
}

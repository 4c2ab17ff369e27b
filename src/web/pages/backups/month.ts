/** A month as a grid of days, in the time zone of the browser. */

export interface Month {
  readonly year: number;
  /** 0 = January. */
  readonly month: number;
}

export interface MonthDay {
  /** As 2026-11-26. */
  readonly key: string;
  readonly day: number;
  readonly isOfMonth: boolean;
}

const keyOfParts = (year: number, month: number, day: number): string =>
  `${year}-${String(month + 1).padStart(2, '0')}-${String(day).padStart(2, '0')}`;

/** The day in which a moment lies. */
export function dayKey(at: Date): string {
  return keyOfParts(at.getFullYear(), at.getMonth(), at.getDate());
}

/** Whole weeks that hold the month; each begins on Monday. */
export function weeksOf({ year, month }: Month): readonly (readonly MonthDay[])[] {
  const first = new Date(year, month, 1);
  const before = (first.getDay() + 6) % 7;
  const count = new Date(year, month + 1, 0).getDate();
  const weeks = Math.ceil((before + count) / 7);
  return Array.from({ length: weeks }, (_, week) =>
    Array.from({ length: 7 }, (_unused, column) => {
      // At noon: clocks that change at night do not move it into another day.
      const at = new Date(year, month, 1 - before + week * 7 + column, 12);
      return { key: dayKey(at), day: at.getDate(), isOfMonth: at.getMonth() === month };
    }),
  );
}

/** @param by months; -1 = the one before */
export function movedBy({ year, month }: Month, by: number): Month {
  const at = new Date(year, month + by, 1);
  return { year: at.getFullYear(), month: at.getMonth() };
}

/** The first moment of the month, and that of the next one. */
export function boundsOf(month: Month): { readonly from: Date; readonly to: Date } {
  const next = movedBy(month, 1);
  return { from: new Date(month.year, month.month, 1), to: new Date(next.year, next.month, 1) };
}

/** As `2026-11` in an address; null for anything else. */
export function parseMonth(text: string | null): Month | null {
  const [, year, month] = /^(\d{4})-(0[1-9]|1[0-2])$/.exec(text ?? '') ?? [];
  return year === undefined || month === undefined ? null : { year: Number(year), month: Number(month) - 1 };
}

export const monthText = ({ year, month }: Month): string => `${year}-${String(month + 1).padStart(2, '0')}`;

/** Moments of restore points as they are named in titles and menus. */

const short = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' });

/** @param iso time of the API @returns as "26 Nov 2026, 09:14" in the browser's zone and language */
export function momentText(iso: string): string {
  return short.format(Date.parse(iso));
}

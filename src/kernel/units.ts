/** Bytes, durations and shares as people write and read them. Bytes are binary (KiB, MiB, GiB, TiB). */

const FACTORS = {
  b: 1,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
  k: 2 ** 10,
  m: 2 ** 20,
  g: 2 ** 30,
  t: 2 ** 40,
} as const;

export const KIB = 2 ** 10;
export const MIB = 2 ** 20;
export const GIB = 2 ** 30;
export const TIB = 2 ** 40;

/** Reads `512MiB`, `2 GiB`, `1.5G` or a plain number of bytes. Returns null when it is none of these or not a whole number of bytes. */
export function parseBytes(text: string): number | null {
  const match = /^(\d{1,15})(\.\d{1,3})?\s*(b|kib|mib|gib|tib|k|m|g|t)?$/i.exec(text.trim());
  if (!match) return null;
  const unit = (match[3] ?? 'b').toLowerCase();
  const factor = FACTORS[unit as keyof typeof FACTORS];
  const bytes = Number(`${match[1]}${match[2] ?? ''}`) * factor;
  return Number.isSafeInteger(Math.round(bytes)) ? Math.round(bytes) : null;
}

/** `1.5 GiB`: one decimal under 100, none above, none for whole numbers. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let value = bytes;
  let unit = 0;
  while (Math.abs(value) >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const rounded = value < 100 ? Math.round(value * 10) / 10 : Math.round(value);
  return `${rounded} ${units[unit]}`;
}

/** `4 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`. */
export function formatDuration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  const parts: [number, string][] = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor((seconds % 86_400) / 3600), 'h'],
    [Math.floor((seconds % 3600) / 60), 'min'],
    [seconds % 60, 's'],
  ];
  const first = parts.findIndex(([amount]) => amount > 0);
  return parts
    .slice(first, first + 2)
    .filter(([amount]) => amount > 0)
    .map(([amount, unit]) => `${amount} ${unit}`)
    .join(' ');
}

const DURATION_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};

/** Milliseconds of `90s`, `1h30m` or `7d`; null when it is none of these. */
export function parseDuration(text: string): number | null {
  if (!/^(\d{1,6} ?(ms|s|min|m|h|d|w))+$/.test(text)) return null;
  let sum = 0;
  for (const [, amount = '0', unit = ''] of text.matchAll(/(\d+) ?(ms|s|min|m|h|d|w)/g))
    sum += Number(amount) * (DURATION_MS[unit] ?? 0);
  return sum;
}

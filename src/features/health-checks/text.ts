/** Numbers of limits and figures, as people read them. */

import type { LimitUnit } from '#contract/health-limits.ts';
import { formatBytes, formatDuration } from '#kernel/units.ts';

export const percent = (ratio: number): string => `${Math.round(ratio * 1000) / 10} %`;
export const celsius = (degrees: number): string => `${Math.round(degrees)} °C`;
export const perSecond = (rate: number): string => `${Math.round(rate * 100) / 100} a second`;
export const bytesPerSecond = (rate: number): string => `${formatBytes(rate)}/s`;
export const seconds = (count: number): string =>
  count < 10 ? `${Math.round(count * 100) / 100} s` : formatDuration(count * 1000);
export const days = (count: number): string => {
  const whole = Math.floor(count);
  return whole === 1 ? '1 day' : `${whole} days`;
};
export const plural = (count: number, one: string, many = `${one}s`): string => `${count} ${count === 1 ? one : many}`;

const TEXTS: Readonly<Record<LimitUnit, (value: number) => string>> = {
  ratio: percent,
  bytes: formatBytes,
  bytes_per_second: bytesPerSecond,
  per_second: (value) => `${value} a second`,
  seconds,
  hours: (value) => `${value} h`,
  days,
  celsius,
  number: String,
};

export const limitText = (value: number, unit: LimitUnit): string => TEXTS[unit](value);

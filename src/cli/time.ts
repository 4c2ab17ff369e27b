/** Times as people read them, and waiting that can be interrupted. */

import { formatDuration } from '#kernel/units.ts';

/** `3 min ago`, `in 6 d 23 h`, `now`; `–` for null. */
export function ageText(time: string | null, now: number = Date.now()): string {
  if (time === null) return '–';
  const at = Date.parse(time);
  if (Number.isNaN(at)) return '?';
  const ms = now - at;
  if (Math.abs(ms) < 1000) return 'now';
  const text = formatDuration(Math.abs(ms));
  if (ms < 0) return `in ${text}`;
  const [first, unit] = text.split(' ');
  return `${first} ${unit} ago`;
}

/** How long since a time: `2 h 5 min`; `–` for null. */
export function sinceText(time: string | null, now: number = Date.now()): string {
  if (time === null) return '–';
  const at = Date.parse(time);
  return Number.isNaN(at) ? '?' : formatDuration(now - at);
}

/** `2026-11-23 11:40:05` in the user's time zone; `–` for null. */
export function timeText(time: string | null): string {
  if (time === null) return '–';
  const at = new Date(time);
  if (Number.isNaN(at.getTime())) return '?';
  const two = (value: number) => String(value).padStart(2, '0');
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

/** Resolves after `ms`; rejects when the signal is aborted. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', stop);
      resolve();
    }, ms);
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
}

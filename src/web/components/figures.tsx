/** Numbers as people read them: times, bytes, shares, small bars and sparklines. Unknown is a dash, never a zero. */

import { formatBytes, formatDuration } from '#kernel/units.ts';
import { now } from '../state/clock.ts';
import { text } from '../text.ts';

const exactTime = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'long' });

/** "3 min ago" or "in 6 d"; the exact time with its zone on hover. @param iso time of the API */
export function TimeAgo({ iso }: { readonly iso: string }) {
  const at = Date.parse(iso);
  return (
    <time dateTime={iso} title={exactTime.format(at)}>
      {relative(at - now.value)}
    </time>
  );
}

/** How long it has been so. */
export function Since({ iso }: { readonly iso: string }) {
  const at = Date.parse(iso);
  return (
    <time dateTime={iso} title={exactTime.format(at)}>
      {formatDuration(Math.max(0, now.value - at))}
    </time>
  );
}

export function ExactTime({ iso }: { readonly iso: string }) {
  return <time dateTime={iso}>{exactTime.format(Date.parse(iso))}</time>;
}

function relative(differenceMs: number): string {
  const amount = Math.abs(differenceMs);
  if (amount < 10_000) return text.time.now;
  const rough = roughly(amount);
  return differenceMs < 0 ? text.time.ago(rough) : text.time.in(rough);
}

/** The largest unit only: `5 min`, `3 h`, `12 d`. */
export function roughly(ms: number): string {
  const seconds = ms / 1000;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  if (seconds < 86_400) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} d`;
}

export function bytesText(bytes: number | null): string {
  return bytes === null ? text.unknownValue : formatBytes(bytes);
}

export function rateText(bytesPerSecond: number | null): string {
  return bytesPerSecond === null ? text.unknownValue : `${formatBytes(Math.round(bytesPerSecond))}/s`;
}

export function percentText(ratio: number | null): string {
  return ratio === null ? text.unknownValue : `${Math.round(ratio * 100)} %`;
}

/** A bar with its number. @param ratio 0 to 1, null = unknown
 *  @param warnAt from here on the bar warns; without it a full bar is nothing bad */
export function Meter({
  ratio,
  label,
  value,
  warnAt,
}: {
  readonly ratio: number | null;
  readonly label: string;
  readonly value?: string;
  readonly warnAt?: number;
}) {
  const share = ratio === null ? 0 : Math.min(1, Math.max(0, ratio));
  const tone =
    warnAt !== undefined && ratio !== null && ratio >= warnAt ? (ratio >= (1 + warnAt) / 2 ? 'bad' : 'warn') : 'accent';
  return (
    <span class="meter">
      <span
        class="meter-track"
        role="meter"
        aria-label={label}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={Math.round(share * 100)}
        aria-valuetext={value ?? percentText(ratio)}
      >
        <span class={`meter-fill tone-${tone}`} style={{ width: `${share * 100}%` }} />
      </span>
      <span class="meter-value">{value ?? percentText(ratio)}</span>
    </span>
  );
}

/** A line without axes. Null values are gaps. @param max top of the scale; without it the highest value */
export function Sparkline({
  values,
  max,
  series = 1,
  width = 120,
  height = 28,
  label,
  hasArea = false,
}: {
  readonly values: readonly (number | null)[];
  readonly max?: number;
  readonly series?: 1 | 2 | 3 | 4;
  readonly width?: number;
  readonly height?: number;
  readonly label: string;
  readonly hasArea?: boolean;
}) {
  const top = Math.max(max ?? 0, ...values.map((value) => value ?? 0)) || 1;
  const step = values.length > 1 ? width / (values.length - 1) : width;
  // One measurement is no line yet.
  const pieces = contiguous(values.length > 1 ? values : []).map((run) =>
    run.map(([index, value]) => `${round(index * step)},${round(height - 1.5 - (value / top) * (height - 3))}`),
  );
  return (
    <svg
      class={`sparkline series-${series}`}
      viewBox={`0 0 ${width} ${height}`}
      preserveAspectRatio="none"
      role="img"
      aria-label={label}
    >
      {hasArea &&
        pieces
          .filter((points) => points.length > 1)
          .map((points) => (
            <polygon
              key={`a${points[0]}`}
              class="spark-area"
              points={`${points[0]?.split(',')[0]},${height} ${points.join(' ')} ${points.at(-1)?.split(',')[0]},${height}`}
            />
          ))}
      {pieces.map((points) => (
        <polyline
          key={points[0]}
          points={points.length === 1 ? `${points[0]} ${points[0]}` : points.join(' ')}
          fill="none"
          vector-effect="non-scaling-stroke"
        />
      ))}
    </svg>
  );
}

function contiguous(values: readonly (number | null)[]): [number, number][][] {
  const runs: [number, number][][] = [];
  let run: [number, number][] = [];
  for (const [index, value] of values.entries()) {
    if (value !== null) run.push([index, value]);
    else if (run.length > 0) {
      runs.push(run);
      run = [];
    }
  }
  if (run.length > 0) runs.push(run);
  return runs;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

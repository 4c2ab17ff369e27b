/** The legend: what the lines are, and their values at the crosshair, or the newest ones while no crosshair is shown. */

import type { ReadonlySignal } from '@preact/signals';
import type { GraphData, GraphMark, TimeRange } from './graph-data.ts';
import { MarkGlyph } from './mark-glyphs.tsx';
import { valueText } from './values.ts';

/** Marks this near to the crosshair are named, as part of what is shown of time. */
const NEAR = 0.012;
const MOST_LINES = 12;

const timeFormat = new Intl.DateTimeFormat(undefined, { dateStyle: 'short', timeStyle: 'medium' });

export function ReadOut({
  data,
  marks,
  range,
  cursor,
}: {
  readonly data: GraphData;
  readonly marks: readonly GraphMark[];
  readonly range: TimeRange;
  readonly cursor: ReadonlySignal<number | null>;
}) {
  const index = cursor.value ?? lastMeasured(data);
  const atMs = data.times[index];
  const values = data.lines
    .map((line) => ({ line, value: line.values[index] ?? null }))
    // Few lines keep their places; of many the largest are wanted.
    .sort((a, b) => (data.lines.length > 4 ? (b.value ?? -1) - (a.value ?? -1) : 0));
  const near =
    cursor.value === null || atMs === undefined
      ? []
      : marks.filter((mark) => isNear(mark, atMs, (range.toMs - range.fromMs) * NEAR)).slice(0, 3);
  return (
    <div class="graph-read-out">
      <time class="muted small">{atMs === undefined ? '' : timeFormat.format(atMs)}</time>
      <ul>
        {values.slice(0, MOST_LINES).map(({ line, value }) => (
          <li key={line.id}>
            <span class={`graph-key series-${line.colour} ${line.isDashed ? 'is-dashed' : ''}`} aria-hidden="true" />
            <span class="graph-label">{line.label}</span>
            <span class="mono">{valueText(value, data.dimension)}</span>
          </li>
        ))}
        {values.length > MOST_LINES && <li class="muted">+ {values.length - MOST_LINES}</li>}
      </ul>
      {near.length > 0 && (
        <ul class="graph-marks">
          {near.map((mark) => (
            <li key={mark.id}>
              <MarkGlyph kind={mark.kind} outcome={mark.outcome} /> {mark.label}
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

const isNear = ({ fromMs, toMs }: GraphMark, atMs: number, nearMs: number): boolean =>
  atMs > fromMs - nearMs && atMs < (toMs ?? Number.POSITIVE_INFINITY) + nearMs;

function lastMeasured(data: GraphData): number {
  for (let at = data.times.length - 1; at >= 0; at -= 1) {
    if (data.lines.some((line) => line.values[at] !== null && line.values[at] !== undefined)) return at;
  }
  return data.times.length - 1;
}

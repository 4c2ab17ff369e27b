/** Draws marks below the axis of a plot, so that they are in the saved picture too: how long something took as a bar, and over its
 *  beginning its shape, or how many there are where one place has several. */

import uPlot from 'uplot';
import type { GraphMark, TimeRange } from './graph-data.ts';
import { GLYPH_SIZE, isHollow, MARK_SHAPES, type MarkTone, toneOf } from './mark-glyphs.tsx';
import { groupMarks } from './marks.ts';

/** Height of the strip between the axis and its labels. */
export const MARK_BAND_PX = 16;
const BAR_PX = 3;
const LEAST_BAR_PX = 2;

export type MarkColours = Readonly<Record<MarkTone, string>> & { readonly card: string; readonly font: string };

export function drawMarks(plot: uPlot, marks: readonly GraphMark[], range: TimeRange, colours: MarkColours): void {
  const { ctx, bbox } = plot;
  const ratio = uPlot.pxRatio;
  const groups = groupMarks(marks, range, bbox.width / ratio);
  const top = bbox.top + bbox.height;
  ctx.save();
  for (const { marks: of } of groups) for (const mark of of) drawBar(plot, mark, range, top + 1 * ratio, colours);
  for (const group of groups) {
    const x = bbox.left + group.xPx * ratio;
    const [first] = group.marks;
    if (first === undefined) continue;
    if (group.marks.length === 1) drawGlyph(ctx, first, { x, y: top + 5 * ratio, scale: ratio }, colours);
    else drawCount(ctx, group.marks, { x, y: top + 5 * ratio, scale: ratio }, colours);
  }
  ctx.restore();
}

interface Spot {
  /** Middle. */
  readonly x: number;
  /** Upper edge. */
  readonly y: number;
  readonly scale: number;
}

function drawBar(plot: uPlot, mark: GraphMark, range: TimeRange, y: number, colours: MarkColours): void {
  const { ctx, bbox } = plot;
  const ratio = uPlot.pxRatio;
  const left = Math.max(bbox.left, plot.valToPos(mark.fromMs, 'x', true));
  const right = Math.min(bbox.left + bbox.width, plot.valToPos(mark.toMs ?? range.toMs, 'x', true));
  if (right - left < LEAST_BAR_PX * ratio) return;
  ctx.strokeStyle = colours[toneOf(mark)];
  ctx.lineWidth = BAR_PX * ratio;
  ctx.setLineDash(isHollow(mark) ? [4 * ratio, 2 * ratio] : []);
  ctx.beginPath();
  ctx.moveTo(left, y + (BAR_PX / 2) * ratio);
  ctx.lineTo(right, y + (BAR_PX / 2) * ratio);
  ctx.stroke();
  ctx.setLineDash([]);
}

export function drawGlyph(
  ctx: CanvasRenderingContext2D,
  mark: Pick<GraphMark, 'kind' | 'outcome'>,
  { x, y, scale }: Spot,
  colours: MarkColours,
): void {
  const shape = new Path2D(MARK_SHAPES[mark.kind]);
  ctx.save();
  ctx.translate(x - (GLYPH_SIZE / 2) * scale, y);
  ctx.scale(scale, scale);
  ctx.fillStyle = isHollow(mark) ? colours.card : colours[toneOf(mark)];
  ctx.fill(shape);
  ctx.strokeStyle = colours[toneOf(mark)];
  ctx.lineWidth = 1.4;
  if (isHollow(mark)) ctx.stroke(shape);
  ctx.restore();
}

/** As many as there are, in the colour of the worst. */
function drawCount(
  ctx: CanvasRenderingContext2D,
  marks: readonly GraphMark[],
  { x, y, scale }: Spot,
  colours: MarkColours,
): void {
  const words = marks.length > 99 ? '99+' : String(marks.length);
  ctx.font = colours.font.replace(/^[\d.]+px/, `700 ${8.5 * scale}px`);
  const width = Math.max(12 * scale, ctx.measureText(words).width + 5 * scale);
  ctx.fillStyle = colours[marks.some((mark) => toneOf(mark) === 'bad') ? 'bad' : 'accent'];
  ctx.beginPath();
  ctx.roundRect(x - width / 2, y, width, 11 * scale, 3 * scale);
  ctx.fill();
  ctx.fillStyle = colours.card;
  ctx.textAlign = 'center';
  ctx.textBaseline = 'middle';
  ctx.fillText(words, x, y + 6 * scale);
}

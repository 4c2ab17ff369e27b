/** Takes a graph out of the browser: as numbers, or as a picture with its title and legend. */

import type uPlot from 'uplot';
import { csvCell } from '#kernel/csv.ts';
import { text } from '../../text.ts';
import { drawGlyph } from './draw-marks.ts';
import { type GraphData, type GraphMark, MARK_KINDS, type TimeRange } from './graph-data.ts';
import { isIn } from './marks.ts';
import { coloursOf } from './plot.ts';

export function saveCsv(data: GraphData): void {
  const head = ['time', ...data.lines.map((line) => line.label)].map(csvCell).join(',');
  const rows = data.times.map((atMs, index) =>
    [new Date(atMs).toISOString(), ...data.lines.map((line) => line.values[index] ?? null)].map(csvCell).join(','),
  );
  save(new Blob([`${[head, ...rows].join('\r\n')}\r\n`], { type: 'text/csv' }), `${fileName(data.title)}.csv`);
}

const HEAD_PX = 34;
const LEGEND_PX = 30;

/** What a picture shows beside what is drawn already. */
interface Shown {
  readonly data: GraphData;
  readonly marks: readonly GraphMark[];
  readonly range: TimeRange;
  readonly isDark: boolean;
}

export function savePng(plot: uPlot, { data, marks, range, isDark }: Shown): void {
  const source = plot.ctx.canvas;
  const ratio = source.width / plot.width;
  const kinds = MARK_KINDS.filter((kind) => marks.some((mark) => mark.kind === kind && isIn(mark, range)));
  const canvas = document.createElement('canvas');
  canvas.width = source.width;
  canvas.height = source.height + (HEAD_PX + LEGEND_PX * (kinds.length === 0 ? 1 : 2)) * ratio;
  const ctx = canvas.getContext('2d');
  if (!ctx) return;
  const style = getComputedStyle(plot.root);
  const card = plot.root.closest('.card') ?? document.body;
  ctx.fillStyle = getComputedStyle(card).backgroundColor;
  ctx.fillRect(0, 0, canvas.width, canvas.height);
  ctx.fillStyle = style.color;
  ctx.font = `600 ${14 * ratio}px ${style.fontFamily}`;
  ctx.fillText(data.title, 12 * ratio, 22 * ratio);
  ctx.drawImage(source, 0, HEAD_PX * ratio);
  ctx.font = `${12 * ratio}px ${style.fontFamily}`;
  const y = HEAD_PX * ratio + source.height + 16 * ratio;
  let x = 12 * ratio;
  let column = 1;
  for (const line of data.lines) {
    const stroke = plot.series[column]?.stroke;
    ctx.fillStyle = typeof stroke === 'function' ? String(stroke(plot, column)) : style.color;
    ctx.fillRect(x, y - 8 * ratio, 10 * ratio, 8 * ratio);
    ctx.fillStyle = style.color;
    ctx.fillText(line.label, x + 16 * ratio, y);
    x += 32 * ratio + ctx.measureText(line.label).width;
    column += line.band ? 3 : 1;
    if (x > canvas.width) break;
  }
  x = 12 * ratio;
  for (const kind of kinds) {
    drawGlyph(
      ctx,
      { kind, outcome: 'good' },
      { x: x + 5 * ratio, y: y + (LEGEND_PX - 9) * ratio, scale: ratio },
      coloursOf(plot.root, isDark),
    );
    ctx.fillStyle = style.color;
    ctx.fillText(text.graphs.marks.kinds[kind], x + 16 * ratio, y + LEGEND_PX * ratio);
    x += 32 * ratio + ctx.measureText(text.graphs.marks.kinds[kind]).width;
  }
  canvas.toBlob((blob) => blob && save(blob, `${fileName(data.title)}.png`), 'image/png');
}

function fileName(title: string): string {
  return title
    .replace(/[^\p{L}\p{N}]+/gu, '-')
    .replace(/^-|-$/g, '')
    .toLowerCase();
}

function save(blob: Blob, name: string): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  // The browser has read it by then.
  window.setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

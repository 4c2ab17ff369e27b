/** Draws one graph with uPlot: scales, axes, bands, marks, and the crosshair that all graphs of a page share. */

import uPlot from 'uplot';
import { drawMarks, MARK_BAND_PX } from './draw-marks.ts';
import type { GraphData, GraphLimit, GraphMark, TimeRange } from './graph-data.ts';
import { axisSteps, valueText } from './values.ts';

/** Graphs with one key move their crosshairs together. */
const SYNC_KEY = 'graphs';
/** What lies left, right and below of what is drawn. */
export const AXIS_WIDTH_PX = 68;
export const RIGHT_PX = 20;
export const AXIS_HEIGHT_PX = 36;

/** What changes while a plot lives. */
export interface PlotState {
  readonly data: GraphData;
  readonly marks: readonly GraphMark[];
  readonly range: TimeRange;
}

export interface PlotOptions {
  readonly width: number;
  readonly height: number;
  /** Asked at each drawing. Lines and their look must stay those of the beginning. */
  state(): PlotState;
  readonly isDark: boolean;
  /** Told the place in `times` under the crosshair, or null when it is nowhere. */
  onCursor(index: number | null): void;
  onZoom(range: TimeRange): void;
  onZoomOut(): void;
}

/** @param target empty element that the plot is put into */
export function createPlot(target: HTMLElement, options: PlotOptions): uPlot {
  const { data } = options.state();
  const colours = coloursOf(target, options.isDark);
  const { series, bands } = seriesOf(data, colours);
  return new uPlot(
    {
      width: options.width,
      height: options.height,
      // Milliseconds, as everywhere else.
      ms: 1,
      padding: [8, RIGHT_PX, 0, 0],
      legend: { show: false },
      cursor: {
        sync: { key: SYNC_KEY, setSeries: false },
        drag: { x: true, y: false, setScale: false, dist: 8 },
        points: { size: 6 },
        bind: {
          // A second click zooms out, and what uPlot does by itself would undo only its own zoom.
          dblclick: () => () => {
            options.onZoomOut();
            return null;
          },
        },
      },
      scales: {
        x: { time: true, range: () => spanOf(options.state().range) },
        y: { range: (_, least, most) => scaleOf(least, most, options.state().data) },
      },
      axes: [
        {
          stroke: colours.muted,
          font: colours.font,
          grid: { stroke: colours.line, width: 1 },
          size: AXIS_HEIGHT_PX,
          gap: 2,
          ticks: { stroke: colours.line, width: 1, size: MARK_BAND_PX },
          values: timeLabels,
        },
        {
          stroke: colours.muted,
          font: colours.font,
          size: AXIS_WIDTH_PX,
          incrs: axisSteps(data.dimension),
          grid: { stroke: colours.line, width: 1 },
          ticks: { show: false },
          values: (_, splits) => splits.map((value) => valueText(value, data.dimension)),
        },
      ],
      series,
      bands,
      hooks: {
        setCursor: [(plot) => options.onCursor(plot.cursor.idx ?? null)],
        setSelect: [
          (plot) => {
            const { left, width } = plot.select;
            if (width < 8) return;
            const fromMs = plot.posToVal(left, 'x');
            const toMs = plot.posToVal(left + width, 'x');
            plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
            options.onZoom({ fromMs: Math.round(fromMs), toMs: Math.round(toMs) });
          },
        ],
        drawClear: [(plot) => drawSpans(plot, options.state().data.spans ?? [], colours)],
        draw: [
          (plot) => drawLimits(plot, options.state().data, colours),
          (plot) => drawMarks(plot, options.state().marks, options.state().range, colours),
        ],
      },
    },
    alignedData(data),
    target,
  );
}

const spanOf = ({ fromMs, toMs }: TimeRange): [number, number] => [fromMs, toMs];

/** Two graphs with the same key can be drawn by one plot, one after the other. */
export function lookOf({ dimension, lines, hasArea }: GraphData): string {
  const looks = lines.map(({ id, colour, isDashed, band }) => [id, colour, isDashed, band !== undefined]);
  return JSON.stringify([dimension, hasArea, looks]);
}

/** uPlot's columns: times, then for each line its values and, where it has a band, most and least. */
export function alignedData(data: GraphData): uPlot.AlignedData {
  return [
    [...data.times],
    ...data.lines.flatMap((line) => [[...line.values], ...(line.band ? [[...line.band.max], [...line.band.min]] : [])]),
  ];
}

export interface Colours {
  readonly series: readonly string[];
  readonly line: string;
  readonly muted: string;
  readonly bad: string;
  readonly good: string;
  readonly accent: string;
  readonly card: string;
  readonly font: string;
}

/** Read once for each theme: to ask for styles between drawing two graphs makes the browser lay out the page each time. */
const knownColours = new Map<boolean, Colours>();

export function coloursOf(element: HTMLElement, isDark: boolean): Colours {
  const known = knownColours.get(isDark) ?? readColours(element);
  knownColours.set(isDark, known);
  return known;
}

/** The canvas knows no style sheets. */
function readColours(element: HTMLElement): Colours {
  const style = getComputedStyle(element);
  const probe = document.createElement('span');
  element.append(probe);
  const colourOf = (name: string) => {
    // `light-dark()` is resolved only where it is used as a colour.
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color;
  };
  const colours = {
    series: Array.from({ length: 8 }, (_, index) => colourOf(`--series-${index + 1}`)),
    line: colourOf('--line'),
    muted: colourOf('--muted'),
    bad: colourOf('--bad'),
    good: colourOf('--good'),
    accent: colourOf('--accent'),
    card: colourOf('--card'),
    font: `11px ${style.fontFamily}`,
  };
  probe.remove();
  return colours;
}

function seriesOf(data: GraphData, colours: Colours): { series: uPlot.Series[]; bands: uPlot.Band[] } {
  const series: uPlot.Series[] = [{}];
  const bands: uPlot.Band[] = [];
  for (const line of data.lines) {
    const stroke = colours.series[line.colour - 1] ?? colours.muted;
    series.push({
      stroke,
      width: LINE_PX,
      paths: linePaths,
      spanGaps: false,
      points: { show: true, size: 4, filter: lonelySamples },
      ...(line.isDashed ? { dash: [5, 3] } : {}),
      ...(data.hasArea && line === data.lines[0] ? { fill: withAlpha(stroke, 0.16) } : {}),
    });
    if (!line.band) continue;
    const edge = { stroke: 'transparent', width: 0, points: { show: false } } as const;
    series.push(edge, edge);
    bands.push({ series: [series.length - 2, series.length - 1], fill: withAlpha(stroke, 0.18) });
  }
  return { series, bands };
}

const LINE_PX = 1.5;
const straight = uPlot.paths.linear?.();

/** Where samples are closer than pixels the line is a comb that looks thick by itself: a hair is read more easily then, and Chromium
 *  draws it in a third of the time (20 graphs × 1,500 points without a graphics card: 24 ms of 70). */
const linePaths: uPlot.Series.PathBuilder = (plot, index, from, to) => {
  const paths = straight?.(plot, index, from, to) ?? null;
  const isDense = to - from > plot.bbox.width / uPlot.pxRatio;
  // uPlot reads it under this name; its types say `width`.
  return paths && isDense ? { ...paths, _width: 1 } : paths;
};

/** Places of samples between two gaps: they make no line, so a dot shows them. */
function lonelySamples(plot: uPlot, seriesIndex: number): number[] {
  const values = plot.data[seriesIndex] ?? [];
  const found: number[] = [];
  for (let at = 0; at < values.length; at += 1) {
    if (values[at] != null && values[at - 1] == null && values[at + 1] == null) found.push(at);
  }
  return found;
}

function withAlpha(colour: string, alpha: number): string {
  const match = /^rgba?\((\d+)[, ]+(\d+)[, ]+(\d+)/.exec(colour);
  return match ? `rgba(${match[1]}, ${match[2]}, ${match[3]}, ${alpha})` : colour;
}

/** From 0, unless nothing is near it. */
function scaleOf(
  measuredLeast: number | null,
  measuredMost: number | null,
  { scaleMax, limits = [] }: GraphData,
): [number, number] {
  if (measuredLeast === null || measuredMost === null) return [0, scaleMax ?? 1];
  const values = limits.map(({ value }) => value);
  const least = Math.min(measuredLeast, ...values);
  const most = Math.max(measuredMost, ...values);
  const top = scaleMax === undefined ? most * 1.08 : Math.max(scaleMax, most * 1.02);
  const isFarFromZero = least > 0 && scaleMax === undefined && (most - least) / most < 0.05;
  return [isFarFromZero ? least - (most - least) * 0.5 - most * 0.005 : Math.min(0, least), top > 0 ? top : 1];
}

const monthFormat = new Intl.DateTimeFormat('en', { month: 'short' });
const pad = (value: number) => String(value).padStart(2, '0');
const DAY_MS = 86_400_000;

/** Hours inside a day, dates over days; the date stands at the first label and where the day changes. */
function timeLabels(_: uPlot, splits: readonly number[], _axis: number, _space: number, stepMs: number): string[] {
  let before = '';
  return splits.map((at) => {
    const date = new Date(at);
    const day = `${date.getDate()} ${monthFormat.format(date)}`;
    if (stepMs >= 300 * DAY_MS) return String(date.getFullYear());
    if (stepMs >= DAY_MS) return day;
    const time =
      stepMs < 60_000
        ? `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}`
        : `${pad(date.getHours())}:${pad(date.getMinutes())}`;
    const isNewDay = day !== before;
    const isFirst = before === '';
    before = day;
    // In place of midnight: a second line has no room.
    return isNewDay && !isFirst ? day : time;
  });
}

/** Behind the lines, so that these stay what one reads. */
function drawSpans(plot: uPlot, spans: readonly TimeRange[], colours: Colours): void {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.fillStyle = withAlpha(colours.bad, 0.16);
  for (const { fromMs, toMs } of spans) {
    const left = Math.max(bbox.left, plot.valToPos(fromMs, 'x', true));
    const right = Math.min(bbox.left + bbox.width, plot.valToPos(toMs, 'x', true));
    // What was short in a long time is seen all the same.
    if (right >= bbox.left && left <= bbox.left + bbox.width)
      ctx.fillRect(left, bbox.top, Math.max(2 * uPlot.pxRatio, right - left), bbox.height);
  }
  ctx.restore();
}

/** So near to each other two limits share their words. */
const NEAR_PX = 14;

/** A line across at each limit, with its words at the right. */
function drawLimits(plot: uPlot, { limits = [] }: GraphData, colours: Colours): void {
  const { ctx, bbox } = plot;
  const ratio = uPlot.pxRatio;
  ctx.save();
  ctx.font = colours.font.replace(/^[\d.]+/, (size) => String(Number(size) * ratio));
  ctx.textAlign = 'right';
  ctx.lineWidth = 1.2 * ratio;
  for (const { value, label, kind } of labelled(plot, limits)) {
    const y = plot.valToPos(value, 'y', true);
    if (y < bbox.top - 1 || y > bbox.top + bbox.height + 1) continue;
    ctx.strokeStyle = kind === 'threshold' ? colours.bad : colours.good;
    ctx.fillStyle = ctx.strokeStyle;
    ctx.setLineDash(kind === 'threshold' ? [6 * ratio, 3 * ratio] : [2 * ratio, 3 * ratio]);
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
    const isAbove = y - bbox.top > NEAR_PX * ratio;
    ctx.textBaseline = isAbove ? 'bottom' : 'top';
    ctx.fillText(label, bbox.left + bbox.width - 4 * ratio, y + (isAbove ? -2 : 2) * ratio);
  }
  ctx.restore();
}

/** The limits with their words, where two lie close those of both at the first. */
function labelled(plot: uPlot, limits: readonly GraphLimit[]): readonly GraphLimit[] {
  const [first, second] = limits;
  if (!first || !second) return limits;
  const distance = Math.abs(plot.valToPos(first.value, 'y', true) - plot.valToPos(second.value, 'y', true));
  if (distance > NEAR_PX * uPlot.pxRatio) return limits;
  return [
    { ...first, label: `${first.label}, ${second.label}` },
    { ...second, label: '' },
  ];
}

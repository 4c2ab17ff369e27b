/** A graph over time: hover reads the values, dragging zooms, a double click goes back. The values are also there as a table, a CSV file
 *  and a picture. */

import { useSignal } from '@preact/signals';
import { useEffect, useLayoutEffect, useMemo, useRef } from 'preact/hooks';
import type uPlot from 'uplot';
import { isDark } from '../../state/theme.ts';
import { text } from '../../text.ts';
import { Menu } from '../menu.tsx';
import type { GraphData, GraphMark, TimeRange } from './graph-data.ts';
import { MarkStrip } from './mark-strip.tsx';
import { AXIS_HEIGHT_PX, AXIS_WIDTH_PX, alignedData, createPlot, lookOf, RIGHT_PX } from './plot.ts';
import { ReadOut } from './read-out.tsx';
import { saveCsv, savePng } from './save.ts';
import { ValueTable } from './value-table.tsx';
import 'uplot/dist/uPlot.min.css';
import './graph.css';

const words = text.graphs;

const HEIGHT_PX = 180;

export function TimeGraph({
  data,
  marks = [],
  range,
  onZoom,
  onZoomOut,
  height = HEIGHT_PX,
}: {
  readonly data: GraphData;
  readonly marks?: readonly GraphMark[];
  readonly range: TimeRange;
  onZoom(range: TimeRange): void;
  onZoomOut(): void;
  readonly height?: number;
}) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const cursor = useSignal<number | null>(null);
  const width = useSignal(0);
  const isTable = useSignal(false);
  const isEmpty = useMemo(() => data.lines.every((line) => line.values.every((value) => value === null)), [data]);
  const dark = isDark.value;

  useLayoutEffect(() => {
    if (!box.current) return;
    // At once: an observer tells it only after a frame without the plot.
    width.value = box.current.clientWidth;
    const sizes = new ResizeObserver(([entry]) => {
      if (entry) width.value = Math.floor(entry.contentRect.width);
    });
    sizes.observe(box.current);
    return () => sizes.disconnect();
  }, [width]);

  const hasRoom = width.value > 40;
  const state = useRef({ data, marks, range });
  state.current = { data, marks, range };
  const look = lookOf(data);
  // biome-ignore lint/correctness/useExhaustiveDependencies: callbacks, the width and new samples need no new plot
  useLayoutEffect(() => {
    if (!box.current || !hasRoom || isEmpty) return;
    const made = createPlot(box.current, {
      width: width.peek(),
      height,
      state: () => state.current,
      isDark: dark,
      onCursor: (index) => {
        cursor.value = index;
      },
      onZoom,
      onZoomOut,
    });
    plot.current = made;
    return () => {
      plot.current = null;
      made.destroy();
    };
  }, [look, height, dark, hasRoom, isEmpty]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: marks and the range are read from the state when it is drawn
  useEffect(() => {
    plot.current?.setData(alignedData(data));
  }, [data, marks, range]);

  useEffect(() => {
    // Each call draws, also one with the same size.
    if (plot.current && (plot.current.width !== width.value || plot.current.height !== height))
      plot.current.setSize({ width: width.value, height });
  }, [width.value, height]);

  return (
    <figure class="graph" aria-label={data.title}>
      <figcaption class="graph-head">
        <h3>{data.title}</h3>
        <Menu
          label={words.menuOf(data.title)}
          triggerClass="button quiet small"
          entries={[
            {
              label: isTable.value ? words.asGraph : words.asTable,
              icon: 'list',
              run: () => {
                isTable.value = !isTable.value;
              },
            },
            { label: words.saveCsv, icon: 'download', run: () => saveCsv(data) },
            {
              label: words.savePng,
              icon: 'image',
              isDisabled: isEmpty || isTable.value,
              run: () => plot.current && savePng(plot.current, { data, marks, range, isDark: dark }),
            },
          ]}
        />
      </figcaption>
      {isTable.value && <ValueTable data={data} />}
      <div class={isTable.value ? 'graph-drawing is-hidden' : 'graph-drawing'}>
        <div ref={box} class="graph-plot" style={{ minHeight: `${height}px` }}>
          {isEmpty && <p class="graph-empty muted">{words.nothing}</p>}
        </div>
        {!isEmpty && hasRoom && (
          <MarkStrip
            marks={marks}
            range={range}
            leftPx={AXIS_WIDTH_PX}
            widthPx={width.value - AXIS_WIDTH_PX - RIGHT_PX}
            topPx={height - AXIS_HEIGHT_PX}
            onZoom={onZoom}
          />
        )}
      </div>
      {!isEmpty && <ReadOut data={data} marks={marks} range={range} cursor={cursor} />}
    </figure>
  );
}

/** Twenty graphs of a VM, by the dashboard's own component or (`?draw=plain`) by uPlot alone from the same answer. The answer is held
 *  back until `window.draw` is called, so that only what follows is measured. */

import '#web/styles/tokens.css';
import '#web/styles/base.css';
import '#web/styles/components.css';
import 'uplot/dist/uPlot.min.css';
import { render } from 'preact';
import uPlot from 'uplot';
import type { MetricRange } from '#contract/metrics.ts';
import { GraphWall } from '#web/components/graph/graph-wall.tsx';
import { startRouter } from '#web/state/router.ts';
import { startTheme } from '#web/state/theme.ts';
import { entityOfBench, GRAPHS, POINTS, setsOfBench } from '../sets.ts';

declare global {
  interface Window {
    /** Whether the answer is there. */
    isReady: boolean;
    /** Draws. @returns milliseconds until the browser has shown the last graph */
    draw(): Promise<number>;
  }
}

const HEIGHT_PX = 180;

const release = Promise.withResolvers<void>();
const ask = window.fetch.bind(window);
window.isReady = false;
window.fetch = async (input, init) => {
  const url = new URL(String(input), location.href);
  // As a window of 3,000 pixels asks.
  url.searchParams.set('points', String(POINTS));
  const response = await ask(url, init);
  const held = new Response(await response.arrayBuffer(), { status: response.status, headers: response.headers });
  window.isReady = true;
  await release.promise;
  return held;
};

const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));

window.draw = async () => {
  const from = performance.now();
  release.resolve();
  while (document.querySelectorAll('.u-wrap canvas').length < GRAPHS) await frame();
  // What was drawn before one frame is on the screen at the next.
  await frame();
  return performance.now() - from;
};

async function drawPlain(target: HTMLElement): Promise<void> {
  const metric = setsOfBench.flatMap(({ lines }) => lines.map((line) => line.metric)).join(',');
  const query = new URLSearchParams({ entity: entityOfBench, metric });
  for (const bound of ['from', 'to'])
    query.set(bound, new Date(Number(new URLSearchParams(location.search).get(bound))).toISOString());
  const answer: MetricRange = JSON.parse(await (await window.fetch(`/api/v1/metrics/range?${query}`)).text());
  for (const { kind, lines } of setsOfBench) {
    const shown = answer.series.filter((one) => one.kind === kind && one.metric === lines[0]?.metric);
    const card = document.createElement('section');
    target.append(card);
    new uPlot(
      {
        width: 600,
        height: HEIGHT_PX,
        ms: 1,
        series: [
          {},
          ...shown.flatMap(() => [{ stroke: 'blue' }, { stroke: 'transparent' }, { stroke: 'transparent' }]),
        ],
        bands: shown.map((_, n) => ({ series: [3 * n + 2, 3 * n + 3], fill: 'rgba(0, 0, 255, 0.2)' })),
      },
      [shown[0]?.atMs ?? [], ...shown.flatMap(({ avg, min, max }) => [avg, max, min])],
      card,
    );
  }
}

startTheme();
startRouter();
const root = document.getElementById('app');
if (root !== null) {
  if (new URLSearchParams(location.search).get('draw') === 'plain') await drawPlain(root);
  else render(<GraphWall entity={entityOfBench} sets={setsOfBench} />, root);
}

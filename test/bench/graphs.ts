/** Twenty graphs of 1,500 points in a browser, from the answer of a real daemon to the last of them on the screen; beside uPlot alone with
 *  the same answer, below which the dashboard cannot come. */

import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { build } from 'vite';
import { startDaemon } from '#test/support/daemon.ts';
import { startPrivateLibvirtd } from '#test/support/libvirtd.ts';
import type { Measurement } from '../../scripts/test/bench.ts';
import { startPlainBrowser } from '../e2e/dashboard.ts';
import { median } from './daemon/figures.ts';
import { writeHours } from './graphs/history.ts';
import { servePage } from './graphs/server.ts';
import { GRAPHS, POINTS, VM_OF_BENCH } from './graphs/sets.ts';

const ROUNDS = 7;
/** A point for each minute. */
const SPAN_MS = POINTS * 60_000;

/** Takes about two minutes. */
export async function run(): Promise<Measurement[]> {
  await using open = new AsyncDisposableStack();
  const dir = await mkdtemp(join(tmpdir(), 'hv-bench-graphs-'));
  open.defer(() => rm(dir, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 }));
  const endMs = Date.now();
  await writeHours(dir, endMs, SPAN_MS / 3_600_000);
  await build({
    configFile: join(import.meta.dirname, '../../src/web/vite.config.ts'),
    root: join(import.meta.dirname, 'graphs/page'),
    publicDir: false,
    logLevel: 'error',
    build: { outDir: join(dir, 'page') },
  });
  const libvirtd = open.adopt(await startPrivateLibvirtd(), (each) => each.close());
  const domains = join(libvirtd.dir, 'one.xml');
  await writeFile(domains, hostXml());
  const daemon = open.adopt(
    await startDaemon({ stateDir: dir, env: { HV_LIBVIRT_URI: `test://${domains}?socket=${libvirtd.socketPath}` } }),
    (each) => each.close(),
  );
  const server = open.use(await servePage(join(dir, 'page'), join(daemon.runtimeDir, 'admin.sock')));
  const browser = open.adopt(await startPlainBrowser(), (each) => each.close());
  const query = `from=${endMs - SPAN_MS}&to=${endMs}`;
  const runs: Record<'wall' | 'plain', Drawn> = {
    wall: { wallMs: [], cpuMs: [] },
    plain: { wallMs: [], cpuMs: [] },
  };
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const kind of ['wall', 'plain'] as const) {
      const { wallMs, cpuMs } = await drawOnce(browser, `${server.origin}/?draw=${kind}&${query}`);
      runs[kind].wallMs.push(wallMs);
      runs[kind].cpuMs.push(cpuMs);
    }
  }
  const row = (name: string, figure: keyof Drawn, bar: string, unit: string): Measurement => {
    const [ours, rival] = [median(runs.wall[figure]), median(runs.plain[figure])];
    return { name, ours, rival, ratio: ours / rival, bar, unit };
  };
  const what = `${GRAPHS} graphs × ${POINTS.toLocaleString('en')} points`;
  return [
    row(`${what}: from the answer to the screen | uPlot alone`, 'wallMs', '< 300', 'ms'),
    row(`${what}: the page's thread meanwhile | uPlot alone`, 'cpuMs', '< 300', 'ms CPU'),
  ];
}

interface Drawn {
  readonly wallMs: number[];
  readonly cpuMs: number[];
}

/** In a window of its own, as somebody opens the page. */
async function drawOnce(browser: Browser, url: string): Promise<{ wallMs: number; cpuMs: number }> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  try {
    const page = await context.newPage();
    const failures: string[] = [];
    page.on('pageerror', (error) => failures.push(error.message));
    await page.goto(url);
    await page.waitForFunction('window.isReady');
    const session = await context.newCDPSession(page);
    await session.send('Performance.enable', { timeDomain: 'threadTicks' });
    const busyMs = async () => {
      const { metrics } = await session.send('Performance.getMetrics');
      return (metrics.find(({ name }) => name === 'TaskDuration')?.value ?? Number.NaN) * 1000;
    };
    const before = await busyMs();
    const wallMs = await page.evaluate(() => window.draw());
    const cpuMs = (await busyMs()) - before;
    assert.deepEqual(failures, []);
    assert.equal(await page.locator('.u-wrap canvas').count(), GRAPHS);
    return { wallMs, cpuMs };
  } finally {
    await context.close();
  }
}

function hostXml(): string {
  return `<node><domain type='test'><name>busy</name><uuid>${VM_OF_BENCH}</uuid><memory unit='MiB'>4096</memory><vcpu>2</vcpu>
  <os><type arch='x86_64'>hvm</type></os></domain></node>
`;
}

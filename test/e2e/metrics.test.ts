/** Graphs in a real browser, of a real guest that was measured: read, zoomed, saved, on the phone and without colours. */

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Locator, Page } from 'playwright-core';
import { missingForLibvirtd } from '../support/libvirtd.ts';
import { seriousFindings } from './accessibility.ts';
import { type Dashboard, startDashboard } from './dashboard.ts';

const skip = missingForLibvirtd() ?? false;
const TICKS = 4;

let dashboard: Dashboard;
let page: Page;
let backupId: string;

before(async () => {
  if (skip) return;
  dashboard = await startDashboard();
  page = await dashboard.signIn();
  const { admin, finish } = dashboard.daemon;
  await admin('POST /repositories', { body: { name: 'shelf', folder: join(dashboard.libvirtd.dir, 'shelf') } });
  backupId = (await finish(await admin('POST /vms/{id}/backup', { params: { id: dashboard.helloId }, body: {} }))).id;
  const query = { entity: `vm:${dashboard.helloId}`, metric: 'cpu_usage', from: '10min' };
  for (let tries = 0; tries < 60; tries += 1) {
    const { series } = await admin('GET /metrics/range', { query });
    const measured = series[0]?.avg.filter((value) => value !== null) ?? [];
    if (measured.length >= TICKS) return;
    await sleep(2_000);
  }
  assert.fail('the guest was not measured');
});
after(async () => {
  await dashboard?.close();
});

const go = async (path: string) => {
  await page.goto(`${dashboard.daemon.origin}${path}`);
  await page.locator('.graph canvas, .capacity').first().waitFor();
};
const graph = (title: string): Locator => page.getByRole('figure', { name: title, exact: true });
const boxOf = async (where: Locator) => {
  const box = await where.boundingBox();
  assert.ok(box);
  return box;
};
/** Where the newest samples of the last hour are drawn. */
const hoverEnd = async (title: string) => {
  const box = await boxOf(graph(title).locator('.u-over'));
  await page.mouse.move(box.x + box.width - 3, box.y + box.height / 2);
};

const PAGES = [
  { name: 'vm', path: () => `/vms/${dashboard.helloId}/graphs` },
  { name: 'host', path: () => '/graphs/host' },
  { name: 'compare', path: () => '/graphs/vms' },
  { name: 'capacity', path: () => '/graphs/capacity' },
];

test('pages with graphs pass axe in both themes, and scroll sideways on no screen', { skip }, async (context) => {
  for (const { name, path } of PAGES) {
    await context.test(name, async () => {
      await go(path());
      for (const theme of ['dark', 'light'] as const) {
        await page.emulateMedia({ colorScheme: theme });
        await dashboard.screenshot(page, `graphs-${name}-${theme}`);
        assert.deepEqual(await seriousFindings(page), [], theme);
      }
      for (const width of [360, 390, 1920]) {
        await page.setViewportSize({ width, height: 900 });
        await sleep(300);
        if (width === 390) await dashboard.screenshot(page, `graphs-${name}-phone`);
        const over = await page.evaluate(
          () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
        );
        assert.equal(over, 0, `${width} px`);
      }
      await page.setViewportSize({ width: 1280, height: 800 });
      await page.emulateMedia({ colorScheme: 'dark' });
    });
  }
});

test('the crosshair reads the same moment in all graphs of the page', { skip }, async () => {
  await go(`/vms/${dashboard.helloId}/graphs`);
  await hoverEnd('Processors');
  const times = await page.locator('.graph-read-out time').allTextContents();
  assert.ok(times.length > 3);
  assert.equal(new Set(times).size, 1, times.join(' | '));
  assert.match((await graph('Processors').locator('.graph-read-out').textContent()) ?? '', /in use\s*\d+(\.\d+)? %/);
  assert.match((await graph('Memory').locator('.graph-read-out').textContent()) ?? '', /given to it\s*256 MiB/);
});

test('new samples move the graphs while the crosshair stays', { skip }, async () => {
  await go(`/vms/${dashboard.helloId}/graphs`);
  await hoverEnd('Processors');
  const canvas = await graph('Processors').locator('canvas').elementHandle();
  const readOut = graph('Processors').locator('.graph-read-out time');
  const before = await readOut.textContent();
  await page.waitForResponse((response) => response.url().includes('/metrics/range'), { timeout: 30_000 });
  await page.waitForFunction((text) => document.querySelector('.graph-read-out time')?.textContent !== text, before);
  assert.equal(await canvas?.evaluate((node) => node.isConnected), true);
  assert.equal(await graph('Processors').locator('.u-cursor-x').isVisible(), true);
});

test('what was done to the VM is marked below the axis and named at the crosshair', { skip }, async () => {
  await go(`/vms/${dashboard.helloId}/graphs`);
  await graph('Processors').getByRole('list', { name: 'What happened' }).waitFor();
  const box = await boxOf(graph('Processors').locator('.u-over'));
  // The newest are met first, and it was made before all others.
  let seen = '';
  for (let x = 2; x < box.width / 2 && !seen.includes('Create hello'); x += 2) {
    await page.mouse.move(box.x + box.width - x, box.y + 20);
    seen = (await graph('Processors').locator('.graph-marks').allTextContents()).join();
  }
  assert.match(seen, /Create hello/);
});

/** The mark that stands for the backup, alone or among others. */
const backupMark = () =>
  graph('Processors')
    .getByRole('list', { name: 'What happened' })
    .getByLabel(/Back up hello/);
const legend = (kind: RegExp) =>
  page.getByRole('group', { name: 'What is marked' }).getByRole('button', { name: kind });
/** Zoomed in until nothing but the backup lies at its place. */
const goToBackup = async () => {
  const { createdAt, finishedAt } = await dashboard.daemon.admin('GET /operations/{id}', { params: { id: backupId } });
  const fromMs = Date.parse(createdAt) - 1;
  const toMs = Math.max(Date.parse(finishedAt ?? ''), fromMs + 60_000);
  await go(`/vms/${dashboard.helloId}/graphs?from=${fromMs}&to=${toMs}`);
  await backupMark().waitFor();
};
/** How many pixels of the strip below the axis have a colour, where the backup is. */
const drawnPixels = async () => {
  const axis = await boxOf(graph('Processors').locator('.u-over'));
  return graph('Processors')
    .locator('canvas')
    .evaluate((canvas: HTMLCanvasElement, bottomPx) => {
      const ratio = canvas.width / canvas.clientWidth;
      const y = (bottomPx - canvas.getBoundingClientRect().top + 1) * ratio;
      const { data } = canvas.getContext('2d')?.getImageData(66 * ratio, y, 24 * ratio, 14 * ratio) ?? { data: [] };
      let drawn = 0;
      for (let at = 0; at < data.length; at += 4)
        if ((data[at + 3] ?? 0) > 200 && Math.abs((data[at] ?? 0) - (data[at + 2] ?? 0)) > 60) drawn += 1;
      return drawn;
    }, axis.y + axis.height);
};
/** A canvas is drawn some time after the document has changed. */
const untilDrawn = async (isWanted: (pixels: number) => boolean) => {
  let pixels = await drawnPixels();
  for (let tries = 0; tries < 300 && !isWanted(pixels); tries += 1) {
    await page.waitForTimeout(100);
    pixels = await drawnPixels();
  }
  assert.ok(isWanted(pixels), `${pixels} pixels are drawn`);
};

test('a backup is marked from begin to end, told at its mark, hidden by the legend and opened', { skip }, async () => {
  await goToBackup();
  await backupMark().hover();
  const tip = graph('Processors').getByRole('tooltip');
  await tip.getByText(/Back up hello \(.+\)/).waitFor();
  assert.match((await tip.textContent()) ?? '', / – .*, done/);
  await dashboard.screenshot(page, 'graphs-marks-dark');
  assert.deepEqual(await seriousFindings(page), []);
  await untilDrawn((pixels) => pixels > 30);

  await legend(/Backups 1/).click();
  await backupMark().waitFor({ state: 'detached' });
  assert.equal(new URL(page.url()).searchParams.get('hide'), 'backup');
  await untilDrawn((pixels) => pixels === 0);
  await legend(/Backups 1/).click();
  await backupMark().click();
  await page.getByRole('heading', { name: 'Back up hello' }).waitFor();
  assert.equal(new URL(page.url()).pathname, `/operations/${backupId}`);
});

test('marks are one stop of the tabulator, gone through with the arrow keys', { skip }, async () => {
  await go(`/vms/${dashboard.helloId}/graphs`);
  const marks = graph('Processors').getByRole('list', { name: 'What happened' });
  await marks.waitFor();
  assert.equal(await marks.locator('[tabindex="0"]').count(), 1);
  await marks.locator('[tabindex="0"]').focus();
  const tip = graph('Processors').getByRole('tooltip');
  await tip.getByText('hello').first().waitFor();
  await page.keyboard.press('Home');
  await tip.getByText(/Create hello/).waitFor();
  await page.keyboard.press('Escape');
  await tip.waitFor({ state: 'detached' });
});

test('the saved picture has the marks and says what they mean', { skip }, async () => {
  const heightOfPicture = async () => {
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      (async () => {
        await page.getByRole('button', { name: 'More for the graph Processors' }).click();
        await page.getByRole('menuitem', { name: 'Save as picture' }).click();
      })(),
    ]);
    const bytes = await readFile(await download.path());
    return bytes.readUInt32BE(20);
  };
  await goToBackup();
  const withMarks = await heightOfPicture();
  const shown = page.locator('.mark-legend [aria-pressed="true"]');
  while ((await shown.count()) > 0) await shown.first().click();
  await page.locator('.mark-strip').first().waitFor({ state: 'detached' });
  assert.ok(withMarks - (await heightOfPicture()) >= 20);
});

test('dragging zooms all graphs, the address holds the times, and Back follows the clock again', { skip }, async () => {
  await go(`/vms/${dashboard.helloId}/graphs`);
  const box = await boxOf(graph('Processors').locator('.u-over'));
  await page.mouse.move(box.x + box.width * 0.9, box.y + 40);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.99, box.y + 60, { steps: 6 });
  await page.mouse.up();
  await page.getByRole('button', { name: 'Back', exact: true }).waitFor();
  const query = new URL(page.url()).searchParams;
  const spanMs = Number(query.get('to')) - Number(query.get('from'));
  assert.ok(spanMs > 4 * 60_000 && spanMs < 8 * 60_000, String(spanMs));
  await page.reload();
  await page.getByRole('button', { name: 'Back', exact: true }).waitFor();
  await graph('Processors').locator('canvas').waitFor();
  await page.getByRole('button', { name: 'Back', exact: true }).click();
  await page.getByText('Drag over a graph to zoom in').waitFor();
  await page.getByRole('button', { name: '24 h' }).click();
  assert.equal(new URL(page.url()).searchParams.get('range'), '24h');
});

test('a graph is there as a table, a CSV file and a picture', { skip }, async () => {
  await go('/graphs/host');
  const choose = async (entry: string) => {
    await page.getByRole('button', { name: 'More for the graph Processors' }).click();
    await page.getByRole('menuitem', { name: entry }).click();
  };
  const saved = async (entry: string) => {
    const [download] = await Promise.all([page.waitForEvent('download'), choose(entry)]);
    return { name: download.suggestedFilename(), bytes: await readFile(await download.path()) };
  };
  const csv = await saved('Save as CSV');
  assert.equal(csv.name, 'processors.csv');
  const [head = '', ...rows] = csv.bytes.toString('utf8').trimEnd().split('\r\n');
  assert.equal(head, 'time,in use,waiting for disks');
  assert.ok(rows.filter((row) => /^\d{4}-\d\d-\d\dT[\d:.]+Z,0?\.?\d/.test(row)).length >= TICKS);
  const png = await saved('Save as picture');
  assert.equal(png.name, 'processors.png');
  assert.equal(png.bytes.subarray(1, 4).toString('latin1'), 'PNG');
  assert.ok(png.bytes.length > 2_000);
  await choose('Show as table');
  const table = graph('Processors').getByRole('table');
  await table.waitFor();
  assert.match((await table.textContent()) ?? '', /in use/);
  assert.ok((await table.getByRole('row').count()) > TICKS);
});

test('time without samples is a gap, and a figure that nothing measured says so', { skip }, async () => {
  const hours = 6 * 3_600_000;
  const to = Date.now() - hours;
  await page.goto(`${dashboard.daemon.origin}/vms/${dashboard.helloId}/graphs?from=${to - hours}&to=${to}`);
  await page.getByText('Nothing was measured in this time.').first().waitFor();
  assert.equal(await page.locator('.graph canvas').count(), 0);
});

test('VMs are compared and searched, and the pages complain of nothing', { skip }, async () => {
  await go('/graphs/vms');
  const row = page.getByRole('row', { name: /hello/ });
  await row.waitFor();
  await page.getByRole('searchbox', { name: 'Search VMs' }).fill('nothing-of-this-name');
  await page.getByText('No VM fits.').waitFor();
  await page.getByRole('searchbox', { name: 'Search VMs' }).fill('hel');
  await row.waitFor();
  await page.getByRole('combobox').selectOption({ label: 'Memory given' });
  await page.getByRole('row', { name: /hello.*256 MiB/ }).waitFor();
  assert.deepEqual(dashboard.complaints, []);
});

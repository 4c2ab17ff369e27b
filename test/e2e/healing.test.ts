/** Self-healing, jobs of libvirt and a libvirt that is away, in a real browser in front of a real guest: pages follow events, nothing is polled. */

import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Page } from 'playwright-core';
import { missingForLibvirtd } from '../support/libvirtd.ts';
import { seriousFindings } from './accessibility.ts';
import { type Dashboard, startDashboard } from './dashboard.ts';

const skip = missingForLibvirtd() ?? false;

let dashboard: Dashboard;
let page: Page;

before(async () => {
  if (skip) return;
  dashboard = await startDashboard({ healing: { restartDelaysSeconds: [1] } });
  page = await dashboard.signIn();
});
after(async () => {
  await dashboard?.close();
});

const card = (where: Page) =>
  where.locator('section', { has: where.getByRole('heading', { name: 'Self-healing', exact: true }) });
const isOfActs = (url: string) => url.includes('/healing/acts');
/** The card stands there before its first reading is answered. */
const openSettings = async (where: Page) => {
  const read = where.waitForResponse((response) => isOfActs(response.url()));
  const stream = where.waitForResponse((response) => response.url().endsWith('/api/v1/events'));
  await where.goto(`${dashboard.daemon.origin}/settings`);
  await Promise.all([read, stream, card(where).waitFor()]);
};

test('what healing does appears on the card by its event, without asking again and again', { skip }, async () => {
  await openSettings(page);
  const inCard = card(page);
  const acts = async () => (await dashboard.daemon.admin('GET /healing/acts')).items;
  const asked: string[] = [];
  page.on('request', (request) => {
    if (isOfActs(request.url())) asked.push(request.url());
  });
  // hyperd itself finds something in its first half a minute; read in the midst of the count it would count for another.
  await inCard.getByText('has no reserve').waitFor();
  // What the page reads while it opens is over when it has read nothing for a while.
  for (let seen = -1; seen !== asked.length; ) {
    seen = asked.length;
    await page.waitForTimeout(3_000);
  }
  const before = (await acts()).length;
  asked.length = 0;
  process.kill(dashboard.libvirtd.qemuPid('hello'), 'SIGKILL');
  await inCard.getByText('The QEMU of hello died.').waitFor();
  await inCard.getByText('done', { exact: true }).waitFor();
  // Each act begins and ends: two readings at most, also a while after it.
  const made = async () => (await acts()).length - before;
  const now = await made();
  assert.ok(asked.length >= 1 && asked.length <= 2 * now, `${asked.length} readings of ${now} acts`);
  await page.waitForTimeout(3_000);
  const later = await made();
  assert.ok(asked.length <= 2 * later, `${asked.length} readings of ${later} acts`);
  await inCard.scrollIntoViewIfNeeded();
  await dashboard.screenshot(page, 'healing-acts-dark');
});

test('a mode that somebody else chose is shown at once', { skip }, async () => {
  await openSettings(page);
  const choice = card(page).getByRole('radiogroup', { name: 'Start services that failed' });
  assert.equal(await choice.getByRole('radio', { name: 'Observe' }).isChecked(), true);
  await dashboard.daemon.admin('PATCH /healing/actions/{id}', {
    params: { id: 'service-start' },
    body: { mode: 'off' },
  });
  await choice.locator('.is-chosen', { hasText: 'Off' }).waitFor();
});

test('healing is paused for a while with a reason, everybody sees it, and it goes on before its time', {
  skip,
}, async () => {
  const other = await dashboard.signIn();
  await Promise.all([openSettings(page), openSettings(other)]);
  await card(page).getByRole('button', { name: 'Pause…' }).click();
  const dialog = page.getByRole('dialog', { name: 'Pause self-healing' });
  await dialog.getByText('4 hours').click();
  await dialog.getByLabel('Why').fill('new disks');
  assert.equal(
    await dialog.getByRole('link', { name: 'Keep their messages back too' }).getAttribute('href'),
    '/alerts/silences',
  );
  await dashboard.screenshot(page, 'healing-pause-dark');
  assert.deepEqual(await seriousFindings(page), []);
  await dialog.getByRole('button', { name: 'Pause', exact: true }).click();
  for (const where of [page, other])
    await card(where)
      .getByText(/Paused until .*, by admin: new disks\./)
      .waitFor();
  const { pause } = await dashboard.daemon.admin('GET /healing/actions');
  const lastsMs = Date.parse(pause?.until ?? '') - Date.parse(pause?.since ?? '');
  assert.equal(lastsMs, 4 * 3_600_000);
  assert.equal(await card(page).getByRole('button', { name: 'Pause…' }).count(), 0);
  for (const theme of ['dark', 'light'] as const) {
    await page.emulateMedia({ colorScheme: theme });
    await dashboard.screenshot(page, `healing-paused-${theme}`);
    assert.deepEqual(await seriousFindings(page), [], theme);
  }
  await page.emulateMedia({ colorScheme: 'dark' });
  await card(other).getByRole('button', { name: 'Go on now' }).click();
  for (const where of [page, other]) await card(where).getByRole('button', { name: 'Pause…' }).waitFor();
  await other.context().close();
});

test('a job of libvirt that another program began stands above the operations until it is over', { skip }, async () => {
  const { libvirtd } = dashboard;
  await page.goto(`${dashboard.daemon.origin}/operations`);
  const jobs = page.locator('section', { has: page.getByRole('heading', { name: 'Jobs of libvirt' }) });
  await page.getByRole('heading', { name: 'Operations', exact: true }).waitFor();
  assert.equal(await jobs.count(), 0);
  const file = join(libvirtd.dir, 'backup.xml');
  await writeFile(
    file,
    `<domainbackup mode='pull'><server transport='unix' socket='${join(libvirtd.dir, 'nbd.sock')}'/></domainbackup>`,
  );
  await libvirtd.virsh('backup-begin', 'hello', file);
  await jobs.getByText('hello is backed up').waitFor();
  await jobs.getByText('begun by another program').waitFor();
  assert.deepEqual(await seriousFindings(page), []);
  await dashboard.screenshot(page, 'operations-job-dark');
  await libvirtd.virsh('domjobabort', 'hello');
  await jobs.waitFor({ state: 'detached' });
});

test('while libvirt is away the overview names in one line what is not known', { skip }, async () => {
  await dashboard.libvirtd.kill();
  const { admin } = dashboard.daemon;
  for (let tries = 0; tries < 100 && (await admin('GET /hosts')).items[0]?.state === 'connected'; tries += 1)
    await page.waitForTimeout(100);
  await dashboard.daemon.finish(await admin('POST /preflight'));
  await page.goto(`${dashboard.daemon.origin}/`);
  const attention = page.locator('.attention');
  await attention.getByText(/^libvirt does not answer: \d+ checks not known$/).waitFor();
  const { problems } = await admin('GET /system/overview');
  const [line] = problems;
  const count = Number(/(\d+) checks/.exec(line?.title ?? '')?.[1]);
  assert.ok(count >= 4, line?.title);
  assert.match(line?.hint ?? '', /systemctl start libvirtd/);
  assert.deepEqual(
    problems.filter(({ hint, id }) => id !== line?.id && hint?.includes('libvirt.connection')),
    [],
  );
  await dashboard.screenshot(page, 'overview-libvirt-away-dark');
  assert.deepEqual(dashboard.complaints, []);
});

/** Every page in both themes and at three widths: no serious finding of axe, nothing to scroll sideways, and a picture for those who ask. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import type { Page } from 'playwright-core';
import { MIB } from '#kernel/units.ts';
import { guestReport } from '../support/guest-report.ts';
import { missingForLibvirtd } from '../support/libvirtd.ts';
import { seriousFindings } from './accessibility.ts';
import { type Dashboard, startDashboard } from './dashboard.ts';

const skip = missingForLibvirtd() ?? false;

const PHONE = { width: 390, narrowest: 360, height: 844 } as const;
const WIDE = { width: 1920, height: 1080 } as const;

interface Stop {
  readonly name: string;
  readonly path: string;
  /** Shown when the page is complete. */
  readonly ready: string;
  readonly open?: (page: Page) => Promise<void>;
}

let dashboard: Dashboard;
let page: Page;

before(async () => {
  if (skip) return;
  dashboard = await startDashboard();
  // While somebody looks, guests are measured every few seconds instead of every minute.
  page = await dashboard.signIn();
  await furnish();
});
after(async () => {
  await dashboard?.close();
});

/** Some more VMs of every look: running, off, paused, protected, headless, with the longest name. */
async function furnish(): Promise<void> {
  const { admin, finish } = dashboard.daemon;
  const plain = { firmware: 'bios', accel: 'tcg', memoryBytes: 128 * MIB, vcpus: 1, start: false } as const;
  const disks = [{ sizeBytes: 64 * MIB }];
  const hello = { disks: [{ imageId: 'hello' }], memoryBytes: 256 * MIB, start: true };
  const orders = [
    { ...plain, ...hello, name: 'web1', title: 'Shop, front end' },
    { ...plain, disks, name: 'db1', title: 'Shop, database', isProtected: true, autostart: true },
    { ...plain, disks, name: 'mail', graphics: false },
    { ...plain, disks, name: 'build', memoryBytes: 64 * MIB, start: true },
    { ...plain, disks, name: 'a-name-as-long-as-names-may-be-which-is-sixty-three-characters' },
  ];
  for (const body of orders) await finish(await admin('POST /vms', { body }));
  await finish(await admin('POST /vms/{id}/pause', { params: { id: 'build' } }));
  // The pictures shall show guests at work: booted, measured and with an address.
  await waitUntil(async () => {
    const { items } = await admin('GET /vms', { query: { state: 'running' } });
    const late = items.filter(
      (vm) => (vm.usage?.cpuRatio ?? null) === null || vm.nics.every(({ addresses }) => addresses.length === 0),
    );
    return late.length === 0 ? null : JSON.stringify(late.map(({ name, usage, nics }) => ({ name, usage, nics })));
  });
  await waitUntil(async () => ((await admin('GET /preflight')) === null ? 'no preflight' : null));
  await finish(await admin('POST /health/run'));
}

/** @param missing tells what is still missing; null = nothing */
async function waitUntil(missing: () => Promise<string | null>): Promise<void> {
  const deadline = performance.now() + 120_000;
  for (let late = await missing(); late !== null; late = await missing()) {
    if (performance.now() > deadline) {
      const state = await guestReport(dashboard.libvirtd);
      throw new Error(`the guests did not get ready within two minutes: ${late}\n${state}`);
    }
    await sleep(500);
  }
}

function stops(): readonly Stop[] {
  const vm = `/vms/${dashboard.helloId}`;
  return [
    { name: 'overview', path: '/', ready: 'text=What happened lately' },
    { name: 'vms', path: '/vms', ready: '.thumbnail img' },
    { name: 'vm', path: vm, ready: 'text=Hardware' },
    { name: 'vm-console', path: `${vm}/console`, ready: '[data-state=open]' },
    { name: 'vm-serial', path: `${vm}/console?view=serial`, ready: '[data-state=open]' },
    { name: 'vm-disks', path: `${vm}/disks`, ready: 'text=Allocated' },
    { name: 'vm-networks', path: `${vm}/networks`, ready: 'text=NICs' },
    { name: 'vm-activity', path: `${vm}/activity`, ready: '.operation-item' },
    { name: 'vm-definition', path: `${vm}/definition`, ready: 'pre' },
    { name: 'create', path: '/vms/new', ready: 'text=What does it boot from?' },
    { name: 'images', path: '/images', ready: 'text=Checked against' },
    { name: 'catalogue', path: '/images/catalogue', ready: '.entry' },
    { name: 'operations', path: '/operations', ready: '.operation-item' },
    { name: 'networks', path: '/networks', ready: 'text=virbr0' },
    { name: 'storage', path: '/storage', ready: 'text=Volume' },
    { name: 'trash', path: '/trash', ready: 'text=The trash is empty' },
    { name: 'hosts', path: '/hosts', ready: '.checks' },
    { name: 'health', path: '/health', ready: '.health-list', open: (where) => openChecks(where) },
    { name: 'audit', path: '/audit', ready: 'td' },
    { name: 'settings', path: '/settings', ready: 'text=Certificate' },
    { name: 'console-window', path: `/consoles/${dashboard.helloId}/vnc`, ready: '[data-state=open]' },
    { name: 'not-found', path: '/nowhere', ready: 'text=There is no such page' },
    { name: 'search', path: '/vms', ready: 'a.vm-name', open: (where) => where.keyboard.press('/') },
    {
      name: 'edit',
      path: vm,
      ready: 'text=Hardware',
      open: async (where) => {
        await where.getByRole('button', { name: 'Edit' }).first().click();
        await where.getByRole('dialog').getByLabel('vCPUs').fill('2');
        await where.getByRole('dialog').getByRole('table').waitFor();
      },
    },
    {
      name: 'upload',
      path: '/images',
      ready: 'text=Checked against',
      open: async (where) => {
        await where.getByRole('button', { name: 'Upload', exact: true }).click();
        await where.getByText('Drop a file here').waitFor();
      },
    },
    {
      name: 'delete',
      path: vm,
      ready: 'text=Hardware',
      open: async (where) => {
        await where.getByRole('button', { name: 'Actions for hello' }).click();
        await where.getByRole('menuitem', { name: 'Delete…' }).click();
        await where.getByLabel('Type hello to confirm').fill('hell');
      },
    },
    {
      name: 'type-text',
      path: `${vm}/console`,
      ready: '[data-state=open]',
      open: async (where) => {
        await where.getByRole('button', { name: 'Type text' }).click();
        await where.getByRole('textbox', { name: 'Text' }).fill('uname -a\n');
      },
    },
    {
      name: 'tray',
      path: '/vms',
      ready: 'a.vm-name',
      open: (where) => where.getByRole('button', { name: /^Operations:/ }).click(),
    },
  ];
}

/** Some checks opened, with their limits and changes. */
async function openChecks(where: Page): Promise<void> {
  // Not those that wait for libvirt: they stand together behind one line until it answers.
  const shown = (state: string) => where.locator(`.health-list details${state}`).filter({ visible: true });
  await shown('').nth(3).waitFor();
  // One that is closed, wherever it stands by then: results come in meanwhile, and the list is sorted by them.
  while ((await shown('[open]').count()) < 4) await shown(':not([open])').first().locator('summary').click();
  await where.locator('.health-more').filter({ visible: true }).nth(3).waitFor();
}

async function visit(where: Page, stop: Stop): Promise<void> {
  await where.goto(`${dashboard.daemon.origin}${stop.path}`);
  await where.locator(stop.ready).filter({ visible: true }).first().waitFor();
  await stop.open?.(where);
  // Pictures of screens and short movements settle.
  await where.waitForTimeout(400);
}

const overflowOf = (where: Page) =>
  where.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);

// One visit serves both themes and the widest window: a page follows them while it is shown.
test(`every page passes axe in both themes, and does not scroll sideways at ${WIDE.width} px`, {
  skip,
}, async (context) => {
  for (const stop of stops()) {
    await context.test(stop.name, async () => {
      await page.setViewportSize({ width: 1280, height: 800 });
      await page.emulateMedia({ colorScheme: 'dark' });
      await visit(page, stop);
      for (const theme of ['dark', 'light'] as const) {
        await page.emulateMedia({ colorScheme: theme });
        await dashboard.screenshot(page, `${stop.name}-${theme}`);
        assert.deepEqual(await seriousFindings(page), [], theme);
      }
      await page.setViewportSize(WIDE);
      await dashboard.screenshot(page, `${stop.name}-wide`);
      assert.equal(await overflowOf(page), 0);
    });
  }
});

test(`no page scrolls sideways at ${PHONE.narrowest} px`, { skip }, async (context) => {
  const { width, height, narrowest } = PHONE;
  const where = await dashboard.signIn({ viewport: { width, height }, hasTouch: true, isMobile: true });
  for (const stop of stops()) {
    await context.test(stop.name, async () => {
      await where.setViewportSize({ width, height });
      await visit(where, stop);
      await dashboard.screenshot(where, `${stop.name}-phone`);
      await where.setViewportSize({ width: narrowest, height });
      assert.equal(await overflowOf(where), 0);
    });
  }
  await where.context().close();
});

test('the open tray covers no action of the page from 1100 px on', { skip }, async (context) => {
  const where = await dashboard.signIn();
  const pages = [
    { path: '/', ready: 'text=What happened lately' },
    { path: '/vms', ready: 'a.vm-name' },
    { path: `/vms/${dashboard.helloId}`, ready: 'text=Hardware' },
    { path: '/images', ready: 'text=Checked against' },
    { path: '/vms/new', ready: 'text=What does it boot from?' },
  ];
  for (const { path, ready } of pages) {
    await context.test(path, async () => {
      await where.setViewportSize({ width: 1280, height: 800 });
      await visit(where, { name: path, path, ready });
      await where.getByRole('button', { name: /^Operations:/ }).click();
      await where.getByRole('complementary', { name: 'Operations' }).waitFor();
      for (const width of [1100, 1280, 1920]) {
        await where.setViewportSize({ width, height: 800 });
        await where.waitForTimeout(300);
        const covered = await where.evaluate(() =>
          [...document.querySelectorAll('.page-actions :is(a, button), .wizard-foot button, .vm-list .vm-menu button')]
            .filter((element) => {
              const { left, right, top, bottom, width: size } = element.getBoundingClientRect();
              if (size === 0 || bottom > window.innerHeight) return false;
              return !element.contains(document.elementFromPoint((left + right) / 2, (top + bottom) / 2));
            })
            .map((element) => element.textContent || element.ariaLabel),
        );
        assert.deepEqual(covered, [], `at ${width} px`);
        assert.equal(await where.evaluate(() => document.documentElement.scrollWidth > window.innerWidth), false);
      }
    });
  }
  await where.context().close();
});

test('on the phone what is touched is at least 44 px high', { skip }, async () => {
  const where = await dashboard.signIn({ viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });
  await visit(where, { name: 'vms', path: '/vms', ready: 'a.vm-name' });
  const small = await where.evaluate(() =>
    [
      ...document.querySelectorAll<HTMLElement>(
        '.bottom a, .bottom button, .page-actions .button, .top-right button, .vm-menu button',
      ),
    ]
      .filter((element) => element.offsetHeight > 0 && element.offsetHeight < 44)
      .map((element) => `${element.textContent || element.ariaLabel}: ${element.offsetHeight}`),
  );
  assert.deepEqual(small, []);
  await where.getByRole('button', { name: 'More' }).click();
  await where.getByRole('link', { name: 'Storage' }).click();
  await where.getByRole('heading', { name: 'Storage' }).waitFor();
  await where.context().close();
});

test('on the phone hidden tabs are announced, the console has two rows of tools, and all VMs can be selected', {
  skip,
}, async () => {
  const where = await dashboard.signIn({ viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });
  const vm = `/vms/${dashboard.helloId}`;
  await visit(where, { name: 'vm-console', path: `${vm}/console`, ready: '[data-state=open]' });
  await where.locator('.tabs-frame.hides-after').waitFor();
  const rows = await where.evaluate(() => {
    const tops = [...document.querySelectorAll('.console-bar .choice, .console-buttons > .button')].map((element) =>
      Math.round(element.getBoundingClientRect().top),
    );
    return new Set(tops).size;
  });
  assert.ok(rows <= 2, `${rows} rows`);
  await visit(where, { name: 'vm-definition', path: `${vm}/definition`, ready: 'pre' });
  await where.locator('.tabs-frame.hides-before').waitFor();
  assert.equal(await where.getByRole('link', { name: 'Definition' }).isVisible(), true);

  await visit(where, { name: 'vms', path: '/vms', ready: 'a.vm-name' });
  await where.getByLabel('Select all that are shown').check();
  const { items } = await dashboard.daemon.admin('GET /vms');
  await where.getByText(`${items.length} selected`).waitFor();

  await visit(where, { name: 'settings', path: '/settings', ready: 'text=Certificate' });
  await visit(where, { name: 'account', path: '/settings/security', ready: 'text=Sessions' });
  await where
    .getByText(/^Chrome \d+ on Linux/)
    .first()
    .waitFor();
  assert.equal(await where.getByText('Mozilla').count(), 0);
  await visit(where, { name: 'images', path: '/images', ready: 'td' });
  const height = await where.evaluate(() => document.querySelector<HTMLElement>('tbody tr')?.offsetHeight ?? 0);
  assert.ok(height > 0 && height <= 120, `${height} px`);
  await where.context().close();
});

test('the sign-in page passes axe, with and without a link', { skip }, async () => {
  const { page: stranger, context } = await dashboard.open();
  await stranger.goto(`${dashboard.daemon.origin}/`);
  await stranger.getByRole('heading', { name: 'Sign in' }).waitFor();
  assert.deepEqual(await seriousFindings(stranger), []);
  await dashboard.screenshot(stranger, 'sign-in');
  await stranger.goto('about:blank');
  await stranger.goto(await dashboard.link());
  await stranger.getByRole('heading', { name: 'Your sign-in link is ready' }).waitFor();
  assert.deepEqual(await seriousFindings(stranger), []);
  await context.close();
});

test('the first view loads at most 120 kB of JavaScript, and the consoles only when they are opened', {
  skip,
}, async () => {
  const { page: fresh, context } = await dashboard.open();
  const scripts: { readonly url: string; readonly bytes: Promise<number> }[] = [];
  fresh.on('response', (response) => {
    if (!response.url().endsWith('.js')) return;
    scripts.push({ url: response.url(), bytes: response.body().then((body) => gzipSync(body).length) });
  });
  await fresh.goto(await dashboard.link());
  await fresh.getByRole('button', { name: 'Sign in' }).click();
  await fresh.locator('text=What happened lately').waitFor();
  const sizes = await Promise.all(scripts.map(({ bytes }) => bytes));
  const total = sizes.reduce((sum, size) => sum + size, 0);
  assert.ok(total > 0 && total <= 120 * 1024, `${total} bytes (gzip) in ${scripts.length} files`);
  assert.deepEqual(
    scripts.filter(({ url }) => /vnc|serial-terminal/.test(url)),
    [],
  );
  await context.close();
});

test('F1: nothing breached the content security policy, threw, or opened a dialog', { skip }, () => {
  assert.deepEqual(dashboard.complaints, []);
});

/** Settings → Security and Projects in a real browser: every page in both themes and on the phone, rights explained and followed live. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Page } from 'playwright-core';
import { runHv } from '#cli/fake-daemon.ts';
import { ed25519Key } from '#features/access/ssh/fake-signer.ts';
import { MIB } from '#kernel/units.ts';
import { missingForLibvirtd } from '../support/libvirtd.ts';
import { seriousFindings } from './accessibility.ts';
import { type Dashboard, startDashboard } from './dashboard.ts';

const skip = missingForLibvirtd() ?? false;
const LONG = 'a-name-as-long-as-names-may-be-which-is-sixty-three-characters';

let dashboard: Dashboard;
let page: Page;
const ids: Record<'alice' | 'shop' | 'web1', string> = { alice: '', shop: '', web1: '' };

before(async () => {
  if (skip) return;
  dashboard = await startDashboard();
  await furnish();
  page = await dashboard.signIn();
});
after(async () => {
  await dashboard?.close();
});

/** People, groups, roles and a project with a VM. */
async function furnish(): Promise<void> {
  const { admin, finish } = dashboard.daemon;
  const [network] = (await admin('GET /networks')).items;
  const [pool] = (await admin('GET /pools')).items;
  const shop = await admin('POST /projects', {
    body: {
      name: 'shop',
      title: 'Web shop',
      resources: [
        { type: 'network', id: network?.id ?? '' },
        { type: 'pool', id: pool?.id ?? '' },
      ],
    },
  });
  await admin('PATCH /projects/{id}/quotas', {
    params: { id: shop.id },
    body: { limits: { vms: 5, vcpus: 8, memory: 1024 * MIB, disk: 1024 * MIB } },
  });
  await admin('POST /projects', { body: { name: 'lab' } });
  const disks = [{ sizeBytes: MIB }];
  const plain = { firmware: 'bios', accel: 'tcg', memoryBytes: 64 * MIB, vcpus: 1, start: false, disks } as const;
  const made = await finish(await admin('POST /vms', { body: { ...plain, name: 'web1', project: 'shop' } }));
  const alice = await admin('POST /users', { body: { name: 'alice', title: 'Alice Arbor' } });
  for (const name of ['bob', 'carol', 'mallory', LONG]) await admin('POST /users', { body: { name } });
  await admin('PATCH /users/{id}', { params: { id: 'mallory' }, body: { state: 'disabled' } });
  await admin('POST /groups', { body: { name: 'shop-team', title: 'People of the shop' } });
  await admin('PATCH /groups/{id}', { params: { id: 'shop-team' }, body: { add: ['alice', 'carol', LONG] } });
  await admin('POST /roles', {
    body: { name: 'power-only', title: 'Switches VMs on and off', permissions: ['vm.read', 'vm.power'] },
  });
  await admin('POST /grants', { body: { group: 'shop-team', role: 'project-admin', scope: `project:${shop.id}` } });
  await admin('POST /grants', { body: { user: 'alice', role: 'power-only', scope: `vm:${dashboard.helloId}` } });
  await admin('POST /grants', { body: { user: LONG, role: 'auditor', scope: 'all' } });
  await admin('POST /tokens', {
    body: { name: 'nightly', user: 'admin', permissions: ['vm.read', 'vm.power'], scope: 'all', days: 90 },
  });
  Object.assign(ids, { alice: alice.id, shop: shop.id, web1: made.objectId ?? '' });
}

/** A window in which this user is signed in. */
async function signInAs(user: string): Promise<Page> {
  const { page: his } = await dashboard.open();
  const { url } = await dashboard.daemon.admin('POST /auth/links', { body: { user } });
  await his.goto(url);
  await his.getByRole('button', { name: 'Sign in' }).click();
  await his.getByRole('navigation', { name: 'Pages' }).first().waitFor();
  return his;
}

const go = async (where: Page, path: string, ready: string): Promise<void> => {
  await where.goto(`${dashboard.daemon.origin}${path}`);
  await where.locator(ready).filter({ visible: true }).first().waitFor();
};

interface Stop {
  readonly name: string;
  readonly path: string;
  readonly ready: string;
  readonly open?: (where: Page) => Promise<void>;
}

const SECURITY = '/settings/security';
const click = (where: Page, name: string) => where.getByRole('button', { name, exact: true }).first().click();

const stops = (): readonly Stop[] => [
  { name: 'account', path: SECURITY, ready: 'text=nightly' },
  { name: 'users', path: `${SECURITY}/users`, ready: 'text=Alice Arbor' },
  { name: 'user', path: `${SECURITY}/users/${ids.alice}`, ready: 'text=group shop-team is project-admin' },
  { name: 'groups', path: `${SECURITY}/groups`, ready: 'text=shop-team' },
  { name: 'roles', path: `${SECURITY}/roles`, ready: 'text=power-only' },
  { name: 'grants', path: `${SECURITY}/grants`, ready: 'text=shop-team' },
  { name: 'sign-in-methods', path: `${SECURITY}/sign-in`, ready: 'text=nightly' },
  { name: 'projects', path: '/projects', ready: 'text=Web shop' },
  { name: 'project', path: `/projects/${ids.shop}`, ready: 'text=web1' },
  {
    name: 'user-create',
    path: `${SECURITY}/users`,
    ready: 'text=Alice Arbor',
    open: (where) => click(where, 'Create user'),
  },
  {
    name: 'user-delete',
    path: `${SECURITY}/users`,
    ready: 'text=Alice Arbor',
    open: async (where) => {
      await click(where, 'Actions for alice');
      await where.getByRole('menuitem', { name: 'Delete…' }).click();
      await where.getByLabel('Type alice to confirm').fill('ali');
    },
  },
  {
    name: 'group-edit',
    path: `${SECURITY}/groups`,
    ready: 'text=shop-team',
    open: async (where) => {
      await click(where, 'Actions for shop-team');
      await where.getByRole('menuitem', { name: 'Edit…' }).click();
      await where.getByRole('group', { name: 'Members: 3' }).waitFor();
    },
  },
  {
    name: 'role-show',
    path: `${SECURITY}/roles`,
    ready: 'text=power-only',
    open: (where) => where.getByRole('button', { name: 'vm-operator', exact: true }).click(),
  },
  {
    name: 'role-create',
    path: `${SECURITY}/roles`,
    ready: 'text=power-only',
    open: async (where) => {
      await click(where, 'Create role');
      await where.getByLabel('vm.power').check();
    },
  },
  {
    name: 'grant',
    path: `${SECURITY}/grants`,
    ready: 'text=shop-team',
    open: async (where) => {
      await click(where, 'Grant a role');
      await where.getByLabel('Who', { exact: true }).selectOption({ label: 'alice' });
      await where.getByLabel('Role', { exact: true }).selectOption('vm-operator');
      await where.getByText('alice may then, on the whole system').waitFor();
    },
  },
  {
    name: 'token-create',
    path: SECURITY,
    ready: 'text=nightly',
    open: async (where) => {
      await click(where, 'Create token');
      await click(where, 'Only read');
    },
  },
  {
    name: 'project-create',
    path: '/projects',
    ready: 'text=Web shop',
    open: async (where) => {
      await click(where, 'Create project');
      await where.getByLabel('Name', { exact: true }).fill('till');
    },
  },
];

async function visit(where: Page, stop: Stop): Promise<void> {
  await go(where, stop.path, stop.ready);
  await stop.open?.(where);
  await where.waitForTimeout(300);
}

const overflowOf = (where: Page) =>
  where.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);

// One visit serves both themes and the widest window: a page follows them while it is shown.
test('every page of access passes axe in both themes, and does not scroll sideways at 1920 px', {
  skip,
}, async (context) => {
  for (const stop of stops()) {
    await context.test(stop.name, async () => {
      await page.emulateMedia({ colorScheme: 'dark' });
      await visit(page, stop);
      for (const theme of ['dark', 'light'] as const) {
        await page.emulateMedia({ colorScheme: theme });
        await dashboard.screenshot(page, `access-${stop.name}-${theme}`);
        assert.deepEqual(await seriousFindings(page), [], theme);
      }
      await page.setViewportSize({ width: 1920, height: 1080 });
      await dashboard.screenshot(page, `access-${stop.name}-wide`);
      assert.equal(await overflowOf(page), 0);
      await page.setViewportSize({ width: 1280, height: 800 });
    });
  }
});

test('no page of access scrolls sideways at 360 px', { skip }, async (context) => {
  const phone = { width: 390, height: 844 };
  const where = await dashboard.signIn({ viewport: phone, hasTouch: true, isMobile: true });
  for (const stop of stops()) {
    await context.test(stop.name, async () => {
      await where.setViewportSize(phone);
      await visit(where, stop);
      await dashboard.screenshot(where, `access-${stop.name}-phone`);
      await where.setViewportSize({ ...phone, width: 360 });
      assert.equal(await overflowOf(where), 0);
    });
  }
  await where.context().close();
});

test('a sentence with a command in it stays a sentence on the phone', { skip }, async () => {
  const where = await dashboard.signIn({ viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });
  await go(where, `${SECURITY}/sign-in`, 'text=Identity provider');
  const command = where.getByRole('row').filter({ hasText: 'One-time link' }).locator('code').first();
  const sentence = (await command.locator('xpath=..').boundingBox())?.height ?? 0;
  assert.ok(
    (await command.evaluate((code) => getComputedStyle(code).display)) === 'inline',
    'set in the line, no column',
  );
  assert.ok(sentence > 0 && sentence < 110, `${sentence} px`);
  await where.context().close();
});

test('what a user may is explained, and follows a change made elsewhere', { skip }, async () => {
  await go(page, `${SECURITY}/users/${ids.alice}`, 'text=Effective rights');
  const row = (permission: string) =>
    page.getByRole('row').filter({ has: page.getByRole('rowheader', { name: permission }) });
  await row('vm.delete').getByText('group shop-team is project-admin').waitFor();
  await row('vm.power').getByText('alice is power-only').waitFor();
  await page.getByLabel('Permission', { exact: true }).selectOption('vm.power');
  await page.getByLabel('On', { exact: true }).selectOption({ label: 'hello' });
  await page.getByText('alice may vm.power on hello because alice is power-only on VM hello').waitFor();
  await page.getByLabel('Permission', { exact: true }).selectOption('vm.delete');
  await page.getByText('alice may not: no grant gives vm.delete on hello').waitFor();

  const grant = await dashboard.daemon.admin('POST /grants', { body: { user: 'alice', role: 'admin', scope: 'all' } });
  await page.getByText('alice may vm.delete on hello because alice is admin on the whole system').waitFor();
  await row('host.power').getByText('alice is admin').waitFor();
  await dashboard.daemon.admin('DELETE /grants/{id}', { params: { id: grant.id } });
  await row('host.power').waitFor({ state: 'detached' });
});

test('a search narrows every list, and says when nothing fits', { skip }, async () => {
  const lists: readonly (readonly [path: string, there: string, field: string, words: string, stays: string])[] = [
    [`${SECURITY}/users`, 'bob', 'Search users', 'arbor', 'alice'],
    [`${SECURITY}/groups`, 'shop-team', 'Search groups', 'carol', 'shop-team'],
    [`${SECURITY}/roles`, 'auditor', 'Search roles and permissions', 'power-only', 'power-only'],
    [`${SECURITY}/grants`, 'auditor', 'Search grants', 'vm hello', 'power-only'],
    ['/projects', 'lab', 'Search projects', 'web', 'shop'],
  ];
  for (const [path, there, field, words, stays] of lists) {
    await go(page, path, `text=${there}`);
    const rows = page.getByRole('row').filter({ has: page.getByRole('rowheader') });
    await page.getByRole('searchbox', { name: field }).fill(words);
    await rows.filter({ hasText: stays }).first().waitFor();
    if (there !== stays) assert.equal(await rows.filter({ hasText: there }).count(), 0, path);
    await page.getByRole('searchbox', { name: field }).fill('nothing-is-called-so');
    await page.getByText('Nothing fits the search').waitFor();
  }
  await go(page, `${SECURITY}/grants`, 'text=auditor');
  await page.getByRole('button', { name: 'projects', exact: true }).click();
  await page.getByRole('row').filter({ hasText: 'auditor' }).first().waitFor({ state: 'detached' });
  await page.getByRole('link', { name: 'project-admin' }).waitFor();
});

test('who holds nothing is told so, and the dashboard follows when a role comes and goes', { skip }, async () => {
  const his = await signInAs('bob');
  await his.getByText('You may do nothing here yet').waitFor();
  await his.getByRole('link', { name: 'My account' }).click();
  await his.getByText('An administrator grants a role').waitFor();
  assert.equal(await his.getByRole('button', { name: 'Create token' }).count(), 0);
  const { admin } = dashboard.daemon;
  const grant = await admin('POST /grants', { body: { user: 'bob', role: 'operator', scope: 'all' } });
  await his.getByRole('link', { name: 'VMs', exact: true }).first().waitFor();
  await his.getByText(/\d+ permissions on the whole system/).waitFor();
  await his.getByRole('link', { name: 'VMs', exact: true }).first().click();
  await his.getByRole('link', { name: 'hello', exact: true }).first().waitFor();
  await admin('DELETE /grants/{id}', { params: { id: grant.id } });
  await his.getByText('You may do nothing here yet').waitFor();
  await his.context().close();
});

test('a project’s administrator is offered what he may do there and nothing else', { skip }, async () => {
  const her = await signInAs('alice');
  await go(her, '/projects', 'text=Web shop');
  assert.equal(await her.getByText('lab', { exact: true }).count(), 0, 'other projects are not there');
  assert.equal(await her.getByRole('button', { name: 'Create project' }).count(), 0);
  await her.getByRole('link', { name: 'shop', exact: true }).click();
  await her.getByRole('button', { name: 'Add a member' }).click();
  const dialog = her.getByRole('dialog', { name: 'Grant a role' });
  const places = await dialog.getByLabel('Where').locator('option').allTextContents();
  assert.deepEqual(places, ['Project', 'VM']);
  assert.deepEqual(await dialog.getByLabel('Project', { exact: true }).locator('option').allTextContents(), [
    'Choose…',
    'shop',
  ]);
  await dialog.getByLabel('Who', { exact: true }).selectOption({ label: 'carol' });
  await dialog.getByLabel('Role', { exact: true }).selectOption('admin');
  await dialog.getByText(/You do not hold all of it there yourself/).waitFor();
  await dialog.getByRole('button', { name: 'Cancel' }).click();
  await go(her, `${SECURITY}/users`, 'text=carol');
  assert.equal(await her.getByText('mallory').count(), 0, 'users of elsewhere are not there');
  assert.equal(await her.getByRole('button', { name: 'Create user' }).count(), 0);
  await her.getByRole('button', { name: 'Actions for carol' }).click();
  assert.deepEqual(await her.getByRole('menuitem').filter({ visible: true }).allTextContents(), ['Grant a role']);
  await her.context().close();
  const his = await signInAs('operator');
  await go(his, `${SECURITY}/users`, 'text=Who I am');
  assert.deepEqual(await his.getByRole('navigation', { name: 'Settings' }).getByRole('link').allTextContents(), [
    'General',
    'My account',
  ]);
  await his.context().close();
});

test('a member is offered nothing that the system alone may do, and the plan says what the limits refuse', {
  skip,
}, async () => {
  const { admin } = dashboard.daemon;
  const { id: labId } = await admin('GET /projects/{id}', { params: { id: 'lab' } });
  const grant = await admin('POST /grants', {
    body: { user: 'bob', role: 'project-admin', scope: `project:${labId}` },
  });
  const his = await signInAs('bob');
  await his.getByText('No VMs yet').waitFor();
  assert.equal(await his.getByText('Check this host now').count(), 0);
  assert.equal(await his.getByRole('button', { name: 'Start the demo VM' }).count(), 0);
  await go(his, '/networks', 'text=None was given to a project of yours');
  await go(his, '/storage', 'text=None was given to a project of yours');

  await admin('PATCH /projects/{id}', {
    params: { id: labId },
    body: { resources: [{ type: 'pool', id: (await admin('GET /pools')).items[0]?.id ?? '' }] },
  });
  await go(his, '/vms/new', 'text=Empty disk');
  await his.getByText('Empty disk').click();
  await click(his, 'Next');
  await his.getByLabel('Name', { exact: true }).fill('web9');
  await click(his, 'Next');
  await his.getByText('No network', { exact: true }).waitFor();
  await click(his, 'Next');
  await his.getByText('VMs of the project "lab": nothing is allowed; 1 was asked for').waitFor();
  await his.getByText('A project may have nothing until an administrator sets its limits').waitFor();
  assert.equal(await his.getByRole('button', { name: 'Create and start web9' }).isDisabled(), true);
  await dashboard.screenshot(his, 'create-refused');
  await his.context().close();
  await admin('DELETE /grants/{id}', { params: { id: grant.id } });
});

test('SSH keys are added and removed by their owner and by who manages access', { skip }, async () => {
  const mine = await dashboard.signIn();
  await go(mine, SECURITY, 'text=You have no SSH key here');
  await click(mine, 'Add a key');
  const dialog = mine.getByRole('dialog', { name: 'Add an SSH key of yours' });
  const add = dialog.getByRole('button', { name: 'Add a key' });
  await dialog.getByLabel('Public key').fill('-----BEGIN OPENSSH PRIVATE KEY-----');
  await dialog.getByText('This is the private half').waitFor();
  assert.equal(await add.isDisabled(), true);
  await dialog.getByLabel('Public key').fill('nonsense');
  await add.click();
  await dialog.getByText('This key cannot be used here').waitFor();
  await dialog.getByLabel('Public key').fill(`${ed25519Key().line.split(' ').slice(0, 2).join(' ')} me@laptop`);
  await add.click();
  await mine.getByRole('rowheader', { name: 'me@laptop' }).waitFor();
  await dashboard.screenshot(mine, 'account-dark');
  await click(mine, 'Remove the key me@laptop');
  await mine.getByRole('dialog').getByRole('button', { name: 'Remove key' }).click();
  await prove(mine);
  await mine.getByText('You have no SSH key here').waitFor();

  await go(mine, `${SECURITY}/users/${ids.alice}`, 'text=alice has no SSH key here');
  await click(mine, 'Add a key');
  await mine.getByLabel('Public key').fill(ed25519Key().line);
  await mine.getByRole('dialog').getByRole('button', { name: 'Add a key' }).click();
  await prove(mine);
  await mine.getByText('alice has no SSH key here').waitFor({ state: 'detached' });
  assert.equal((await dashboard.daemon.admin('GET /users/{id}/keys', { params: { id: 'alice' } })).items.length, 1);
  await mine.context().close();
});

test('every way to sign in is listed, with what is off', { skip }, async () => {
  await go(page, `${SECURITY}/sign-in`, 'text=Identity provider');
  const row = (name: string) =>
    page.getByRole('row').filter({ has: page.getByRole('rowheader', { name, exact: true }) });
  for (const name of ['One-time link', 'SSH key', 'Passkey', 'API token', 'Local socket'])
    await row(name).getByText('on', { exact: true }).waitFor();
  await row('Identity provider').getByText('off', { exact: true }).waitFor();
  await page.getByRole('searchbox', { name: 'Search sessions and tokens' }).fill('nothing-is-called-so');
  await page.getByText('Nothing fits the search').waitFor();
  await page.getByRole('searchbox', { name: 'Search sessions and tokens' }).fill('nightly');
  await page.getByRole('rowheader', { name: 'nightly' }).waitFor();
});

test('a project is made with what is usual, edited, and appears elsewhere by itself', { skip }, async () => {
  await go(page, '/projects', 'text=Web shop');
  const other = await dashboard.signIn();
  await go(other, '/projects', 'text=Web shop');
  await click(page, 'Create project');
  await page.getByLabel('Name', { exact: true }).fill('Till!');
  const dialog = page.getByRole('dialog', { name: 'Create a project' });
  assert.equal(await dialog.getByLabel('default', { exact: true }).isChecked(), true);
  await dialog.getByRole('button', { name: 'Create project' }).click();
  await dialog.locator('.field-problem').waitFor();
  await dialog.getByLabel('Name', { exact: true }).fill('till');
  await dialog.getByRole('button', { name: 'Create project' }).click();
  // Without limits nothing can be made in it, so they are asked for at once; also later, as whoever goes on sees.
  const first = page.getByRole('dialog', { name: 'Limits of till' });
  await first.getByText('A new project may have nothing until its limits are set').waitFor();
  assert.equal(new URL(page.url()).search, '', 'a reload asks no second time');
  await dashboard.screenshot(page, 'project-limits');
  await first.getByRole('button', { name: 'Cancel' }).click();
  await page.getByRole('heading', { name: 'till' }).waitFor();
  await page.getByText('No members yet').waitFor();
  await other.getByRole('link', { name: 'till' }).waitFor();
  await click(page, 'Actions for till');
  await page.getByRole('menuitem', { name: 'Edit…' }).click();
  await page.getByRole('dialog').getByLabel('default', { exact: true }).uncheck();
  await click(page, 'Save');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  const till = await dashboard.daemon.admin('GET /projects/{id}', { params: { id: 'till' } });
  assert.deepEqual(
    till.resources.filter(({ type }) => type === 'network'),
    [],
  );
  assert.equal(till.resources.length, 1);

  await page.getByText('Nothing is allowed yet').waitFor();
  await click(page, 'Set limits');
  const limits = page.getByRole('dialog', { name: 'Limits of till' });
  await limits.getByLabel('VMs', { exact: true }).fill('4');
  await limits.getByLabel('Memory', { exact: true }).fill('lots');
  await limits.getByText('Use a size as 64GiB').waitFor();
  await limits.getByLabel('Memory', { exact: true }).fill('64');
  await limits.getByText('Use a size as 64GiB').waitFor();
  await limits.getByLabel('Memory', { exact: true }).fill('8GiB');
  await limits.getByRole('button', { name: 'Set limits' }).click();
  await page.getByText('0 of 4').waitFor();
  await page.getByText(/of 8 GiB/).waitFor();
  await other.context().close();
});

test('sessions of others are ended and tokens revoked, each after a question', { skip }, async () => {
  const { admin } = dashboard.daemon;
  const own = await page.evaluate(async () => (await (await fetch('/api/v1/auth/session')).json()).sessionId);
  for (const { id } of (await admin('GET /auth/sessions')).items)
    if (id !== own) await admin('DELETE /auth/sessions/{id}', { params: { id } });
  const other = await dashboard.signIn();
  await go(page, `${SECURITY}/sign-in`, 'text=nightly');
  await page.getByRole('button', { name: 'End this session of admin' }).first().click();
  await page.getByRole('dialog').getByRole('button', { name: 'End session' }).click();
  await other.getByRole('heading', { name: 'Sign in' }).waitFor();
  await other.context().close();
  await page.getByRole('button', { name: 'Revoke nightly' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Revoke token' }).click();
  await page.getByText('No API tokens').waitFor();
});

test('keys: g j opens the projects, Esc closes a dialog and gives the keyboard back', { skip }, async () => {
  await go(page, `${SECURITY}/roles`, 'text=power-only');
  await page.keyboard.press('g');
  await page.keyboard.press('j');
  await page.getByRole('heading', { name: 'Projects' }).waitFor();
  const button = page.getByRole('button', { name: 'Create project' });
  await button.focus();
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  assert.equal(await button.evaluate((element) => element === document.activeElement), true);
});

test('three hundred users are listed and found at once', { skip }, async () => {
  const { admin } = dashboard.daemon;
  for (let number = 0; number < 300; number += 1) await admin('POST /users', { body: { name: `guest-${number}` } });
  await go(page, `${SECURITY}/users`, 'text=guest-299');
  await dashboard.screenshot(page, 'access-users-many');
  const tookMs = await page.evaluate(async () => {
    const field = document.querySelector<HTMLInputElement>('input[type=search]');
    if (!field) return -1;
    const began = performance.now();
    field.value = 'guest-299';
    field.dispatchEvent(new Event('input', { bubbles: true }));
    await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
    return performance.now() - began;
  });
  assert.equal(await page.getByRole('rowheader').count(), 1);
  assert.ok(tookMs >= 0 && tookMs < 1000, `${tookMs} ms`);
});

/** Confirms, as root on the machine, what the page asks a fresh proof for. */
async function prove(where: Page): Promise<void> {
  const dialog = where.getByRole('dialog', { name: 'Confirm that it is you' });
  const shown = dialog.locator('output').filter({ hasText: /^[A-Z]{3}-[A-Z]{3}$/ });
  await shown.waitFor();
  const code = (await shown.textContent()) ?? '';
  const { code: exit, stderr } = await runHv(dashboard.daemon.runtimeDir, ['session', 'approve', code, '--yes']);
  assert.equal(exit, 0, stderr);
  await dialog.waitFor({ state: 'detached' });
}

test('a user is made, let in, granted a role, disabled and deleted, each after a fresh proof', { skip }, async () => {
  await go(page, `${SECURITY}/users`, 'text=Alice Arbor');
  await click(page, 'Create user');
  await page.getByLabel('Name', { exact: true }).fill('dave');
  await page.getByRole('dialog').getByRole('button', { name: 'Create user' }).click();
  await prove(page);
  await page.getByRole('heading', { name: 'dave' }).waitFor();
  await page.getByText('Nothing yet').waitFor();

  await click(page, 'Grant a role');
  const dialog = page.getByRole('dialog', { name: 'Grant a role' });
  await dialog.getByLabel('Role', { exact: true }).selectOption('vm-operator');
  await dialog.getByLabel('Where').selectOption('project');
  await dialog.getByLabel('Project', { exact: true }).selectOption({ label: 'shop' });
  await dialog.getByText('dave may then, on project shop:').waitFor();
  await dialog.getByRole('button', { name: 'Grant role' }).click();
  await prove(page);
  await page.getByText('dave is vm-operator').first().waitFor();

  await click(page, 'Actions for dave');
  await page.getByRole('menuitem', { name: 'One-time link…' }).click();
  await prove(page);
  const url = await page.getByRole('dialog').locator('code.breaks').first().textContent();
  await click(page, 'Close');
  const { page: his } = await dashboard.open();
  await his.goto(url ?? '');
  await his.getByRole('button', { name: 'Sign in' }).click();
  await his.getByRole('link', { name: 'VMs', exact: true }).first().waitFor();

  await click(page, 'Actions for dave');
  await page.getByRole('menuitem', { name: 'Disable…' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Disable user' }).click();
  await prove(page);
  await his.getByRole('heading', { name: 'Sign in' }).waitFor();
  await his.context().close();

  await click(page, 'Actions for dave');
  await page.getByRole('menuitem', { name: 'Delete…' }).click();
  await page.getByLabel('Type dave to confirm').fill('dave');
  await page.getByRole('dialog').getByRole('button', { name: 'Delete user' }).click();
  await prove(page);
  await page.getByText('Alice Arbor').waitFor();
});

test('a token’s secret is shown once, and closing it by accident only warns', { skip }, async () => {
  await go(page, SECURITY, 'text=API tokens');
  await click(page, 'Create token');
  const dialog = page.getByRole('dialog', { name: 'Create token' });
  await dialog.getByLabel('Name', { exact: true }).fill('metrics');
  await dialog.getByRole('button', { name: 'Create token' }).click();
  await dialog.getByText('Choose at least one permission').waitFor();
  await click(page, 'Only read');
  await dialog.getByRole('button', { name: 'Create token' }).click();
  await prove(page);
  const shown = page.getByRole('dialog', { name: 'Copy the token now: metrics' });
  const secret = (await shown.locator('code.breaks').textContent()) ?? '';
  assert.match(secret, /^hyp_tok-\w+_[\w-]+$/);
  await page.keyboard.press('Escape');
  await shown.getByText('Close once more to leave it uncopied').waitFor();
  await shown.getByRole('button', { name: 'I have kept it' }).click();
  await page.getByRole('rowheader', { name: 'metrics' }).waitFor();
  assert.equal(await page.getByText(secret).count(), 0);
});

test('a role is copied, edited and deleted; a group gets members', { skip }, async () => {
  await go(page, `${SECURITY}/roles`, 'text=power-only');
  await click(page, 'Actions for vm-operator');
  await page.getByRole('menuitem', { name: 'Copy to a new role…' }).click();
  await page.getByLabel('Name', { exact: true }).fill('viewer');
  await page.getByLabel('vm.power').uncheck();
  await page.getByRole('dialog').getByRole('button', { name: 'Create role' }).click();
  await prove(page);
  await page.getByRole('rowheader', { name: 'viewer' }).waitFor();
  const role = await dashboard.daemon.admin('GET /roles/{id}', { params: { id: 'viewer' } });
  assert.equal(role.permissions.includes('vm.power'), false);
  assert.equal(role.permissions.includes('vm.console'), true);
  await click(page, 'Actions for viewer');
  await page.getByRole('menuitem', { name: 'Delete…' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Delete role' }).click();
  await prove(page);
  await page.getByRole('rowheader', { name: 'viewer' }).waitFor({ state: 'detached' });

  await go(page, `${SECURITY}/groups`, 'text=shop-team');
  await click(page, 'Actions for shop-team');
  await page.getByRole('menuitem', { name: 'Edit…' }).click();
  await page.getByRole('dialog').getByLabel('bob').check();
  await click(page, 'Save');
  await prove(page);
  await page.getByRole('row').filter({ hasText: 'shop-team' }).getByRole('link', { name: 'bob' }).waitFor();
});

test('nothing breached the content security policy, threw, or opened a dialog', { skip }, () => {
  assert.deepEqual(dashboard.complaints, []);
});

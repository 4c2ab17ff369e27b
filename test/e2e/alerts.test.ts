/** Alerts in the browser: a channel with a real receiver, a rule with mistakes and its past, an alert that fires, is acknowledged, silenced
 *  and ends; and every page of it in both themes, on the phone, with nothing and with 500. */

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import type { Page } from 'playwright-core';
import type { Alert } from '#contract/alerts.ts';
import { missingForLibvirtd } from '../support/libvirtd.ts';
import { seriousFindings } from './accessibility.ts';
import { type Dashboard, startDashboard } from './dashboard.ts';

const skip = missingForLibvirtd() ?? false;
const RECEIVER = join(import.meta.dirname, '../support/webhook-receiver.ts');
/** Two evaluations, ten seconds apart, and the gathering of messages. */
const FIRES_MS = 90_000;

let dashboard: Dashboard;
let page: Page;
let receiver: ChildProcess;
let port: string;
const bodies: string[] = [];
const waiting = new Set<() => void>();

before(async () => {
  if (skip) return;
  dashboard = await startDashboard({ notifications: { allowPrivateHosts: ['127.0.0.1'] } });
  const [program = '', ...args] = dashboard.libvirtd.enter([process.execPath, RECEIVER]);
  receiver = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  assert.ok(receiver.stdout);
  const lines = createInterface({ input: receiver.stdout });
  port = await new Promise<string>((resolve) => {
    lines.once('line', resolve);
  });
  lines.on('line', (line) => {
    bodies.push(line);
    for (const look of waiting) look();
  });
  page = await dashboard.signIn();
});
after(async () => {
  receiver?.stdin?.end();
  await dashboard?.close();
});

/** Resolves when a message that fits has come. */
function received(what: string, fits: (body: string) => boolean): Promise<string> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no message within ${FIRES_MS} ms: ${what}`)), FIRES_MS);
    const look = () => {
      const found = bodies.find(fits);
      if (found === undefined) return;
      clearTimeout(timer);
      waiting.delete(look);
      resolve(found);
    };
    waiting.add(look);
    look();
  });
}

const go = (where: Page, path: string) => where.goto(`${dashboard.daemon.origin}${path}`);
const button = (where: Page, name: string | RegExp) => where.getByRole('button', { name, exact: true });

/** No serious finding of axe in either theme, with a picture of each. */
async function assertSound(where: Page, name: string): Promise<void> {
  for (const theme of ['dark', 'light'] as const) {
    await where.emulateMedia({ colorScheme: theme });
    await where.waitForTimeout(200);
    await dashboard.screenshot(where, `${name}-${theme}`);
    assert.deepEqual(await seriousFindings(where), [], `${name} ${theme}`);
  }
  await where.emulateMedia({ colorScheme: 'dark' });
}

const overflowOf = (where: Page) =>
  where.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);

test('without a channel the page leads to one; a test tells how it really ended', { skip }, async () => {
  await go(page, '/alerts');
  await page.getByText('Nobody would hear of it').waitFor();
  await assertSound(page, 'alerts-empty');
  await page.getByRole('link', { name: 'Add a channel' }).click();
  const dialog = page.getByRole('dialog', { name: 'Add a channel' });
  await dialog.getByLabel('Kind').selectOption('webhook');
  await dialog.getByLabel('Name', { exact: true }).fill('ops');
  await dialog.getByLabel('Address').fill('no address');
  await button(page, 'Add channel').last().click();
  await dialog.getByLabel('Address').and(page.locator('[aria-invalid=true]')).waitFor();
  await assertSound(page, 'alerts-channel-dialog');
  await dialog.getByLabel('Address').fill(`http://127.0.0.1:${port}/hook`);
  await dialog.getByRole('button', { name: 'Add channel' }).click();
  await dialog.waitFor({ state: 'detached' });
  await button(page, 'Send test: ops').click();
  await page.getByText('Delivered.').waitFor();
  await received('the test message', (body) => body.includes('"kind":"test"'));
  assert.equal((await page.content()).includes(`127.0.0.1:${port}`), false, 'the address is a secret');

  await dashboard.daemon.admin('POST /channels', {
    body: { name: 'nobody-there', kind: 'webhook', secrets: { url: 'http://127.0.0.1:9/hook' } },
  });
  await button(page, 'Send test: nobody-there').click();
  await page.getByText('Not delivered.').waitFor();
  await page.getByText('failing', { exact: true }).waitFor();
  await assertSound(page, 'alerts-channels');
  await button(page, 'Actions for nobody-there').click();
  await page.getByRole('menuitem', { name: 'Remove…' }).click();
  await button(page, 'Remove channel').click();
  await button(page, 'Send test: nobody-there').waitFor({ state: 'detached' });
});

test('who gets what is a list of routes in order', { skip }, async () => {
  await go(page, '/alerts/channels');
  await page.getByText('No routes: every channel gets warnings and worse.').waitFor();
  for (const name of ['night', 'rest']) {
    await button(page, 'Add route').click();
    const dialog = page.getByRole('dialog', { name: 'Add a route' });
    await dialog.getByLabel('Name', { exact: true }).fill(name);
    if (name === 'night') await dialog.getByRole('button', { name: 'critical' }).click();
    await dialog.getByLabel('ops').check();
    await dialog.getByRole('button', { name: 'Save route' }).click();
    await dialog.waitFor({ state: 'detached' });
  }
  await button(page, 'Move rest up').click();
  await page.locator('.route-list li').first().getByText('rest').waitFor();
  const { routes } = await dashboard.daemon.admin('GET /notification-routing');
  assert.deepEqual(
    routes.map(({ name, match, channels }) => [name, match.severities, channels]),
    [
      ['rest', undefined, ['ops']],
      ['night', ['critical'], ['ops']],
    ],
  );
  await page.getByText('critical').first().waitFor();
  await assertSound(page, 'alerts-routing');
  await dashboard.daemon.admin('PUT /notification-routing', { body: { routes: [], groupWait: '1s' } });
});

test('a rule is written with help: mistakes are underlined and mended, its past is tried, it is saved', {
  skip,
}, async () => {
  await go(page, '/alerts/rules');
  await page.getByRole('rowheader', { name: /vm_down/ }).waitFor();
  await assertSound(page, 'alerts-rules');
  await page.getByRole('link', { name: 'Add rule' }).click();
  const condition = page.getByLabel('Condition');
  await condition.pressSequentially('mem_ball');
  await page.getByRole('option', { name: /mem_balloon/ }).waitFor();
  await assertSound(page, 'alerts-completions');
  await page.keyboard.press('Enter');
  assert.equal(await condition.inputValue(), 'mem_balloon');
  await condition.fill('mem_balon{kind=vm} > 1 MiB');
  await page.keyboard.press('Escape');
  await page.locator('.condition-mirror .is-error', { hasText: 'mem_balon' }).waitFor({ state: 'attached' });
  await page.getByText('column 1').waitFor();
  await dashboard.screenshot(page, 'alerts-rule-mistake');
  await button(page, 'Use mem_balloon').click();
  assert.equal(await condition.inputValue(), 'mem_balloon{kind=vm} > 1 MiB');
  await page.getByText(/^What it means/).waitFor();
  await page.getByLabel('Name', { exact: true }).fill('has_memory');
  await page.getByRole('radio', { name: 'critical' }).check({ force: true });
  await button(page, 'Try it on the past').click();
  await page.getByText(/^It would (not )?have fired/).waitFor();
  await button(page, 'Add rule').click();
  await page.getByRole('heading', { name: 'has_memory' }).waitFor();
  const rule = await dashboard.daemon.admin('GET /rules/{id}', { params: { id: 'has_memory' } });
  assert.deepEqual([rule.condition, rule.severity, rule.origin], ['mem_balloon{kind=vm} > 1 MiB', 'critical', 'user']);
  // What was not touched is not sent.
  assert.equal(await button(page, 'Save rule').isDisabled(), true);
});

test('it fires: the list, the top bar and the overview show it without a reload, and the receiver hears of it', {
  skip,
}, async () => {
  await go(page, '/alerts');
  await page.getByRole('link', { name: 'has_memory' }).waitFor({ timeout: FIRES_MS });
  await page.locator('a.top-chip.tone-bad', { hasText: '1' }).waitFor();
  const body = await received('has_memory', (text) => text.includes('has_memory'));
  assert.match(body, /"severity":"critical"/);
  await assertSound(page, 'alerts-active');

  await button(page, 'Acknowledge hello: has_memory').click();
  const dialog = page.getByRole('dialog', { name: /^Acknowledge/ });
  await dialog.getByLabel('Note').fill('it may have some');
  await dialog.getByRole('button', { name: 'Acknowledge' }).click();
  await page.getByText('acknowledged', { exact: true }).first().waitFor();

  await page.getByRole('link', { name: 'has_memory' }).click();
  await page.getByRole('heading', { name: 'What happened' }).waitFor();
  await page.locator('.time-line').getByText('it may have some').waitFor();
  await page.locator('.graph canvas').waitFor();
  await page.getByText('Memory given').first().waitFor();
  await assertSound(page, 'alerts-one');

  await go(page, '/');
  await page.getByRole('link', { name: 'hello: has_memory' }).waitFor();
  await dashboard.screenshot(page, 'alerts-overview');
});

test('now the past has an episode: the verdict, the list and the graph show it', { skip }, async () => {
  await go(page, '/alerts/rules/has_memory');
  await button(page, 'Try it on the past').click();
  await page.getByText('It would have fired once in the last 7 days.').waitFor();
  await page.getByRole('rowheader', { name: 'hello' }).waitFor();
  await page.getByText('still fires').waitFor();
  await page.locator('.graph canvas').waitFor();
  await assertSound(page, 'alerts-rule');
  await page.getByLabel('Condition').fill('mem_balloon{kind=vm} > 2 MiB');
  await page.getByText('The rule was changed since').waitFor();
});

test('a silence is made from the alert, listed, and ended', { skip }, async () => {
  await go(page, '/alerts');
  await button(page, 'Actions for hello: has_memory').click();
  await page.getByRole('menuitem', { name: 'Silence…' }).click();
  const dialog = page.getByRole('dialog', { name: 'Silence hello: has_memory' });
  await dialog.getByRole('button', { name: 'Silence', exact: true }).click();
  await dialog.getByText('Say why').waitFor();
  await dialog.getByLabel('Why').fill('planned work');
  await assertSound(page, 'alerts-silence');
  await dialog.getByRole('button', { name: 'Silence', exact: true }).click();
  await dialog.waitFor({ state: 'detached' });
  const [silence] = (await dashboard.daemon.admin('GET /silences')).items;
  assert.deepEqual(
    [silence?.reason, silence?.match.rule, silence?.match.labels],
    ['planned work', 'has_memory', [{ label: 'uuid', value: dashboard.helloId, isNot: false }]],
  );

  await page.getByRole('navigation', { name: 'Alerts' }).getByRole('link', { name: 'Silences' }).click();
  await button(page, 'Add silence').click();
  const window = page.getByRole('dialog', { name: 'Add silence' });
  await window.getByLabel('Why').fill('backups');
  await window.getByRole('radio', { name: 'recurring' }).check({ force: true });
  await window.getByRole('button', { name: 'Sun' }).click();
  await window.getByLabel('Rules').fill('*');
  await dashboard.screenshot(page, 'alerts-window');
  await window.getByRole('button', { name: 'Silence', exact: true }).click();
  await window.waitFor({ state: 'detached' });
  await page.getByText('0 3 * * 0, 60 min each').waitFor();
  await assertSound(page, 'alerts-silences');
  await page
    .getByRole('row', { name: /planned work/ })
    .getByRole('button')
    .click();
  await button(page, 'End silence').click();
  await page.getByText('planned work').waitFor({ state: 'detached' });
});

test('a rule that is switched off takes its alert along; the history and the graphs of the VM keep it', {
  skip,
}, async () => {
  await go(page, '/alerts/rules?which=own');
  await button(page, 'Actions for has_memory').click();
  await page.getByRole('menuitem', { name: 'Switch off' }).click();
  await page
    .getByRole('row', { name: /has_memory/ })
    .getByText('off', { exact: true })
    .waitFor();
  await go(page, '/alerts/history');
  await page.getByText('the rule was switched off').first().waitFor();
  await page.getByText('it may have some').first().waitFor();
  await assertSound(page, 'alerts-history');
  await go(page, `/vms/${dashboard.helloId}/graphs`);
  await page.locator('.graph canvas').first().waitFor();
  await dashboard.screenshot(page, 'alerts-vm-graphs');
  await button(page, 'Actions for has_memory').waitFor({ state: 'detached' });
});

const LONG = 'a-name-as-long-as-names-may-be-which-is-sixty-three-characters';

/** Alerts of every look. */
function madeUp(count: number): Alert[] {
  return Array.from({ length: count }, (_, index): Alert => {
    const name = index % 7 === 0 ? LONG : `guest-${index}`;
    const severity = (['critical', 'warning', 'info'] as const)[index % 3] ?? 'info';
    const at = new Date(Date.UTC(2026, 0, 1, 0, index % 60, 0)).toISOString();
    return {
      id: `a${index}`,
      episode: 1,
      rule: {
        id: `r${index % 5}`,
        name: index % 5 === 0 ? `${LONG}_too` : 'vm_steal',
        condition: 'avg(cpu_steal, 15m) > 30%',
        project: null,
        runbook: null,
      },
      severity,
      state: index % 11 === 0 ? 'suppressed' : index % 13 === 0 ? 'clearing' : 'firing',
      isNoData: index % 17 === 0,
      isFlapping: index % 6 === 0,
      entity: { kind: 'vm', name },
      labels: { vm: name, uuid: `u${index}` },
      project: 'default',
      vmId: `u${index}`,
      value: 0.4,
      valueText: '40 %',
      text: `${name}: vm_steal, now 40 %.`,
      since: at,
      startedAt: at,
      endedAt: null,
      acknowledged: index % 4 === 0 ? { by: 'ann', at, note: null } : null,
      maskedBy: null,
      inhibitedBy: null,
    };
  });
}

test('500 alerts: only the rows in sight are drawn, filters answer at once, and the phone shows cards', {
  skip,
}, async () => {
  await page.route(/\/api\/v1\/alerts(\?|$)/, (route) =>
    route.fulfill({ json: { items: madeUp(500), next: null, total: 500 } }),
  );
  await go(page, '/alerts');
  await page.getByRole('link', { name: 'vm_steal' }).first().waitFor();
  assert.ok((await page.locator('.virtual-row').count()) < 60);
  await assertSound(page, 'alerts-many');
  const tookMs = await page.getByRole('searchbox').evaluate(async (field: HTMLInputElement) => {
    const began = performance.now();
    field.value = 'guest-499';
    field.dispatchEvent(new Event('input', { bubbles: true }));
    await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
    return performance.now() - began;
  });
  assert.equal(await page.locator('.virtual-row').count(), 1);
  assert.ok(tookMs < 500, `${tookMs} ms`);
  await page.unroute(/\/api\/v1\/alerts(\?|$)/);
});

test('on the phone nothing scrolls sideways, and what is touched is high enough', { skip }, async (context) => {
  const where = await dashboard.signIn({ viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });
  await where.route(/\/api\/v1\/alerts(\?|$)/, (route) =>
    route.fulfill({ json: { items: madeUp(40), next: null, total: 40 } }),
  );
  const { items } = await dashboard.daemon.admin('GET /alerts/history', { query: { rule: 'has_memory' } });
  const stops = [
    ['active', '/alerts', '.alert-card'],
    ['history', '/alerts/history', 'text=has_memory'],
    ['rules', '/alerts/rules', 'text=vm_down'],
    ['rule', '/alerts/rules/has_memory', 'text=What it means'],
    ['one', `/alerts/active/${items[0]?.alertId ?? ''}`, 'text=What happened'],
    ['channels', '/alerts/channels', 'text=Send test'],
    ['silences', '/alerts/silences', 'text=backups'],
  ] as const;
  for (const [name, path, ready] of stops)
    await context.test(name, async () => {
      await where.setViewportSize({ width: 390, height: 844 });
      await go(where, path);
      await where.locator(ready).filter({ visible: true }).first().waitFor();
      await where.waitForTimeout(400);
      await dashboard.screenshot(where, `alerts-${name}-phone`);
      assert.deepEqual(await seriousFindings(where), []);
      await where.setViewportSize({ width: 360, height: 844 });
      assert.equal(await overflowOf(where), 0);
    });
  await context.test('silence', async () => {
    await where.setViewportSize({ width: 390, height: 844 });
    await go(where, '/alerts/silences');
    await button(where, 'Add silence').click();
    await where.getByRole('radio', { name: 'recurring' }).check({ force: true });
    await dashboard.screenshot(where, 'alerts-silence-phone');
    assert.deepEqual(await seriousFindings(where), []);
  });
  await where.context().close();
});

test('whoever may only look is offered nothing to change', { skip }, async () => {
  const { admin } = dashboard.daemon;
  await admin('POST /users', { body: { name: 'looker' } });
  await admin('POST /grants', { body: { user: 'looker', role: 'auditor', scope: 'all' } });
  const { url } = await admin('POST /auth/links', { body: { user: 'looker' } });
  const { page: his } = await dashboard.open();
  await his.goto(url);
  await button(his, 'Sign in').click();
  await his.getByRole('heading', { name: 'Overview' }).waitFor();
  await go(his, '/alerts/rules');
  await his.getByRole('rowheader', { name: /vm_down/ }).waitFor();
  assert.equal(await his.getByRole('link', { name: 'Add rule' }).count(), 0);
  await go(his, '/alerts/channels');
  await his.getByText('ops', { exact: true }).first().waitFor();
  for (const name of ['Send test: ops', 'Add channel', 'Add route'])
    assert.equal(await button(his, name).count(), 0, name);
  await go(his, '/alerts/rules/vm_down');
  await his.getByText('What it means').waitFor();
  assert.equal(await button(his, 'Save rule').count(), 0);
  assert.equal(await his.getByLabel('Condition').getAttribute('readonly'), '');
  await dashboard.screenshot(his, 'alerts-read-only');
  await his.context().close();
});

test('nothing breached the content security policy, threw, or opened a dialog', { skip }, () => {
  assert.deepEqual(dashboard.complaints, []);
});

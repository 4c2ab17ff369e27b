/** Sign-in with an SSH key in the browser: the code that is confirmed elsewhere, the signature made by hand, and the fresh proof that
 *  a page asks for. */

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

let dashboard: Dashboard;
const key = ed25519Key();

before(async () => {
  if (skip) return;
  dashboard = await startDashboard();
  await dashboard.daemon.admin('POST /users/{id}/keys', { params: { id: 'admin' }, body: { key: key.line } });
});
after(async () => {
  await dashboard?.close();
});

/** Root on the machine confirms a code. */
async function approve(code: string): Promise<void> {
  const { code: exit, stderr } = await runHv(dashboard.daemon.runtimeDir, ['session', 'approve', code, '--yes']);
  assert.equal(exit, 0, stderr);
}

/** Signs what the command on the page would sign, with the key of this test. */
async function signShown(page: Page): Promise<string> {
  const command = (await page.locator('.command.tall code').textContent()) ?? '';
  const challenge = /^printf %s '(\{[^']+\})' \| ssh-keygen -Y sign -f \S+ -n login@hyper-nixos$/.exec(command)?.[1];
  assert.ok(challenge, command);
  return key.sign(challenge);
}

async function assertAccessible(page: Page, where: string): Promise<void> {
  assert.deepEqual(await seriousFindings(page), [], where);
}

const codeOf = (page: Page) => page.locator('.user-code output');

async function shownCode(page: Page): Promise<string> {
  await page.locator('.user-code + .command').waitFor();
  return (await codeOf(page).textContent()) ?? '';
}

test('the code on the page signs in once somebody confirms it', { skip }, async () => {
  const { page } = await dashboard.open();
  await page.goto(`${dashboard.daemon.origin}/sign-in`);
  await page.getByRole('button', { name: 'SSH key, in a terminal' }).click();
  const code = await shownCode(page);
  assert.match(code, /^[B-Z]{3}-[B-Z]{3}$/);
  await assertAccessible(page, 'sign-in by code');
  await dashboard.screenshot(page, 'sign-in-code');
  await approve(code);
  await page.getByRole('heading', { name: 'Overview' }).waitFor();
  const { items } = await dashboard.daemon.admin('GET /auth/sessions');
  assert.equal(items.length, 1);
  await page.context().close();
});

test('a signature made by hand signs in; a wrong one says so and gives another challenge', { skip }, async () => {
  const { page } = await dashboard.open({ colorScheme: 'light' });
  await page.goto(`${dashboard.daemon.origin}/sign-in`);
  await page.getByRole('button', { name: 'SSH key, by hand' }).click();
  await page.getByLabel('User').fill('admin');
  await page.getByRole('button', { name: 'Get the challenge' }).click();
  await signShown(page);
  await page.getByLabel('Paste what it prints').fill('-----BEGIN SSH');
  await page.getByText('This is not a whole signature').waitFor();
  await page.getByLabel('Paste what it prints').fill(ed25519Key().sign('something else'));
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
  await page.getByText('The signature does not open this machine').waitFor();
  await page.getByRole('button', { name: 'Get the challenge' }).click();
  await page
    .getByLabel('Paste what it prints')
    .fill(`$ ssh-keygen\r\n${(await signShown(page)).replaceAll('\n', '  \r\n')}\n$ `);
  await assertAccessible(page, 'sign-in by hand');
  await dashboard.screenshot(page, 'sign-in-by-hand-light');
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
  await page.getByRole('heading', { name: 'Overview' }).waitFor();
  await page.context().close();
});

test('a request that needs a fresh proof asks for it and goes on by itself', { skip }, async () => {
  const { admin, finish } = dashboard.daemon;
  for (const name of ['gone-1', 'gone-2']) {
    const plain = { firmware: 'bios', accel: 'tcg', vcpus: 1, start: false } as const;
    const body = { ...plain, name, memoryBytes: 64 * MIB, disks: [{ sizeBytes: MIB }] };
    await finish(await admin('POST /vms', { body }));
    await finish(await admin('DELETE /vms/{id}', { params: { id: name } }));
  }
  const page = await dashboard.signIn();
  await page.goto(`${dashboard.daemon.origin}/trash`);
  const purge = async (name: string) => {
    await page.getByRole('row', { name }).getByRole('button', { name: 'Purge' }).click();
    await page.getByLabel(`Type ${name} to confirm`).fill(name);
    await page.getByRole('button', { name: `Delete ${name} for good` }).click();
    await page.getByRole('heading', { name: 'Confirm that it is you' }).waitFor();
  };

  await purge('gone-1');
  const code = await shownCode(page);
  await assertAccessible(page, 'the dialog of a fresh proof');
  await dashboard.screenshot(page, 'step-up');
  // The way back: nothing is done, and who went it need not be told.
  const heading = page.getByRole('heading', { name: 'Confirm that it is you' });
  await page.getByRole('dialog').filter({ has: heading }).getByRole('button', { name: 'Cancel' }).click();
  await heading.waitFor({ state: 'detached' });
  await page.getByRole('row', { name: 'gone-1' }).waitFor();
  assert.equal(await page.getByRole('alert').count(), 0);
  assert.equal(await page.getByText('This needs a fresh proof').count(), 0);
  assert.equal((await admin('GET /trash')).items.length, 2);
  assert.notEqual(code, '');

  await purge('gone-1');
  await approve(await shownCode(page));
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await page.getByRole('row', { name: 'gone-1' }).waitFor({ state: 'detached' });

  // The session ends while the dialog waits: whoever signs in next is not asked for what this one wanted.
  await purge('gone-2');
  const own = await page.evaluate(async () => (await (await fetch('/api/v1/auth/session')).json()).sessionId);
  await admin('DELETE /auth/sessions/{id}', { params: { id: String(own) } });
  await page.getByRole('button', { name: 'SSH key, in a terminal' }).click();
  await approve(await shownCode(page));
  await page.getByRole('row', { name: 'gone-2' }).waitFor();
  assert.equal(await page.getByRole('dialog').count(), 0);

  // By hand, in the session that has a new secret since the first proof.
  await purge('gone-2');
  await page.getByText('By hand').click();
  await page.getByLabel('Paste what it prints').fill(await signShown(page));
  await dashboard.screenshot(page, 'step-up-by-hand');
  await page.getByRole('dialog').getByRole('button', { name: 'Confirm' }).click();
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await page.getByText('The trash is empty').waitFor();
  assert.deepEqual(dashboard.complaints, []);
});

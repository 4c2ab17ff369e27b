/** Passkeys in Chromium with a virtual authenticator (CDP WebAuthn): offered after a link, sign-in without a name, the fresh proof,
 *  and what is said where they cannot work. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Browser, BrowserContext, CDPSession, Page } from 'playwright-core';
import { buildBundle } from '../support/bundle.ts';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { startPlainBrowser } from './dashboard.ts';

let daemon: TestDaemon;
let browser: Browser;
let origin: string;

before(async () => {
  await buildBundle();
  daemon = await startDaemon({ waitFor: 'doors' });
  browser = await startPlainBrowser();
  origin = `https://localhost:${new URL(daemon.origin).port}`;
});
after(async () => {
  await browser?.close();
  await daemon?.close();
});

interface Window {
  readonly context: BrowserContext;
  readonly page: Page;
  readonly devtools: CDPSession;
  readonly authenticatorId: string;
}

/** A window with a device that knows its user. */
async function openWindow(): Promise<Window> {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: 1280, height: 900 } });
  context.setDefaultTimeout(20_000);
  const page = await context.newPage();
  const devtools = await context.newCDPSession(page);
  await devtools.send('WebAuthn.enable');
  const { authenticatorId } = await devtools.send('WebAuthn.addVirtualAuthenticator', {
    options: {
      protocol: 'ctap2',
      transport: 'internal',
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: true,
    },
  });
  return { context, page, devtools, authenticatorId };
}

async function signInByLink(page: Page, user = 'admin'): Promise<void> {
  const { url } = await daemon.admin('POST /auth/links', { body: { user } });
  await page.goto(`${origin}/sign-in${url.slice(url.indexOf('#'))}`);
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
  await page.getByRole('heading', { name: 'Overview' }).waitFor();
}

const sessionOf = (page: Page) =>
  page.evaluate(async () => {
    const answer: { user: string; method: string } = await (await fetch('/api/v1/auth/session')).json();
    return answer;
  });

/** As the page itself asks; the answer's status and body. */
const ask = (page: Page, method: string, path: string, body: unknown) =>
  page.evaluate(
    async ([how, where, what]) => {
      const response = await fetch(`/api/v1${where}`, {
        method: String(how),
        ...(what === undefined ? {} : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(what) }),
      });
      const text = await response.text();
      return { status: response.status, body: text === '' ? null : (JSON.parse(text) as Record<string, unknown>) };
    },
    [method, path, body] as const,
  );

test('after a link a passkey is offered; with it one signs in without a name, proves an action, and a second one needs the first', async () => {
  const { context, page, devtools, authenticatorId } = await openWindow();
  try {
    await signInByLink(page);
    await page.getByRole('dialog').getByRole('button', { name: 'Add a passkey' }).click();
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    const { credentials } = await devtools.send('WebAuthn.getCredentials', { authenticatorId });
    assert.equal(credentials.length, 1);
    assert.equal(credentials[0]?.rpId, 'localhost');
    assert.equal(credentials[0]?.isResidentCredential, true);

    await context.clearCookies();
    await page.goto(`${origin}/sign-in`);
    await page.getByRole('button', { name: 'Sign in with a passkey' }).click();
    await page.getByRole('heading', { name: 'Overview' }).waitFor();
    assert.deepEqual(((value) => [value.user, value.method])(await sessionOf(page)), ['admin', 'passkey']);

    // A change that wants a fresh proof: refused, proven for exactly this request, done.
    const body = { name: 'ada' };
    const refused = await ask(page, 'POST', '/users', body);
    assert.equal(refused.status, 403);
    assert.equal(refused.body?.['code'], 'step_up_required');
    const { digest = '' } = Object(refused.body?.['params']) as { digest?: string };
    const before = (await context.cookies()).find(({ name }) => name.endsWith('session'))?.value;
    await page.evaluate(async (what) => {
      const bytes = (value: string) =>
        Uint8Array.from(atob(value.replaceAll('-', '+').replaceAll('_', '/')), (letter) => letter.charCodeAt(0));
      const text = (buffer: ArrayBuffer) =>
        btoa(String.fromCharCode(...new Uint8Array(buffer)))
          .replaceAll('+', '-')
          .replaceAll('/', '_')
          .replaceAll('=', '');
      const post = (path: string, sent: unknown) =>
        fetch(`/api/v1/auth/step-up/passkey${path}`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify(sent),
        });
      const challenge = await (await post('/challenge', { digest: what })).json();
      const found = (await navigator.credentials.get({
        publicKey: {
          challenge: bytes(challenge.challenge),
          rpId: challenge.rpId,
          userVerification: 'required',
          allowCredentials: challenge.credentials.map((each: { id: string }) => ({
            type: 'public-key',
            id: bytes(each.id),
          })),
        },
      })) as PublicKeyCredential & { response: AuthenticatorAssertionResponse };
      const answer = await post('', {
        ceremonyId: challenge.ceremonyId,
        credentialId: found.id,
        clientDataJson: text(found.response.clientDataJSON),
        authenticatorData: text(found.response.authenticatorData),
        signature: text(found.response.signature),
        userHandle: found.response.userHandle ? text(found.response.userHandle) : null,
      });
      if (answer.status !== 204) throw new Error(await answer.text());
    }, digest);
    assert.notEqual((await context.cookies()).find(({ name }) => name.endsWith('session'))?.value, before);
    assert.equal((await ask(page, 'POST', '/users', { name: 'eve' })).status, 403, 'the proof is for the one request');
    assert.equal((await ask(page, 'POST', '/users', body)).status, 201);

    // Settings: rename, and delete with the proof that the deleting itself asks for.
    await page.goto(`${origin}/settings/security`);
    await page.getByRole('button', { name: 'Rename' }).click();
    await page.getByRole('dialog').getByLabel('Name').fill('laptop');
    await page.getByRole('dialog').getByRole('button', { name: 'Rename' }).click();
    await page.getByText('laptop').waitFor();

    // A link is less than a passkey: with one there, it cannot add another by itself.
    await context.clearCookies();
    await signInByLink(page);
    const challenge = await ask(page, 'POST', '/auth/passkeys/challenge', undefined);
    assert.equal(challenge.status, 200);
    const attestation = {
      ceremonyId: challenge.body?.['ceremonyId'],
      name: 'x',
      credentialId: 'AAAA',
      clientDataJson: 'AAAA',
      attestationObject: 'AAAA',
      transports: [],
    };
    const second = await ask(page, 'POST', '/auth/passkeys', attestation);
    assert.equal(second.body?.['code'], 'step_up_required');

    await page.goto(`${origin}/settings/security`);
    await page.getByRole('button', { name: 'Delete', exact: true }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Confirm with a passkey' }).click();
    await page.getByText('You have no passkey.').waitFor();
  } finally {
    await context.close();
  }
});

test('D10: in the browser a counter that goes back is refused, recorded, and shown in the list', async () => {
  const { context, page, devtools, authenticatorId } = await openWindow();
  try {
    await signInByLink(page, 'operator');
    await page.getByRole('dialog').getByRole('button', { name: 'Add a passkey' }).click();
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    const signIn = async () => {
      await context.clearCookies();
      await page.goto(`${origin}/sign-in`);
      await page.getByRole('button', { name: 'Sign in with a passkey' }).click();
    };
    await signIn();
    await page.getByRole('heading', { name: 'Overview' }).waitFor();
    const { credentials } = await devtools.send('WebAuthn.getCredentials', { authenticatorId });
    const [copied] = credentials;
    assert.ok(copied);
    await devtools.send('WebAuthn.removeCredential', { authenticatorId, credentialId: copied.credentialId });
    await devtools.send('WebAuthn.addCredential', { authenticatorId, credential: { ...copied, signCount: 0 } });
    await signIn();
    await page.getByText('This passkey may have been copied').waitFor();
    const { items } = await daemon.admin('GET /audit', { query: { limit: 20 } });
    assert.ok(
      items.some(
        ({ code, action, actor }) =>
          code === 'passkey_counter_back' && action === 'passkey.suspected' && actor === 'operator',
      ),
    );
    await context.clearCookies();
    await signInByLink(page, 'operator');
    await page.goto(`${origin}/settings/security`);
    await page.getByText('may be copied').waitFor();
    await page.getByRole('button', { name: 'Delete', exact: true }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
    await page.getByText('You have no passkey.').waitFor();
  } finally {
    await context.close();
  }
});

test('D10: a device that does not verify its user does not sign in', async () => {
  const { context, page, devtools, authenticatorId } = await openWindow();
  try {
    await signInByLink(page);
    await page.getByRole('dialog').getByRole('button', { name: 'Add a passkey' }).click();
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    await devtools.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified: false });
    await context.clearCookies();
    await page.goto(`${origin}/sign-in`);
    await page.getByRole('button', { name: 'Sign in with a passkey' }).click();
    await page.waitForTimeout(1500);
    assert.equal((await ask(page, 'POST', '/auth/logout', {})).status, 401);
  } finally {
    await context.close();
  }
});

test('at an address without a name the page says why there are no passkeys, and where there are', async () => {
  const { context, page } = await openWindow();
  try {
    await page.goto(`${daemon.origin}/sign-in`);
    await page.getByText('Passkeys need a host name.').waitFor();
    assert.equal(await page.getByRole('link', { name: origin }).getAttribute('href'), origin);
    assert.equal(await page.getByRole('button', { name: 'Sign in with a passkey' }).count(), 0);
  } finally {
    await context.close();
  }
});

/** Sign-in through a real identity provider (oidc-provider) over TLS, by a browser and its pages, and the same roads walked wrongly. */

import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { startPlainBrowser } from '#test/e2e/dashboard.ts';
import { buildBundle } from '#test/support/bundle.ts';
import { startDaemon, type TestDaemon } from '#test/support/daemon.ts';
import { type IdentityProvider, startIdentityProvider } from '#test/support/identity-provider.ts';
import { freePort } from '#test/support/pebble.ts';

let dir: string;
let provider: IdentityProvider;
let daemon: TestDaemon;
let start: () => Promise<TestDaemon>;
let browser: Browser;
let origin: string;
let config: Record<string, unknown>;

before(async () => {
  await buildBundle();
  dir = await mkdtemp(join(tmpdir(), 'hv-oidc-'));
  const [issuerPort, ownPort] = await Promise.all([freePort(), freePort()]);
  origin = `https://localhost:${ownPort}`;
  provider = await startIdentityProvider(dir, issuerPort, `${origin}/sign-in/oidc/corp`);
  const clientSecretFile = join(dir, 'secret');
  await writeFile(clientSecretFile, `${provider.clientSecret}\n`, { mode: 0o600 });
  const { issuer, clientId, caFile } = provider;
  config = {
    access: {
      oidc: [
        {
          ...{ id: 'corp', name: 'Corp', issuer, clientId, clientSecretFile, caFile },
          scopes: ['openid', 'profile', 'groups'],
          groups: [
            { group: 'staff', role: 'operator', scope: 'all' },
            { group: 'ops', role: 'vm-operator', scope: 'project:default' },
            { group: 'ghosts', role: 'operator', scope: 'project:none-such' },
          ],
          autoCreate: true,
        },
      ],
    },
  };
  start = () => startDaemon({ waitFor: 'doors', config, env: { HV_LISTEN: `127.0.0.1:${ownPort}` } });
  daemon = await start();
  browser = await startPlainBrowser();
});
after(async () => {
  await browser?.close();
  await daemon?.close();
  await provider?.close();
  await rm(dir, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
});

async function openWindow(): Promise<{ context: BrowserContext; page: Page }> {
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  context.setDefaultTimeout(20_000);
  return { context, page: await context.newPage() };
}

/** Goes to the provider and signs in on its pages; `atTheEnd` is called before it sends the browser back. */
async function walk(page: Page, login: string): Promise<void> {
  await page.goto(`${origin}/sign-in`);
  await page.getByRole('button', { name: 'Sign in with Corp' }).click();
  await page.getByPlaceholder('Enter any login').fill(login);
  await page.getByPlaceholder('and password').fill('anything');
  await page.getByRole('button', { name: 'Sign-in' }).click();
  await page.getByRole('button', { name: 'Continue' }).click();
}

const rolesOf = async (user: string) => (await daemon.admin('GET /users/{id}', { params: { id: user } })).roles;

test('an account in a mapped group becomes a user, whose roles follow its groups at each sign-in', async () => {
  provider.accounts.set('sub-ada', { preferred_username: 'Ada.Lovelace', groups: ['staff', 'other'] });
  const first = await openWindow();
  try {
    await walk(first.page, 'sub-ada');
    await first.page.getByRole('heading', { name: 'Overview' }).waitFor();
    assert.equal(new URL(first.page.url()).search, '', 'code and state are not in the address');
    assert.ok((await first.context.cookies()).every(({ name }) => name !== '__Host-hyper-oidc'));
  } finally {
    await first.context.close();
  }
  const user = await daemon.admin('GET /users/{id}', { params: { id: 'ada-lovelace' } });
  assert.equal(user.source, 'oidc:corp');
  assert.deepEqual(user.roles, ['operator']);
  const sessions = (await daemon.admin('GET /auth/sessions')).items;
  assert.deepEqual(
    sessions.map(({ user: name, method }) => [name, method]),
    [['ada-lovelace', 'oidc']],
  );

  // Another name and another group at the provider: the same user, other roles; a role on what is not there is left out.
  provider.accounts.set('sub-ada', { preferred_username: 'admin', groups: ['ops', 'ghosts'] });
  const second = await openWindow();
  try {
    await walk(second.page, 'sub-ada');
    await second.page.waitForURL(`${origin}/`);
  } finally {
    await second.context.close();
  }
  assert.deepEqual(await rolesOf('ada-lovelace'), ['vm-operator']);
  const grants = (await daemon.admin('GET /grants', { query: { user: 'ada-lovelace' } })).items;
  assert.deepEqual(
    grants.map(({ role, scope, source }) => [role, scope, source]),
    [['vm-operator', 'project:default', 'oidc:corp']],
  );
  assert.match(daemon.output(), /none-such/);
  const { items } = await daemon.admin('GET /auth/oidc/identities');
  assert.deepEqual(
    items.map(({ provider: id, subject, user: name }) => [id, subject, name]),
    [['corp', 'sub-ada', 'ada-lovelace']],
  );
});

test('an account called like an administrator becomes somebody else, and one without a mapped group nobody', async () => {
  provider.accounts.set('sub-eve', { preferred_username: 'admin', groups: ['staff'] });
  provider.accounts.set('sub-bob', { preferred_username: 'bob', groups: ['guests'] });
  const eve = await openWindow();
  try {
    await walk(eve.page, 'sub-eve');
    await eve.page.getByRole('heading', { name: 'Overview' }).waitFor();
  } finally {
    await eve.context.close();
  }
  assert.deepEqual(await rolesOf('admin'), ['admin']);
  assert.deepEqual(await rolesOf('admin-2'), ['operator']);
  const bob = await openWindow();
  try {
    await walk(bob.page, 'sub-bob');
    await bob.page.getByText('There is no user for this account').waitFor();
  } finally {
    await bob.context.close();
  }
  // An administrator gives him one.
  await daemon.admin('POST /users', { body: { name: 'bob' } });
  await daemon.admin('POST /auth/oidc/identities', { body: { provider: 'corp', subject: 'sub-bob', user: 'bob' } });
  const again = await openWindow();
  try {
    await walk(again.page, 'sub-bob');
    await again.page.waitForURL(`${origin}/`);
  } finally {
    await again.context.close();
  }
  assert.deepEqual(await rolesOf('bob'), []);
  // Disabled here, the account helps nobody in.
  await daemon.admin('PATCH /users/{id}', { params: { id: 'bob' }, body: { state: 'disabled' } });
  const disabled = await openWindow();
  try {
    await walk(disabled.page, 'sub-bob');
    await disabled.page.getByText('This user is disabled').waitFor();
  } finally {
    await disabled.context.close();
  }
});

interface Sent {
  readonly provider: string;
  readonly state: string;
  readonly code: string;
  readonly iss?: string;
}

const FINISH = '**/api/v1/auth/oidc/finish';

/** What our page would send after the provider sent the browser back; it is kept from being sent. */
async function caught(page: Page, login: string): Promise<Sent> {
  const { promise, resolve } = Promise.withResolvers<Sent>();
  await page.route(FINISH, (route) => {
    resolve(route.request().postDataJSON() as Sent);
    return route.abort();
  });
  await walk(page, login);
  const sent = await promise;
  await page.unroute(FINISH);
  return sent;
}

/** Ends a sign-in from a page of ours, as that page would. */
const finish = (page: Page, body: unknown): Promise<{ status: number; code: string }> =>
  page.evaluate(async (sent) => {
    const response = await fetch('/api/v1/auth/oidc/finish', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(sent),
    });
    const { code = '' } = (await response.json()) as { code?: string };
    return { status: response.status, code };
  }, body);

test('D8: an answer works in the browser that began, once; a stolen code works in no other sign-in', async () => {
  provider.accounts.set('sub-ada', { preferred_username: 'ada', groups: ['staff'] });
  provider.accounts.set('sub-mal', { preferred_username: 'mal', groups: ['staff'] });
  const [mine, theirs, last] = [await openWindow(), await openWindow(), await openWindow()];
  try {
    const answer = await caught(mine.page, 'sub-ada');
    const other = await caught(theirs.page, 'sub-mal');
    const refused = { status: 401, code: 'oidc_refused' };
    // Login fixation: mal's finished sign-in is slipped to ada.
    assert.deepEqual(await finish(mine.page, other), refused);
    // Code injection: ada's code with mal's own state; PKCE and nonce are those of another attempt.
    const third = await caught(last.page, 'sub-mal');
    assert.deepEqual(await finish(last.page, { ...third, code: answer.code }), refused);
    assert.equal((await last.context.cookies()).filter(({ name }) => name === '__Host-hyper-session').length, 0);
    assert.equal((await mine.context.cookies()).filter(({ name }) => name === '__Host-hyper-session').length, 0);
    // In the browser that began it, with its own state, it is right; once.
    assert.equal((await finish(mine.page, answer)).status, 200);
    assert.deepEqual(await finish(mine.page, answer), refused);
  } finally {
    await mine.context.close();
    await theirs.context.close();
    await last.context.close();
  }
});

test('D7: fields that are not ours are refused, and no subset of the right ones signs in', async () => {
  // Tries of one address are counted per minute; the tests before used them up.
  await daemon.close();
  daemon = await start();
  const { context, page } = await openWindow();
  try {
    const right = await caught(page, 'sub-ada');
    const post = async (body: unknown) => (await finish(page, body)).status;
    for (const extra of [
      'second_factor',
      'tfa-challenge',
      'user_id',
      'user',
      'nonce',
      'id_token',
      'access_token',
      'redirect_uri',
    ])
      assert.equal(await post({ ...right, [extra]: 'admin' }), 422, extra);
    let tried = 0;
    for (const fields of [
      [],
      ['provider'],
      ['state'],
      ['code'],
      ['provider', 'code'],
      ['state', 'code'],
      ['iss', 'state'],
    ]) {
      const some = Object.fromEntries(Object.entries(right).filter(([name]) => fields.includes(name)));
      assert.equal(await post(some), 422, fields.join());
      tried += 1;
    }
    assert.equal(await post({ provider: 'corp', state: right.state }), 401);
    assert.equal(await post(right), 401, 'the state was spent by that');
    console.log(`# D7 (OIDC): ${tried + 10} wrong sets of fields, none accepted`);
    assert.equal((await context.cookies()).filter(({ name }) => name === '__Host-hyper-session').length, 0);
  } finally {
    await context.close();
  }
});

test('H7: a client secret that others can read keeps the daemon from starting', async () => {
  const open = join(dir, 'open');
  await writeFile(open, 'secret', { mode: 0o644 });
  const { access } = structuredClone(config) as { access: { oidc: { clientSecretFile: string }[] } };
  for (const each of access.oidc) each.clientSecretFile = open;
  const refused = await startDaemon({ waitFor: 'nothing', config: { access } });
  try {
    assert.equal(await refused.exited, 1);
    assert.match(
      refused.output(),
      /access\.oidc\.corp\.clientSecretFile: .*open can be read by others\. Mend: chmod 600/,
    );
  } finally {
    await refused.close();
  }
});

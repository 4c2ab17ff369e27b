/** Row H6: a stranger who comes first. A machine that nobody has signed in to has no page, route or default secret that lets one in over the
 *  network; the first administrator comes by a link that is made on the machine itself. */

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { allRoutes } from '#contract/api.ts';
import { configSchema } from '#contract/config.ts';
import { type Asker, onSocket, signIn, stranger } from '../support/asker.ts';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';

let daemon: TestDaemon;
let first: Asker;
before(async () => {
  // As wide open as it can be told to listen.
  daemon = await startDaemon({ waitFor: 'doors', env: { HV_LISTEN: '0.0.0.0:0' } });
  first = stranger(daemon);
});
after(async () => {
  first?.close();
  await daemon?.close();
});

/** All that can let somebody in, as root on the machine sees it. */
async function waysIn(): Promise<string> {
  const { admin } = daemon;
  const console = onSocket(daemon, 'admin');
  const found: unknown[] = [];
  for (const path of ['/users', '/groups', '/grants', '/auth/sessions', '/tokens', '/auth/oidc/identities']) {
    const { status, json } = await console.ask({ path });
    assert.equal(status, 200, path);
    found.push([path, json['items']]);
  }
  const users = (await admin('GET /users')).items;
  for (const { id } of users)
    for (const kind of ['keys', 'passkeys']) {
      const { status, json } = await console.ask({ path: `/users/${id}/${kind}` });
      assert.equal(status, 200, kind);
      found.push([id, kind, json['items']]);
    }
  return JSON.stringify(found);
}

/** What a stranger could put into a route that is open to all: bodies that fit, with secrets that he invents. */
const GUESSES: Readonly<Record<string, readonly unknown[]>> = {
  'POST /auth/link': [{ token: 'admin'.padEnd(43, 'A') }, { token: '0'.repeat(43) }],
  'POST /auth/challenge': [
    { user: 'admin', by: 'person' },
    { user: 'root', by: 'person' },
  ],
  'POST /auth/ssh': [{ nonce: 'A'.repeat(43), signature: 'A'.repeat(100) }],
  'POST /auth/device': [{}],
  'POST /auth/device/poll': [{ deviceSecret: 'A'.repeat(43) }],
  'POST /auth/device/claim': [{ deviceSecret: 'A'.repeat(43) }],
  'POST /auth/device/look': [{ code: 'BCD-FGH' }],
  'POST /auth/device/approve': [{ nonce: 'A'.repeat(43), signature: 'A'.repeat(100) }],
  'POST /auth/oidc/{id}/start': [undefined],
  'POST /auth/oidc/finish': [{ provider: 'x', state: 'A'.repeat(43), code: 'x' }],
  'POST /auth/passkey/challenge': [undefined],
  'POST /auth/passkey': [
    {
      ceremonyId: 'A'.repeat(43),
      credentialId: 'AAAA',
      clientDataJson: 'AAAA',
      authenticatorData: 'AAAA',
      signature: 'AAAA',
      userHandle: null,
    },
  ],
};

test('H6 a fresh machine listens to itself only, unless it is told otherwise', async () => {
  const { listen } = configSchema.parse({});
  assert.equal(listen.slice(0, listen.lastIndexOf(':')), '127.0.0.1');
  const local = await startDaemon({ waitFor: 'doors' });
  try {
    const port = Number(new URL(local.origin).port).toString(16).toUpperCase().padStart(4, '0');
    const rows = (await readFile(`/proc/${local.pid}/net/tcp`, 'utf8'))
      .split('\n')
      .map((row) => row.trim().split(/\s+/));
    const bound = rows.filter(([, address, , state]) => state === '0A' && address?.endsWith(`:${port}`));
    assert.deepEqual(
      bound.map(([, address]) => address),
      [`0100007F:${port}`],
    );
  } finally {
    await local.close();
  }
});

test('H6 whoever comes first over the network is nobody: each route wants a sign-in, and none of those open to all lets one in', async (t) => {
  const before = await waysIn();
  let closed = 0;
  let open = 0;
  for (const [key, definition] of allRoutes()) {
    const [method = '', template = ''] = key.split(' ');
    const path = template.replace(/\{\w+\}/g, 'admin');
    const isUpgrade = definition.raw === 'websocket';
    if (definition.public === undefined) {
      const body = ['GET', 'DELETE'].includes(method) ? undefined : {};
      const { status, json, headers } = await first.ask({ method, path, body, isUpgrade });
      assert.ok([401, 403].includes(status), `${key}: ${status}`);
      if (!isUpgrade) assert.equal(json['code'], 'not_signed_in', key);
      assert.equal(headers['set-cookie'], undefined, key);
      closed += 1;
      continue;
    }
    if (method !== 'GET')
      assert.ok(key in GUESSES, `${key} is open to all: say in this test what a stranger may put in`);
    for (const body of GUESSES[key] ?? [undefined]) {
      const { status, headers } = await first.ask({ method, path, body });
      // A body that does not even fit would prove nothing.
      assert.ok(status < 500 && status !== 422, `${key}: ${status}`);
      assert.equal(headers['set-cookie'], undefined, `${key} lets somebody in`);
      open += 1;
    }
  }
  assert.equal(await waysIn(), before);
  t.diagnostic(`count: ${closed} routes want a sign-in; ${open} tries on those open to all brought nothing`);
});

test('H6 the flow that lets a browser in from elsewhere cannot be confirmed by the one who began it', async () => {
  const { status, json } = await first.ask({ method: 'POST', path: '/auth/device', body: {} });
  assert.equal(status, 200);
  const code = json['userCode'];
  const deviceSecret = json['deviceSecret'];
  assert.ok(typeof code === 'string' && typeof deviceSecret === 'string', JSON.stringify(Object.keys(json)));
  assert.equal(
    (await first.ask({ method: 'POST', path: '/auth/device/confirm', body: { code, user: 'admin' } })).status,
    401,
  );
  const claim = await first.ask({ method: 'POST', path: '/auth/device/claim', body: { deviceSecret } });
  assert.ok(claim.status >= 400, String(claim.status));
  assert.equal(claim.headers['set-cookie'], undefined);
});

test('H6 the link that lets the first one in is made on the machine alone, and lets in whoever holds it and nobody else', async () => {
  const asked = await first.ask({ method: 'POST', path: '/auth/links', body: { user: 'admin' } });
  assert.equal(asked.status, 401);
  // Not the local socket of those who only look, either.
  const looker = onSocket(daemon, 'operator');
  assert.equal((await looker.ask({ method: 'POST', path: '/auth/links', body: { user: 'admin' } })).status, 403);
  const administrator = await signIn(daemon, 'admin');
  try {
    assert.equal((await administrator.ask({ path: '/users' })).status, 200);
    assert.equal((await first.ask({ path: '/users' })).status, 401);
  } finally {
    administrator.close();
  }
});

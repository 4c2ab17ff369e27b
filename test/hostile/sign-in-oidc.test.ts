/** Sign-in through an identity provider that was taken over, or whose answers somebody changed on the way (row D8), and sign-ins that
 *  are mixed up between browsers, providers and attempts. */

import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { after, before, beforeEach, test } from 'node:test';
import { configSchema } from '#contract/config.ts';
import { oidcErrors } from '#contract/oidc.ts';
import { createProviderClient } from '#features/access/oidc/provider-client.ts';
import { createOidcSignIn, type OidcSignIn } from '#features/access/oidc/sign-in.ts';
import type { OidcIdentityRow, OidcStore } from '#features/access/oidc/store.ts';
import { systemClock, TestClock } from '#kernel/clock.ts';
import { AppError, registerErrors } from '#kernel/errors.ts';
import { silentLogger } from '#kernel/logger.ts';
import { createFetcher } from '#platform/fetch/index.ts';
import {
  type Claims,
  es256,
  type ForgingProvider,
  hs256,
  makeToken,
  rs256,
  startForgingProvider,
  type TokenRequest,
} from '#test/support/forging-provider.ts';

registerErrors(oidcErrors);

let provider: ForgingProvider;
let tried = 0;
before(async () => {
  provider = await startForgingProvider();
});
after(async () => {
  await provider.close();
  console.log(`# D8: ${tried} hostile answers of identity providers, none accepted`);
});
beforeEach(() => provider.answerWith((request) => provider.rightToken(provider.rightClaims(request))));

function memoryStore(): OidcStore & { rows: OidcIdentityRow[] } {
  const rows: OidcIdentityRow[] = [];
  return {
    rows,
    find: async (issuer, subject) => rows.find((row) => row.issuer === issuer && row.subject === subject) ?? null,
    list: async () => rows,
    add: async (row) => rows.push(row) > 0,
    touch: async () => undefined,
    remove: async () => null,
  };
}

interface Desk {
  readonly signIn: OidcSignIn;
  readonly store: ReturnType<typeof memoryStore>;
  readonly grants: Map<string, readonly { role: string; scope: string }[]>;
  readonly disabled: Set<string>;
}

function desk(
  options: { issuers?: Readonly<Record<string, string>>; autoCreate?: boolean; clock?: TestClock } = {},
): Desk {
  const { issuers = { corp: provider.issuer }, autoCreate = true, clock = systemClock } = options;
  const { access } = configSchema.parse({
    access: {
      oidc: Object.entries(issuers).map(([id, issuer]) => ({
        id,
        name: id,
        issuer,
        clientId: 'hyper',
        autoCreate,
        groups: [{ group: 'staff', role: 'operator' }],
      })),
    },
  });
  const store = memoryStore();
  const grants = new Map<string, readonly { role: string; scope: string }[]>();
  const disabled = new Set<string>();
  let made = 0;
  const clients = new Map(
    access.oidc.map((config) => [
      config.id,
      createProviderClient(
        { ...config, clientSecret: 'a client secret' },
        createFetcher({ allowPrivateHosts: [new URL(config.issuer).host] }),
        systemClock,
      ),
    ]),
  );
  const signIn = createOidcSignIn({
    providers: access.oidc,
    clientOf: (id) => clients.get(id) ?? null,
    store,
    clock,
    log: silentLogger,
    findUser: (id) => ({ id, isDisabled: disabled.has(id) }),
    isNameTaken: () => false,
    createUser: async (_provider, name, { issuer, subject }) => {
      made += 1;
      const userId = `${name}-${made}`;
      await store.add({ id: userId, issuer, subject, user_id: userId, created_at: '', last_used_at: null });
      return userId;
    },
    setMappedGrants: async (userId, _provider, list) => void grants.set(userId, list),
  });
  return { signIn, store, grants, disabled };
}

const HERE = 'https://localhost:8080/sign-in/oidc/corp';

async function begin({ signIn }: Desk, id = 'corp') {
  const { url, binding } = await signIn.start(id, HERE, '192.0.2.1');
  return { ...provider.visit(url), binding, url };
}

/** One whole sign-in. */
async function attempt(where: Desk): Promise<string> {
  const { state, code, binding } = await begin(where);
  return where.signIn.finish({ provider: 'corp', state, code }, binding);
}

const isRefused = (error: unknown) => error instanceof AppError && error.status === 401;

async function refused(where: Desk, what: string): Promise<void> {
  tried += 1;
  await assert.rejects(attempt(where), isRefused, what);
  assert.deepEqual(where.store.rows, [], what);
}

test('a right answer signs in, the same account is the same user, and its groups are read each time', async () => {
  const where = desk();
  const user = await attempt(where);
  assert.deepEqual(where.grants.get(user), [{ role: 'operator', scope: 'all' }]);
  provider.answerWith((request) =>
    provider.rightToken({ ...provider.rightClaims(request), groups: [], preferred_username: 'eve' }),
  );
  assert.equal(await attempt(where), user);
  assert.deepEqual(where.grants.get(user), []);
  assert.equal(where.store.rows.length, 1);
  const [form] = provider.asked.slice(-1);
  assert.ok((form?.get('code_verifier') ?? '').length >= 43);
});

const { privateKey: otherRsa } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const { privateKey: otherEc } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const empty = () => Buffer.alloc(0);

type Forge = (claims: Claims, request: TokenRequest) => string | null;
const header = (fields: Claims = {}) => ({ alg: 'RS256', kid: provider.kid, typ: 'JWT', ...fields });
const signed = (claims: Claims, fields: Claims = {}) => makeToken(header(fields), claims, rs256(provider.key));
const now = () => Math.floor(Date.now() / 1000);

const FORGERIES: Readonly<Record<string, Forge>> = {
  'alg none without a signature': (claims) => makeToken({ alg: 'none' }, claims, empty),
  'alg none with the right signature': (claims) => signed(claims, { alg: 'none' }),
  'alg None in other letters': (claims) => makeToken({ alg: 'nOnE' }, claims, empty),
  'no alg': (claims) => signed(claims, { alg: undefined }),
  'HS256 with the public key as the secret': (claims) =>
    makeToken(header({ alg: 'HS256' }), claims, hs256(provider.publicPem)),
  'HS256 with the client secret': (claims) => makeToken(header({ alg: 'HS256' }), claims, hs256('a client secret')),
  'HS256 with an empty secret': (claims) => makeToken(header({ alg: 'HS256' }), claims, hs256('')),
  'RS256 by a foreign key': (claims) => makeToken(header(), claims, rs256(otherRsa)),
  'RS256 by a foreign key without kid': (claims) => makeToken({ alg: 'RS256' }, claims, rs256(otherRsa)),
  'a foreign key in the header itself': (claims) =>
    makeToken(header({ jwk: otherRsa.export({ format: 'jwk' }) }), claims, rs256(otherRsa)),
  'a key list of its own in the header': (claims) =>
    makeToken(header({ jku: 'http://127.0.0.1:1/jwks', kid: 'x' }), claims, rs256(otherRsa)),
  'ES256 with the kid of the RSA key': (claims) => makeToken(header({ alg: 'ES256' }), claims, es256(otherEc)),
  'RS512, which is not on the list': (claims) => signed(claims, { alg: 'RS512' }),
  'kid as a path': (claims) => makeToken(header({ kid: '../../../../dev/null' }), claims, hs256('')),
  'kid as a path, signed by a foreign key': (claims) =>
    makeToken(header({ kid: '/proc/self/environ' }), claims, rs256(otherRsa)),
  'kid as SQL': (claims) => makeToken(header({ kid: "x' UNION SELECT 'k" }), claims, rs256(otherRsa)),
  'an unknown critical header': (claims) => signed(claims, { crit: ['x'], x: 1 }),
  'another issuer': (claims) => signed({ ...claims, iss: 'https://evil.example' }),
  'no issuer': (claims) => signed({ ...claims, iss: undefined }),
  'another audience': (claims) => signed({ ...claims, aud: 'other' }),
  'a list of audiences without us': (claims) => signed({ ...claims, aud: ['other', 'third'] }),
  'two audiences and another authorized party': (claims) =>
    signed({ ...claims, aud: ['hyper', 'other'], azp: 'other' }),
  'no audience': (claims) => signed({ ...claims, aud: undefined }),
  expired: (claims) => signed({ ...claims, iat: now() - 7200, exp: now() - 3600 }),
  'without end': (claims) => signed({ ...claims, exp: undefined }),
  'an end that is text': (claims) => signed({ ...claims, exp: '9999999999' }),
  'not valid yet': (claims) => signed({ ...claims, nbf: now() + 3600 }),
  'no subject': (claims) => signed({ ...claims, sub: undefined }),
  'an empty subject': (claims) => signed({ ...claims, sub: '' }),
  'a subject of 300 characters': (claims) => signed({ ...claims, sub: 's'.repeat(300) }),
  'a subject that is a list': (claims) => signed({ ...claims, sub: ['subject-1'] }),
  'no nonce': (claims) => signed({ ...claims, nonce: undefined }),
  'another nonce': (claims) => signed({ ...claims, nonce: 'n'.repeat(43) }),
  '1 MB of claims': (claims) => signed({ ...claims, padding: 'x'.repeat(1_000_000) }),
  'no id_token': () => null,
  'not a token': () => 'a.b.c',
  'five parts': (claims) => `${signed(claims)}.x.y`,
  'claims that are no object': () => makeToken(header(), [] as unknown as Claims, rs256(provider.key)),
};

for (const [what, forge] of Object.entries(FORGERIES))
  test(`D8: id_token refused: ${what}`, async () => {
    provider.answerWith((request) => forge(provider.rightClaims(request), request));
    await refused(desk(), what);
  });

test('D8: one bit flipped in any part of a right token is refused', async () => {
  const where = desk();
  for (const part of [0, 1, 2])
    for (const place of [0.1, 0.5, 0.9]) {
      provider.answerWith((request) => {
        const parts = provider.rightToken(provider.rightClaims(request)).split('.');
        const bytes = Buffer.from(parts[part] ?? '', 'base64url');
        const at = Math.floor(bytes.length * place);
        bytes[at] = (bytes[at] ?? 0) ^ 1;
        parts[part] = bytes.toString('base64url');
        return parts.join('.');
      });
      await refused(where, `bit ${place} of part ${part}`);
    }
});

test('D8: a token of an earlier sign-in is refused (nonce replay)', async () => {
  const where = desk();
  let first: string | null = null;
  provider.answerWith((request) => {
    first ??= provider.rightToken(provider.rightClaims(request));
    return first;
  });
  await attempt(where);
  tried += 1;
  await assert.rejects(attempt(where), isRefused);
});

test('D8: the state of another browser, none, an invented one and a used one are refused', async () => {
  const where = desk();
  const [mine, theirs] = [await begin(where), await begin(where)];
  const swaps = [
    // The attacker sends his own finished sign-in to a victim, or none was begun in this browser.
    () => where.signIn.finish({ provider: 'corp', state: mine.state, code: mine.code }, theirs.binding),
    () => where.signIn.finish({ provider: 'corp', state: theirs.state, code: theirs.code }, null),
    () => where.signIn.finish({ provider: 'corp', state: 'x'.repeat(43), code: mine.code }, mine.binding),
    () => where.signIn.finish({ provider: 'corp', state: '', code: mine.code }, mine.binding),
    () => where.signIn.finish({ provider: 'nobody', state: mine.state, code: mine.code }, mine.binding),
  ];
  for (const swap of swaps) {
    tried += 1;
    await assert.rejects(swap(), isRefused);
  }
  const third = await begin(where);
  await where.signIn.finish({ provider: 'corp', state: third.state, code: third.code }, third.binding);
  tried += 1;
  await assert.rejects(
    where.signIn.finish({ provider: 'corp', state: third.state, code: third.code }, third.binding),
    isRefused,
  );
});

test('D8: a state is good for ten minutes', async () => {
  const clock = new TestClock(new Date());
  const where = desk({ clock });
  const { state, code, binding } = await begin(where);
  await clock.advance(600_000);
  tried += 1;
  await assert.rejects(where.signIn.finish({ provider: 'corp', state, code }, binding), isRefused);
});

test('D8: the answer of one provider does not end a sign-in at another, and the issuer in the answer must be right', async () => {
  const where = desk({ issuers: { corp: provider.issuer, other: provider.issuer.replace('127.0.0.1', 'localhost') } });
  const mixed = await begin(where);
  tried += 1;
  await assert.rejects(
    where.signIn.finish({ provider: 'other', state: mixed.state, code: mixed.code }, mixed.binding),
    isRefused,
  );
  const named = await begin(where);
  tried += 1;
  await assert.rejects(
    where.signIn.finish(
      { provider: 'corp', state: named.state, code: named.code, iss: 'https://evil.example' },
      named.binding,
    ),
    isRefused,
  );
});

test("D8: the provider's refusal, and an answer without a code, sign nobody in", async () => {
  const where = desk();
  for (const answer of [{ error: 'access_denied' }, {}]) {
    const { state, binding } = await begin(where);
    tried += 1;
    await assert.rejects(where.signIn.finish({ provider: 'corp', state, ...answer }, binding), isRefused);
  }
});

test('D8: who an account is follows from issuer and subject, never from e-mail or name', async () => {
  const where = desk();
  const victim = await attempt(where);
  provider.answerWith((request) =>
    provider.rightToken({
      ...provider.rightClaims(request),
      sub: 'subject-2',
      email: 'ada@example.org',
      email_verified: true,
    }),
  );
  assert.notEqual(await attempt(where), victim);
});

test('D8: user information of another subject is refused', async () => {
  const where = desk();
  provider.userInfo = { sub: 'subject-2', groups: ['staff'] };
  provider.answerWith((request) => provider.rightToken({ ...provider.rightClaims(request), groups: undefined }));
  await refused(where, 'user information of another subject');
  provider.userInfo = {};
});

test('an account without a user, without a group or of a disabled user does not get in', async () => {
  const closed = desk({ autoCreate: false });
  const noAccount = (error: unknown) => error instanceof AppError && error.code === 'oidc_no_account';
  await assert.rejects(attempt(closed), noAccount);
  const where = desk();
  provider.answerWith((request) => provider.rightToken({ ...provider.rightClaims(request), groups: ['guests'] }));
  await assert.rejects(attempt(where), noAccount);
  provider.answerWith((request) => provider.rightToken(provider.rightClaims(request)));
  where.disabled.add(await attempt(where));
  await assert.rejects(attempt(where), noAccount);
});

test('two first sign-ins of one account at once make one user', async () => {
  const where = desk();
  const users = await Promise.all(Array.from({ length: 5 }, () => attempt(where)));
  assert.equal(new Set(users).size, 1);
  assert.equal(where.store.rows.length, 1);
});

test('D8: a provider that offers only shared-secret or no signatures is not used, nor one whose issuer is another', async () => {
  for (const extra of [
    { id_token_signing_alg_values_supported: ['HS256', 'none'] },
    { issuer: 'https://evil.example' },
  ]) {
    const odd = await startForgingProvider(extra);
    try {
      tried += 1;
      const where = desk({ issuers: { corp: odd.issuer } });
      await assert.rejects(begin(where), (error) => error instanceof AppError && error.code === 'oidc_unavailable');
    } finally {
      await odd.close();
    }
  }
});

test('E: a provider on a private address may be reached, and nothing else that it points to', async () => {
  const secret = await startForgingProvider();
  const pointing = await startForgingProvider({ token_endpoint: `${secret.issuer}/token` });
  try {
    const where = desk({ issuers: { corp: pointing.issuer } });
    const { url, binding } = await where.signIn.start('corp', HERE, '192.0.2.1');
    const { state, code } = pointing.visit(url);
    await assert.rejects(where.signIn.finish({ provider: 'corp', state, code }, binding), isRefused);
    assert.equal(secret.asked.length, 0);
  } finally {
    await Promise.all([secret.close(), pointing.close()]);
  }
});

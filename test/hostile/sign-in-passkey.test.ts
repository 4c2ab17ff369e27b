/** Passkeys that answer wrongly (row D10): another page, another user, an old challenge, nobody verified, a counter that goes back. */

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { passkeyErrors } from '#contract/passkeys.ts';
import { type DirectoryTables, directoryMigration } from '#features/access/directory.ts';
import { type Ceremonies, createCeremonies } from '#features/access/passkeys/ceremonies.ts';
import {
  createPasskeyStore,
  type PasskeyRow,
  type PasskeyStore,
  passkeyMigration,
} from '#features/access/passkeys/store.ts';
import { sessionMigration } from '#features/access/sessions.ts';
import { TestClock } from '#kernel/clock.ts';
import { AppError, registerErrors } from '#kernel/errors.ts';
import { silentLogger } from '#kernel/logger.ts';
import { type Database, openDatabase } from '#platform/db/database.ts';
import { type Authenticator, createAuthenticator, type Twist } from '#test/support/authenticator.ts';

registerErrors(passkeyErrors);

const ORIGIN = 'https://box.lan:8080';
const PARTY = { id: 'box.lan', origins: [ORIGIN], openAt: ORIGIN };
const ada = { userId: 'usr-ada', user: 'ada', sessionId: 'ses-ada' };
const eve = { userId: 'usr-eve', user: 'eve', sessionId: 'ses-eve' };
const DIGEST = 'd'.repeat(64);

let dir: string;
let db: Database;
let store: PasskeyStore;
let ceremonies: Ceremonies;
let adasKey: Authenticator;
let evesKey: Authenticator;
const clock = new TestClock(new Date());
const alerts: PasskeyRow[] = [];
let tried = 0;

before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'hv-passkey-'));
  db = openDatabase(join(dir, 'state.db'));
  db.migrate('access', [sessionMigration, directoryMigration, passkeyMigration]);
  for (const { userId, user } of [ada, eve])
    await db
      .tables<Pick<DirectoryTables, 'user'>>()
      .insertInto('user')
      .values({
        id: userId,
        name: user,
        disabled: 0,
        source: 'local',
        created_at: '',
        title: null,
        idle_minutes: null,
        last_sign_in_at: null,
      })
      .execute();
  store = createPasskeyStore(db);
  ceremonies = createCeremonies({
    store,
    clock,
    log: silentLogger,
    relyingParty: () => PARTY,
    onCounterBack: async (passkey) => void alerts.push(passkey),
  });
  adasKey = await enrolled(ada);
  evesKey = await enrolled(eve);
});
after(async () => {
  await db.close();
  await rm(dir, { recursive: true, maxRetries: 20, retryDelay: 100 });
  console.log(`# D10: ${tried} hostile answers of authenticators, none accepted`);
});

async function enrolled(owner: typeof ada): Promise<Authenticator> {
  const device = createAuthenticator(ORIGIN);
  await ceremonies.finishAdding(owner, device.register(await ceremonies.beginAdding(owner), 'laptop'));
  return device;
}

const isRefused = (error: unknown) => error instanceof AppError && error.status === 401;

async function refused(work: () => Promise<unknown>, what: string): Promise<void> {
  tried += 1;
  await assert.rejects(work, isRefused, what);
}

const signIn = (device: Authenticator, twist: Twist = {}) =>
  ceremonies.finishAssertion(device.answer(ceremonies.beginSignIn('192.0.2.1'), twist), null);

test('a right answer signs in, and a right proof names the action', async () => {
  const { passkey, digest } = await signIn(adasKey);
  assert.equal(passkey.user_id, ada.userId);
  assert.equal(digest, null);
  const proof = await ceremonies.finishAssertion(
    adasKey.answer(await ceremonies.beginStepUp(ada, DIGEST), { userHandle: null }),
    ada.sessionId,
  );
  assert.equal(proof.digest, DIGEST);
});

const TWISTS: Readonly<Record<string, Twist>> = {
  'another origin': { origin: 'https://evil.example' },
  'an origin that ends alike': { origin: 'https://evilbox.lan:8080' },
  'an origin below ours': { origin: 'https://a.box.lan:8080' },
  'our name on another port': { origin: 'https://box.lan:8443' },
  'our name without TLS': { origin: 'http://box.lan:8080' },
  'another rpId': { rpId: 'evil.example' },
  'the parent domain as rpId': { rpId: 'lan' },
  'an invented challenge': { challenge: 'x'.repeat(43) },
  'no challenge': { challenge: '' },
  'the answer to a registration': { type: 'webauthn.create' },
  'another type': { type: 'payment.get' },
  'no user verification': { withoutFlags: 4 },
  'no user presence': { withoutFlags: 1 },
  'neither presence nor verification': { withoutFlags: 5 },
  'inside a frame of another site': { crossOrigin: true },
  "another user's handle": { userHandle: Buffer.from('usr-eve').toString('base64url') },
  'no user handle where it must name the user': { userHandle: null },
  'an unknown credential': { credentialId: 'AAAA' },
  'an empty signature': { signature: () => Buffer.from([0]) },
  'a signature with one bit flipped': {
    signature: (bytes) => {
      const last = bytes.length - 1;
      bytes[last] = (bytes[last] ?? 0) ^ 1;
      return bytes;
    },
  },
  'a signature cut short': { signature: (bytes) => bytes.subarray(0, bytes.length - 1) },
  'zeros for r and s': { signature: () => Buffer.from('3006020100020100', 'hex') },
};

for (const [what, twist] of Object.entries(TWISTS))
  test(`D10: refused: ${what}`, async () => {
    await refused(() => signIn(adasKey, twist), what);
    assert.equal(alerts.length, 0);
  });

test("D10: another user's credential under one's own name is refused, for sign-in and for a proof", async () => {
  await refused(() => signIn(evesKey, { credentialId: adasKey.credentialId }), 'signature of another key');
  const step = await ceremonies.beginStepUp(ada, DIGEST);
  await refused(() => ceremonies.finishAssertion(evesKey.answer(step), ada.sessionId), "eve's key in ada's session");
});

test('D10: a challenge works once, for what it was made for, in its session, for two minutes', async () => {
  const challenge = ceremonies.beginSignIn('192.0.2.1');
  const answer = adasKey.answer(challenge);
  await ceremonies.finishAssertion(answer, null);
  await refused(() => ceremonies.finishAssertion(answer, null), 'replay');
  await refused(() => ceremonies.finishAssertion(adasKey.answer(challenge), null), 'second answer to one challenge');

  const forSignIn = ceremonies.beginSignIn('192.0.2.1');
  await refused(() => ceremonies.finishAssertion(adasKey.answer(forSignIn), ada.sessionId), 'sign-in as a proof');
  const forProof = await ceremonies.beginStepUp(ada, DIGEST);
  await refused(() => ceremonies.finishAssertion(adasKey.answer(forProof), null), 'proof as a sign-in');
  const elsewhere = await ceremonies.beginStepUp(ada, DIGEST);
  await refused(() => ceremonies.finishAssertion(adasKey.answer(elsewhere), 'ses-other'), 'proof in another session');
  const forAdding = await ceremonies.beginAdding(ada);
  const asSignIn = { ...forAdding, credentials: [] };
  await refused(() => ceremonies.finishAssertion(adasKey.answer(asSignIn), null), 'challenge for adding');

  const late = adasKey.answer(ceremonies.beginSignIn('192.0.2.1'));
  await clock.advance(120_000);
  await refused(() => ceremonies.finishAssertion(late, null), 'too late');
});

test('D10: of 50 answers to one challenge at once exactly one counts', async () => {
  const answer = adasKey.answer(ceremonies.beginSignIn('192.0.2.1'));
  const all = await Promise.allSettled(Array.from({ length: 50 }, () => ceremonies.finishAssertion(answer, null)));
  tried += 49;
  assert.equal(all.filter(({ status }) => status === 'fulfilled').length, 1);
});

test('D10: every bit flipped in what was signed is refused', async () => {
  for (const field of ['clientDataJson', 'authenticatorData'] as const) {
    const length = Buffer.from(adasKey.answer(ceremonies.beginSignIn('a'))[field], 'base64url').length;
    for (let at = 0; at < length; at += 1) {
      const answer = adasKey.answer(ceremonies.beginSignIn(`flip ${at}`));
      const bytes = Buffer.from(answer[field], 'base64url');
      bytes[at] = (bytes[at] ?? 0) ^ (1 << (at % 8));
      await refused(
        () => ceremonies.finishAssertion({ ...answer, [field]: bytes.toString('base64url') }, null),
        `${field} ${at}`,
      );
    }
  }
  assert.equal(alerts.length, 0);
});

test('D10: a key is added only for the asking session, from our page, with verification, once', async () => {
  const tries: Readonly<Record<string, Twist>> = {
    'another origin': { origin: 'https://evil.example' },
    'another rpId': { rpId: 'evil.example' },
    'no verification': { withoutFlags: 4 },
    'another challenge': { challenge: 'x'.repeat(43) },
    'an answer to a sign-in': { type: 'webauthn.get' },
    'another id than in the data': { credentialId: 'AAAA' },
  };
  for (const [what, twist] of Object.entries(tries)) {
    const attestation = createAuthenticator(ORIGIN).register(await ceremonies.beginAdding(eve), 'x', twist);
    await refused(() => ceremonies.finishAdding(eve, attestation), what);
  }
  const adas = createAuthenticator(ORIGIN).register(await ceremonies.beginAdding(ada), 'x');
  await refused(() => ceremonies.finishAdding(eve, adas), 'challenge of another session');
  await assert.rejects(
    async () => ceremonies.finishAdding(eve, adasKey.register(await ceremonies.beginAdding(eve), 'stolen')),
    (error) => error instanceof AppError && error.code === 'already_exists',
  );
});

test('D10: a statement with certificates is refused before anything is fetched for it', async () => {
  let fetched = 0;
  const server = createServer((_request, response) => {
    fetched += 1;
    response.end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    for (const format of ['packed', 'fido-u2f', 'android-key', 'apple', 'tpm', 'android-safetynet', 'x']) {
      const value = new Map<string, Buffer[] | number | Buffer>([
        ['alg', -7],
        ['sig', Buffer.alloc(70)],
        ['x5c', [Buffer.alloc(200, 0x30)]],
      ]);
      const twist = { statement: { format, value } };
      const attestation = createAuthenticator(ORIGIN).register(await ceremonies.beginAdding(eve), 'x', twist);
      await refused(() => ceremonies.finishAdding(eve, attestation), format);
    }
    assert.equal(fetched, 0);
  } finally {
    server.close();
  }
});

test('D10: broken encodings are refused like everything else', async () => {
  for (const attestationObject of ['AA', 'oA', '_____w', Buffer.alloc(20_000, 0x81).toString('base64url')]) {
    const right = createAuthenticator(ORIGIN).register(await ceremonies.beginAdding(eve), 'x');
    await refused(() => ceremonies.finishAdding(eve, { ...right, attestationObject }), attestationObject.slice(0, 20));
  }
  for (const field of ['clientDataJson', 'authenticatorData', 'signature'] as const)
    for (const value of ['AA', Buffer.from('{}').toString('base64url'), Buffer.from('null').toString('base64url')]) {
      const right = adasKey.answer(ceremonies.beginSignIn('192.0.2.1'));
      await refused(() => ceremonies.finishAssertion({ ...right, [field]: value }, null), `${field} ${value}`);
    }
});

test('D10: a counter that goes back is refused and told of, and the key stays refused', async () => {
  const { passkey } = await signIn(adasKey);
  const known = (await store.byCredential(passkey.credential_id))?.counter ?? 0;
  assert.ok(known > 1);
  tried += 1;
  await assert.rejects(
    signIn(adasKey, { counter: known }),
    (error) => error instanceof AppError && error.code === 'passkey_counter_back' && error.status === 401,
  );
  assert.deepEqual(
    alerts.map(({ id }) => id),
    [passkey.id],
  );
  await refused(() => signIn(adasKey), 'after the alert');
  const [row] = await store.ofUser(ada.userId);
  assert.ok(row?.suspected_at);
});

test('D10: authenticators without a counter work, and one that had a counter cannot lose it', async () => {
  const synced = createAuthenticator(ORIGIN);
  await ceremonies.finishAdding(eve, synced.register(await ceremonies.beginAdding(eve), 'phone', { counter: 0 }));
  await signIn(synced, { counter: 0 });
  await signIn(synced, { counter: 0 });
  const before = alerts.length;
  tried += 1;
  await assert.rejects(
    signIn(evesKey, { counter: 0 }),
    (error) => error instanceof AppError && error.code === 'passkey_counter_back',
  );
  assert.equal(alerts.length, before + 1);
});

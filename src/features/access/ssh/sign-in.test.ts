import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { accessErrors } from '#contract/access.ts';
import { signInErrors } from '#contract/sign-in.ts';
import { TestClock } from '#kernel/clock.ts';
import { AppError, registerErrors } from '#kernel/errors.ts';
import { silentLogger } from '#kernel/logger.ts';
import { openDatabase } from '#platform/db/database.ts';
import type { Snapshot } from '../directory.ts';
import type { NewSession } from '../sessions.ts';
import { createStepUp } from '../step-up.ts';
import { ed25519Key } from './fake-signer.ts';
import { createKeyStore } from './key-store.ts';
import { type Asker, createSshSignIn, type Place } from './sign-in.ts';

registerErrors(accessErrors);
registerErrors(signInErrors);

const place: Place = { aud: 'https://h:8080', fp: 'AA' };
const stranger: Asker = { address: '192.0.2.1', remote: '192.0.2.1', userAgent: 'test' };
const local: Asker = { address: 'local', remote: null, userAgent: 'hv' };

const user = (id: string, name: string, isDisabled = false) => ({
  id,
  name,
  title: null,
  isDisabled,
  source: 'local',
  idleMinutes: null,
  createdAt: '',
  lastSignInAt: null,
});

async function withSignIn(
  work: (parts: {
    signIn: ReturnType<typeof createSshSignIn>;
    stepUp: ReturnType<typeof createStepUp>;
    clock: TestClock;
    key: ReturnType<typeof ed25519Key>;
    begun: string[];
  }) => Promise<void>,
): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'hv-ssh-'));
  const db = openDatabase(join(dir, 'state.db'));
  const clock = new TestClock();
  const key = ed25519Key();
  const users = [user('usr-1', 'alice'), user('usr-2', 'bob', true), user('usr-3', 'carol')];
  const snapshot: Snapshot = {
    version: 1,
    users: new Map(users.map((one) => [one.id, one])),
    userIds: new Map(users.map((one) => [one.name, one.id])),
    groups: new Map(),
    roles: new Map(),
    grants: new Map(),
    groupsOf: new Map(),
  };
  const configured = { alice: [key.line, 'from="x" nonsense'], bob: [key.line], ghost: [key.line] };
  const keys = createKeyStore({ db, clock, log: silentLogger, directory: { snapshot: () => snapshot }, configured });
  const stepUp = createStepUp(clock);
  const begun: string[] = [];
  const sessions = {
    async begin({ userId, method }: { userId: string; method: NewSession['identity']['method'] }): Promise<NewSession> {
      begun.push(userId);
      const identity = {
        userId,
        user: userId,
        via: 'session' as const,
        method,
        sessionId: 's',
        tokenId: null,
        address: null,
      };
      return { secret: 'x', expiresAt: '', identity };
    },
    renew: async () => ({ secret: 'y', expiresAt: '' }),
  };
  const directory = { snapshot: () => snapshot };
  const signIn = createSshSignIn({ clock, log: silentLogger, keys, directory, sessions, stepUp });
  try {
    await work({ signIn, stepUp, clock, key, begun });
  } finally {
    await db.close();
    await rm(dir, { recursive: true });
  }
}

const isRefused =
  (...codes: string[]) =>
  (error: unknown): boolean =>
    error instanceof AppError && codes.includes(error.code);

test('configured keys open the accounts of active users, and of nobody else', () =>
  withSignIn(async ({ signIn, key, begun }) => {
    for (const name of ['alice', 'bob', 'carol', 'ghost', 'usr-1', '']) {
      const { text, nonce } = signIn.challenge({ user: name, by: 'program' }, place, stranger);
      const tried = signIn.signIn({ nonce, signature: key.sign(text) }, place, stranger);
      if (name === 'alice') await tried;
      else await assert.rejects(tried, isRefused('signature_refused'), name);
    }
    assert.deepEqual(begun, ['usr-1']);
  }));

test('a signature under another certificate or for another address is refused', () =>
  withSignIn(async ({ signIn, key, begun }) => {
    for (const other of [
      { ...place, aud: 'https://h:8081' },
      { ...place, fp: 'BB' },
    ]) {
      const { text, nonce } = signIn.challenge({ user: 'alice', by: 'program' }, place, stranger);
      await assert.rejects(
        signIn.signIn({ nonce, signature: key.sign(text) }, other, stranger),
        isRefused('signature_refused'),
      );
    }
    assert.deepEqual(begun, []);
  }));

test('a challenge is over after a minute, one for a person after five', () =>
  withSignIn(async ({ signIn, key, clock, begun }) => {
    const [fast, slow] = (['program', 'person'] as const).map((by) =>
      signIn.challenge({ user: 'alice', by }, place, stranger),
    );
    assert.ok(fast && slow);
    await clock.advance(60_000);
    await assert.rejects(
      signIn.signIn({ nonce: fast.nonce, signature: key.sign(fast.text) }, place, stranger),
      isRefused('signature_refused'),
    );
    await signIn.signIn({ nonce: slow.nonce, signature: key.sign(slow.text) }, place, stranger);
    assert.equal(begun.length, 1);
  }));

test('an account that is guessed at from everywhere stays open to its owner; local sockets are never slowed', () =>
  withSignIn(async ({ signIn, key, clock }) => {
    const codes = new Set<string>();
    for (let tries = 0; tries < 200; tries += 1) {
      const from = { ...stranger, remote: `198.51.100.${tries}` };
      const { nonce } = signIn.challenge({ user: 'alice', by: 'program' }, place, from);
      await signIn.signIn({ nonce, signature: 'x' }, place, from).catch((error: AppError) => codes.add(error.code));
    }
    assert.deepEqual([...codes].sort(), ['signature_refused', 'too_many_requests']);
    const { text, nonce } = signIn.challenge({ user: 'alice', by: 'program' }, place, stranger);
    await signIn.signIn({ nonce, signature: key.sign(text) }, place, stranger);

    for (let tries = 0; tries < 100; tries += 1)
      await assert.rejects(
        signIn.signIn({ nonce: 'none', signature: 'x' }, place, local),
        isRefused('signature_refused'),
      );
    for (let tries = 0; tries < 20; tries += 1)
      await signIn.signIn({ nonce: 'none', signature: 'x' }, place, stranger).catch(() => undefined);
    const late = signIn.challenge({ user: 'alice', by: 'program' }, place, stranger);
    await assert.rejects(
      signIn.signIn({ nonce: late.nonce, signature: key.sign(late.text) }, place, stranger),
      isRefused('too_many_requests'),
    );
    await clock.advance(59_000);
    await signIn.signIn({ nonce: late.nonce, signature: key.sign(late.text) }, place, stranger);
  }));

test('a proof is for the session and request that asked, by its own user', () =>
  withSignIn(async ({ signIn, stepUp, key }) => {
    const digest = 'd'.repeat(64);
    const who = (userId: string, name: string, sessionId: string) =>
      ({ userId, user: name, via: 'session', method: 'link', sessionId, tokenId: null, address: '192.0.2.1' }) as const;
    const alice = who('usr-1', 'alice', 'ses-1');
    assert.throws(() => signIn.stepUpChallenge(alice, { digest, by: 'program' }, place), isRefused('proof_not_asked'));
    stepUp.asked('ses-1', digest, 'Delete web1');
    stepUp.asked('ses-2', digest, 'Delete web1');
    stepUp.asked('ses-3', digest, 'Delete web1');

    const one = signIn.stepUpChallenge(alice, { digest, by: 'program' }, place);
    const proof = { nonce: one.nonce, signature: key.sign(one.text) };
    await assert.rejects(signIn.stepUp(who('usr-1', 'alice', 'ses-2'), proof, place), isRefused('signature_refused'));
    assert.ok(!stepUp.has('ses-1', digest) && !stepUp.has('ses-2', digest));

    const two = signIn.stepUpChallenge(alice, { digest, by: 'program' }, place);
    await signIn.stepUp(alice, { nonce: two.nonce, signature: key.sign(two.text) }, place);
    assert.ok(stepUp.has('ses-1', digest));
    assert.ok(!stepUp.has('ses-2', digest));

    // Alice cannot confirm what Carol's session wants.
    const { flow } = signIn.startStepUp(who('usr-3', 'carol', 'ses-3'), digest, stranger);
    const made = signIn.challenge({ user: 'alice', by: 'program', code: flow.code }, place, stranger);
    await assert.rejects(
      signIn.approveDevice({ nonce: made.nonce, signature: key.sign(made.text) }, place, stranger),
      isRefused('signature_refused'),
    );
    assert.equal(signIn.confirmDevice(flow.code, 'alice').user, 'carol');
  }));

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestClock } from '#kernel/clock.ts';
import { type ChallengeRequest, createChallenges } from './challenges.ts';

const request: ChallengeRequest = {
  purpose: 'login',
  aud: 'https://h:8080',
  fp: 'AA:BB',
  user: 'alice',
  source: '192.0.2.1',
  by: 'program',
};

test('a challenge names purpose, address, certificate, user and time, and is taken once', () => {
  const challenges = createChallenges(new TestClock());
  const made = challenges.issue({ ...request, digest: 'd', code: 'BCD-FGH' });
  const { nonce, iat, exp, ...rest } = JSON.parse(made.text);
  assert.equal(nonce.length, 43);
  assert.equal(exp - iat, 60);
  assert.deepEqual(rest, {
    v: 1,
    purpose: 'login',
    aud: 'https://h:8080',
    fp: 'AA:BB',
    user: 'alice',
    code: 'BCD-FGH',
    digest: 'd',
  });
  assert.equal(challenges.take(nonce, 'login')?.text, made.text);
  assert.equal(challenges.take(nonce, 'login'), null);
});

test('one that is too old or for another purpose is refused and gone, whatever the wall clock says', async () => {
  const clock = new TestClock();
  const challenges = createChallenges(clock);
  const [old, young, other] = [request, request, request].map((one) => challenges.issue(one).nonce);
  assert.equal(challenges.take(other ?? '', 'device'), null);
  assert.equal(challenges.take(other ?? '', 'login'), null);
  await clock.advance(59_999);
  assert.ok(challenges.take(young ?? '', 'login'));
  clock.jumpWall(-3_600_000);
  await clock.advance(1);
  assert.equal(challenges.take(old ?? '', 'login'), null);
});

test('a flood of one source drops only its own challenges', () => {
  const challenges = createChallenges(new TestClock());
  const kept = challenges.issue({ ...request, source: '192.0.2.2' });
  const first = challenges.issue(request);
  for (let count = 0; count < 20_000; count += 1) challenges.issue(request);
  assert.equal(challenges.take(first.nonce, 'login'), null);
  assert.ok(challenges.take(kept.nonce, 'login'));
});

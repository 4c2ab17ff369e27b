import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestClock } from '#kernel/clock.ts';
import { createDeviceFlows, normalCode } from './device-flows.ts';

const origin = { address: '192.0.2.1', userAgent: 'Firefox' };
const approval = { userId: 'u1', method: 'ssh_key' } as const;

/** The code with another second half. */
const nearly = (code: string): string => `${code.slice(0, 6)}${code.endsWith('B') ? 'C' : 'B'}`;

test('a confirmed code lets in the browser that holds the secret, once', () => {
  const flows = createDeviceFlows(new TestClock());
  const { secret, flow } = flows.start({ kind: 'login' }, origin, 'a');
  assert.match(flow.code, /^[B-Z]{3}-[B-Z]{3}$/);
  assert.equal(flows.poll(secret), 'pending');
  assert.equal(flows.claim(secret), null);
  assert.equal(flows.find(flow.code.toLowerCase().replace('-', ' '))?.address, '192.0.2.1');
  assert.ok(flows.approve(flow.code, approval));
  assert.ok(!flows.approve(flow.code, { ...approval, userId: 'u2' }));
  assert.equal(flows.find(flow.code), null);
  assert.equal(flows.poll(secret), 'confirmed');
  assert.equal(flows.claim(secret)?.approval.userId, 'u1');
  assert.equal(flows.claim(secret), null);
  assert.equal(flows.poll(secret), null);
});

test('five wrong codes end the flow that they begin like, and no other', () => {
  const flows = createDeviceFlows(new TestClock());
  const [one, other] = [flows.start({ kind: 'login' }, origin, 'a'), flows.start({ kind: 'login' }, origin, 'a')];
  for (let tries = 0; tries < 4; tries += 1) assert.equal(flows.find(nearly(one.flow.code)), null);
  assert.ok(flows.find(one.flow.code));
  assert.equal(flows.find(nearly(one.flow.code)), null);
  assert.equal(flows.find(one.flow.code), null);
  assert.equal(flows.poll(one.secret), null);
  assert.equal(flows.poll(other.secret), 'pending');
});

test('a code ends after five minutes, also when it was confirmed', async () => {
  const clock = new TestClock();
  const flows = createDeviceFlows(clock);
  const { secret, flow } = flows.start({ kind: 'login' }, origin, 'a');
  flows.approve(flow.code, approval);
  clock.jumpWall(-3_600_000);
  await clock.advance(5 * 60_000);
  assert.equal(flows.find(flow.code), null);
  assert.equal(flows.poll(secret), null);
});

test('one source has ten flows at most', () => {
  const flows = createDeviceFlows(new TestClock());
  const kept = flows.start({ kind: 'login' }, origin, 'other');
  const first = flows.start({ kind: 'login' }, origin, 'a');
  for (let count = 0; count < 3000; count += 1) flows.start({ kind: 'login' }, origin, 'a');
  assert.equal(flows.poll(first.secret), null);
  assert.equal(flows.poll(kept.secret), 'pending');
});

test('codes are typed as people type them', () => {
  for (const typed of ['BCD-FGH', 'bcdfgh', ' bcd fgh ']) assert.equal(normalCode(typed), 'BCD-FGH');
  for (const typed of ['', 'BCD-FG', 'BCD-FGHJ', 'ABC-DEF', 'BCD-FG1', 'BCD-FGÄ'])
    assert.equal(normalCode(typed), null);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '#kernel/logger.ts';
import { createDeadMan } from './dead-man.ts';
import { noticeOf, startOutbox } from './fake-outside.ts';
import { createHeartbeats } from './heartbeats.ts';

const MINUTE = 60_000;

test('work that does not come round in time is seen, also when it never went well', () => {
  let nowMs = 0;
  const beats = createHeartbeats(() => nowMs, 10 * MINUTE);
  beats.expect('telling');
  nowMs = 9 * MINUTE;
  assert.equal(beats.isAlive(), true);
  nowMs = 11 * MINUTE;
  assert.equal(beats.isAlive(), false);
  beats.beat('telling', MINUTE);
  beats.beat('trimming', 60 * MINUTE);
  assert.equal(beats.isAlive(), true);
  nowMs += 10.5 * MINUTE;
  assert.equal(beats.isAlive(), true);
  nowMs += MINUTE;
  assert.equal(beats.isAlive(), false);
  beats.beat('telling', MINUTE);
  assert.equal(beats.isAlive(), true);
});

test('messages over the cap of a channel are not late; those that nobody takes are, whatever the date does', async () => {
  const outbox = await startOutbox(({ url }) => ({ status: url.includes('down') ? 503 : 200 }));
  try {
    outbox.route({ groupWait: '0s' });
    await outbox.hook('busy');
    for (let n = 0; n < 80; n += 1)
      await outbox.announce(noticeOf({ fingerprint: `fp-${n}`, rule: { id: `rule-${n}`, name: `rule-${n}` } }));
    await outbox.pass(14 * MINUTE, 15_000);
    for (let n = 80; n < 90; n += 1)
      await outbox.announce(noticeOf({ fingerprint: `fp-${n}`, rule: { id: `rule-${n}`, name: `rule-${n}` } }));
    await outbox.pass(12 * MINUTE, 15_000);
    assert.ok((await outbox.figures.read()).oldestWaitingMs <= MINUTE);
    await outbox.hook('down');
    await outbox.announce(noticeOf({ fingerprint: 'fp-last', rule: { id: 'last', name: 'last', channels: ['down'] } }));
    await outbox.pass(12 * MINUTE, 15_000);
    outbox.clock.jumpWall(-365 * 86_400_000);
    const { oldestWaitingMs } = await outbox.figures.read();
    assert.ok(oldestWaitingMs > 11 * MINUTE && oldestWaitingMs < 13 * MINUTE, String(oldestWaitingMs));
  } finally {
    await outbox.close();
  }
});

test('a sign of life that is sent elsewhere was not taken', async () => {
  for (const [status, isTaken] of [
    [200, true],
    [302, false],
    [404, false],
  ] as const) {
    const warnings: string[] = [];
    const log = { ...silentLogger, warn: (_facts: unknown, text: string) => void warnings.push(text) };
    const call = async () => ({ status, header: () => null, body: Buffer.alloc(0) });
    const deadMan = createDeadMan('https://life.example/x', () => ({ call }), log);
    await deadMan.ping(new AbortController().signal);
    assert.equal(warnings.length === 0, isTaken, String(status));
  }
});

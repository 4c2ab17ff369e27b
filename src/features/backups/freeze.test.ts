import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestClock } from '#kernel/clock.ts';
import { silentLogger } from '#kernel/logger.ts';
import { createFreezer } from './freeze.ts';

function world(behaviour: { freeze?: () => Promise<number>; thaw?: () => Promise<number> } = {}) {
  const calls: string[] = [];
  const clock = new TestClock();
  const record = <Value>(name: string, answer: () => Promise<Value>) => {
    calls.push(name);
    return answer();
  };
  const agent = {
    setResponseTimeout: async (_vm: string, seconds: number) => void calls.push(`timeout ${seconds}`),
    freeze: () => record('freeze', behaviour.freeze ?? (async () => 2)),
    thaw: () => record('thaw', behaviour.thaw ?? (async () => 2)),
    command: async () => '{"return":"frozen"}',
  };
  const freezer = createFreezer({ agent }, clock, silentLogger);
  return { calls, clock, freezer };
}

test('file systems are thawed after the moment, and libvirt waits as before', async () => {
  const { calls, freezer } = world();
  const { value, frozenMs, warnings } = await freezer.whileFrozen('vm', true, async () => {
    calls.push('moment');
    return 7;
  });
  assert.equal(value, 7);
  assert.notEqual(frozenMs, null);
  assert.deepEqual(warnings, []);
  assert.deepEqual(calls, ['timeout 5', 'freeze', 'moment', 'thaw', 'timeout -1']);
});

test('they are thawed when the moment fails', async () => {
  const { calls, freezer } = world();
  await assert.rejects(
    freezer.whileFrozen('vm', true, async () => {
      throw new Error('no moment');
    }),
    /no moment/,
  );
  assert.deepEqual(calls, ['timeout 5', 'freeze', 'thaw', 'timeout -1']);
});

test('an agent that does not freeze keeps nobody from a backup, and is thawed all the same: it may be slow', async () => {
  const { calls, freezer } = world({
    freeze: async () => {
      throw new Error('hangs');
    },
  });
  const { frozenMs, warnings } = await freezer.whileFrozen('vm', true, async () => null);
  assert.equal(frozenMs, null);
  assert.match(warnings.join(), /did not freeze/);
  assert.ok(calls.includes('thaw'));
});

test('a guest without agent is not asked', async () => {
  const { calls, freezer } = world();
  const { frozenMs, warnings } = await freezer.whileFrozen('vm', false, async () => null);
  assert.equal(frozenMs, null);
  assert.equal(warnings.length, 1);
  assert.deepEqual(calls, []);
});

test('a guest that was held for more than ten seconds counts as not frozen', async () => {
  const { clock, freezer } = world();
  const { frozenMs, warnings } = await freezer.whileFrozen('vm', true, async () => clock.advance(11_000));
  assert.equal(frozenMs, null);
  assert.match(warnings.join(), /more than 10 s/);
});

test('what an earlier life left frozen is thawed', async () => {
  const { calls, freezer } = world();
  await freezer.thawIfFrozen('vm');
  assert.deepEqual(calls, ['thaw']);
});

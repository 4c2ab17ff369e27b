import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLifecycleReader } from './lifecycle.ts';

type Event = Parameters<ReturnType<typeof createLifecycleReader>>[0];

function told(...events: readonly (readonly [Event['event'], Event['reason']])[]): string[] {
  const read = createLifecycleReader();
  return events.map(([event, reason]) => {
    const { intent, move } = read({ domain: { name: 'a', uuid: 'a', id: 1 }, event, reason });
    return `${intent} ${move}`;
  });
}

test('a guest that comes is here when it runs, not when its QEMU waits for it', () => {
  assert.deepEqual(told(['started', 'migrated'], ['suspended', 'paused'], ['resumed', 'migrated']), [
    'null null',
    'paused null',
    'running here',
  ]);
  assert.deepEqual(told(['started', 'migrated'], ['resumed', 'postcopy'], ['resumed', 'migrated'])[2], 'running here');
});

test('a guest that never came changes nothing', () => {
  assert.deepEqual(told(['started', 'migrated'], ['stopped', 'failed']), ['null null', 'null null']);
  // What is awaited once is not awaited for ever.
  assert.equal(told(['started', 'migrated'], ['stopped', 'failed'], ['resumed', 'migrated'])[2], 'running null');
});

test('a guest that was on its way and stayed has not come', () => {
  assert.deepEqual(told(['suspended', 'migrated'], ['resumed', 'migrated']), ['null null', 'running null']);
});

test('a guest that left is not wanted here; a crash is nobody’s wish', () => {
  assert.deepEqual(
    told(['stopped', 'migrated'], ['stopped', 'crashed'], ['started', 'booted'], ['stopped', 'shutdown']),
    ['off away', 'null null', 'running null', 'off null'],
  );
});

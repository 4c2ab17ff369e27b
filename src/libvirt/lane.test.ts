import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Connection } from './connection.ts';
import { createLane } from './lane.ts';

test('a lane that is closed while its connection is being opened closes that one too, and can be used again', async () => {
  const opened: ((connection: Connection) => void)[] = [];
  const closed: number[] = [];
  const lane = createLane({
    maxLost: 1,
    busyDetail: 'busy',
    deadlineMs: 1_000,
    connect: () => new Promise((resolve) => opened.push(resolve)),
  });
  // The lane looks at nothing else of a connection.
  const connectionOf = (n: number) =>
    ({ lostBecause: null, abandonedCalls: 0, call: async () => n, close: async () => void closed.push(n) }) as never;
  const procedure = { name: 'ping' } as never;
  const first = lane.call(procedure, null);
  await lane.close();
  const second = lane.call(procedure, null);
  opened[0]?.(connectionOf(0));
  await assert.rejects(first, { code: 'cancelled' });
  assert.deepEqual(closed, [0]);
  opened[1]?.(connectionOf(1));
  assert.equal(await second, 1);
  await lane.close();
  assert.deepEqual(closed, [0, 1]);
});

import assert from 'node:assert/strict';
import { tmpdir } from 'node:os';
import { test } from 'node:test';
import { GIB } from '#kernel/units.ts';
import { createSpaceLedger } from './disk-space.ts';

const room = { device: 1, freeBytes: 10 * GIB, floorBytes: 2 * GIB };
const need = (owner: string, bytes: number) => ({ owner, bytes, place: 'images', hint: 'Delete some.', canWait: true });

test('the floor stays free whatever is promised at once; another file system has its own room', () => {
  const ledger = createSpaceLedger();
  ledger.take(room, need('a', 5 * GIB));
  ledger.take(room, need('b', 3 * GIB));
  assert.throws(() => ledger.take(room, need('c', 1)), {
    code: 'no_space',
    status: 507,
    params: { neededBytes: 1, freeBytes: 2 * GIB, floorBytes: 2 * GIB },
  });
  assert.equal(ledger.promisedBytes(room), 8 * GIB);
  ledger.take({ ...room, device: 2 }, need('c', 8 * GIB));
  assert.equal(ledger.promisedBytes(room), 8 * GIB);
});

test('a promise shrinks with what is written, counts once for each owner, and ends', () => {
  const ledger = createSpaceLedger();
  ledger.take(room, need('a', 8 * GIB));
  ledger.left('a', 3 * GIB);
  ledger.left('nobody', 3 * GIB);
  assert.equal(ledger.promisedBytes(room), 3 * GIB);
  ledger.take(room, need('a', 8 * GIB));
  ledger.expect(room, 'b', 4 * GIB);
  assert.throws(() => ledger.take(room, need('a', 5 * GIB)), { code: 'no_space' });
  assert.equal(ledger.promisedBytes(room), 12 * GIB);
  ledger.release('a');
  ledger.release('a');
  assert.equal(ledger.promisedBytes(room), 4 * GIB);
});

test('while a file system is held nothing that can wait is promised; who was promised room goes on', () => {
  const ledger = createSpaceLedger();
  ledger.take(room, need('a', GIB));
  ledger.hold(room.device, 'more than 90 % are in use');
  assert.throws(() => ledger.take(room, need('b', 1)), { code: 'no_space', message: /waits.*more than 90 %/ });
  ledger.take(room, need('a', 2 * GIB));
  ledger.take(room, { ...need('c', GIB), canWait: false });
  ledger.take({ ...room, device: 2 }, need('b', GIB));
  ledger.lift(room.device);
  ledger.take(room, need('b', GIB));
});

test('a folder is looked at with the floor of its file system', async () => {
  const { freeBytes, floorBytes, device } = await createSpaceLedger().look(tmpdir());
  assert.ok(freeBytes > 0 && floorBytes >= 2 * GIB && Number.isInteger(device));
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createReservations } from './reservations.ts';

test('what is promised counts until it is let go, once for each VM', () => {
  const reservations = createReservations();
  reservations.add('a', 10);
  reservations.add('b', 5);
  reservations.add('a', 20);
  assert.equal(reservations.total(), 25);
  reservations.release('a');
  reservations.release('a');
  assert.equal(reservations.total(), 5);
});

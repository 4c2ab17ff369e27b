import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { coalesced } from './coalesce.ts';

test('those who ask during a run share the one after it', async () => {
  let runs = 0;
  const work = coalesced(async () => {
    runs += 1;
    await turn();
  });
  const first = work();
  await Promise.all([work(), work(), work(), first]);
  assert.equal(runs, 2);
  await work();
  assert.equal(runs, 3);
});

test('a failed run fails those who asked for it, and the next one runs', async () => {
  let runs = 0;
  const work = coalesced(async () => {
    runs += 1;
    await turn();
    if (runs === 1) throw new Error('first');
  });
  const first = work();
  const second = work();
  await assert.rejects(first, /first/);
  await second;
  assert.equal(runs, 2);
});

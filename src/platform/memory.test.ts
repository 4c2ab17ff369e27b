import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { giveBackMemory } from './memory.ts';

test('what nobody holds is gone at once, and what somebody holds stays', async () => {
  const held = { text: 'held' };
  const refs = { held: new WeakRef(held), loose: new WeakRef({ text: 'loose' }) };
  // An object lives at least until the end of the turn that made its reference.
  await nextTurn();
  giveBackMemory();
  assert.equal(refs.loose.deref(), undefined);
  assert.equal(refs.held.deref(), held);
});

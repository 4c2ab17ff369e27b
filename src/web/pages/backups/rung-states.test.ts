import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PROOF_REASON_NAMES, reasonFacts } from '#contract/verification.ts';
import { rungStates } from './rung-states.ts';

test('a pass shows what was seen, and what was not asked for as such', () => {
  assert.deepEqual(rungStates({ level: 4, requiredLevel: 4, reason: 'proven', verdict: 'pass' }), [
    ...['reached', 'reached', 'reached', 'reached', 'reached'],
    'skipped',
  ]);
  assert.deepEqual(rungStates({ level: 3, requiredLevel: null, reason: 'proven', verdict: 'pass' }).slice(3), [
    'reached',
    'skipped',
    'skipped',
  ]);
});

test('a failure stands on the rung where it was seen', () => {
  assert.deepEqual(rungStates({ level: 2, requiredLevel: 4, reason: 'kernel_panic', verdict: 'fail' }), [
    ...['reached', 'reached', 'reached'],
    'failed',
    'unread',
    'skipped',
  ]);
  assert.equal(rungStates({ level: null, requiredLevel: 3, reason: 'manifest_damaged', verdict: 'fail' })[0], 'failed');
});

test('what was not seen is not called failed', () => {
  const states = rungStates({ level: 2, requiredLevel: 4, reason: 'timed_out', verdict: 'inconclusive' });
  assert.deepEqual(states.slice(3), ['missed', 'unread', 'skipped']);
});

test('no reason but a pass shows every rung that was required as seen', () => {
  for (const reason of PROOF_REASON_NAMES) {
    const { verdict } = reasonFacts(reason);
    if (verdict === 'pass') continue;
    const states = rungStates({ level: 2, requiredLevel: 3, reason, verdict });
    assert.ok(
      states.slice(0, 4).some((state) => state !== 'reached'),
      reason,
    );
  }
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type PostureReason, type ProtectionFacts, postureOf, worstPosture } from './posture.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const NOW = Date.parse('2026-06-15T12:00:00Z');

const GOOD: ProtectionFacts = {
  nowMs: NOW,
  isDateBelieved: true,
  intervalMs: DAY_MS,
  catalogueReadMs: NOW - HOUR_MS,
  newestGoodMs: NOW - 10 * HOUR_MS,
  lastRun: 'succeeded',
  proof: { last: 'pass', lastPassMs: NOW - 2 * DAY_MS, windowMs: 8 * DAY_MS },
  copy: null,
  disksLeftOut: 0,
  isConsistentEnough: true,
};

const changed = (parts: Partial<ProtectionFacts>): ProtectionFacts => ({ ...GOOD, ...parts });
const proof = (parts: Partial<ProtectionFacts['proof']>) => changed({ proof: { ...GOOD.proof, ...parts } });

test('every positive condition with a dated record is protected', () => {
  assert.deepEqual(postureOf(GOOD), { posture: 'protected', reasons: [] });
  assert.equal(postureOf(changed({ copy: { newestCopiedMs: NOW - DAY_MS } })).posture, 'protected');
});

const SPOILED: readonly (readonly [PostureReason, 'unprotected' | 'unknown' | 'attention', ProtectionFacts])[] = [
  ['no_schedule', 'unprotected', changed({ intervalMs: null })],
  ['no_good_point', 'unprotected', changed({ newestGoodMs: null })],
  ['newest_far_too_old', 'unprotected', changed({ newestGoodMs: NOW - 8 * DAY_MS })],
  ['catalogue_not_read', 'unknown', changed({ catalogueReadMs: null })],
  ['catalogue_not_read', 'unknown', changed({ catalogueReadMs: NOW - 3 * DAY_MS })],
  ['date_not_believed', 'unknown', changed({ isDateBelieved: false })],
  ['evidence_ahead', 'unknown', changed({ newestGoodMs: NOW + HOUR_MS })],
  ['evidence_ahead', 'unknown', changed({ catalogueReadMs: NOW + DAY_MS })],
  ['evidence_ahead', 'unknown', proof({ lastPassMs: NOW + 365 * DAY_MS })],
  ['evidence_unreadable', 'unknown', proof({ last: 'unreadable' })],
  ['newest_too_old', 'attention', changed({ newestGoodMs: NOW - 2 * DAY_MS })],
  ['last_run_failed', 'attention', changed({ lastRun: 'failed' })],
  ['last_run_failed', 'attention', changed({ lastRun: null })],
  ['never_proven', 'attention', proof({ last: null, lastPassMs: null })],
  ['proof_too_old', 'attention', proof({ lastPassMs: NOW - 9 * DAY_MS })],
  ['proof_failed', 'attention', proof({ last: 'fail' })],
  ['proof_inconclusive', 'attention', proof({ last: 'inconclusive' })],
  ['copy_late', 'attention', changed({ copy: { newestCopiedMs: null } })],
  ['copy_late', 'attention', changed({ copy: { newestCopiedMs: NOW - 3 * DAY_MS } })],
  ['disk_left_out', 'attention', changed({ disksLeftOut: 1 })],
  ['not_consistent', 'attention', changed({ isConsistentEnough: false })],
];

for (const [reason, posture, facts] of SPOILED)
  test(`${reason} is ${posture}`, () => {
    assert.deepEqual(postureOf(facts), { posture, reasons: [reason] });
  });

test('no combination of what is missing is green, and the gravest posture of its parts is told', () => {
  const order = ['attention', 'unknown', 'unprotected'];
  let combined = 0;
  for (const [, first, a] of SPOILED)
    for (const [, second, b] of SPOILED) {
      const differs = (from: ProtectionFacts) =>
        Object.fromEntries(
          Object.entries(from).filter(([name, value]) => GOOD[name as keyof ProtectionFacts] !== value),
        );
      // Two values of one fact exclude each other.
      if (Object.keys(differs(a)).some((name) => name in differs(b))) continue;
      const { posture, reasons } = postureOf({ ...GOOD, ...differs(a), ...differs(b) });
      assert.notEqual(posture, 'protected');
      assert.ok(reasons.length > 0);
      // "No point" is not known of a repository that was not read, so the two together are unknown.
      const grave = Math.max(order.indexOf(first), order.indexOf(second));
      if (![first, second].includes('unknown')) assert.equal(posture, order[grave]);
      else assert.notEqual(posture, 'attention');
      combined += 1;
    }
  assert.ok(combined > 200, `${combined} pairs`);
});

test('a repository that was not read says nothing of what is not in it', () => {
  assert.equal(postureOf(changed({ newestGoodMs: null, catalogueReadMs: null })).posture, 'unknown');
  assert.equal(postureOf(changed({ newestGoodMs: NOW - 30 * DAY_MS, isDateBelieved: false })).posture, 'unknown');
});

test('many are as well protected as the worst of them, and none is unknown', () => {
  assert.equal(worstPosture(['protected', 'attention', 'protected']), 'attention');
  assert.equal(worstPosture(['unknown', 'unprotected']), 'unprotected');
  assert.equal(worstPosture([]), 'unknown');
});

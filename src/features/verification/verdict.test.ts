import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { PROOF_REASONS, type ProofLevel, type ProofReason, type ProofVerdict } from '#contract/verification.ts';
import { type BootEnd, type BootObservation, isToBeRepeated, judge, type ProofObservations } from './verdict.ts';

const boot = (end: BootEnd, seen: Partial<BootObservation> = {}): BootObservation => ({
  end,
  isStarted: end === 'reached',
  isRightGuest: end === 'reached',
  isProbeGood: null,
  ...seen,
});
const twice = (one: BootObservation) => [one, one];
const good: ProofObservations = {
  manifest: 'good',
  data: 'good',
  structure: 'known',
  filesystems: 'good',
  required: 4,
  boots: [boot('reached')],
  hindrance: null,
};

type Row = readonly [
  what: string,
  seen: Partial<ProofObservations>,
  verdict: ProofVerdict,
  reason: ProofReason,
  level: ProofLevel | null,
];

const started = { isStarted: true } as const;
const right = { isStarted: true, isRightGuest: true } as const;

const MATRIX: readonly Row[] = [
  ['good', {}, 'pass', 'proven', 4],
  ['good, first start stalled', { boots: [boot('stalled'), boot('reached')] }, 'pass', 'proven', 4],
  ['good, unknown file system', { structure: 'unknown' }, 'pass', 'proven', 4],
  [
    'good by its serial port',
    { required: 3, boots: [boot('reached', { ...started, isRightGuest: false })] },
    'pass',
    'proven',
    3,
  ],
  ['good by any sign of life', { required: null }, 'pass', 'proven', 4],
  [
    'good, and the probe answers',
    { required: 5, boots: [boot('reached', { ...right, isProbeGood: true })] },
    'pass',
    'proven',
    5,
  ],
  [
    'a guest without an agent whose port answers',
    { required: 5, boots: [boot('reached', { isStarted: true, isRightGuest: null, isProbeGood: true })] },
    'pass',
    'proven',
    5,
  ],
  ['only the disks were asked for', { required: 2, boots: [] }, 'pass', 'proven', 2],
  ['only the bytes were asked for', { required: 1, boots: [], structure: 'unknown' }, 'pass', 'proven', 1],
  [
    'only the manifest was asked for',
    { required: 0, boots: [], data: 'unread', structure: 'unread' },
    'pass',
    'proven',
    0,
  ],
  [
    'a file system was asked for and none is known',
    { required: 2, boots: [], structure: 'unknown' },
    'inconclusive',
    'no_signal',
    1,
  ],

  ['damaged manifest', { manifest: 'damaged', data: 'unread', boots: [] }, 'fail', 'manifest_damaged', null],
  ['flipped chunk', { data: 'damaged', boots: [] }, 'fail', 'data_damaged', 0],
  ['chunk that broke after it was read', { boots: [boot('bad_data')] }, 'fail', 'data_damaged', 2],
  ['damaged partition table', { structure: 'broken', boots: [] }, 'fail', 'structure_broken', 1],
  ['damaged file system', { filesystems: 'damaged', boots: [] }, 'fail', 'filesystem_damaged', 1],
  ['file systems that nobody checked', { filesystems: 'unread' }, 'pass', 'proven', 4],
  ['kernel panic', { boots: twice(boot('kernel_panic')) }, 'fail', 'kernel_panic', 2],
  ['emergency shell', { boots: twice(boot('emergency_mode')) }, 'fail', 'emergency_mode', 2],
  ['no boot loader', { boots: twice(boot('no_boot_device')) }, 'fail', 'no_boot_device', 2],
  ['switches itself off', { boots: twice(boot('stopped')) }, 'fail', 'guest_stopped', 2],
  ['stalls', { boots: twice(boot('stalled')) }, 'fail', 'boot_stalled', 2],
  [
    'stalls without a known file system',
    { structure: 'unknown', boots: twice(boot('stalled')) },
    'fail',
    'boot_stalled',
    1,
  ],
  ['hung agent', { boots: twice(boot('stalled', started)) }, 'fail', 'agent_silent', 3],
  ['hung agent, once seen to start', { boots: [boot('stalled', started), boot('stalled')] }, 'fail', 'boot_stalled', 2],
  ['wrong guest', { boots: [boot('wrong_guest', started)] }, 'fail', 'wrong_guest', 3],
  [
    'probe exit 1',
    { required: 5, boots: twice(boot('probe_failed', { ...right, isProbeGood: false })) },
    'fail',
    'probe_failed',
    4,
  ],
  ['no points', { manifest: null, boots: [] }, 'fail', 'nothing_checked', null],

  ['no memory', { hindrance: 'no_memory', boots: [] }, 'inconclusive', 'no_memory', 2],
  ['no space', { hindrance: 'no_space', boots: [] }, 'inconclusive', 'no_space', 2],
  ['cancelled', { hindrance: 'cancelled', boots: [] }, 'inconclusive', 'cancelled', 2],
  [
    'cancelled before anything',
    { hindrance: 'cancelled', manifest: null, boots: [] },
    'inconclusive',
    'cancelled',
    null,
  ],
  ['own error', { hindrance: 'own_error' }, 'inconclusive', 'own_error', 4],
  ['no signal', { required: null, boots: twice(boot('stalled')) }, 'inconclusive', 'no_signal', 2],
  ['slow, still getting on', { boots: [boot('timed_out')] }, 'inconclusive', 'timed_out', 2],
  ['stalled once, then slow', { boots: [boot('stalled'), boot('timed_out')] }, 'inconclusive', 'timed_out', 2],
  [
    'panicked once, then our error',
    { boots: [boot('kernel_panic'), boot('own_error')] },
    'inconclusive',
    'own_error',
    2,
  ],
  ['one panic alone', { boots: [boot('kernel_panic')] }, 'inconclusive', 'own_error', 2],
  [
    'probe without an address',
    { required: 5, boots: [boot('probe_unreachable', right)] },
    'inconclusive',
    'probe_unreachable',
    4,
  ],
  ['no start at all', { boots: [] }, 'inconclusive', 'own_error', 2],
  ['bytes not read', { data: 'unread' }, 'inconclusive', 'own_error', 0],
];

for (const [what, seen, verdict, reason, level] of MATRIX)
  test(`${what}: ${verdict} ${reason}`, () => {
    assert.deepEqual(judge({ ...good, ...seen }), { verdict, reason, level });
  });

test('every reason has a row', () => {
  const told = new Set(MATRIX.map(([, , , reason]) => reason));
  assert.deepEqual(
    Object.keys(PROOF_REASONS).filter((reason) => !told.has(reason as ProofReason)),
    [],
  );
});

const ENDS: readonly BootEnd[] = [
  'reached',
  'kernel_panic',
  'emergency_mode',
  'no_boot_device',
  'stopped',
  'bad_data',
  'stalled',
  'timed_out',
  'wrong_guest',
  'probe_failed',
  'probe_unreachable',
  'own_error',
];
const anyBoot = fc.record({
  end: fc.constantFrom(...ENDS),
  isStarted: fc.boolean(),
  isRightGuest: fc.constantFrom(true, false, null),
  isProbeGood: fc.constantFrom(true, false, null),
});
const anything: fc.Arbitrary<ProofObservations> = fc.record({
  manifest: fc.constantFrom('good' as const, 'damaged' as const, null),
  data: fc.constantFrom('good' as const, 'damaged' as const, 'unread' as const),
  structure: fc.constantFrom('known' as const, 'unknown' as const, 'broken' as const, 'unread' as const),
  filesystems: fc.constantFrom('good' as const, 'damaged' as const, 'unread' as const),
  required: fc.constantFrom(0 as const, 1 as const, 2 as const, 3 as const, 4 as const, 5 as const, null),
  boots: fc.array(anyBoot, { maxLength: 2 }),
  hindrance: fc.constantFrom(
    'no_memory' as const,
    'no_space' as const,
    'cancelled' as const,
    'own_error' as const,
    null,
  ),
});

test('nothing passes without the bytes and the level that was asked for', () => {
  fc.assert(
    fc.property(anything, (seen) => {
      const { verdict, level } = judge(seen);
      if (verdict !== 'pass') return;
      assert.equal(seen.manifest, 'good');
      assert.equal(seen.hindrance, null);
      assert.ok(seen.required === 0 || seen.data === 'good');
      assert.ok(level !== null && level >= (seen.required ?? 3));
      if ((seen.required ?? 3) >= 3) assert.equal(seen.boots.at(-1)?.end, 'reached');
    }),
    { numRuns: 5000 },
  );
});

test('nothing fails for what was not seen: bad bytes, a bad answer, or the same kind of trouble at two starts', () => {
  fc.assert(
    fc.property(anything, (seen) => {
      const { verdict } = judge(seen);
      if (verdict !== 'fail') return;
      const isDamaged =
        seen.manifest !== 'good' ||
        seen.data === 'damaged' ||
        seen.structure === 'broken' ||
        seen.filesystems === 'damaged' ||
        seen.boots.some(({ end }) => end === 'bad_data');
      const last = seen.boots.at(-1)?.end;
      const isTwice =
        seen.boots.length === 2 &&
        last !== undefined &&
        ['kernel_panic', 'emergency_mode', 'no_boot_device', 'stopped', 'stalled', 'probe_failed'].includes(last);
      assert.ok(isDamaged || last === 'wrong_guest' || isTwice);
    }),
    { numRuns: 5000 },
  );
});

test('a start is repeated once, and only where a second one can tell more', () => {
  for (const end of ENDS) {
    const repeats = ['kernel_panic', 'emergency_mode', 'no_boot_device', 'stopped', 'stalled', 'probe_failed'].includes(
      end,
    );
    assert.equal(isToBeRepeated([boot(end)]), repeats, end);
    assert.equal(isToBeRepeated(twice(boot(end))), false);
  }
  assert.equal(isToBeRepeated([]), false);
});

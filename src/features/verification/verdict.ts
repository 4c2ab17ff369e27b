/** From what was seen to a verdict. Pure: everything a proof may conclude is here, and nothing else concludes.
 *  Failing needs something that was seen to be wrong; whatever was not seen makes a proof inconclusive. */

import { type ProofLevel, type ProofReason, type ProofVerdict, reasonFacts } from '#contract/verification.ts';

/** Why one start of the test VM was over. */
export type BootEnd =
  /** The level asked for was seen. */
  | 'reached'
  | 'kernel_panic'
  | 'emergency_mode'
  | 'no_boot_device'
  /** The guest switched itself off, or restarted, before it was seen to run. */
  | 'stopped'
  /** A piece of the disks that it read is not what was written. */
  | 'bad_data'
  /** Nothing grew any more: no serial output, no reads. */
  | 'stalled'
  /** Time was over while something still grew. */
  | 'timed_out'
  | 'wrong_guest'
  | 'probe_failed'
  | 'probe_unreachable'
  | 'own_error';

export interface BootObservation {
  readonly end: BootEnd;
  /** The serial port showed the marker or a login prompt, or the agent answered. */
  readonly isStarted: boolean;
  /** The agent answered, and named the guest that was backed up where that is known; null = it did not answer, and need not. */
  readonly isRightGuest: boolean | null;
  /** Null = nothing was asked. */
  readonly isProbeGood: boolean | null;
}

export interface ProofObservations {
  /** `null` = there was no point at all. */
  readonly manifest: 'good' | 'damaged' | null;
  readonly data: 'good' | 'damaged' | 'unread';
  /** `unknown`: neither good nor bad, as a disk of a database without a file system. */
  readonly structure: 'known' | 'unknown' | 'broken' | 'unread';
  /** What their checkers say; only damage that a file system does not mend by itself counts. */
  readonly filesystems: 'good' | 'damaged' | 'unread';
  /** Level to be reached; null = any sign of life. */
  readonly required: ProofLevel | null;
  /** Starts, oldest first; the last one counts. */
  readonly boots: readonly BootObservation[];
  /** What stood against the proof itself. */
  readonly hindrance: 'no_memory' | 'no_space' | 'cancelled' | 'own_error' | null;
}

export interface Judgement {
  readonly verdict: ProofVerdict;
  readonly reason: ProofReason;
  /** Highest level seen with all below it. */
  readonly level: ProofLevel | null;
}

/** What the guest does wrong may be our slow host's fault once: these count when they were seen at two starts. */
const NEEDS_TWO: ReadonlySet<BootEnd> = new Set([
  'kernel_panic',
  'emergency_mode',
  'no_boot_device',
  'stopped',
  'stalled',
  'probe_failed',
]);

/** Whether a start that ended so is to be tried once more before anybody is told. */
export function isToBeRepeated(boots: readonly BootObservation[]): boolean {
  const last = boots.at(-1);
  return boots.length === 1 && last !== undefined && NEEDS_TWO.has(last.end);
}

export function judge(seen: ProofObservations): Judgement {
  const because = (reason: ProofReason): Judgement => ({
    verdict: reasonFacts(reason).verdict,
    reason,
    level: levelOf(seen),
  });
  if (seen.manifest === null) return because(seen.hindrance ?? 'nothing_checked');
  if (seen.manifest === 'damaged') return because('manifest_damaged');
  if (seen.data === 'damaged' || seen.boots.some(({ end }) => end === 'bad_data')) return because('data_damaged');
  if (seen.structure === 'broken') return because('structure_broken');
  if (seen.filesystems === 'damaged') return because('filesystem_damaged');
  if (seen.hindrance !== null) return because(seen.hindrance);
  // Without this what comes below could pass over it.
  if (seen.data === 'unread' && seen.required !== 0) return because('own_error');
  if (seen.required !== null && seen.required <= 2) return because(isReached(seen) ? 'proven' : 'no_signal');
  return because(bootReason(seen));
}

function bootReason(seen: ProofObservations): ProofReason {
  const last = seen.boots.at(-1);
  if (last === undefined) return 'own_error';
  if (last.end === 'reached') return isReached(seen) ? 'proven' : 'own_error';
  if (last.end === 'wrong_guest') return 'wrong_guest';
  // One bad start and one that ended otherwise prove nothing against the point.
  if (NEEDS_TWO.has(last.end) && seen.boots.length < 2) return 'own_error';
  switch (last.end) {
    case 'kernel_panic':
    case 'emergency_mode':
    case 'no_boot_device':
    case 'probe_failed':
    case 'probe_unreachable':
    case 'timed_out':
      return last.end;
    case 'stopped':
      return 'guest_stopped';
    case 'stalled':
      return stallReason(seen);
    default:
      return 'own_error';
  }
}

function stallReason({ required, boots }: ProofObservations): ProofReason {
  // Nobody said what this guest shows once it runs: it may run, and show nothing.
  if (required === null) return 'no_signal';
  if (required >= 4 && boots.every(({ isStarted }) => isStarted)) return 'agent_silent';
  return 'boot_stalled';
}

function isReached(seen: ProofObservations): boolean {
  const level = levelOf(seen);
  return level !== null && level >= (seen.required ?? 3);
}

function levelOf(seen: ProofObservations): ProofLevel | null {
  if (seen.manifest !== 'good') return null;
  if (seen.data !== 'good') return 0;
  if (seen.structure === 'broken' || seen.filesystems === 'damaged') return 1;
  const last = seen.boots.at(-1);
  // What is on a disk need not be known to us for the guest to know it.
  const before = seen.structure === 'known' ? 2 : 1;
  if (last === undefined || !last.isStarted || last.end === 'bad_data') return before;
  if (last.isRightGuest === false) return 3;
  if (last.isProbeGood === true) return 5;
  return last.isRightGuest === true ? 4 : 3;
}

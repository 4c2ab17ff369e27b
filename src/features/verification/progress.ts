/** How long a test VM is waited for. A slow guest that gets on is never given up for being slow; a quiet one not before its time is over. */

/** Good proofs of the same VM and accelerator that count. */
export const REMEMBERED_PROOFS = 5;

export interface WaitLimits {
  /** Before this no start is given up, however quiet. */
  readonly timeoutMs: number;
  /** After `timeoutMs`: quiet for so long = it stalled. */
  readonly stallMs: number;
  /** However much it still grows. */
  readonly capMs: number;
}

const FLOOR_MS = 120_000;
const FIRST_MS = { kvm: 600_000, tcg: 1_800_000 } as const;
const CAP_MS = 3_600_000;
const PATIENCE = 3;

/** @param goodSeconds how long good starts of this VM under this accelerator took, newest first */
export function waitLimits(
  goodSeconds: readonly number[],
  accel: 'kvm' | 'tcg',
  { firstTimeoutMs, stallMs }: { readonly firstTimeoutMs: number | null; readonly stallMs: number },
): WaitLimits {
  const known = goodSeconds.slice(0, REMEMBERED_PROOFS).toSorted((a, b) => a - b);
  const middle = known.length >> 1;
  const [low = 0, high = 0] = known.length % 2 === 1 ? [known[middle], known[middle]] : known.slice(middle - 1);
  const timeoutMs =
    known.length === 0 ? (firstTimeoutMs ?? FIRST_MS[accel]) : Math.max(FLOOR_MS, ((low + high) / 2) * 1000 * PATIENCE);
  return { timeoutMs: Math.min(timeoutMs, CAP_MS), stallMs, capMs: CAP_MS };
}

export interface Waiting {
  /** Since the guest was started. */
  readonly elapsedMs: number;
  /** Since a byte on the serial port or a read of the disks. */
  readonly quietMs: number;
}

/** What to do about a start that showed nothing yet that ends it. */
export function patience({ elapsedMs, quietMs }: Waiting, limits: WaitLimits): 'wait' | 'stalled' | 'timed_out' {
  if (elapsedMs < limits.timeoutMs) return 'wait';
  if (quietMs >= limits.stallMs) return 'stalled';
  return elapsedMs >= limits.capMs ? 'timed_out' : 'wait';
}

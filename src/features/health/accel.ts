/** Which accelerator VMs may use here. KVM counts only when a guest was seen to run under it; the proof is kept as long as
 *  kernel, QEMU, boot and device stay the same. */

import { z } from 'zod';
import { withDeadline } from '#kernel/async.ts';
import type { Clock } from '#kernel/clock.ts';
import { messageOf } from '#kernel/errors.ts';
import type { Logger } from '#kernel/logger.ts';
import type { MicroGuest } from '#platform/hello-disk/index.ts';
import type { Machine } from './machine.ts';
import { guestOutcomeSchema, QEMU_PROGRAM, runMicroGuest } from './micro-guest.ts';

export type Accel = 'kvm' | 'tcg' | 'none';

export const accelProofSchema = z.object({
  /** What the proof holds for: another kernel, QEMU, boot or device needs a new one. */
  key: z.string(),
  checkedAt: z.string(),
  kvm: guestOutcomeSchema,
  tcg: guestOutcomeSchema,
});
export type AccelProof = z.infer<typeof accelProofSchema>;

export const KVM_DEVICE = '/dev/kvm';

/** A guest that runs says its token within a second; ten are enough for a busy machine. */
const KVM_WAIT_MS = 10_000;

/** Emulation takes two to four seconds on an idle core; other guests may keep all cores busy. */
const TCG_WAIT_MS = 60_000;

/** The first time a kernel may have to be downloaded for the guest. */
const BUILD_WAIT_MS = 180_000;

/** The longest a proof may take. */
export const PROOF_DEADLINE_MS = BUILD_WAIT_MS + KVM_WAIT_MS + TCG_WAIT_MS + 10_000;

export interface ProveOptions {
  readonly machine: Machine;
  /** @throws unavailable when the guest cannot be made here */
  buildGuest(signal: AbortSignal): Promise<MicroGuest>;
  /** For what the guests print; ours alone. */
  readonly folder: string;
  /** False = the configuration says never KVM: the device is not even opened. */
  readonly isKvmAllowed: boolean;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** For tests; milliseconds. */
  readonly waitMs?: { readonly kvm: number; readonly tcg: number };
}

/** Runs the same guest under KVM and, as the control that the guest itself is sound, under TCG. */
export async function proveAccel({
  machine,
  buildGuest,
  folder,
  isKvmAllowed,
  clock,
  signal,
  waitMs = { kvm: KVM_WAIT_MS, tcg: TCG_WAIT_MS },
}: ProveOptions): Promise<AccelProof> {
  const facts = { key: await proofKey(machine, isKvmAllowed), checkedAt: clock.now().toISOString() };
  const device = isKvmAllowed ? await machine.tryOpen(KVM_DEVICE) : 'switched_off';
  let guest: MicroGuest;
  try {
    guest = await withDeadline('making the micro-guest', BUILD_WAIT_MS, buildGuest, signal);
  } catch (error) {
    signal.throwIfAborted();
    const reason = `the micro-guest could not be made: ${messageOf(error)}`;
    return {
      ...facts,
      kvm: device === 'opened' ? { kind: 'unknown', reason } : withoutDevice(device),
      tcg: { kind: 'unknown', reason },
    };
  }
  const kvm =
    device === 'opened'
      ? await runMicroGuest({ machine, guest, accel: 'kvm', waitMs: waitMs.kvm, folder, signal })
      : withoutDevice(device);
  const tcg = await runMicroGuest({ machine, guest, accel: 'tcg', waitMs: waitMs.tcg, folder, signal });
  return { ...facts, kvm, tcg };
}

const OUTCOME_WITHOUT = { missing: 'no_device', denied: 'no_permission', switched_off: 'switched_off' } as const;

const withoutDevice = (device: keyof typeof OUTCOME_WITHOUT) => ({ kind: OUTCOME_WITHOUT[device] });

/** What VMs may use according to a proof. A guest that cannot be made or is slow does not forbid emulation; a missing QEMU does. */
export function accelOf({ kvm, tcg }: Pick<AccelProof, 'kvm' | 'tcg'>): Accel {
  if (kvm.kind === 'works') return 'kvm';
  return tcg.kind === 'no_program' || tcg.kind === 'refused' ? 'none' : 'tcg';
}

/** Everything that a proof depends on, as one text. */
async function proofKey(machine: Machine, isKvmAllowed: boolean): Promise<string> {
  const [boot, device, qemu] = await Promise.all([
    machine.readText('/proc/sys/kernel/random/boot_id'),
    machine.facts(KVM_DEVICE),
    qemuVersionLine(machine),
  ]);
  const rights = device === null ? 'no device' : `${device.mode.toString(8)}:${device.uid}:${device.gid}`;
  return [
    machine.kernelRelease(),
    boot?.trim() ?? 'unknown boot',
    qemu ?? 'no QEMU',
    rights,
    `user ${machine.userId()}`,
    ...(isKvmAllowed ? [] : ['KVM switched off']),
  ].join(' | ');
}

/** The first line of `qemu-system-x86_64 --version`, or null when it cannot be started. */
export async function qemuVersionLine(machine: Machine): Promise<string | null> {
  try {
    const { code, stdout } = await machine.run([QEMU_PROGRAM, '--version'], { timeoutMs: 10_000 });
    return code === 0 ? (stdout.split('\n')[0]?.trim() ?? null) : null;
  } catch {
    // Missing or hanging: the check `qemu.binary` says which; here it only means "no version to compare".
    return null;
  }
}

export interface AccelService {
  /** What VMs may use; `unknown` before the first proof. Never waits. */
  accel(): Accel | 'unknown';
  /** What VMs may use, waiting for a proof where KVM may turn out to work; `tcg` when it is late. */
  accelProven(): Promise<Accel>;
  /** The proof in use, or null before the first. */
  proof(): AccelProof | null;
  /** A proof for the machine as it is: the kept one where it still holds, else a new one.
   *  @param isForced always a new one */
  prove(isForced: boolean, signal: AbortSignal): Promise<AccelProof>;
}

export interface AccelServiceOptions {
  readonly machine: Machine;
  buildGuest(signal: AbortSignal): Promise<MicroGuest>;
  readonly folder: string;
  readonly isKvmAllowed: boolean;
  /** Keeps the proof over restarts. */
  readonly cache: { read(): Promise<AccelProof | null>; write(proof: AccelProof): Promise<void> };
  readonly clock: Clock;
  readonly log: Logger;
  /** Ends a probe that nobody else's signal ends. */
  readonly lifetime: AbortSignal;
  readonly waitMs?: { readonly kvm: number; readonly tcg: number };
}

/** How long "could not be found out" is believed. */
const RETRY_MS = 3600_000;

export function createAccelService(options: AccelServiceOptions): AccelService {
  const { machine, cache, clock, log, lifetime, isKvmAllowed } = options;
  let current: AccelProof | null = null;
  let provenAtMs = 0;
  let running: Promise<AccelProof> | null = null;

  const kept = async (): Promise<AccelProof | null> => {
    const proof = current ?? (await cache.read());
    if (proof === null || proof.key !== (await proofKey(machine, isKvmAllowed))) return null;
    // A machine without a package mirror would otherwise look for it at each regular preflight.
    const isFresh = proof === current && clock.monotonicMs() - provenAtMs < RETRY_MS;
    return isLasting(proof) || isFresh ? proof : null;
  };

  const prove = async (isForced: boolean, signal: AbortSignal): Promise<AccelProof> => {
    const known = isForced ? null : await kept();
    if (known !== null) {
      current = known;
      return known;
    }
    const proof = await proveAccel({ ...options, signal });
    current = proof;
    provenAtMs = clock.monotonicMs();
    if (isLasting(proof)) await cache.write(proof);
    log.info({ accel: accelOf(proof), kvm: proof.kvm, tcg: proof.tcg }, 'the accelerator was probed');
    return proof;
  };

  /** One probe at a time: two would slow each other down and spoil both answers. */
  const proveOnce = async (isForced: boolean, signal: AbortSignal): Promise<AccelProof> => {
    while (running !== null) {
      const other = running;
      // The failure belongs to the caller who started that probe.
      const proof = await other.catch(() => null);
      if (proof !== null && !isForced) return proof;
      if (running === other) running = null;
    }
    const mine = prove(isForced, signal);
    running = mine;
    try {
      return await mine;
    } finally {
      if (running === mine) running = null;
    }
  };

  // Where KVM is not to be used there is nothing to wait for.
  const unproven = isKvmAllowed ? 'unknown' : 'tcg';

  return {
    accel: () => (current === null ? unproven : accelOf(current)),
    proof: () => current,
    async accelProven() {
      if (current !== null) return accelOf(current);
      if (!isKvmAllowed) return 'tcg';
      // Without a device that opens there is nothing that a proof could change.
      if ((await machine.tryOpen(KVM_DEVICE).catch(() => 'denied')) !== 'opened') return 'tcg';
      const late = new AbortController();
      const fallback = clock.sleep(PROOF_DEADLINE_MS, late.signal).then(
        () => 'tcg' as const,
        () => 'tcg' as const,
      );
      // A failed probe proves nothing, and TCG needs no proof.
      const proven = proveOnce(false, lifetime).then(accelOf, () => 'tcg' as const);
      const accel = await Promise.race([proven, fallback]);
      late.abort();
      return accel;
    },
    prove: proveOnce,
  };
}

/** Whether a proof is worth keeping: "could not find out" is asked again. */
function isLasting({ kvm, tcg }: AccelProof): boolean {
  return kvm.kind !== 'unknown' && tcg.kind !== 'unknown' && tcg.kind !== 'silent';
}

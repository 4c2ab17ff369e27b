/** Watches one start of a test VM until it showed what was asked for, showed that it fails, or was waited for long enough. */

import type { ProofLevel, ProofProbe, ProofTimings } from '#contract/verification.ts';
import type { Clock } from '#kernel/clock.ts';
import { messageOf } from '#kernel/errors.ts';
import { type AgentCommand, type GuestIdentity, isSameGuest, readGuestIdentity } from '#platform/guest-identity.ts';
import { askProbe, type ProbeAnswer } from './probe.ts';
import { patience, type WaitLimits } from './progress.ts';
import type { SerialWatch } from './serial-watch.ts';
import type { BootEnd, BootObservation } from './verdict.ts';

/** A test VM that runs, as far as it is watched. */
export interface WatchedVm {
  readonly serial: SerialWatch;
  /** Bytes that it read from the restore point so far. */
  readBytes(): number;
  /** Why a read of the restore point failed, or null. */
  badData(): string | null;
  state(): Promise<'running' | 'panicked' | 'off' | 'stuck'>;
  readonly agent: AgentCommand;
  /** Null while none is known. */
  address(): Promise<string | null>;
  /** Takes a picture; never fails. */
  takePicture(which: 'first' | 'middle' | 'last'): Promise<void>;
}

export interface WatchOrder {
  /** Null = any sign of life. */
  readonly required: ProofLevel | null;
  /** Who the guest was when it was backed up; null = it did not say then. */
  readonly guest: GuestIdentity | null;
  /** The owner named a text for the serial port: a login prompt alone does not count. */
  readonly hasMarker: boolean;
  readonly probe: ProofProbe | null;
  readonly limits: WaitLimits;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  progress(note: string): void;
}

export interface WatchedBoot extends BootObservation {
  /** For people. */
  readonly detail: string | null;
  readonly seconds: number;
  readonly timings: Pick<ProofTimings, 'kernelSeconds' | 'startedSeconds' | 'agentSeconds' | 'probeSeconds'>;
  readonly who: GuestIdentity | null;
  readonly probe: ProbeAnswer | null;
}

const LOOK_MS = 1_000;
const ASK_AGENT_MS = 3_000;
const ASK_PROBE_MS = 5_000;
const FIRST_PICTURE_MS = 10_000;
const PICTURE_MS = 30_000;

/** @throws the signal's reason when it is aborted; failures of the host are an ending, not an exception */
export async function watchBoot(vm: WatchedVm, order: WatchOrder): Promise<WatchedBoot> {
  const { clock, signal, limits, required } = order;
  const startMs = clock.monotonicMs();
  const seconds = () => Math.round((clock.monotonicMs() - startMs) / 100) / 10;
  const times: { kernel?: number; started?: number; agent?: number; probe?: number } = {};
  let who: GuestIdentity | null = null;
  let answer: ProbeAnswer | null = null;
  let wasAsked = false;
  let probeSinceMs: number | null = null;
  let grown = -1;
  let grownMs = startMs;
  let [agentMs, probeMs, pictureMs] = [startMs, startMs, startMs + FIRST_PICTURE_MS];
  let pictures = 0;

  const isStarted = () => times.started !== undefined || who !== null || answer?.isGood === true;
  const isRight = () => (who === null ? (order.guest === null ? null : false) : isExpected(who));
  const isExpected = (now: GuestIdentity) => order.guest === null || isSameGuest(order.guest, now);
  const end = async (how: BootEnd, detail: string | null = null): Promise<WatchedBoot> => {
    await vm.takePicture('last');
    return {
      end: how,
      isStarted: isStarted(),
      isRightGuest: isRight(),
      isProbeGood: answer?.isGood ?? null,
      detail,
      seconds: seconds(),
      timings: {
        kernelSeconds: times.kernel ?? null,
        startedSeconds: times.started ?? null,
        agentSeconds: times.agent ?? null,
        probeSeconds: times.probe ?? null,
      },
      who,
      probe: answer,
    };
  };

  for (;;) {
    signal.throwIfAborted();
    const nowMs = clock.monotonicMs();
    const bad = vm.badData();
    if (bad !== null) return end('bad_data', bad);
    const { seen } = vm.serial;
    if (seen.has('kernel')) times.kernel ??= seconds();
    if (seen.has('marker') || (!order.hasMarker && seen.has('login'))) times.started ??= seconds();
    if (isEnough(required, times.started !== undefined, who, answer, order)) return end('reached');

    if (seen.has('kernel_panic')) return end('kernel_panic', 'told on the serial port');
    // What a guest that runs prints may quote anything.
    for (const sign of ['emergency_mode', 'no_boot_device'] as const)
      if (seen.has(sign) && !isStarted()) return end(sign, 'told on the serial port');
    const state = await stateOf(vm);
    if (state === 'panicked') return end('kernel_panic', 'told by the guest to its panic device');
    if (state === 'off') return end('stopped');
    if (state === 'stuck') return end('own_error', 'QEMU stopped the test VM: its own disk space is used up or failed');
    if (typeof state === 'object') return end('own_error', state.problem);

    if (who === null && nowMs >= agentMs) {
      who = await askWho(vm.agent);
      agentMs = clock.monotonicMs() + ASK_AGENT_MS;
      if (who !== null) {
        times.agent = seconds();
        if (!isExpected(who)) return end('wrong_guest', `${who.hostname ?? 'a guest without a name'} answered`);
        continue;
      }
    }
    if (order.probe !== null && required === 5 && nowMs >= probeMs && isReadyForProbe(order, who)) {
      answer = (await askProbe(order.probe, { ...vm, clock, signal })) ?? answer;
      wasAsked ||= answer !== null;
      probeMs = clock.monotonicMs() + ASK_PROBE_MS;
      if (answer?.isGood) {
        times.probe = seconds();
        continue;
      }
      // A service may begin after its guest's agent.
      if (who !== null || times.started !== undefined) probeSinceMs ??= nowMs;
      if (probeSinceMs !== null && clock.monotonicMs() - probeSinceMs >= limits.stallMs)
        return end(wasAsked ? 'probe_failed' : 'probe_unreachable', answer?.text ?? null);
    }

    const size = vm.serial.totalBytes + vm.readBytes();
    if (size !== grown) [grown, grownMs] = [size, nowMs];
    const elapsedMs = nowMs - startMs;
    const verdict = patience({ elapsedMs, quietMs: nowMs - grownMs }, limits);
    // A guest that runs and waits to be probed may be as quiet as it likes: its probe has an end of its own.
    if (verdict !== 'wait' && (verdict !== 'stalled' || probeSinceMs === null)) return end(verdict);
    if (nowMs >= pictureMs) {
      await vm.takePicture(pictures === 0 ? 'first' : 'middle');
      pictures += 1;
      pictureMs = nowMs + PICTURE_MS;
    }
    order.progress(noteOf(times, who));
    await clock.sleep(LOOK_MS, signal);
  }
}

/** A guest with an agent is asked only once that answered: before it cannot be the right one. */
const isReadyForProbe = ({ probe, guest }: WatchOrder, who: GuestIdentity | null) =>
  who !== null || (guest === null && probe?.kind !== 'script');

function isEnough(
  required: ProofLevel | null,
  isStarted: boolean,
  who: GuestIdentity | null,
  answer: ProbeAnswer | null,
  { guest }: WatchOrder,
): boolean {
  if (required === 5) return answer?.isGood === true;
  if (required === 4) return who !== null;
  if (who !== null) return true;
  // It had an agent when it was backed up: with no level said, its answer is waited for.
  return isStarted && (required === 3 || guest === null);
}

async function askWho(agent: AgentCommand): Promise<GuestIdentity | null> {
  try {
    return await readGuestIdentity(agent);
  } catch {
    // Not up yet, or never: who watches knows how long to wait.
    return null;
  }
}

async function stateOf(vm: WatchedVm): Promise<Awaited<ReturnType<WatchedVm['state']>> | { readonly problem: string }> {
  try {
    return await vm.state();
  } catch (error) {
    return { problem: messageOf(error) };
  }
}

function noteOf(times: { kernel?: number; started?: number }, who: GuestIdentity | null): string {
  if (who !== null) return 'the agent answers';
  if (times.started !== undefined) return 'the guest has started';
  return times.kernel === undefined ? 'the guest is started' : 'the kernel runs';
}

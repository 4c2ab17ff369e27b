/** A second place for the chain. What is still to be sent is read from the chain itself, so nothing is queued in memory however long the
 *  place is out of reach; each record arrives at least once, in order. */

import type { AuditStatus } from '#contract/audit.ts';
import { chainLine, statementLine } from '#contract/audit-chain.ts';
import { nap } from '#kernel/async.ts';
import type { Clock } from '#kernel/clock.ts';
import { messageOf } from '#kernel/errors.ts';
import type { Logger } from '#kernel/logger.ts';
import type { Reader } from '../reader.ts';

export type MirrorView = AuditStatus['mirrors'][number];

export interface MirrorLine {
  readonly text: string;
  /** Of the record, for those who rank lines by it; null for a checkpoint. */
  readonly outcome: string | null;
  readonly at: string;
}

/** Where lines go. */
export interface MirrorTarget {
  readonly name: MirrorView['name'];
  /** For people. */
  readonly target: string;
  /** The last record that arrived there, as far as can be known. Called before the first lines and after each failure. */
  resume(signal: AbortSignal): Promise<number>;
  /** Resolves when the lines are there, or on their way and the place still takes them. */
  send(lines: readonly MirrorLine[], lastSeq: number, signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

export interface Mirror {
  view(): MirrorView;
  /** Has all records, or had them a few seconds ago and takes more. */
  isCurrent(): boolean;
  /** There may be something new. */
  wake(): void;
  /** Works until the signal; never rejects. */
  run(signal: AbortSignal): Promise<void>;
}

const GROUP = 200;
const IDLE_MS = 5000;
/** So long a mirror that must be there may need for what was just recorded. */
const LAG_MS = 5000;
const BACK_OFF_MS = [500, 1000, 2000, 5000, 10_000, 30_000, 60_000];

export function createMirror({
  target,
  reader,
  clock,
  log,
  headSeq,
  alarmAt,
}: {
  target: MirrorTarget;
  reader: Reader;
  clock: Clock;
  log: Logger;
  /** The end of the chain. */
  headSeq: () => number;
  alarmAt: number;
}): Mirror {
  let sentSeq = 0;
  let error: string | null = null;
  let failures = 0;
  let wakeUp: (() => void) | null = null;
  /** When it last had everything. */
  let currentMs = Number.NEGATIVE_INFINITY;

  /** Ends early when it is woken or aborted. */
  const pause = async (ms: number, signal: AbortSignal, canWake: boolean) => {
    const timer = new AbortController();
    const stop = () => timer.abort();
    if (canWake) wakeUp = stop;
    signal.addEventListener('abort', stop, { once: true });
    await nap(clock, ms, timer.signal);
    signal.removeEventListener('abort', stop);
    wakeUp = null;
  };

  /** Sends what is there. Resolves with false when there was nothing. */
  const step = async (signal: AbortSignal): Promise<boolean> => {
    const records = await reader.after(sentSeq, GROUP);
    const last = records.at(-1);
    if (!last) return false;
    const checkpoints = await reader.checkpoints(sentSeq + 1, last.seq);
    const lines = records.flatMap(({ seq, body, hash }): MirrorLine[] => {
      const at = /"ts":"([^"]{1,40})"/.exec(body)?.[1] ?? '';
      const outcome = /"result":"([a-z]+)"/.exec(body)?.[1] ?? null;
      const own = { text: chainLine(body, hash), at, outcome };
      const signed = checkpoints.filter((point) => point.seq === seq);
      return [own, ...signed.map((point) => ({ text: statementLine(point), at, outcome: null }))];
    });
    await target.send(lines, last.seq, signal);
    sentSeq = last.seq;
    if (behind() === 0) currentMs = clock.monotonicMs();
    return true;
  };

  /** The newest checkpoint may have been made after its record was sent. */
  let toldCheckpoint = 0;
  const tellCheckpoint = async (signal: AbortSignal) => {
    const newest = await reader.newestCheckpoint();
    if (newest === null || newest.seq <= toldCheckpoint || newest.seq > sentSeq) return;
    await target.send([{ text: statementLine(newest), at: clock.now().toISOString(), outcome: null }], sentSeq, signal);
    toldCheckpoint = newest.seq;
  };

  const behind = () => Math.max(0, headSeq() - sentSeq);

  return {
    view: () => ({
      name: target.name,
      target: target.target,
      state: error !== null ? 'failing' : behind() > alarmAt ? 'behind' : 'current',
      sentSeq,
      behind: behind(),
      error,
    }),
    isCurrent: () => error === null && (clock.monotonicMs() - currentMs < LAG_MS || (behind() === 0 && currentMs > 0)),
    wake: () => wakeUp?.(),
    async run(signal) {
      let isResumed = false;
      while (!signal.aborted) {
        try {
          if (!isResumed) sentSeq = await target.resume(signal);
          isResumed = true;
          const didSend = await step(signal);
          if (!didSend) await tellCheckpoint(signal);
          if (failures > 0 || error !== null) log.info({ mirror: target.name }, 'the audit mirror takes records again');
          if (!didSend) currentMs = clock.monotonicMs();
          error = null;
          failures = 0;
          if (!didSend) await pause(IDLE_MS, signal, true);
        } catch (problem) {
          if (signal.aborted) break;
          isResumed = false;
          error = messageOf(problem);
          if (failures === 0) log.error({ mirror: target.name, err: problem }, `an audit mirror fails: ${error}`);
          await pause(BACK_OFF_MS[Math.min(failures, BACK_OFF_MS.length - 1)] ?? 60_000, signal, false);
          failures += 1;
        }
      }
      await target.close();
    },
  };
}

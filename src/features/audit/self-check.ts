/** hyperd's own check of the whole chain, in the background: each day and when asked. Goes on in small pieces, so that requests beside it
 *  wait a few milliseconds only. */

import type { AuditVerification } from '#contract/audit.ts';
import { createChainVerifier } from '#contract/audit-chain.ts';
import type { Clock } from '#kernel/clock.ts';
import { messageOf } from '#kernel/errors.ts';
import type { Logger } from '#kernel/logger.ts';
import type { Reader } from './reader.ts';

const SLICE = 500;
/** The thread is ours for at most half of the time. */
const REST_RATIO = 1;

export interface SelfCheck {
  readonly last: AuditVerification | null;
  readonly isRunning: boolean;
  /** Begins a check, or joins the one that runs. Never rejects. */
  run(signal: AbortSignal): Promise<void>;
}

export function createSelfCheck({
  reader,
  clock,
  log,
  publicKey,
}: {
  reader: Reader;
  clock: Clock;
  log: Logger;
  publicKey: string;
}): SelfCheck {
  let last: AuditVerification | null = null;
  let running: Promise<void> | null = null;

  const check = async (signal: AbortSignal) => {
    const { last: end } = await reader.bounds();
    const verifier = createChainVerifier({ key: publicKey });
    const stub = await reader.stub();
    if (stub) verifier.statement(stub);
    let after = 0;
    for (;;) {
      if (signal.aborted) return;
      const beganMs = clock.monotonicMs();
      const rows = (await reader.after(after, SLICE)).filter(({ seq }) => seq <= end);
      const lastRow = rows.at(-1);
      if (!lastRow) break;
      for (const point of await reader.checkpoints(after + 1, lastRow.seq)) verifier.statement(point);
      for (const { body, hash } of rows) verifier.record(body, hash);
      after = lastRow.seq;
      await clock.sleep(Math.min(50, (clock.monotonicMs() - beganMs) * REST_RATIO));
    }
    for (const point of await reader.checkpoints(end + 1, Number.MAX_SAFE_INTEGER))
      if ((await reader.bounds()).last < point.seq) verifier.statement(point);
    last = verifier.end(clock.now());
    if (last.ok) log.info({ records: last.records, head: last.head }, 'the audit log was checked: it is whole');
    else log.error({ findings: last.findings.slice(0, 5) }, 'the audit log was changed');
  };

  return {
    get last() {
      return last;
    },
    get isRunning() {
      return running !== null;
    },
    run(signal) {
      running ??= check(signal)
        .catch((error: unknown) => log.error({ err: error }, `the audit log could not be checked: ${messageOf(error)}`))
        .finally(() => {
          running = null;
        });
      return running;
    },
  };
}

/** Writes proofs down: the record with its evidence, the audit log with the digest of both, in one transaction; and knows the newest of
 *  each VM by heart. Records are kept as long as anybody may ask for them, 90 days at least. */

import type { ApiEvents } from '#contract/events.ts';
import type { AuditApi } from '#features/audit/index.ts';
import { nap } from '#kernel/async.ts';
import type { Clock } from '#kernel/clock.ts';
import type { EventBus } from '#kernel/event-bus.ts';
import type { Logger } from '#kernel/logger.ts';
import type { Calendar } from '#platform/calendar.ts';
import type { Database } from '#platform/db/database.ts';
import type { EvidenceFiles } from './evidence-files.ts';
import type { ProofFigures } from './metrics.ts';
import type { ProofRow } from './migrations.ts';
import type { ProofStore } from './store.ts';

export interface Recorder {
  load(): Promise<void>;
  /** Once for an operation; again for the same one changes nothing. @throws audit_unavailable, no_space */
  record(row: ProofRow, actor: string): Promise<void>;
  latest(vmId: string): { readonly proof: ProofRow | null; readonly passed: ProofRow | null };
  /** Its proofs in a row, up to the newest, that were inconclusive; those that somebody broke off are passed over. */
  inconclusiveInRow(vmId: string): number;
  figures(): ProofFigures;
  /** Forgets what is older than it is kept, once a day. Ends with the signal. */
  forgetOld(signal: AbortSignal): Promise<void>;
}

export interface RecorderParts {
  readonly db: Database;
  readonly store: ProofStore;
  readonly files: EvidenceFiles;
  readonly audit: Pick<AuditApi, 'write'>;
  readonly events: EventBus<ApiEvents>;
  readonly clock: Clock;
  readonly calendar: Pick<Calendar, 'leap'>;
  readonly log: Logger;
}

const DAY_MS = 86_400_000;
const KEPT_DAYS = 400;

export function createRecorder(parts: RecorderParts): Recorder {
  const { db, store, files, audit, events, clock, calendar, log } = parts;
  const newest = new Map<string, ProofRow>();
  const passed = new Map<string, ProofRow>();
  const unsure = new Map<string, number>();
  const remember = (row: ProofRow) => {
    if (row.reason !== 'cancelled')
      unsure.set(row.vm_id, row.verdict === 'inconclusive' ? (unsure.get(row.vm_id) ?? 0) + 1 : 0);
    newest.set(row.vm_id, row);
    if (row.verdict === 'pass') passed.set(row.vm_id, row);
  };

  const forget = async () => {
    // A date that leapt must not make young evidence old.
    if (calendar.leap() !== null) return;
    const before = new Date(clock.now().getTime() - KEPT_DAYS * DAY_MS).toISOString();
    const ids = await store.olderThan(before);
    for (const id of ids) await files.remove(id);
    await store.remove(ids);
    if (ids.length > 0) log.info({ removed: ids.length, before }, 'old proofs were removed');
  };

  return {
    async load() {
      for (const [vmId, count] of await store.inconclusiveInRow()) unsure.set(vmId, count);
      for (const row of await store.newest()) newest.set(row.vm_id, row);
      for (const row of await store.newestPassed()) passed.set(row.vm_id, row);
    },
    async record(row, actor) {
      await db.transaction(async (tx) => {
        if (!(await store.add(tx, row))) return;
        await audit.write(tx, {
          phase: 'outcome',
          outcome: 'done',
          code: null,
          actor,
          via: 'system',
          address: null,
          action: 'verification.evidence',
          permission: null,
          objectType: 'vm',
          objectId: row.vm_id,
          objectName: row.vm_name,
          project: row.project,
          requestId: null,
          operationId: null,
          params: {
            proof: row.id,
            point: row.point_id,
            verdict: row.verdict,
            reason: row.reason,
            level: row.level,
            evidence: row.evidence_digest,
          },
        });
        tx.afterCommit(() => {
          remember(row);
          events.emit('proof.recorded', {
            id: row.id,
            project: row.project,
            vmId: row.vm_id,
            verdict: row.verdict,
            reason: row.reason,
          });
        });
      });
    },
    latest: (vmId) => ({ proof: newest.get(vmId) ?? null, passed: passed.get(vmId) ?? null }),
    inconclusiveInRow: (vmId) => unsure.get(vmId) ?? 0,
    figures: () => ({ newest: [...newest.values()], passed: [...passed.values()] }),
    async forgetOld(signal) {
      while (!signal.aborted) {
        try {
          await forget();
        } catch (error) {
          log.warn({ err: error }, 'old proofs could not be removed; it is tried again tomorrow');
        }
        await nap(clock, DAY_MS, signal);
      }
    },
  };
}

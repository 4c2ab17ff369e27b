/** The audit log over a database: what the other slices call, without mirrors, keys and jobs. */

import { createHmac, randomBytes } from 'node:crypto';
import type { AuditRecord } from '#contract/audit.ts';
import type { ApiEvents } from '#contract/events.ts';
import type { Clock } from '#kernel/clock.ts';
import type { EventBus } from '#kernel/event-bus.ts';
import { type Logger, silentLogger } from '#kernel/logger.ts';
import type { Database, Transaction } from '#platform/db/database.ts';
import { createDenialFold, type DenialFold } from './fold.ts';
import { type AuditPage, type AuditQuery, createReader, type Reader } from './reader.ts';
import { createRedactor } from './redact.ts';
import { type AuditEntry, createWriter, type Head, type Writer } from './writer.ts';

export { auditMigrations } from './migrations.ts';
export type { AuditEntry } from './writer.ts';

export interface AuditApi {
  /** Writes a record inside the caller's transaction, so that the change and its record stand or fall together.
   *  @throws AppError `audit_unavailable` when it cannot be recorded; then the transaction must not be committed */
  write(tx: Transaction, entry: AuditEntry): Promise<void>;
  /** Writes a record in a transaction that it shares with others of the same moment. Refusals of one source beyond 60 in a minute (tries to
   *  sign in: 10) are only counted. The outcome of something whose intent is recorded never fails: it is recorded later when it must.
   *  @throws AppError `audit_unavailable` when it cannot be recorded */
  record(entry: AuditEntry): Promise<void>;
  /** Whether a refusal of this source would only be counted at present: then an intent that would come to nothing is left out too. */
  isCounting(entry: AuditEntry): boolean;
  list(query: AuditQuery): Promise<AuditPage>;
}

export interface AuditStore extends AuditApi {
  readonly writer: Writer;
  readonly reader: Reader;
  readonly fold: DenialFold;
}

export interface AuditStoreParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly events: EventBus<ApiEvents>;
  readonly log?: Logger;
  /** A digest of a secret, the same one for equal secrets. */
  readonly digest?: (secret: string) => string;
  readonly gate?: (phase: AuditRecord['phase']) => Promise<void>;
  readonly onCommit?: (head: Head) => void;
}

export function createAuditStore({
  db,
  clock,
  events,
  log = silentLogger,
  digest = digestOfThisLife(),
  gate = async () => undefined,
  onCommit = () => undefined,
}: AuditStoreParts): AuditStore {
  const reader = createReader(db, clock);
  const fold = createDenialFold(clock);
  const writer = createWriter({ db, clock, events, log, redact: createRedactor(digest), fold, gate, onCommit });
  return {
    write: writer.write,
    record: writer.record,
    isCounting: fold.isFull,
    list: reader.page,
    writer,
    reader,
    fold,
  };
}

/** With a key that nobody keeps. */
function digestOfThisLife(): (secret: string) => string {
  const key = randomBytes(32);
  return (secret) => `hmac:${createHmac('sha256', key).update(secret).digest('hex').slice(0, 32)}`;
}

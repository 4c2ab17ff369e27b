/** Writes the state of this installation into one repository, as a point of documents: rows of tables, definitions, keys. What did not
 *  change since an earlier point is stored once, because documents are addressed by their content. */

import { setImmediate as breathe } from 'node:timers/promises';
import { type Repository, sealEnvelope } from '#features/backups/index.ts';
import { openSnapshot, type Snapshot } from '#platform/db/snapshot.ts';
import type { DocumentRef, Secrets, StateHeader } from './header.ts';
import { type Definitions, HEADER, SECRETS, sha256 } from './header.ts';
import type { StateKey } from './state-key.ts';
import { isPartOfState } from './tables.ts';

/** Definitions in one document. */
const AT_ONCE = 100;

export interface PointOrder {
  readonly repository: Repository;
  /** Its id here. */
  readonly repositoryId: string;
  /** File of the database. */
  readonly database: string;
  readonly series: string;
  readonly host: string;
  readonly version: string;
  readonly operationId: string;
  readonly definitions: Definitions;
  readonly secrets: Secrets;
  /** Null = none was confirmed. */
  readonly key: StateKey | null;
  readonly now: () => Date;
  readonly signal: AbortSignal;
}

/** @returns id of the point @throws key_needed, no_space, backup_objects_lost; then no point is there */
export async function writePoint(order: PointOrder): Promise<string> {
  const { repository, signal, now } = order;
  const startedAt = now().toISOString();
  const writer = await repository.writer({ host: order.host });
  const snapshot = openSnapshot(order.database);
  try {
    const blobs: Record<string, string> = {};
    const store = async (name: string, bytes: Buffer): Promise<DocumentRef> => {
      signal.throwIfAborted();
      blobs[name] = await writer.blob(bytes);
      return { name, sha256: sha256(bytes) };
    };

    const tables: StateHeader['tables'] = [];
    for (const name of snapshot.tables.filter(isPartOfState)) {
      const parts: DocumentRef[] = [];
      let rows = 0;
      for (const { part, bytes, rows: count } of snapshot.parts(name)) {
        parts.push(await store(`table/${name}/${part}`, bytes));
        rows += count;
        await breathe();
      }
      tables.push({ name, rows, parts });
    }
    const definitions: DocumentRef[] = [];
    for (let from = 0; from < order.definitions.length; from += AT_ONCE) {
      const bytes = Buffer.from(JSON.stringify(order.definitions.slice(from, from + AT_ONCE)));
      definitions.push(await store(`definitions/${from / AT_ONCE}`, bytes));
    }
    // Whoever may read an encrypted repository holds a key of it already.
    const plain = Buffer.from(JSON.stringify(order.secrets));
    const secrets = repository.isEncrypted
      ? { ...(await store(SECRETS, plain)), isSealed: false }
      : order.key && { ...(await store(SECRETS, order.key.seal(plain))), isSealed: true };
    const header: StateHeader = {
      v: 1,
      series: order.series,
      host: order.host,
      version: order.version,
      madeAt: startedAt,
      repository: order.repositoryId,
      migrations: [...snapshot.migrations],
      tables,
      definitions,
      counts: { vms: order.definitions.filter(({ kind }) => kind === 'vm').length },
      secrets,
      keyId: repository.isEncrypted ? null : (order.key?.id ?? null),
      auditHead: auditHeadOf(snapshot),
    };
    await store(HEADER, sealEnvelope(header, repository.isEncrypted ? null : (order.key?.mac ?? null)));
    const manifest = await writer.publish({
      kind: 'state',
      vm: order.series,
      project: '',
      host: order.host,
      op: order.operationId,
      startedAt,
      pointInTime: startedAt,
      finishedAt: now().toISOString(),
      consistency: 'agent',
      frozenMs: null,
      checkpoint: null,
      skipped: [],
      blobs,
      guest: null,
      tool: { hyperd: order.version },
      disks: [],
    });
    return manifest.id;
  } finally {
    snapshot.close();
    await writer.close();
  }
}

function auditHeadOf(snapshot: Snapshot): StateHeader['auditHead'] {
  const row = snapshot.one('SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1');
  return { seq: Number(row?.['seq'] ?? 0), hash: String(row?.['hash'] ?? '') };
}

/** A long audit log, made as the daemon makes it, as a database and as an export. */

import { createHash } from 'node:crypto';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { chainHash, chainLine, GENESIS, headerLine, statementLine } from '#contract/audit-chain.ts';
import { bodyOf, bodyTail } from '#features/audit/body.ts';
import { openAuditKeys } from '#features/audit/keys.ts';
import { auditMigrations } from '#features/audit/migrations.ts';
import { openDatabase } from '#platform/db/database.ts';

export interface LongChain extends AsyncDisposable {
  readonly records: number;
  /** A state folder: `state.db` and the keys in `audit`. */
  readonly dir: string;
  readonly database: string;
  /** The same records as `hv audit export` writes them. */
  readonly exported: string;
  readonly publicKey: string;
}

const ACTORS = ['root', 'ada', 'bob', 'carol', 'dave'];
const ACTIONS = ['POST /vms/{id}/start', 'POST /vms/{id}/stop', 'PATCH /vms/{id}', 'POST /vms', 'DELETE /vms/{id}'];
const START_MS = Date.parse('2026-01-01T00:00:00Z');

/** One record in a hundred thousand is a refusal, so that searching for it finds little. */
function tailOf(seq: number): string {
  const isIntent = seq % 2 === 1;
  const isDenied = seq % 100_000 === 0;
  return bodyTail(
    {
      id: `aud-${createHash('sha256').update(String(seq)).digest('hex').slice(0, 26)}`,
      at: new Date(START_MS + seq * 30).toISOString(),
      phase: isIntent ? 'intent' : 'outcome',
      outcome: isIntent ? null : isDenied ? 'denied' : 'done',
      actor: ACTORS[seq % ACTORS.length] ?? 'root',
      actorId: null,
      method: 'passkey',
      sessionId: '0123456789abcdef',
      via: 'session',
      address: `192.0.2.${seq % 250}`,
      action: ACTIONS[(seq >> 1) % ACTIONS.length] ?? '',
      permission: 'vm.power',
      objectType: 'vm',
      objectId: `11111111-2222-4333-8444-${String(seq % 500).padStart(12, '0')}`,
      objectName: `web-${seq % 500}`,
      project: seq % 2 === 0 ? 'blue' : 'green',
      grant: null,
      params: null,
      requestId: `req-${(seq + 1) >> 1}`,
      operationId: `op-${(seq + 1) >> 1}`,
      code: isDenied ? 'forbidden' : null,
      durationMs: isIntent ? null : 12,
    },
    { boot: 'fedcba9876543210', mono: seq * 30 },
  );
}

export async function makeChain(records: number): Promise<LongChain> {
  const dir = await mkdtemp(join(tmpdir(), 'hv-audit-long-'));
  const database = join(dir, 'state.db');
  const exported = join(dir, 'audit.jsonl');
  const keys = openAuditKeys(join(dir, 'audit'));
  const db = openDatabase(database);
  db.migrate('audit', auditMigrations);
  await db.close();
  const raw = new DatabaseSync(database);
  raw.exec('PRAGMA synchronous = OFF; PRAGMA cache_size = -200000');
  const insert = raw.prepare('INSERT INTO audit(seq, body, hash) VALUES(?, ?, ?)');
  const sign = raw.prepare('INSERT INTO audit_checkpoint(seq, body, signature) VALUES(?, ?, ?)');
  raw.prepare('INSERT INTO audit_key(id, public_key) VALUES(1, ?)').run(keys.publicKey);
  await using file = await open(exported, 'w', 0o600);
  let text = `${headerLine(keys.publicKey)}\n`;
  let prev = GENESIS;
  raw.exec('BEGIN');
  for (let seq = 1; seq <= records; seq += 1) {
    const body = bodyOf(seq, prev, tailOf(seq));
    prev = chainHash(prev, body);
    insert.run(seq, body, prev);
    text += `${chainLine(body, prev)}\n`;
    if (seq % 1000 !== 0) continue;
    const point = keys.sign(
      JSON.stringify({ v: 1, chain: keys.chain, seq, hash: prev, at: new Date(START_MS).toISOString() }),
    );
    sign.run(seq, point.body, point.signature);
    text += `${statementLine({ kind: 'checkpoint', ...point })}\n`;
    await file.appendFile(text);
    text = '';
    if (seq % 20_000 === 0) raw.exec('COMMIT; BEGIN');
  }
  await file.appendFile(text);
  raw.exec('COMMIT');
  raw.close();
  return {
    records,
    dir,
    database,
    exported,
    publicKey: keys.publicKey,
    [Symbol.asyncDispose]: () => rm(dir, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 }),
  };
}

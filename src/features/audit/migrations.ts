/** The tables of the audit log. A record is its exact bytes and their hash; what is searched for is computed from the bytes, so that it
 *  cannot say something else than they do. */

import type { Migration } from '#platform/db/database.ts';

export interface AuditTables {
  audit: {
    seq: number;
    body: string;
    hash: string;
    id: string;
    at: string;
    phase: string;
    outcome: string | null;
    actor: string | null;
    actor_id: string | null;
    action: string | null;
    object_id: string | null;
    project: string | null;
    request_id: string | null;
    operation_id: string | null;
  };
  audit_checkpoint: { seq: number; body: string; signature: string };
  /** Signed, and stands for all records up to `seq`, which were removed for their age. */
  audit_stub: { id: 1; seq: number; body: string; signature: string };
  audit_mark: { name: string; seq: number };
  audit_key: { id: 1; public_key: string };
  audit_before_chain: OldAuditRow;
}

/** A row of the time before the chain. */
export interface OldAuditRow {
  seq: number;
  id: string;
  at: string;
  phase: 'intent' | 'outcome';
  outcome: 'done' | 'failed' | 'cancelled' | 'denied' | 'invalid' | null;
  actor: string;
  via: string;
  address: string | null;
  action: string;
  permission: string | null;
  object_type: string | null;
  object_id: string | null;
  object_name: string | null;
  request_id: string | null;
  operation_id: string | null;
  code: string | null;
}

const computed = (name: string, path: string) =>
  `${name} TEXT GENERATED ALWAYS AS (json_extract(body, '$.${path}')) VIRTUAL`;

export const auditMigrations: readonly Migration[] = [
  {
    id: '001-audit',
    statements: [
      `CREATE TABLE audit(
         seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, at TEXT NOT NULL,
         phase TEXT NOT NULL CHECK(phase IN ('intent','outcome')),
         outcome TEXT CHECK(outcome IN ('done','failed','cancelled','denied','invalid')),
         actor TEXT NOT NULL, via TEXT NOT NULL, address TEXT, action TEXT NOT NULL, permission TEXT,
         object_type TEXT, object_id TEXT, object_name TEXT, request_id TEXT, operation_id TEXT, code TEXT) STRICT`,
      'CREATE INDEX audit_by_object ON audit(object_id)',
      'CREATE INDEX audit_by_actor ON audit(actor)',
    ],
  },
  {
    id: '002-chain',
    statements: [
      'DROP INDEX audit_by_object',
      'DROP INDEX audit_by_actor',
      'ALTER TABLE audit RENAME TO audit_before_chain',
      `CREATE TABLE audit(
         seq INTEGER PRIMARY KEY, body TEXT NOT NULL, hash TEXT NOT NULL,
         ${computed('id', 'id')}, ${computed('at', 'ts')}, ${computed('phase', 'phase')}, ${computed('outcome', 'result')},
         ${computed('actor', 'actor.name')}, ${computed('actor_id', 'actor.id')}, ${computed('action', 'action')},
         ${computed('object_id', 'object.id')}, ${computed('project', 'object.project')},
         ${computed('request_id', 'request')}, ${computed('operation_id', 'op')}) STRICT`,
      'CREATE INDEX audit_by_time ON audit(at)',
      'CREATE INDEX audit_by_actor ON audit(actor)',
      'CREATE INDEX audit_by_id ON audit(id)',
      'CREATE INDEX audit_by_actor_id ON audit(actor_id) WHERE actor_id IS NOT NULL',
      'CREATE INDEX audit_by_action ON audit(action)',
      'CREATE INDEX audit_by_object ON audit(object_id)',
      'CREATE INDEX audit_by_project ON audit(project) WHERE project IS NOT NULL',
      'CREATE INDEX audit_by_outcome ON audit(outcome)',
      'CREATE TABLE audit_checkpoint(seq INTEGER PRIMARY KEY, body TEXT NOT NULL, signature TEXT NOT NULL) STRICT',
      `CREATE TABLE audit_stub(id INTEGER PRIMARY KEY CHECK(id = 1), seq INTEGER NOT NULL, body TEXT NOT NULL,
         signature TEXT NOT NULL) STRICT`,
      'CREATE TABLE audit_mark(name TEXT PRIMARY KEY, seq INTEGER NOT NULL) STRICT',
      'CREATE TABLE audit_key(id INTEGER PRIMARY KEY CHECK(id = 1), public_key TEXT NOT NULL) STRICT',
    ],
  },
];

/** The journal's tables. */

import type { Migration } from '#platform/db/database.ts';

export const operationMigrations: readonly Migration[] = [
  {
    id: '001-journal',
    statements: [
      `CREATE TABLE operation(
         id TEXT PRIMARY KEY, kind TEXT NOT NULL, title TEXT NOT NULL, actor TEXT NOT NULL, role TEXT NOT NULL, via TEXT NOT NULL,
         object_type TEXT, object_id TEXT, object_name TEXT, input TEXT NOT NULL, memory TEXT NOT NULL DEFAULT '{}',
         state TEXT NOT NULL CHECK(state IN ('pending','running','compensating','done','failed','cancelled','attention')),
         step INTEGER NOT NULL DEFAULT 0, attempt INTEGER NOT NULL DEFAULT 0, cancel_asked INTEGER NOT NULL DEFAULT 0,
         error TEXT, result TEXT, action TEXT NOT NULL, request_id TEXT, created_at TEXT NOT NULL, finished_at TEXT) STRICT`,
      'CREATE INDEX operation_by_state ON operation(state)',
      'CREATE INDEX operation_by_object ON operation(object_id)',
      `CREATE TABLE op_step(
         op_id TEXT NOT NULL REFERENCES operation(id) ON DELETE CASCADE, n INTEGER NOT NULL, name TEXT NOT NULL, title TEXT NOT NULL,
         state TEXT NOT NULL CHECK(state IN ('pending','running','done','skipped','failed','undone')), PRIMARY KEY(op_id, n)) STRICT`,
      'CREATE TABLE op_lock(key TEXT PRIMARY KEY, op_id TEXT NOT NULL REFERENCES operation(id) ON DELETE CASCADE) STRICT',
      `CREATE TABLE idempotency(
         actor TEXT NOT NULL, key TEXT NOT NULL, request_hash TEXT NOT NULL, op_id TEXT NOT NULL, expires_at TEXT NOT NULL,
         PRIMARY KEY(actor, key)) STRICT`,
    ],
  },
  {
    id: '002-shared-locks',
    statements: [
      'ALTER TABLE op_lock RENAME TO op_lock_before',
      `CREATE TABLE op_lock(
         key TEXT NOT NULL, op_id TEXT NOT NULL REFERENCES operation(id) ON DELETE CASCADE,
         mode TEXT NOT NULL CHECK(mode IN ('exclusive','shared')), PRIMARY KEY(key, op_id)) STRICT`,
      "CREATE UNIQUE INDEX op_lock_exclusive ON op_lock(key) WHERE mode = 'exclusive'",
      "INSERT INTO op_lock SELECT key, op_id, 'exclusive' FROM op_lock_before",
      'DROP TABLE op_lock_before',
    ],
  },
  { id: '003-dismissed', statements: ['ALTER TABLE operation ADD COLUMN dismissed INTEGER NOT NULL DEFAULT 0'] },
  {
    id: '004-who',
    statements: [
      'ALTER TABLE operation ADD COLUMN user_id TEXT',
      'ALTER TABLE operation ADD COLUMN token_id TEXT',
      'ALTER TABLE operation ADD COLUMN project TEXT',
      "UPDATE operation SET user_id = CASE via WHEN 'system' THEN 'system' WHEN 'admin_socket' THEN 'local:admin' WHEN 'operator_socket' THEN 'local:operator' ELSE 'usr-' || role END, project = CASE object_type WHEN 'vm' THEN 'default' WHEN 'image' THEN 'default' END",
      'ALTER TABLE operation DROP COLUMN role',
    ],
  },
  {
    id: '005-vm',
    statements: [
      'ALTER TABLE operation ADD COLUMN vm_id TEXT',
      // Kinds that are about a VM without working on it have it in their input.
      `UPDATE operation SET vm_id = CASE object_type WHEN 'vm' THEN object_id ELSE input ->> '$.vmId' END`,
      'CREATE INDEX operation_by_vm ON operation(vm_id)',
    ],
  },
];

/** The tables of proofs.
 *  `proof`: how each ended, with its evidence as JSON. `proof_setting`: how points of a VM are proven. `proof_part`: when a part of a disk,
 *  named by its content, was last read as a whole from a repository. */

import type { ProofLevel, ProofReason, ProofVerdict } from '#contract/verification.ts';
import type { Migration } from '#platform/db/database.ts';

export interface ProofRow {
  id: string;
  vm_id: string;
  vm_name: string;
  project: string;
  point_id: string | null;
  repository: string | null;
  point_time: string | null;
  operation_id: string;
  started_at: string;
  finished_at: string;
  verdict: ProofVerdict;
  reason: ProofReason;
  level: ProofLevel | null;
  required_level: ProofLevel | null;
  accel: 'kvm' | 'tcg';
  /** Of the start that counted; null = it never showed a sign of life. */
  boot_seconds: number | null;
  recovery_seconds: number | null;
  evidence: string;
  evidence_digest: string;
}

export interface ProofTables {
  proof: ProofRow;
  proof_setting: { vm_id: string; settings: string };
  proof_part: { repository_id: string; part_id: string; read_at: string };
}

export const proofMigrations: readonly Migration[] = [
  {
    id: '001-proofs',
    statements: [
      `CREATE TABLE proof(id TEXT PRIMARY KEY, vm_id TEXT NOT NULL, vm_name TEXT NOT NULL, project TEXT NOT NULL, point_id TEXT, repository TEXT,
         point_time TEXT, operation_id TEXT NOT NULL UNIQUE, started_at TEXT NOT NULL, finished_at TEXT NOT NULL,
         verdict TEXT NOT NULL CHECK(verdict IN ('pass','fail','inconclusive')), reason TEXT NOT NULL, level INTEGER, required_level INTEGER,
         accel TEXT NOT NULL, boot_seconds REAL, recovery_seconds REAL, evidence TEXT NOT NULL, evidence_digest TEXT NOT NULL) STRICT`,
      'CREATE INDEX proof_vm ON proof(vm_id, id)',
      'CREATE TABLE proof_setting(vm_id TEXT PRIMARY KEY, settings TEXT NOT NULL) STRICT',
      `CREATE TABLE proof_part(repository_id TEXT NOT NULL, part_id TEXT NOT NULL, read_at TEXT NOT NULL,
         PRIMARY KEY(repository_id, part_id)) STRICT`,
    ],
  },
];

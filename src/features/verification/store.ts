/** What proofs remember. The database is asked for histories; what is asked often (the newest proofs of a VM) is small. */

import {
  DEFAULT_PROOF_SETTINGS,
  type Proof,
  type ProofSettings,
  type ProofSummary,
  type ProofVerdict,
  proofEvidenceSchema,
  proofSettingsSchema,
  reasonFacts,
} from '#contract/verification.ts';
import type { Database, Transaction } from '#platform/db/database.ts';
import type { ReadParts } from './check-data.ts';
import type { ProofRow, ProofTables } from './migrations.ts';

export interface ProofQuery {
  readonly vmId?: string;
  readonly verdict?: ProofVerdict;
  /** Ids are sorted by time: only older ones. */
  readonly before?: string;
  readonly limit: number;
  /** Only those of these projects and VMs; null = all. */
  readonly of: { readonly projects: readonly string[]; readonly vms: readonly string[] } | null;
}

export interface ProofStore {
  /** False = one of the same operation is there already; it stays. */
  add(tx: Transaction, row: ProofRow): Promise<boolean>;
  row(id: string): Promise<ProofRow | null>;
  ofOperation(operationId: string): Promise<ProofRow | null>;
  /** Newest first. */
  /** @returns a page, and how many there are on all */
  list(query: ProofQuery): Promise<{ readonly rows: readonly ProofRow[]; readonly total: number }>;
  /** The newest of each VM, and the newest that passed. */
  newest(): Promise<readonly ProofRow[]>;
  newestPassed(): Promise<readonly ProofRow[]>;
  /** By VM: proofs in a row, up to the newest, that were inconclusive. */
  inconclusiveInRow(): Promise<ReadonlyMap<string, number>>;
  /** How long good starts of a VM took, newest first. */
  goodSeconds(vmId: string, accel: 'kvm' | 'tcg', count: number): Promise<number[]>;
  /** But for the newest of each VM and the newest that passed. */
  olderThan(finishedBefore: string): Promise<readonly string[]>;
  remove(ids: readonly string[]): Promise<void>;
  settings(vmId: string): Promise<ProofSettings>;
  setSettings(vmId: string, settings: ProofSettings): Promise<void>;
  /** What was read of a repository since then. */
  readParts(repositoryId: string, since: Date): Promise<ReadParts>;
}

export function createProofStore(db: Database): ProofStore {
  const tables = () => db.tables<ProofTables>();
  const newestOf = async (isPassed: boolean) => {
    const newest = tables()
      .selectFrom('proof')
      .select((of) => of.fn.max('id').as('id'))
      .$if(isPassed, (query) => query.where('verdict', '=', 'pass'))
      .groupBy('vm_id');
    return tables().selectFrom('proof').selectAll().where('id', 'in', newest).execute();
  };

  return {
    async add(tx, row) {
      const there = await tx
        .tables<ProofTables>()
        .selectFrom('proof')
        .select('id')
        .where('operation_id', '=', row.operation_id)
        .executeTakeFirst();
      if (there !== undefined) return false;
      await tx.tables<ProofTables>().insertInto('proof').values(row).execute();
      return true;
    },
    row: async (id) => (await tables().selectFrom('proof').selectAll().where('id', '=', id).executeTakeFirst()) ?? null,
    ofOperation: async (operationId) =>
      (await tables().selectFrom('proof').selectAll().where('operation_id', '=', operationId).executeTakeFirst()) ??
      null,
    async list({ vmId, verdict, before, limit, of }) {
      let query = tables().selectFrom('proof');
      if (vmId !== undefined) query = query.where('vm_id', '=', vmId);
      if (verdict !== undefined) query = query.where('verdict', '=', verdict);
      if (of !== null)
        query = query.where((is) => is.or([is('project', 'in', of.projects), is('vm_id', 'in', of.vms)]));
      const page = before === undefined ? query : query.where('id', '<', before);
      const [rows, { total }] = await Promise.all([
        page.selectAll().orderBy('id', 'desc').limit(limit).execute(),
        query.select((all) => all.fn.countAll<number>().as('total')).executeTakeFirstOrThrow(),
      ]);
      return { rows, total };
    },
    newest: () => newestOf(false),
    newestPassed: () => newestOf(true),
    async inconclusiveInRow() {
      const rows = await tables()
        .selectFrom('proof')
        .select((of) => ['vm_id', of.fn.countAll<number>().as('count')])
        .where('verdict', '=', 'inconclusive')
        .where('reason', '!=', 'cancelled')
        .where(({ not, exists, selectFrom }) =>
          not(
            exists(
              selectFrom('proof as later')
                .select('later.id')
                .whereRef('later.vm_id', '=', 'proof.vm_id')
                .whereRef('later.id', '>', 'proof.id')
                .where('later.verdict', '!=', 'inconclusive'),
            ),
          ),
        )
        .groupBy('vm_id')
        .execute();
      return new Map(rows.map(({ vm_id, count }) => [vm_id, count]));
    },
    async goodSeconds(vmId, accel, count) {
      const rows = await tables()
        .selectFrom('proof')
        .select('boot_seconds')
        .where('vm_id', '=', vmId)
        .where('accel', '=', accel)
        .where('verdict', '=', 'pass')
        .where('boot_seconds', 'is not', null)
        .orderBy('id', 'desc')
        .limit(count)
        .execute();
      return rows.flatMap(({ boot_seconds }) => boot_seconds ?? []);
    },
    async olderThan(finishedBefore) {
      const kept = [...(await newestOf(false)), ...(await newestOf(true))].map(({ id }) => id);
      const rows = await tables()
        .selectFrom('proof')
        .select('id')
        .where('finished_at', '<', finishedBefore)
        .where('id', 'not in', kept)
        .execute();
      return rows.map(({ id }) => id);
    },
    async remove(ids) {
      for (const id of ids) await tables().deleteFrom('proof').where('id', '=', id).execute();
    },
    async settings(vmId) {
      const row = await tables().selectFrom('proof_setting').selectAll().where('vm_id', '=', vmId).executeTakeFirst();
      return row === undefined ? DEFAULT_PROOF_SETTINGS : proofSettingsSchema.parse(JSON.parse(row.settings));
    },
    async setSettings(vmId, settings) {
      const row = { vm_id: vmId, settings: JSON.stringify(settings) };
      await tables()
        .insertInto('proof_setting')
        .values(row)
        .onConflict((on) => on.column('vm_id').doUpdateSet({ settings: row.settings }))
        .execute();
    },
    async readParts(repositoryId, since) {
      const oldest = since.toISOString();
      await tables().deleteFrom('proof_part').where('read_at', '<', oldest).execute();
      const rows = await tables()
        .selectFrom('proof_part')
        .selectAll()
        .where('repository_id', '=', repositoryId)
        .execute();
      const known = new Map(rows.map(({ part_id, read_at }) => [part_id, new Date(read_at)]));
      return {
        readAt: (partId) => known.get(partId) ?? null,
        async wasRead(partId, at) {
          known.set(partId, at);
          const row = { repository_id: repositoryId, part_id: partId, read_at: at.toISOString() };
          await tables()
            .insertInto('proof_part')
            .values(row)
            .onConflict((on) => on.columns(['repository_id', 'part_id']).doUpdateSet({ read_at: row.read_at }))
            .execute();
        },
      };
    },
  };
}

export function summaryOf(row: ProofRow): ProofSummary {
  const { text, hint } = reasonFacts(row.reason);
  return {
    id: row.id,
    vmId: row.vm_id,
    vmName: row.vm_name,
    project: row.project,
    pointId: row.point_id,
    repository: row.repository,
    pointTime: row.point_time,
    operationId: row.operation_id,
    startedAt: row.started_at,
    finishedAt: row.finished_at,
    verdict: row.verdict,
    reason: row.reason,
    text,
    hint,
    level: row.level,
    requiredLevel: row.required_level,
    recoverySeconds: row.recovery_seconds,
    evidenceDigest: row.evidence_digest,
  };
}

export function proofOf(row: ProofRow): Proof {
  return { ...summaryOf(row), evidence: proofEvidenceSchema.parse(JSON.parse(row.evidence)) };
}

/** What is kept of health checks: the status of each and since when, what it wants to remember, and the changes. */

import type { CheckStatus } from '#contract/common.ts';
import type { HealthItem } from '#contract/health.ts';
import type { Database, Migration, Transaction } from '#platform/db/database.ts';

interface Tables {
  health_result: {
    id: string;
    status: CheckStatus;
    since: string;
    evidence: string;
    hint: string | null;
    items: string;
    memory: string | null;
    /** Told to people as this status; null = nothing was told. */
    told: 'warn' | 'fail' | null;
  };
  health_change: { seq?: number; id: string; at: string; status: CheckStatus; evidence: string };
}

export const healthCheckMigrations: readonly Migration[] = [
  {
    id: '001-results',
    statements: [
      `CREATE TABLE health_result(id TEXT PRIMARY KEY, status TEXT NOT NULL, since TEXT NOT NULL, evidence TEXT NOT NULL, hint TEXT,
       items TEXT NOT NULL, memory TEXT, told TEXT) STRICT`,
      'CREATE TABLE health_change(seq INTEGER PRIMARY KEY, id TEXT NOT NULL, at TEXT NOT NULL, status TEXT NOT NULL, evidence TEXT NOT NULL) STRICT',
      'CREATE INDEX health_change_by_check ON health_change(id, seq)',
    ],
  },
];

/** A status as it was when it began. */
export interface KeptResult {
  readonly id: string;
  readonly status: CheckStatus;
  readonly since: string;
  readonly evidence: string;
  readonly hint: string | null;
  readonly items: readonly HealthItem[];
  readonly memory: string | null;
  readonly told: 'warn' | 'fail' | null;
}

export interface StatusChange {
  readonly at: string;
  readonly status: CheckStatus;
  readonly evidence: string;
}

/** Changes kept of one check: of one that comes and goes each minute a few hours. */
const MOST_CHANGES = 500;

export interface HealthResultStore {
  all(): Promise<readonly KeptResult[]>;
  put(tx: Transaction, result: KeptResult): Promise<void>;
  /** Notes a change; the oldest of a check that changes all the time go. */
  note(tx: Transaction, id: string, change: StatusChange): Promise<void>;
  remove(tx: Transaction, id: string): Promise<void>;
  /** Newest first. */
  changes(id: string): Promise<readonly StatusChange[]>;
  forgetBefore(at: string): Promise<void>;
}

export function createHealthResultStore(db: Database): HealthResultStore {
  return {
    async all() {
      const rows = await db.tables<Tables>().selectFrom('health_result').selectAll().execute();
      return rows.map((row) => ({ ...row, items: JSON.parse(row.items) }));
    },
    async put(tx, { id, ...result }) {
      const row = { ...result, items: JSON.stringify(result.items) };
      await tx
        .tables<Tables>()
        .insertInto('health_result')
        .values({ id, ...row })
        .onConflict((conflict) => conflict.column('id').doUpdateSet(row))
        .execute();
    },
    async note(tx, id, change) {
      const tables = tx.tables<Tables>();
      await tables
        .insertInto('health_change')
        .values({ id, ...change })
        .execute();
      const oldest = await tables
        .selectFrom('health_change')
        .select('seq')
        .where('id', '=', id)
        .orderBy('seq', 'desc')
        .offset(MOST_CHANGES)
        .limit(1)
        .executeTakeFirst();
      if (oldest?.seq !== undefined)
        await tables.deleteFrom('health_change').where('id', '=', id).where('seq', '<=', oldest.seq).execute();
    },
    async remove(tx, id) {
      await tx.tables<Tables>().deleteFrom('health_result').where('id', '=', id).execute();
    },
    async changes(id) {
      return db
        .tables<Tables>()
        .selectFrom('health_change')
        .select(['at', 'status', 'evidence'])
        .where('id', '=', id)
        .orderBy('seq', 'desc')
        .limit(MOST_CHANGES)
        .execute();
    },
    async forgetBefore(at) {
      await db.tables<Tables>().deleteFrom('health_change').where('at', '<', at).execute();
    },
  };
}

/** The little that this slice keeps: the proof of the accelerator, and the row with which the database is probed. */

import type { Clock } from '#kernel/clock.ts';
import type { Database, Migration } from '#platform/db/database.ts';
import { type AccelProof, accelProofSchema } from './accel.ts';

interface HealthTables {
  health_memory: { key: string; value: string; at: string };
}

export const healthMigrations: readonly Migration[] = [
  {
    id: '001-memory',
    statements: ['CREATE TABLE health_memory(key TEXT PRIMARY KEY, value TEXT NOT NULL, at TEXT NOT NULL) STRICT'],
  },
];

const PROOF_KEY = 'accel_proof';
const PROBE_KEY = 'database_probe';

export interface HealthStore {
  /** Null when there is none, or one of an older shape. */
  readProof(): Promise<AccelProof | null>;
  writeProof(proof: AccelProof): Promise<void>;
  /** Writes a row durably and reads it back. @throws unavailable when the database cannot be written */
  probe(): Promise<{ readonly durationMs: number }>;
}

export function createHealthStore(db: Database, clock: Clock): HealthStore {
  const read = async (key: string): Promise<string | null> => {
    const row = await db
      .tables<HealthTables>()
      .selectFrom('health_memory')
      .select('value')
      .where('key', '=', key)
      .executeTakeFirst();
    return row?.value ?? null;
  };
  const write = (key: string, value: string): Promise<void> =>
    db.transaction(async (tx) => {
      const row = { value, at: clock.now().toISOString() };
      await tx
        .tables<HealthTables>()
        .insertInto('health_memory')
        .values({ key, ...row })
        .onConflict((conflict) => conflict.column('key').doUpdateSet(row))
        .execute();
    });

  return {
    async readProof() {
      const text = await read(PROOF_KEY);
      return text === null ? null : (accelProofSchema.safeParse(JSON.parse(text)).data ?? null);
    },
    writeProof: (proof) => write(PROOF_KEY, JSON.stringify(proof)),
    async probe() {
      const startedMs = clock.monotonicMs();
      const value = String(startedMs);
      await write(PROBE_KEY, value);
      if ((await read(PROBE_KEY)) !== value) throw new Error('the row read back is not the row written');
      return { durationMs: clock.monotonicMs() - startedMs };
    },
  };
}

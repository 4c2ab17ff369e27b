/** Compares the ledger with what exists and repairs it. What an open operation changes is left to that operation. */

import { sql } from 'kysely';
import type { QuotaResource } from '#contract/quota-facts.ts';
import type { Database, Transaction } from '#platform/db/database.ts';
import type { Holding, OwnedHolding, QuotaLedger, QuotaTables } from './ledger.ts';

/** Something that exists; amount null = not known now, so it stays as it is charged. */
export interface Existing extends Omit<OwnedHolding, 'amount'> {
  readonly amount: number | null;
}

/** Who knows what exists of some resources. */
export interface ExistingSource {
  readonly resources: readonly QuotaResource[];
  /** Everything, at once and without waiting; null = not known now. */
  list(): readonly Existing[] | null;
}

/** What the ledger said and what is so; objectId null = the sum of a project. */
export interface Difference {
  readonly project: string;
  readonly resource: QuotaResource;
  readonly objectId: string | null;
  readonly was: number;
  readonly is: number;
}

export interface Reconciled {
  /** What was charged wrongly and is right now. */
  readonly repaired: readonly Difference[];
  /** What was not charged yet: it came from outside. */
  readonly found: readonly Holding[];
}

export function reconcileQuotas(
  db: Database,
  ledger: QuotaLedger,
  sources: readonly ExistingSource[],
): Promise<Reconciled> {
  // In a transaction, because an operation's end is one too: what it made is seen, and its reservation is gone, or neither.
  return db.transaction(async (tx) => {
    const repaired: Difference[] = [];
    const found: OwnedHolding[] = [];
    const charges = new Map<string, OwnedHolding>();
    for (const charge of await ledger.holdings(tx)) charges.set(`${charge.resource} ${charge.objectId}`, charge);
    const changing = await objectsOfOpenOperations(tx);
    const wrong: OwnedHolding[] = [];
    const gone = new Set<string>();

    for (const source of sources) {
      const existing = source.list();
      if (existing === null) continue;
      const known = new Set<string>();
      for (const thing of existing) {
        const key = `${thing.resource} ${thing.objectId}`;
        known.add(key);
        const { amount, ...about } = thing;
        const charge = charges.get(key);
        if (amount === null || changing.has(thing.objectId)) continue;
        if (charge?.amount === amount && charge.project === thing.project) continue;
        if (charge) {
          repaired.push({ ...place(thing), was: charge.amount, is: amount });
          wrong.push({ ...about, amount });
        } else if (amount > 0) found.push({ ...about, amount });
      }
      for (const [key, charge] of charges) {
        if (known.has(key) || changing.has(charge.objectId) || !source.resources.includes(charge.resource)) continue;
        gone.add(charge.objectId);
        if (charge.amount === 0) continue;
        repaired.push({ ...place(charge), was: charge.amount, is: 0 });
        wrong.push({ ...charge, amount: 0 });
      }
    }
    for (const holding of [...wrong, ...found]) await ledger.correct(tx, holding.owner, [holding]);
    for (const objectId of gone) await ledger.forget(tx, objectId);
    return { repaired: [...repaired, ...(await repairSums(tx))], found };
  });
}

const place = ({ project, resource, objectId }: Holding | Existing) => ({ project, resource, objectId });

async function objectsOfOpenOperations(tx: Transaction): Promise<ReadonlySet<string>> {
  const rows = await tx.tables<QuotaTables>().selectFrom('reservation').select('object_id').execute();
  return new Set(rows.map((row) => row.object_id));
}

/** Makes `used` what charges and reservations add up to. */
async function repairSums(tx: Transaction): Promise<Difference[]> {
  const at = tx.tables<QuotaTables>();
  const { rows } = await sql<{ project_id: string; resource: QuotaResource; amount: number }>`
    SELECT project_id, resource, sum(amount) AS amount FROM (
      SELECT project_id, resource, amount FROM charge
      UNION ALL SELECT project_id, resource, held FROM reservation
      UNION ALL SELECT project_id, resource, 0 FROM quota)
    GROUP BY project_id, resource`.execute(at);
  const quotas = await at.selectFrom('quota').selectAll().execute();
  const differences: Difference[] = [];
  for (const { project_id, resource, amount } of rows) {
    const quota = quotas.find((row) => row.project_id === project_id && row.resource === resource);
    if ((quota?.used ?? 0) === amount) continue;
    differences.push({ project: project_id, resource, objectId: null, was: quota?.used ?? 0, is: amount });
    await at
      .insertInto('quota')
      .values({ project_id, resource, hard_limit: 0, used: amount })
      .onConflict((conflict) => conflict.columns(['project_id', 'resource']).doUpdateSet({ used: amount }))
      .execute();
  }
  return differences;
}

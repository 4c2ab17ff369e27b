/** The ledger of quotas. Everything is said as what an object will hold, never as a difference, so that saying it twice charges once.
 *  Growth is taken by one conditional UPDATE; what shrinks is given back only when the work is done. */

import { QUOTA_FACTS, type QuotaResource } from '#contract/quota-facts.ts';
import { AppError } from '#kernel/errors.ts';
import { formatBytes } from '#kernel/units.ts';
import type { Database, Transaction } from '#platform/db/database.ts';

/** What an object holds of a project's quota. */
export interface Holding {
  readonly project: string;
  readonly resource: QuotaResource;
  readonly objectId: string;
  readonly amount: number;
}

/** A holding with the user whose it is; null = nobody's, as a VM that was not made here. */
export interface OwnedHolding extends Holding {
  readonly owner: string | null;
}

export interface QuotaRow {
  readonly project_id: string;
  readonly resource: QuotaResource;
  /** Null = unlimited. No row = nothing is allowed. */
  readonly hard_limit: number | null;
  readonly used: number;
}

interface ChargeRow {
  readonly project_id: string;
  readonly resource: QuotaResource;
  readonly object_id: string;
  readonly amount: number;
  readonly owner: string | null;
}

interface ReservationRow {
  readonly operation_id: string;
  readonly project_id: string;
  readonly resource: QuotaResource;
  readonly object_id: string;
  /** What the object holds once the operation is done. */
  readonly target: number;
  /** What of the quota is kept until then; the first row of a project and resource has it for all of them. */
  readonly held: number;
  readonly owner: string | null;
}

export interface QuotaTables {
  quota: QuotaRow;
  charge: ChargeRow;
  reservation: ReservationRow;
}

export interface QuotaLedger {
  /** Keeps room for what the operation will have made; more may be said while it works, as the size of a download. Never gives back.
   *  @throws AppError quota_exceeded; nothing is changed then when the transaction is rolled back */
  reserve(
    tx: Transaction,
    by: { readonly operationId: string; readonly owner: string | null },
    holdings: readonly Holding[],
  ): Promise<void>;
  /** The operation is over: done = objects hold what was said, else as before. */
  settle(tx: Transaction, operationId: string, isDone: boolean): Promise<void>;
  /** For plans: changes nothing, promises nothing. @throws AppError quota_exceeded when there is no room for this now */
  requireRoom(holdings: readonly Holding[]): Promise<void>;
  /** For changes that are no operations. @throws AppError quota_exceeded */
  hold(tx: Transaction, owner: string | null, holdings: readonly Holding[]): Promise<void>;
  /** Charges what exists, whatever the limits say; for what came from outside. */
  correct(tx: Transaction, owner: string | null, holdings: readonly Holding[]): Promise<void>;
  /** Gives everything that the object holds to another project. @throws AppError quota_exceeded there; busy while an operation changes what it holds */
  move(tx: Transaction, objectId: string, toProject: string): Promise<void>;
  /** Forgets an object that holds nothing any more. */
  forget(tx: Transaction, objectId: string): Promise<void>;
  /** Told after each transaction what objects hold now. */
  onChange(listener: (holdings: readonly OwnedHolding[]) => void): void;
  setLimits(
    tx: Transaction,
    project: string,
    limits: Readonly<Partial<Record<QuotaResource, number | null | undefined>>>,
  ): Promise<void>;
  quotas(project: string): Promise<readonly QuotaRow[]>;
  holdings(tx?: Transaction): Promise<readonly OwnedHolding[]>;
}

/** Deltas of `used` by project and resource, written in one order by everybody. */
type Deltas = Map<string, { readonly project: string; readonly resource: QuotaResource; amount: number }>;

/** @param nameOf the name of a project, for messages */
export function createQuotaLedger(db: Database, nameOf: (projectId: string) => string): QuotaLedger {
  const listeners: ((holdings: readonly OwnedHolding[]) => void)[] = [];
  const at = (tx: Transaction | undefined) => (tx ?? db).tables<QuotaTables>();

  const chargesOf = (tx: Transaction | undefined, objectIds: readonly string[]) =>
    at(tx)
      .selectFrom('charge')
      .selectAll()
      .where('object_id', 'in', [...new Set(objectIds)])
      .execute();

  const rowOf = (tx: Transaction | undefined, project: string, resource: QuotaResource) =>
    at(tx)
      .selectFrom('quota')
      .selectAll()
      .where('project_id', '=', project)
      .where('resource', '=', resource)
      .executeTakeFirst();

  const shortage = (project: string, resource: QuotaResource, asked: number, row: QuotaRow | undefined): Shortage => ({
    project: nameOf(project),
    resource,
    limit: row?.hard_limit ?? 0,
    used: row?.used ?? 0,
    asked,
  });

  /** Takes so much of the quota. @returns what is missing, or null when it was taken */
  const take = async (
    tx: Transaction,
    project: string,
    resource: QuotaResource,
    amount: number,
  ): Promise<Shortage | null> => {
    const taken = await at(tx)
      .updateTable('quota')
      .set((is) => ({ used: is('used', '+', amount) }))
      .where('project_id', '=', project)
      .where('resource', '=', resource)
      .where((is) => is.or([is('hard_limit', 'is', null), is(is('used', '+', amount), '<=', is.ref('hard_limit'))]))
      .executeTakeFirst();
    if (taken.numUpdatedRows > 0n) return null;
    return shortage(project, resource, amount, await rowOf(tx, project, resource));
  };

  /** Never below zero: a ledger that is wrong must not keep an operation from ending. Reconciling finds it. */
  const addUsed = async (tx: Transaction, deltas: Deltas) => {
    for (const { project, resource, amount } of sorted([...deltas.values()])) {
      if (amount === 0) continue;
      const { numUpdatedRows } = await at(tx)
        .updateTable('quota')
        .set((is) => ({ used: is.fn<number>('max', [is.val(0), is('used', '+', amount)]) }))
        .where('project_id', '=', project)
        .where('resource', '=', resource)
        .executeTakeFirst();
      if (numUpdatedRows === 0n)
        await at(tx)
          .insertInto('quota')
          .values({ project_id: project, resource, hard_limit: 0, used: Math.max(0, amount) })
          .execute();
    }
  };

  /** Writes what objects hold now; `deltas` gets what that changes of `used`. */
  const write = async (tx: Transaction, holdings: readonly OwnedHolding[], deltas: Deltas) => {
    if (holdings.length === 0) return;
    const before = await chargesOf(
      tx,
      holdings.map(({ objectId }) => objectId),
    );
    const written: OwnedHolding[] = [];
    for (const holding of sorted(holdings)) {
      const { project, resource, objectId, amount } = holding;
      const old = before.find((row) => row.object_id === objectId && row.resource === resource);
      // Whose it is stays so, whoever changes it later.
      const owner = (old ?? before.find((row) => row.object_id === objectId) ?? holding).owner;
      if (old) add(deltas, old.project_id, resource, -old.amount);
      add(deltas, project, resource, amount);
      await at(tx)
        .insertInto('charge')
        .values({ project_id: project, resource, object_id: objectId, amount, owner })
        .onConflict((conflict) =>
          conflict.columns(['object_id', 'resource']).doUpdateSet({ project_id: project, amount }),
        )
        .execute();
      written.push({ ...holding, owner });
    }
    tx.afterCommit(() => {
      for (const listener of listeners) listener(written);
    });
  };

  /** What holdings need beyond what their objects hold already, by project and resource. */
  const growth = async (tx: Transaction | undefined, holdings: readonly Holding[]): Promise<Deltas> => {
    const deltas: Deltas = new Map();
    if (holdings.length === 0) return deltas;
    const charges = await chargesOf(
      tx,
      holdings.map(({ objectId }) => objectId),
    );
    for (const { project, resource, objectId, amount } of holdings) {
      const now = charges.find((row) => row.object_id === objectId && row.resource === resource);
      add(deltas, project, resource, amount - (now?.project_id === project ? now.amount : 0));
    }
    return deltas;
  };

  const ledger: QuotaLedger = {
    async reserve(tx, { operationId, owner }, holdings) {
      if (holdings.length === 0) return;
      const before = await at(tx)
        .selectFrom('reservation')
        .selectAll()
        .where('operation_id', '=', operationId)
        .execute();
      const said = new Map<string, Holding>();
      for (const { project_id: project, resource, object_id: objectId, target: amount } of before)
        said.set(`${resource} ${objectId}`, { project, resource, objectId, amount });
      for (const holding of holdings) said.set(`${holding.resource} ${holding.objectId}`, holding);
      const needs = await growth(tx, [...said.values()]);
      const holders = new Set<string>();
      const shortages: (Shortage | null)[] = [];
      for (const holding of sorted([...said.values()])) {
        const { project, resource, objectId, amount } = holding;
        const group = `${resource} ${project}`;
        const kept = before.find((row) => row.resource === resource && row.object_id === objectId);
        let held = 0;
        if (!holders.has(group)) {
          holders.add(group);
          const keptForAll = before
            .filter((row) => row.resource === resource && row.project_id === project)
            .reduce((sum, row) => sum + row.held, 0);
          held = Math.max(keptForAll, needs.get(group)?.amount ?? 0, 0);
          if (held > keptForAll) shortages.push(await take(tx, project, resource, held - keptForAll));
        }
        const values = { project_id: project, target: amount, held };
        await at(tx)
          .insertInto('reservation')
          .values({ operation_id: operationId, resource, object_id: objectId, owner: kept?.owner ?? owner, ...values })
          .onConflict((conflict) => conflict.columns(['operation_id', 'resource', 'object_id']).doUpdateSet(values))
          .execute();
      }
      refuse(shortages);
    },

    async requireRoom(holdings) {
      const shortages: Shortage[] = [];
      for (const { project, resource, amount } of sorted([...(await growth(undefined, holdings)).values()])) {
        if (amount <= 0) continue;
        const row = await rowOf(undefined, project, resource);
        const hasRoom = row && (row.hard_limit === null || row.used + amount <= row.hard_limit);
        if (!hasRoom) shortages.push(shortage(project, resource, amount, row));
      }
      refuse(shortages);
    },

    async settle(tx, operationId, isDone) {
      const rows = await at(tx)
        .deleteFrom('reservation')
        .where('operation_id', '=', operationId)
        .returningAll()
        .execute();
      if (rows.length === 0) return;
      const deltas: Deltas = new Map();
      for (const row of rows) add(deltas, row.project_id, row.resource, -row.held);
      if (isDone)
        await write(
          tx,
          rows.map((row) => ({
            project: row.project_id,
            resource: row.resource,
            objectId: row.object_id,
            amount: row.target,
            owner: row.owner,
          })),
          deltas,
        );
      await addUsed(tx, deltas);
    },

    async hold(tx, owner, holdings) {
      const deltas: Deltas = new Map();
      const shortages: (Shortage | null)[] = [];
      for (const { project, resource, amount } of sorted([...(await growth(tx, holdings)).values()])) {
        if (amount <= 0) continue;
        shortages.push(await take(tx, project, resource, amount));
        add(deltas, project, resource, -amount);
      }
      refuse(shortages);
      await write(
        tx,
        holdings.map((holding) => ({ ...holding, owner })),
        deltas,
      );
      await addUsed(tx, deltas);
    },

    async correct(tx, owner, holdings) {
      const deltas: Deltas = new Map();
      await write(
        tx,
        holdings.map((holding) => ({ ...holding, owner })),
        deltas,
      );
      await addUsed(tx, deltas);
    },

    async move(tx, objectId, toProject) {
      const open = await at(tx)
        .selectFrom('reservation')
        .select('operation_id')
        .where('object_id', '=', objectId)
        .executeTakeFirst();
      if (open)
        throw new AppError('busy', {
          detail: 'An operation that is not finished yet changes what it takes of the quota.',
          params: { operationId: open.operation_id },
        });
      const rows = await chargesOf(tx, [objectId]);
      const holdings = rows.map(({ resource, amount }) => ({ project: toProject, resource, objectId, amount }));
      await ledger.hold(tx, rows[0]?.owner ?? null, holdings);
    },

    async forget(tx, objectId) {
      await at(tx).deleteFrom('charge').where('object_id', '=', objectId).where('amount', '=', 0).execute();
    },

    onChange: (listener) => void listeners.push(listener),

    async setLimits(tx, project, limits) {
      const wanted = Object.entries(limits).filter((entry): entry is [QuotaResource, number | null] => {
        return entry[0] in QUOTA_FACTS && entry[1] !== undefined;
      });
      for (const [resource, limit] of wanted.sort(([a], [b]) => (a < b ? -1 : 1)))
        await at(tx)
          .insertInto('quota')
          .values({ project_id: project, resource, hard_limit: limit, used: 0 })
          .onConflict((conflict) => conflict.columns(['project_id', 'resource']).doUpdateSet({ hard_limit: limit }))
          .execute();
    },

    quotas: (project) => at(undefined).selectFrom('quota').selectAll().where('project_id', '=', project).execute(),

    async holdings(tx) {
      const rows = await at(tx).selectFrom('charge').selectAll().execute();
      return rows.map((row) => ({
        project: row.project_id,
        resource: row.resource,
        objectId: row.object_id,
        amount: row.amount,
        owner: row.owner,
      }));
    },
  };
  return ledger;
}

function add(deltas: Deltas, project: string, resource: QuotaResource, amount: number): void {
  const key = `${resource} ${project}`;
  const known = deltas.get(key);
  if (known) known.amount += amount;
  else deltas.set(key, { project, resource, amount });
}

/** The one order in which rows are taken, so that two writers never wait for each other. */
function sorted<Item extends { readonly resource: string; readonly project: string; readonly objectId?: string }>(
  items: readonly Item[],
): Item[] {
  const key = ({ resource, project, objectId }: Item) => `${resource} ${project} ${objectId ?? ''}`;
  return [...items].sort((a, b) => (key(a) < key(b) ? -1 : 1));
}

/** What a project has not enough of. */
interface Shortage {
  readonly project: string;
  readonly resource: QuotaResource;
  readonly limit: number;
  readonly used: number;
  readonly asked: number;
}

/** @throws AppError quota_exceeded naming everything that is missing; the transaction is rolled back by it */
function refuse(found: readonly (Shortage | null)[]): void {
  const shortages = found.filter((each) => each !== null);
  const [first] = shortages;
  if (first === undefined) return;
  const sentences = shortages.map(({ project, resource, limit, used, asked }) => {
    const { title, unit } = QUOTA_FACTS[resource];
    const text = (amount: number) => (unit === 'bytes' ? formatBytes(amount) : String(amount));
    if (limit === 0 && used === 0)
      return `${title} of the project "${project}": nothing is allowed; ${text(asked)} ${unit !== 'bytes' && asked === 1 ? 'was' : 'were'} asked for.`;
    return `${title} of the project "${project}": ${text(used)} of ${text(limit)} are used; ${text(asked)} more were asked for.`;
  });
  const options = shortages.map(
    ({ resource }) => `--${resource} ${QUOTA_FACTS[resource].unit === 'bytes' ? 'SIZE' : 'N'}`,
  );
  throw new AppError('quota_exceeded', {
    detail: sentences.join(' '),
    hint: `${
      shortages.every(({ limit, used }) => limit === 0 && used === 0)
        ? 'A project may have nothing until an administrator sets its limits'
        : 'Delete what is not needed any more, or have the limit raised'
    }: \`hv quota set ${first.project} ${options.join(' ')}\`.`,
    params: { ...first, shortages },
  });
}

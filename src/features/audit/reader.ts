/** Reads the chain: pages for people, slices for exports, mirrors and checks. Nothing here holds the thread for long, however many records
 *  there are: a search that finds little stops after a while and says where to go on. */

import { sql } from 'kysely';
import type { AuditRecord } from '#contract/audit.ts';
import type { ChainStatement } from '#contract/audit-chain.ts';
import type { Clock } from '#kernel/clock.ts';
import type { Database } from '#platform/db/database.ts';
import { viewOfBody } from './body.ts';
import type { AuditTables } from './migrations.ts';

export interface AuditFilter {
  readonly actor?: string | undefined;
  readonly action?: string | undefined;
  readonly objectId?: string | undefined;
  readonly project?: string | undefined;
  readonly outcome?: NonNullable<AuditRecord['outcome']> | undefined;
  readonly since?: string | undefined;
  readonly until?: string | undefined;
  readonly text?: string | undefined;
}

export interface AuditQuery extends AuditFilter {
  readonly limit: number;
  readonly cursor?: string | undefined;
}

export interface StoredRecord {
  readonly seq: number;
  readonly body: string;
  readonly hash: string;
}

export interface AuditPage {
  readonly items: AuditRecord[];
  readonly next: string | null;
  readonly total: number | null;
}

export interface Reader {
  page(query: AuditQuery): Promise<AuditPage>;
  /** Up to `limit` records after this one, in order. */
  after(seq: number, limit: number): Promise<StoredRecord[]>;
  /** Records that fit, oldest first, in slices; every slice gives the thread free. */
  slices(filter: AuditFilter): AsyncGenerator<StoredRecord[]>;
  byRef(ref: string): Promise<StoredRecord | null>;
  at(seq: number): Promise<StoredRecord | null>;
  bounds(): Promise<{ readonly first: number; readonly last: number }>;
  stub(): Promise<ChainStatement | null>;
  /** Signed checkpoints of records from `from` to `to`, in order. */
  checkpoints(from: number, to: number): Promise<(ChainStatement & { readonly seq: number })[]>;
  newestCheckpoint(): Promise<(ChainStatement & { readonly seq: number }) | null>;
}

/** Records that one step looks at. */
const SLICE = 5000;
/** Records of one step of an export: a request beside it waits a few milliseconds only. */
const EXPORT_SLICE = 500;
/** How long one request may look before it answers with what it has. */
const BUDGET_MS = 700;

const breathe = () => new Promise<void>((resolve) => setImmediate(resolve));

export function createReader(db: Database, clock: Clock): Reader {
  const tables = () => db.tables<AuditTables>();

  const bounds = async () => {
    const [oldest, newest] = await Promise.all([
      tables().selectFrom('audit').select('seq').orderBy('seq').limit(1).executeTakeFirst(),
      tables().selectFrom('audit').select('seq').orderBy('seq', 'desc').limit(1).executeTakeFirst(),
    ]);
    return { first: oldest?.seq ?? 1, last: newest?.seq ?? 0 };
  };

  /** Where records of these times lie; the date may have leapt, so what lies between is looked at all the same. */
  const within = async ({ since, until }: AuditFilter): Promise<{ first: number; last: number }> => {
    const whole = await bounds();
    if (since === undefined && until === undefined) return whole;
    let rows = tables()
      .selectFrom('audit')
      .select((eb) => [eb.fn.min<number | null>('seq').as('first'), eb.fn.max<number | null>('seq').as('last')]);
    if (since !== undefined) rows = rows.where('at', '>=', since);
    if (until !== undefined) rows = rows.where('at', '<=', until);
    const { first, last } = await rows.executeTakeFirstOrThrow();
    return first === null || last === null ? { first: 1, last: 0 } : { first, last };
  };

  const fitting = (filter: AuditFilter) => {
    let rows = tables().selectFrom('audit').select(['seq', 'body', 'hash']);
    const { actor, action, objectId, project, outcome, since, until, text } = filter;
    if (actor !== undefined) rows = rows.where(actor.startsWith('usr-') ? 'actor_id' : 'actor', '=', actor);
    if (action !== undefined) rows = rows.where('action', '=', action);
    if (objectId !== undefined) rows = rows.where('object_id', '=', objectId);
    if (project !== undefined) rows = rows.where('project', '=', project);
    if (outcome !== undefined) rows = rows.where('outcome', '=', outcome);
    // The plus keeps SQLite from walking the index of times, which is not in the order of the chain.
    if (since !== undefined) rows = rows.where(sql<boolean>`+at >= ${since}`);
    if (until !== undefined) rows = rows.where(sql<boolean>`+at <= ${until}`);
    if (text !== undefined && text !== '')
      rows = rows.where(sql<boolean>`instr(lower(body), ${text.toLowerCase()}) > 0`);
    return rows;
  };

  const isFree = (filter: AuditFilter) =>
    [filter.actor, filter.action, filter.objectId, filter.project, filter.outcome, filter.since, filter.until].every(
      (value) => value === undefined,
    ) && (filter.text ?? '') === '';

  /** A filter that an index answers alone needs no slices: the index is in the order of the chain. */
  const isIndexed = ({ actor, action, objectId, project, outcome, text }: AuditFilter) =>
    (text ?? '') === '' &&
    [actor, action, objectId, project, outcome].filter((value) => value !== undefined).length === 1;

  return {
    bounds,
    async page(query) {
      const { limit, cursor, ...filter } = query;
      const { first, last } = await within(filter);
      const before = Number.parseInt(cursor ?? '', 10);
      let upper = Number.isSafeInteger(before) ? Math.min(before - 1, last) : last;
      const found: StoredRecord[] = [];
      const endMs = clock.monotonicMs() + BUDGET_MS;
      const step = isFree(filter) || isIndexed(filter) ? Number.MAX_SAFE_INTEGER : SLICE;
      while (upper >= first && found.length < limit) {
        const lower = Math.max(first, upper - step + 1);
        found.push(
          ...(await fitting(filter)
            .where('seq', '>=', lower)
            .where('seq', '<=', upper)
            .orderBy('seq', 'desc')
            .limit(limit - found.length)
            .execute()),
        );
        const lowest = found.at(-1)?.seq;
        upper = found.length >= limit && lowest !== undefined ? lowest - 1 : lower - 1;
        if (clock.monotonicMs() > endMs) break;
        await breathe();
      }
      const isEnd = upper < first;
      return {
        items: found.map(({ seq, body, hash }) => viewOfBody(seq, body, hash)),
        next: isEnd ? null : String(upper + 1),
        total: isFree(filter) ? Math.max(0, last - first + 1) : isEnd && cursor === undefined ? found.length : null,
      };
    },
    after: (seq, limit) =>
      tables()
        .selectFrom('audit')
        .select(['seq', 'body', 'hash'])
        .where('seq', '>', seq)
        .orderBy('seq')
        .limit(limit)
        .execute(),
    async *slices(filter) {
      const { first, last } = await within(filter);
      for (let lower = first; lower <= last; lower += EXPORT_SLICE) {
        const rows = await fitting(filter)
          .where('seq', '>=', lower)
          .where('seq', '<=', Math.min(last, lower + EXPORT_SLICE - 1))
          .orderBy('seq')
          .execute();
        yield rows;
        await breathe();
      }
    },
    async byRef(ref) {
      const seq = /^\d{1,15}$/.test(ref) ? Number(ref) : null;
      if (seq !== null)
        return (
          (await tables()
            .selectFrom('audit')
            .select(['seq', 'body', 'hash'])
            .where('seq', '=', seq)
            .executeTakeFirst()) ?? null
        );
      const row = await tables()
        .selectFrom('audit')
        .select(['seq', 'body', 'hash'])
        .where('id', '=', ref)
        .executeTakeFirst();
      return row ?? null;
    },
    at: async (seq) =>
      (await tables().selectFrom('audit').select(['seq', 'body', 'hash']).where('seq', '=', seq).executeTakeFirst()) ??
      null,
    async stub() {
      const row = await tables().selectFrom('audit_stub').selectAll().executeTakeFirst();
      return row ? { kind: 'stub', body: row.body, signature: row.signature } : null;
    },
    async checkpoints(from, to) {
      const rows = await tables()
        .selectFrom('audit_checkpoint')
        .selectAll()
        .where('seq', '>=', from)
        .where('seq', '<=', to)
        .orderBy('seq')
        .limit(10_000)
        .execute();
      return rows.map((row) => ({ ...row, kind: 'checkpoint' as const }));
    },
    async newestCheckpoint() {
      const row = await tables()
        .selectFrom('audit_checkpoint')
        .selectAll()
        .orderBy('seq', 'desc')
        .limit(1)
        .executeTakeFirst();
      return row ? { ...row, kind: 'checkpoint' as const } : null;
    },
  };
}

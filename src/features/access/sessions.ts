/** One-time links and sessions. Secrets are 256 random bits; only their SHA-256 is stored, so a copy of the database opens nothing. */

import { createHash } from 'node:crypto';
import type { RoleName } from '#contract/permissions.ts';
import type { Session } from '#contract/system.ts';
import type { Clock } from '#kernel/clock.ts';
import { AppError } from '#kernel/errors.ts';
import { newId, newSecret } from '#kernel/ids.ts';
import type { Logger } from '#kernel/logger.ts';
import type { Database, Migration } from '#platform/db/database.ts';
import type { Decide, Identity } from '#platform/feature.ts';

const LINK_MS = 5 * 60_000;
const IDLE_MS = 2 * 3_600_000;
const ABSOLUTE_MS = 12 * 3_600_000;
/** `last_seen_at` is written this often at most. */
const SEEN_WRITE_MS = 60_000;
const SWEEP_MS = 5000;

interface SessionRow {
  id: string;
  secret_hash: string;
  user: string;
  role: RoleName;
  created_at: string;
  last_seen_at: string;
  expires_at: string;
  address: string;
  user_agent: string;
}

interface AccessTables {
  session: SessionRow;
  sign_in_link: { hash: string; role: RoleName; expires_at: string; used: number };
}

export const accessMigrations: readonly Migration[] = [
  {
    id: '001-sessions',
    statements: [
      `CREATE TABLE session(
         id TEXT PRIMARY KEY, secret_hash TEXT NOT NULL UNIQUE, user TEXT NOT NULL, role TEXT NOT NULL CHECK(role IN ('admin','operator')),
         created_at TEXT NOT NULL, last_seen_at TEXT NOT NULL, expires_at TEXT NOT NULL, address TEXT NOT NULL, user_agent TEXT NOT NULL) STRICT`,
      `CREATE TABLE sign_in_link(
         hash TEXT PRIMARY KEY, role TEXT NOT NULL CHECK(role IN ('admin','operator')), expires_at TEXT NOT NULL, used INTEGER NOT NULL DEFAULT 0) STRICT`,
    ],
  },
];

export interface Sessions {
  /** A link's secret, valid for 5 minutes and one use. */
  createLink(role: RoleName): Promise<{ token: string; expiresAt: string }>;
  /** Spends a link. Of any number of parallel tries exactly one succeeds. @throws link_refused */
  redeem(
    token: string,
    from: { address: string; userAgent: string },
  ): Promise<{ secret: string; identity: Identity; expiresAt: string }>;
  /** The identity behind a session secret, or null when it is unknown, idle for too long, expired or revoked. */
  authenticate(secret: string, address: string): Identity | null;
  list(currentId: string | null): Session[];
  find(id: string): { id: string; name: string } | null;
  /** Ends a session; its streams and consoles end with it. */
  end(id: string): Promise<void>;
  /** Hears of each session that ends, by revocation or by age. Returns the function that stops listening. */
  onSessionEnded(listener: (sessionId: string) => void): () => void;
  load(signal: AbortSignal): Promise<void>;
  stop(): Promise<void>;
}

export interface AccessApi extends Sessions {
  readonly decide: Decide;
}

const hashOf = (secret: string): string => createHash('sha256').update(secret).digest('hex');

export function createSessions({ db, clock, log }: { db: Database; clock: Clock; log: Logger }): Sessions {
  const byHash = new Map<string, SessionRow & { seenMs: number; seenWrittenMs: number; startedMs: number }>();
  /** When links were made, by the clock that never goes back; those of an earlier life of the daemon count from its start. */
  const linksMadeMs = new Map<string, number>();
  const listeners = new Set<{ run: (sessionId: string) => void }>();
  const stopping = new AbortController();
  let sweeping: Promise<void> = Promise.resolve();
  const tables = () => db.tables<AccessTables>();

  const isOver = (row: { seenMs: number; startedMs: number; expires_at: string }): boolean => {
    const nowMs = clock.monotonicMs();
    // By the monotonic clock, which no one can set back. The wall clock is the second fence, for the time that a machine sleeps:
    // set ahead by half a day, it ends sessions too.
    return (
      nowMs - row.seenMs > IDLE_MS || nowMs - row.startedMs > ABSOLUTE_MS || row.expires_at <= clock.now().toISOString()
    );
  };

  const forget = async (row: SessionRow): Promise<void> => {
    byHash.delete(row.secret_hash);
    for (const listener of [...listeners]) listener.run(row.id);
    await tables().deleteFrom('session').where('id', '=', row.id).execute();
  };

  const identityOf = (row: SessionRow, address: string): Identity => ({
    user: row.user,
    role: row.role,
    via: 'session',
    sessionId: row.id,
    address,
  });

  const sweep = async () => {
    for (const row of [...byHash.values()]) {
      if (!isOver(row)) continue;
      try {
        await forget(row);
      } catch (error) {
        // It is over for everybody all the same; the next start removes what is left of it.
        log.warn({ session: row.id, err: error }, 'a session that is over could not be removed from the database');
      }
    }
  };

  const keepSweeping = async (signal: AbortSignal) => {
    while (!signal.aborted) {
      // The abort ends the sleep; that is the expected way out.
      await clock.sleep(SWEEP_MS, signal).catch(() => undefined);
      if (!signal.aborted) await sweep();
    }
  };

  return {
    async createLink(role) {
      const token = newSecret();
      const expiresAt = new Date(clock.now().getTime() + LINK_MS).toISOString();
      const nowMs = clock.monotonicMs();
      for (const [hash, madeMs] of linksMadeMs) if (nowMs - madeMs > LINK_MS) linksMadeMs.delete(hash);
      linksMadeMs.set(hashOf(token), nowMs);
      await db.transaction(async (tx) => {
        await tx
          .tables<AccessTables>()
          .deleteFrom('sign_in_link')
          .where('expires_at', '<', clock.now().toISOString())
          .execute();
        await tx
          .tables<AccessTables>()
          .insertInto('sign_in_link')
          .values({ hash: hashOf(token), role, expires_at: expiresAt, used: 0 })
          .execute();
      });
      return { token, expiresAt };
    },

    async redeem(token, from) {
      const now = clock.now();
      const secret = newSecret();
      // A clock that goes back makes no old link young.
      const madeMs = linksMadeMs.get(hashOf(token));
      if (madeMs === undefined || clock.monotonicMs() - madeMs > LINK_MS) throw new AppError('link_refused');
      const row = await db.transaction(async (tx) => {
        const link = await tx
          .tables<AccessTables>()
          .updateTable('sign_in_link')
          .set({ used: 1 })
          .where('hash', '=', hashOf(token))
          .where('used', '=', 0)
          .where('expires_at', '>', now.toISOString())
          .returning('role')
          .executeTakeFirst();
        if (!link) throw new AppError('link_refused');
        const session: SessionRow = {
          id: newId('ses', now.getTime()),
          secret_hash: hashOf(secret),
          user: link.role,
          role: link.role,
          created_at: now.toISOString(),
          last_seen_at: now.toISOString(),
          expires_at: new Date(now.getTime() + ABSOLUTE_MS).toISOString(),
          address: from.address,
          user_agent: from.userAgent.slice(0, 300),
        };
        await tx.tables<AccessTables>().insertInto('session').values(session).execute();
        return session;
      });
      const nowMs = clock.monotonicMs();
      byHash.set(row.secret_hash, { ...row, seenMs: nowMs, seenWrittenMs: nowMs, startedMs: nowMs });
      return { secret, identity: identityOf(row, from.address), expiresAt: row.expires_at };
    },

    authenticate(secret, address) {
      const row = byHash.get(hashOf(secret));
      if (!row || isOver(row)) return null;
      row.seenMs = clock.monotonicMs();
      if (row.seenMs - row.seenWrittenMs > SEEN_WRITE_MS) {
        row.seenWrittenMs = row.seenMs;
        row.last_seen_at = clock.now().toISOString();
        // Only the list shows it, so a write that fails costs nothing; the next one comes in a minute.
        void tables()
          .updateTable('session')
          .set({ last_seen_at: row.last_seen_at })
          .where('id', '=', row.id)
          .execute()
          .catch(() => undefined);
      }
      return identityOf(row, address);
    },

    list: (currentId) =>
      [...byHash.values()].map((row) => ({
        id: row.id,
        user: row.user,
        role: row.role,
        state: 'active' as const,
        createdAt: row.created_at,
        lastSeenAt: row.last_seen_at,
        expiresAt: row.expires_at,
        address: row.address,
        userAgent: row.user_agent,
        isCurrent: row.id === currentId,
      })),

    find(id) {
      const row = [...byHash.values()].find((session) => session.id === id);
      return row ? { id: row.id, name: row.user } : null;
    },

    async end(id) {
      const row = [...byHash.values()].find((session) => session.id === id);
      if (!row) throw new AppError('not_found', { detail: `There is no session ${id}.` });
      // From the file first: one that is told as ended must not come back with the next start.
      await tables().deleteFrom('session').where('id', '=', row.id).execute();
      await forget(row);
    },

    onSessionEnded(run) {
      const entry = { run };
      listeners.add(entry);
      return () => listeners.delete(entry);
    },

    async load(signal) {
      for (const { hash } of await tables().selectFrom('sign_in_link').select('hash').execute())
        linksMadeMs.set(hash, clock.monotonicMs());
      const now = clock.now().getTime();
      for (const row of await tables().selectFrom('session').selectAll().execute()) {
        const nowMs = clock.monotonicMs();
        byHash.set(row.secret_hash, {
          ...row,
          seenMs: nowMs - Math.max(0, now - Date.parse(row.last_seen_at)),
          seenWrittenMs: nowMs,
          startedMs: nowMs - Math.max(0, now - Date.parse(row.created_at)),
        });
      }
      await sweep();
      sweeping = keepSweeping(AbortSignal.any([signal, stopping.signal]));
    },

    async stop() {
      stopping.abort();
      await sweeping;
    },
  };
}

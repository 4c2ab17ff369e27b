/** Sessions, however one signed in, and one-time links. Secrets are 256 random bits; only their SHA-256 is stored, so a copy of the database opens nothing. */

import { createHash } from 'node:crypto';
import type { Session, SignInMethod } from '#contract/access.ts';
import { nap } from '#kernel/async.ts';
import type { Clock } from '#kernel/clock.ts';
import { AppError } from '#kernel/errors.ts';
import { newId, newSecret } from '#kernel/ids.ts';
import type { Logger } from '#kernel/logger.ts';
import type { Database, Migration, Transaction } from '#platform/db/database.ts';
import type { Identity } from '#platform/feature.ts';
import type { Directory } from './directory.ts';
import type { RightsSource } from './rights.ts';

const LINK_MS = 5 * 60_000;
const MINUTE_MS = 60_000;
/** Minutes after which an unused session ends, and the same for users who can only look. */
const IDLE_MINUTES = 15;
const READ_ONLY_IDLE_MINUTES = 480;
const ABSOLUTE_MS = 12 * 3_600_000;
/** More than a person with many machines and scripts needs; each costs memory, and one that nobody looks for is a door. */
export const MAX_SESSIONS_OF_USER = 64;
/** `last_seen_at` is written this often at most. */
const SEEN_WRITE_MS = 60_000;
const SWEEP_MS = 5000;
/** How long a replaced secret is good for what was on its way. */
const REPLACED_MS = 10_000;

interface SessionRow {
  id: string;
  secret_hash: string;
  user_id: string;
  method: SignInMethod;
  created_at: string;
  last_seen_at: string;
  expires_at: string;
  address: string;
  user_agent: string;
}

interface LiveSession extends SessionRow {
  seenMs: number;
  seenWrittenMs: number;
  startedMs: number;
  /** What its user held when the secret was made. */
  rights: string;
  mustRenew: boolean;
  /** When its secret was last replaced; null while the new one was seen. */
  unseenSinceMs: number | null;
}

interface AccessTables {
  session: SessionRow;
  sign_in_link: { hash: string; user_id: string; expires_at: string; used: number };
}

export const sessionMigration: Migration = {
  id: '001-sessions',
  statements: [
    `CREATE TABLE session(
         id TEXT PRIMARY KEY, secret_hash TEXT NOT NULL UNIQUE, user TEXT NOT NULL, role TEXT NOT NULL CHECK(role IN ('admin','operator')),
         created_at TEXT NOT NULL, last_seen_at TEXT NOT NULL, expires_at TEXT NOT NULL, address TEXT NOT NULL, user_agent TEXT NOT NULL) STRICT`,
    `CREATE TABLE sign_in_link(
         hash TEXT PRIMARY KEY, role TEXT NOT NULL CHECK(role IN ('admin','operator')), expires_at TEXT NOT NULL, used INTEGER NOT NULL DEFAULT 0) STRICT`,
  ],
};

/** Where a sign-in comes from. */
export interface SignInOrigin {
  readonly address: string;
  readonly userAgent: string;
}

export interface NewSession {
  readonly secret: string;
  readonly identity: Identity;
  readonly expiresAt: string;
}

export interface Sessions {
  /** A link's secret, valid for 5 minutes and one use. */
  createLink(userId: string): Promise<{ token: string; expiresAt: string }>;
  /** Spends a link. Of any number of parallel tries exactly one succeeds. @throws link_refused, too_many_sessions */
  redeem(token: string, from: SignInOrigin): Promise<NewSession>;
  /** A session for a user who has proven who he is.
   *  @param spend runs in the same transaction: what the proof used up must be gone when the session exists
   *  @throws sign_in_refused for a disabled or unknown user; too_many_sessions, and then nothing is spent */
  begin(
    who: { readonly userId: string; readonly method: SignInMethod },
    from: SignInOrigin,
    spend?: (tx: Transaction) => Promise<void>,
  ): Promise<NewSession>;
  /** Gives a session a new secret: once its owner proved himself again or holds other rights, a copied old one is worth nothing.
   *  Requests that are on their way with the old one are answered for a few seconds. */
  renew(sessionId: string): Promise<{ secret: string; expiresAt: string }>;
  /** Whether the user's rights changed since the session's secret was made. */
  mustRenew(sessionId: string): boolean;
  /** To be called after each change of access. */
  rightsChanged(): void;
  /** The identity behind a session secret, or null when it is unknown, idle for too long, expired or revoked. */
  authenticate(secret: string, address: string): Identity | null;
  list(currentId: string | null): Session[];
  find(id: string): { readonly id: string; readonly userId: string; readonly user: string } | null;
  /** How long ago its owner signed in; null for a session that is over. */
  ageMs(id: string): number | null;
  /** Ends a session; its streams and consoles end with it. */
  end(id: string): Promise<void>;
  endAllOf(userId: string): Promise<void>;
  /** Hears of each session that ends, by revocation or by age. Returns the function that stops listening. */
  onSessionEnded(listener: (sessionId: string) => void): () => void;
  load(signal: AbortSignal): Promise<void>;
  stop(): Promise<void>;
}

const hashOf = (secret: string): string => createHash('sha256').update(secret).digest('hex');

interface Dependencies {
  readonly db: Database;
  readonly clock: Clock;
  readonly log: Logger;
  readonly directory: Pick<Directory, 'snapshot' | 'signedIn'>;
  readonly rights: Pick<RightsSource, 'isReadOnly' | 'signature'>;
}

export function createSessions({ db, clock, log, directory, rights }: Dependencies): Sessions {
  const byHash = new Map<string, LiveSession>();
  /** Secrets that were replaced, for requests that were on their way with them. The new one may have got lost on its way, so the old
   *  one is good until somebody came with the new one (null), and a few seconds more. */
  const replaced = new Map<string, { readonly row: LiveSession; untilMs: number | null }>();
  /** When links were made, by the clock that never goes back; those of an earlier life of the daemon count from its start. */
  const linksMadeMs = new Map<string, number>();
  const listeners = new Set<{ run: (sessionId: string) => void }>();
  const stopping = new AbortController();
  let sweeping: Promise<void> = Promise.resolve();
  const tables = () => db.tables<AccessTables>();

  const activeUser = (userId: string) => {
    const user = directory.snapshot().users.get(userId);
    return user && !user.isDisabled ? user : null;
  };

  const idleMinutes = (userId: string): number =>
    activeUser(userId)?.idleMinutes ?? (rights.isReadOnly(userId) ? READ_ONLY_IDLE_MINUTES : IDLE_MINUTES);

  const isOver = (row: { user_id: string; seenMs: number; startedMs: number; expires_at: string }): boolean => {
    const nowMs = clock.monotonicMs();
    // By the monotonic clock, which no one can set back. The wall clock is the second fence, for the time that a machine sleeps:
    // set ahead by half a day, it ends sessions too.
    return (
      activeUser(row.user_id) === null ||
      nowMs - row.seenMs > idleMinutes(row.user_id) * MINUTE_MS ||
      nowMs - row.startedMs > ABSOLUTE_MS ||
      row.expires_at <= clock.now().toISOString()
    );
  };

  const forget = async (row: SessionRow): Promise<void> => {
    byHash.delete(row.secret_hash);
    for (const listener of [...listeners]) listener.run(row.id);
    await tables().deleteFrom('session').where('id', '=', row.id).execute();
  };

  const identityOf = (row: SessionRow, address: string): Identity => ({
    userId: row.user_id,
    user: activeUser(row.user_id)?.name ?? row.user_id,
    via: 'session',
    method: row.method,
    sessionId: row.id,
    tokenId: null,
    address,
  });

  const insertSession = async (
    tx: Transaction,
    { userId, method }: { readonly userId: string; readonly method: SignInMethod },
    from: SignInOrigin,
    secret: string,
  ): Promise<SessionRow> => {
    const now = clock.now();
    const { count } = await tx
      .tables<AccessTables>()
      .selectFrom('session')
      .select((eb) => eb.fn.countAll<number>().as('count'))
      .where('user_id', '=', userId)
      .executeTakeFirstOrThrow();
    if (count >= MAX_SESSIONS_OF_USER) throw new AppError('too_many_sessions');
    const row: SessionRow = {
      id: newId('ses', now.getTime()),
      secret_hash: hashOf(secret),
      user_id: userId,
      method,
      created_at: now.toISOString(),
      last_seen_at: now.toISOString(),
      expires_at: new Date(now.getTime() + ABSOLUTE_MS).toISOString(),
      address: from.address,
      user_agent: from.userAgent.slice(0, 300),
    };
    await tx.tables<AccessTables>().insertInto('session').values(row).execute();
    await directory.signedIn(tx, userId, row.created_at);
    return row;
  };

  const admit = (row: SessionRow, secret: string, address: string): NewSession => {
    const nowMs = clock.monotonicMs();
    byHash.set(row.secret_hash, {
      ...row,
      seenMs: nowMs,
      seenWrittenMs: nowMs,
      startedMs: nowMs,
      rights: rights.signature(row.user_id),
      mustRenew: false,
      unseenSinceMs: null,
    });
    return { secret, identity: identityOf(row, address), expiresAt: row.expires_at };
  };

  const byId = (id: string) => [...byHash.values()].find((row) => row.id === id);

  const sweep = async () => {
    for (const [hash, { row, untilMs }] of replaced)
      if (byHash.get(row.secret_hash) !== row || (untilMs !== null && untilMs <= clock.monotonicMs()))
        replaced.delete(hash);
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
      await nap(clock, SWEEP_MS, signal);
      if (!signal.aborted) await sweep();
    }
  };

  return {
    async createLink(userId) {
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
          .values({ hash: hashOf(token), user_id: userId, expires_at: expiresAt, used: 0 })
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
          .returning('user_id')
          .executeTakeFirst();
        if (!link || activeUser(link.user_id) === null) throw new AppError('link_refused');
        return insertSession(tx, { userId: link.user_id, method: 'link' }, from, secret);
      });
      return admit(row, secret, from.address);
    },

    async begin(who, from, spend) {
      if (activeUser(who.userId) === null) throw new AppError('sign_in_refused');
      const secret = newSecret();
      const row = await db.transaction(async (tx) => {
        await spend?.(tx);
        return insertSession(tx, who, from, secret);
      });
      return admit(row, secret, from.address);
    },

    async renew(id) {
      const row = byId(id);
      if (!row || isOver(row)) throw new AppError('not_signed_in');
      const secret = newSecret();
      const before = row.secret_hash;
      // Only one of the requests that come together brings a new secret.
      row.mustRenew = false;
      const { numUpdatedRows } = await tables()
        .updateTable('session')
        .set({ secret_hash: hashOf(secret) })
        .where('id', '=', id)
        .where('secret_hash', '=', before)
        .executeTakeFirst();
      // It was ended, or renewed by another request, meanwhile.
      if (numUpdatedRows !== 1n || byHash.get(before) !== row) throw new AppError('not_signed_in');
      byHash.delete(before);
      replaced.set(before, { row, untilMs: null });
      row.secret_hash = hashOf(secret);
      row.unseenSinceMs = clock.monotonicMs();
      byHash.set(row.secret_hash, row);
      return { secret, expiresAt: row.expires_at };
    },

    mustRenew: (id) => byId(id)?.mustRenew === true,

    rightsChanged() {
      for (const row of byHash.values()) {
        const now = rights.signature(row.user_id);
        if (now !== row.rights) row.mustRenew = true;
        row.rights = now;
      }
    },

    authenticate(secret, address) {
      const hash = hashOf(secret);
      const old = replaced.get(hash);
      const nowMs = clock.monotonicMs();
      const isOldGood = old !== undefined && (old.untilMs === null || old.untilMs > nowMs);
      const row = byHash.get(hash) ?? (isOldGood ? old.row : undefined);
      // A replaced secret does not outlive its session.
      if (!row || byHash.get(row.secret_hash) !== row || isOver(row)) return null;
      if (row.unseenSinceMs !== null && row.secret_hash === hash) {
        row.unseenSinceMs = null;
        for (const entry of replaced.values()) if (entry.row === row) entry.untilMs ??= nowMs + REPLACED_MS;
      } else if (row.unseenSinceMs !== null && nowMs - row.unseenSinceMs > REPLACED_MS) {
        // The new one got lost: another is due.
        row.mustRenew = true;
      }
      row.seenMs = nowMs;
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
        user: activeUser(row.user_id)?.name ?? row.user_id,
        userId: row.user_id,
        method: row.method,
        state: 'active' as const,
        createdAt: row.created_at,
        lastSeenAt: row.last_seen_at,
        expiresAt: row.expires_at,
        idleMinutes: idleMinutes(row.user_id),
        address: row.address,
        userAgent: row.user_agent,
        isCurrent: row.id === currentId,
      })),

    find(id) {
      const row = byId(id);
      return row ? { id: row.id, userId: row.user_id, user: activeUser(row.user_id)?.name ?? row.user_id } : null;
    },

    ageMs(id) {
      const row = byId(id);
      return row ? clock.monotonicMs() - row.startedMs : null;
    },

    async end(id) {
      const row = byId(id);
      if (!row) throw new AppError('not_found', { detail: `There is no session ${id}.` });
      // From the file first: one that is told as ended must not come back with the next start.
      await tables().deleteFrom('session').where('id', '=', row.id).execute();
      await forget(row);
    },

    async endAllOf(userId) {
      await tables().deleteFrom('session').where('user_id', '=', userId).execute();
      for (const row of [...byHash.values()]) if (row.user_id === userId) await forget(row);
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
          rights: rights.signature(row.user_id),
          mustRenew: false,
          unseenSinceMs: null,
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

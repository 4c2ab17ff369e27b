/** API tokens: `hyp_<id>_<secret>`. Only the secret's SHA-256 is stored. A token never holds more than its owner holds now. */

import { createHash } from 'node:crypto';
import type { Permission } from '#contract/permissions.ts';
import type { Clock } from '#kernel/clock.ts';
import { newId, newSecret } from '#kernel/ids.ts';
import type { Database } from '#platform/db/database.ts';
import type { Identity } from '#platform/feature.ts';
import type { Directory } from './directory.ts';
import type { TokenLimit } from './policy.ts';

const DAY_MS = 86_400_000;
/** `last_used_at` is written this often at most. */
const USED_WRITE_MS = 60_000;
const FORM = /^hyp_(tok-[0-9a-hjkmnp-tv-z]{26})_([A-Za-z0-9_-]{43})$/;

export interface TokenRow {
  readonly id: string;
  readonly secretHash: string;
  readonly userId: string;
  readonly name: string;
  readonly permissions: readonly Permission[];
  readonly scope: string;
  readonly createdAt: string;
  readonly expiresAt: string;
  lastUsedAt: string | null;
}

interface TokenTables {
  api_token: {
    id: string;
    secret_hash: string;
    user_id: string;
    name: string;
    permissions: string;
    scope: string;
    created_at: string;
    expires_at: string;
    last_used_at: string | null;
  };
}

export interface NewToken {
  readonly userId: string;
  readonly name: string;
  readonly permissions: readonly Permission[];
  readonly scope: string;
  readonly days: number;
}

export interface Tokens {
  /** The secret is in this answer and nowhere else. */
  create(wanted: NewToken): Promise<{ row: TokenRow; secret: string }>;
  /** The identity behind a bearer token; null for one that is malformed, unknown, expired or of a disabled user. */
  authenticate(bearer: string, address: string): Identity | null;
  /** Null for a token that is over. */
  limit(id: string): TokenLimit | null;
  all(): readonly TokenRow[];
  get(id: string): TokenRow | null;
  isExpired(row: TokenRow): boolean;
  revoke(id: string): Promise<void>;
  /** Reads the table; at start, and after users were deleted. */
  load(): Promise<void>;
}

const hashOf = (secret: string): string => createHash('sha256').update(secret).digest('hex');

export function createTokens({
  db,
  clock,
  directory,
}: {
  db: Database;
  clock: Clock;
  directory: Pick<Directory, 'snapshot'>;
}): Tokens {
  let byId = new Map<string, TokenRow & { usedWrittenMs: number; readonly limit: TokenLimit }>();
  const tables = () => db.tables<TokenTables>();
  const isExpired = (row: TokenRow): boolean => row.expiresAt <= clock.now().toISOString();
  const live = (id: string) => {
    const row = byId.get(id);
    return row && !isExpired(row) ? row : null;
  };
  const withLimit = (row: TokenRow) => ({
    ...row,
    usedWrittenMs: Number.NEGATIVE_INFINITY,
    limit: { permissions: new Set(row.permissions), scope: row.scope },
  });

  return {
    async create({ userId, name, permissions, scope, days }) {
      const now = clock.now();
      const secret = newSecret();
      const row: TokenRow = {
        id: newId('tok', now.getTime()),
        secretHash: hashOf(secret),
        userId,
        name,
        permissions: [...new Set(permissions)],
        scope,
        createdAt: now.toISOString(),
        expiresAt: new Date(now.getTime() + days * DAY_MS).toISOString(),
        lastUsedAt: null,
      };
      await tables()
        .insertInto('api_token')
        .values({
          id: row.id,
          secret_hash: row.secretHash,
          user_id: userId,
          name,
          permissions: JSON.stringify(row.permissions),
          scope,
          created_at: row.createdAt,
          expires_at: row.expiresAt,
          last_used_at: null,
        })
        .execute();
      byId.set(row.id, withLimit(row));
      return { row, secret: `hyp_${row.id}_${secret}` };
    },

    authenticate(bearer, address) {
      const [, id = '', secret = ''] = FORM.exec(bearer) ?? [];
      const row = live(id);
      // Hashes are compared, so how long it takes tells nothing about a secret.
      if (!row || hashOf(secret) !== row.secretHash) return null;
      const user = directory.snapshot().users.get(row.userId);
      if (!user || user.isDisabled) return null;
      if (clock.monotonicMs() - row.usedWrittenMs > USED_WRITE_MS) {
        row.usedWrittenMs = clock.monotonicMs();
        row.lastUsedAt = clock.now().toISOString();
        // Only the list shows it, so a write that fails costs nothing; the next one comes in a minute.
        void tables()
          .updateTable('api_token')
          .set({ last_used_at: row.lastUsedAt })
          .where('id', '=', row.id)
          .execute()
          .catch(() => undefined);
      }
      return {
        userId: row.userId,
        user: user.name,
        via: 'token',
        method: 'token',
        sessionId: null,
        tokenId: row.id,
        address,
      };
    },

    limit: (id) => live(id)?.limit ?? null,
    all: () => [...byId.values()],
    get: (id) => byId.get(id) ?? null,
    isExpired,

    async revoke(id) {
      await tables().deleteFrom('api_token').where('id', '=', id).execute();
      byId.delete(id);
    },

    async load() {
      const rows = await tables().selectFrom('api_token').selectAll().execute();
      byId = new Map(
        rows.map((row) => [
          row.id,
          withLimit({
            id: row.id,
            secretHash: row.secret_hash,
            userId: row.user_id,
            name: row.name,
            permissions: JSON.parse(row.permissions),
            scope: row.scope,
            createdAt: row.created_at,
            expiresAt: row.expires_at,
            lastUsedAt: row.last_used_at,
          }),
        ]),
      );
    },
  };
}

/** Which SSH keys open the account of which user: those added here, in the database, and those of the configuration file. */

import type { Clock } from '#kernel/clock.ts';
import { AppError } from '#kernel/errors.ts';
import { newId } from '#kernel/ids.ts';
import type { Logger } from '#kernel/logger.ts';
import type { Database, Migration, Transaction } from '#platform/db/database.ts';
import type { Directory } from '../directory.ts';
import { findUser } from '../lookup.ts';
import { fingerprintOf, type KeyLine, KeyRefused, parseKeyLine } from './public-key.ts';

/** More keys of one user make no sense and slow each sign-in. */
const MAX_KEYS = 100;

export interface KeyRow {
  readonly id: string;
  readonly userId: string;
  readonly type: string;
  /** base64 of the key as SSH writes it. */
  readonly blob: string;
  readonly fingerprint: string;
  readonly comment: string;
  readonly source: 'local' | 'config';
  readonly createdAt: string | null;
  lastUsedAt: string | null;
}

interface KeyTables {
  ssh_key: {
    id: string;
    user_id: string;
    type: string;
    blob: string;
    fingerprint: string;
    comment: string;
    created_at: string;
    last_used_at: string | null;
  };
}

export const sshKeyMigration: Migration = {
  id: '003-ssh-keys',
  statements: [
    `CREATE TABLE ssh_key(
       id TEXT PRIMARY KEY, user_id TEXT NOT NULL REFERENCES user(id) ON DELETE CASCADE, type TEXT NOT NULL, blob TEXT NOT NULL,
       fingerprint TEXT NOT NULL, comment TEXT NOT NULL, created_at TEXT NOT NULL, last_used_at TEXT, UNIQUE(user_id, blob)) STRICT`,
  ],
};

export interface KeyStore {
  /** By the id or, for one's own convenience, by the fingerprint when only one user has it. */
  get(id: string): KeyRow | null;
  ofUser(userId: string): KeyRow[];
  /** The key of this user with these bytes, or null. */
  find(userId: string, blob: Uint8Array): KeyRow | null;
  /** @throws key_refused, already_exists */
  add(userId: string, line: string): Promise<KeyRow>;
  /** @throws key_is_configured */
  remove(row: KeyRow): Promise<void>;
  /** Writes when a key was last used, in the transaction that makes the session. */
  used(tx: Transaction, row: KeyRow): Promise<void>;
  load(): Promise<void>;
}

interface Dependencies {
  readonly db: Database;
  readonly clock: Clock;
  readonly log: Logger;
  readonly directory: Pick<Directory, 'snapshot'>;
  /** Lines of keys by the name of their user. */
  readonly configured: Readonly<Record<string, readonly string[]>>;
}

export function createKeyStore({ db, clock, log, directory, configured }: Dependencies): KeyStore {
  const local = new Map<string, KeyRow>();
  const fromConfig: (Omit<KeyRow, 'userId'> & { readonly userName: string })[] = [];
  const usedConfigured = new Map<string, string>();
  const tables = () => db.tables<KeyTables>();

  for (const [userName, lines] of Object.entries(configured)) {
    for (const [index, text] of lines.entries()) {
      try {
        const parsed = parseKeyLine(text);
        fromConfig.push({
          userName,
          ...rowOf(parsed),
          id: `config-${userName}-${index + 1}`,
          source: 'config',
          createdAt: null,
          lastUsedAt: null,
        });
      } catch (error) {
        if (!(error instanceof KeyRefused)) throw error;
        // One bad line must not keep the machine from starting; it opens nothing, which is the safe side.
        log.warn({ user: userName, line: index + 1, reason: error.message }, 'a configured SSH key is not used');
      }
    }
  }

  /** The users of the configuration by their ids of now: users come and go. */
  const configuredRows = (): KeyRow[] =>
    fromConfig.flatMap(({ userName, ...row }) => {
      const user = findUser(directory.snapshot(), userName);
      return user?.name === userName
        ? [{ ...row, userId: user.id, lastUsedAt: usedConfigured.get(row.id) ?? null }]
        : [];
    });
  const all = (): KeyRow[] =>
    [...configuredRows(), ...local.values()].filter(({ userId }) => directory.snapshot().users.has(userId));

  return {
    get: (id) => all().find((row) => row.id === id) ?? null,
    ofUser: (userId) => all().filter((row) => row.userId === userId),
    find(userId, blob) {
      const text = Buffer.from(blob).toString('base64');
      return all().find((row) => row.userId === userId && row.blob === text) ?? null;
    },
    async add(userId, line) {
      let parsed: KeyLine;
      try {
        parsed = parseKeyLine(line);
      } catch (error) {
        throw error instanceof KeyRefused ? new AppError('key_refused', { detail: error.message }) : error;
      }
      const own = all().filter((row) => row.userId === userId);
      const row: KeyRow = {
        ...rowOf(parsed),
        id: newId('key', clock.now().getTime()),
        userId,
        source: 'local',
        createdAt: clock.now().toISOString(),
        lastUsedAt: null,
      };
      if (own.some(({ blob }) => blob === row.blob))
        throw new AppError('already_exists', {
          detail: `The key ${row.fingerprint} is there already.`,
          hint: 'Nothing needs doing.',
        });
      if (own.length >= MAX_KEYS)
        throw new AppError('key_refused', {
          detail: `A user has at most ${MAX_KEYS} keys.`,
          hint: 'Remove one that is not used.',
        });
      await tables()
        .insertInto('ssh_key')
        .values({
          id: row.id,
          user_id: userId,
          type: row.type,
          blob: row.blob,
          fingerprint: row.fingerprint,
          comment: row.comment,
          created_at: row.createdAt ?? '',
          last_used_at: null,
        })
        .execute();
      local.set(row.id, row);
      return row;
    },
    async remove(row) {
      if (row.source === 'config')
        throw new AppError('key_is_configured', { detail: `The key ${row.fingerprint} is configured.` });
      await tables().deleteFrom('ssh_key').where('id', '=', row.id).execute();
      local.delete(row.id);
    },
    async used(tx, row) {
      const at = clock.now().toISOString();
      if (row.source === 'local')
        await tx
          .tables<KeyTables>()
          .updateTable('ssh_key')
          .set({ last_used_at: at })
          .where('id', '=', row.id)
          .execute();
      tx.afterCommit(() => {
        const known = local.get(row.id);
        if (known) known.lastUsedAt = at;
        else usedConfigured.set(row.id, at);
      });
    },
    async load() {
      for (const row of await tables().selectFrom('ssh_key').selectAll().execute())
        local.set(row.id, {
          id: row.id,
          userId: row.user_id,
          type: row.type,
          blob: row.blob,
          fingerprint: row.fingerprint,
          comment: row.comment,
          source: 'local',
          createdAt: row.created_at,
          lastUsedAt: row.last_used_at,
        });
    },
  };
}

function rowOf({ key, comment }: KeyLine): Pick<KeyRow, 'type' | 'blob' | 'fingerprint' | 'comment'> {
  return { type: key.type, blob: key.blob.toString('base64'), fingerprint: fingerprintOf(key.blob), comment };
}

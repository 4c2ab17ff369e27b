/** The table of passkeys. Public keys and counters only: a copy of the database signs nobody in. */

import type { Passkey } from '#contract/passkeys.ts';
import type { Database, Migration } from '#platform/db/database.ts';

export interface PasskeyRow {
  id: string;
  user_id: string;
  /** Base64url, as the authenticator named it. */
  credential_id: string;
  /** COSE key, base64url. */
  public_key: string;
  counter: number;
  /** JSON list. */
  transports: string;
  name: string;
  is_synced: number;
  created_at: string;
  last_used_at: string | null;
  suspected_at: string | null;
}

interface PasskeyTables {
  passkey: PasskeyRow;
}

export const passkeyMigration: Migration = {
  id: '020-passkeys',
  statements: [
    `CREATE TABLE passkey(
         id TEXT PRIMARY KEY, user_id TEXT NOT NULL REFERENCES user(id) ON DELETE CASCADE, credential_id TEXT NOT NULL UNIQUE, public_key TEXT NOT NULL, counter INTEGER NOT NULL,
         transports TEXT NOT NULL, name TEXT NOT NULL, is_synced INTEGER NOT NULL, created_at TEXT NOT NULL, last_used_at TEXT, suspected_at TEXT) STRICT`,
    'CREATE INDEX passkey_user ON passkey(user_id)',
  ],
};

export interface PasskeyStore {
  /** False when the credential is known already, to whomever it belongs. */
  add(row: PasskeyRow): Promise<boolean>;
  ofUser(userId: string): Promise<PasskeyRow[]>;
  byCredential(credentialId: string): Promise<PasskeyRow | null>;
  /** The renamed one, or null when this user has no such passkey. */
  rename(userId: string, id: string, name: string): Promise<PasskeyRow | null>;
  remove(userId: string, id: string): Promise<boolean>;
  removeAllOf(userId: string): Promise<void>;
  /** Takes a use over, in one statement: of two uses with the same count one succeeds.
   *  False when the counter did not go forward. Authenticators without a counter always say 0. */
  use(id: string, counter: number, at: string): Promise<boolean>;
  suspect(id: string, at: string): Promise<void>;
}

export function createPasskeyStore(db: Database): PasskeyStore {
  const tables = () => db.tables<PasskeyTables>();
  return {
    async add(row) {
      const added = await tables()
        .insertInto('passkey')
        .values(row)
        .onConflict((conflict) => conflict.column('credential_id').doNothing())
        .returning('id')
        .executeTakeFirst();
      return added !== undefined;
    },
    ofUser: (userId) =>
      tables().selectFrom('passkey').selectAll().where('user_id', '=', userId).orderBy('created_at').execute(),
    byCredential: async (credentialId) =>
      (await tables().selectFrom('passkey').selectAll().where('credential_id', '=', credentialId).executeTakeFirst()) ??
      null,
    rename: async (userId, id, name) =>
      (await tables()
        .updateTable('passkey')
        .set({ name })
        .where('id', '=', id)
        .where('user_id', '=', userId)
        .returningAll()
        .executeTakeFirst()) ?? null,
    async remove(userId, id) {
      const removed = await tables()
        .deleteFrom('passkey')
        .where('id', '=', id)
        .where('user_id', '=', userId)
        .returning('id')
        .executeTakeFirst();
      return removed !== undefined;
    },
    async removeAllOf(userId) {
      await tables().deleteFrom('passkey').where('user_id', '=', userId).execute();
    },
    async use(id, counter, at) {
      const used = await tables()
        .updateTable('passkey')
        .set({ counter, last_used_at: at })
        .where('id', '=', id)
        .where('suspected_at', 'is', null)
        .where((where) => (counter === 0 ? where('counter', '=', 0) : where('counter', '<', counter)))
        .returning('id')
        .executeTakeFirst();
      return used !== undefined;
    },
    async suspect(id, at) {
      await tables()
        .updateTable('passkey')
        .set({ suspected_at: at })
        .where('id', '=', id)
        .where('suspected_at', 'is', null)
        .execute();
    },
  };
}

export const passkeyView = (row: PasskeyRow): Passkey => ({
  id: row.id,
  name: row.name,
  createdAt: row.created_at,
  lastUsedAt: row.last_used_at,
  isSynced: row.is_synced === 1,
  suspectedAt: row.suspected_at,
});

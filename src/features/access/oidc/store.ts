/** The table of accounts: an identity is what the issuer calls it, (issuer, subject), and belongs to one user. */

import type { Database, Migration, Transaction } from '#platform/db/database.ts';

export interface OidcIdentityRow {
  id: string;
  issuer: string;
  subject: string;
  user_id: string;
  created_at: string;
  last_used_at: string | null;
}

interface OidcTables {
  oidc_identity: OidcIdentityRow;
}

export const oidcMigration: Migration = {
  id: '030-oidc',
  statements: [
    `CREATE TABLE oidc_identity(
         id TEXT PRIMARY KEY, issuer TEXT NOT NULL, subject TEXT NOT NULL, user_id TEXT NOT NULL REFERENCES user(id) ON DELETE CASCADE, created_at TEXT NOT NULL, last_used_at TEXT,
         UNIQUE(issuer, subject)) STRICT`,
    'CREATE INDEX oidc_identity_user ON oidc_identity(user_id)',
  ],
};

/** Rows of before, when an issuer was kept as it was written: what a configuration wrote otherwise than the provider never signed in, so of
 *  two for one account the one that did is kept. */
export const oidcIssuerMigration: Migration = {
  id: '031-oidc-issuer',
  statements: [
    `DELETE FROM oidc_identity WHERE last_used_at IS NULL AND EXISTS(
         SELECT 1 FROM oidc_identity other WHERE other.id <> oidc_identity.id AND other.subject = oidc_identity.subject
           AND rtrim(other.issuer, '/') = rtrim(oidc_identity.issuer, '/') AND other.last_used_at IS NOT NULL)`,
    `UPDATE OR IGNORE oidc_identity SET issuer = rtrim(issuer, '/')`,
  ],
};

/** Issuers are written with and without a slash at the end, by providers and in configurations; both are the same one. */
export const plainIssuer = (issuer: string): string => issuer.replace(/\/+$/, '');

export interface OidcStore {
  find(issuer: string, subject: string): Promise<OidcIdentityRow | null>;
  list(): Promise<OidcIdentityRow[]>;
  /** False when the account has a user already. @param tx a transaction that it belongs to */
  add(row: OidcIdentityRow, tx?: Transaction): Promise<boolean>;
  touch(id: string, at: string): Promise<void>;
  /** The removed one, or null when there is none. */
  remove(id: string): Promise<OidcIdentityRow | null>;
}

export function createOidcStore(db: Database): OidcStore {
  const tables = () => db.tables<OidcTables>();
  return {
    find: async (issuer, subject) =>
      (await tables()
        .selectFrom('oidc_identity')
        .selectAll()
        .where('issuer', '=', plainIssuer(issuer))
        .where('subject', '=', subject)
        .executeTakeFirst()) ?? null,
    list: () => tables().selectFrom('oidc_identity').selectAll().orderBy('created_at').execute(),
    async add(row, tx) {
      const added = await (tx ?? db)
        .tables<OidcTables>()
        .insertInto('oidc_identity')
        .values({ ...row, issuer: plainIssuer(row.issuer) })
        .onConflict((conflict) => conflict.columns(['issuer', 'subject']).doNothing())
        .returning('id')
        .executeTakeFirst();
      return added !== undefined;
    },
    async touch(id, at) {
      await tables().updateTable('oidc_identity').set({ last_used_at: at }).where('id', '=', id).execute();
    },
    remove: async (id) =>
      (await tables().deleteFrom('oidc_identity').where('id', '=', id).returningAll().executeTakeFirst()) ?? null,
  };
}

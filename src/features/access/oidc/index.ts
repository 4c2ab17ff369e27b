/** Puts the parts of sign-in through identity providers together for the slice. */

import type { IdentityView } from '#contract/access.ts';
import type { Clock } from '#kernel/clock.ts';
import { newId } from '#kernel/ids.ts';
import type { Logger } from '#kernel/logger.ts';
import type { Config } from '#platform/config.ts';
import type { Database } from '#platform/db/database.ts';
import type { FoundObject, Handlers, Identity } from '#platform/feature.ts';
import { createFetcher } from '#platform/fetch/index.ts';
import { readSecretFile, readTrustedFile } from '#platform/secret-file.ts';
import type { Directory, DirectoryTables } from '../directory.ts';
import { findUser } from '../lookup.ts';
import type { OwnRights } from '../own-rights.ts';
import type { Sessions } from '../sessions.ts';
import { createMappedGrants, sourceOf } from './mapped-grants.ts';
import { createProviderClient, type ProviderClient } from './provider-client.ts';
import { createOidcRoutes } from './routes.ts';
import { createOidcSignIn } from './sign-in.ts';
import { createOidcStore } from './store.ts';

export { oidcIssuerMigration, oidcMigration } from './store.ts';

export interface OidcParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly log: Logger;
  readonly config: Pick<Config, 'access'>;
  readonly directory: Directory;
  readonly sessions: Sessions;
  readonly ownRights: OwnRights;
  readonly describe: (who: Identity) => IdentityView;
  readonly findProject: (idOrName: string) => { readonly id: string } | null;
  readonly findVm: (idOrName: string) => FoundObject | null;
}

type ProviderConfig = Config['access']['oidc'][number];

export interface Oidc {
  readonly handlers: Handlers;
  /** Reads the secrets of the providers; after the directory is loaded. @throws ConfigError naming the file */
  start(): Promise<void>;
}

export function createOidc(parts: OidcParts): Oidc {
  const { db, clock, log, config, directory } = parts;
  const configs = config.access.oidc;
  const store = createOidcStore(db);
  const grants = createMappedGrants(parts);
  const clients = new Map<string, ProviderClient>();

  const open = async (provider: ProviderConfig) => {
    const key = `access.oidc.${provider.id}`;
    const secret =
      provider.clientSecretFile === undefined
        ? null
        : (await readSecretFile(provider.clientSecretFile, `${key}.clientSecretFile`)).trim();
    const ca = provider.caFile === undefined ? undefined : await readTrustedFile(provider.caFile, `${key}.caFile`);
    // The issuer may be on a private address; what it points to elsewhere may not.
    const { host, protocol } = new URL(provider.issuer);
    const port = protocol === 'https:' ? 443 : 80;
    const allowed = /:\d+$/.test(host) ? host : `${host}:${port}`;
    const fetcher = createFetcher({ allowPrivateHosts: [allowed], ...(ca === undefined ? {} : { ca }) });
    clients.set(provider.id, createProviderClient({ ...provider, clientSecret: secret }, fetcher, clock));
  };

  const signIn = createOidcSignIn({
    providers: configs,
    clientOf: (id) => clients.get(id) ?? null,
    store,
    clock,
    log,
    findUser: (id) => directory.snapshot().users.get(id) ?? null,
    isNameTaken: (name) => findUser(directory.snapshot(), name) !== null,
    setMappedGrants: grants.set,
    async createUser(providerId, name, { issuer, subject }) {
      const at = clock.now();
      const userId = newId('usr', at.getTime());
      const created = at.toISOString();
      await directory.change(async (tx) => {
        await tx
          .tables<DirectoryTables>()
          .insertInto('user')
          .values({
            id: userId,
            name,
            title: null,
            disabled: 0,
            source: sourceOf(providerId),
            idle_minutes: null,
            created_at: created,
            last_sign_in_at: null,
          })
          .execute();
        const id = newId('oid', at.getTime());
        await store.add({ id, issuer, subject, user_id: userId, created_at: created, last_used_at: null }, tx);
      });
      return userId;
    },
  });

  return {
    handlers: createOidcRoutes({ ...parts, signIn, store, providers: configs }),
    async start() {
      for (const provider of configs) await open(provider);
      try {
        await grants.removeAllBut(configs.map(({ id }) => id));
      } catch (error) {
        // The last administrator's right may be among them; then it stays until there is another.
        log.warn({ err: error }, 'grants of identity providers that are no longer configured could not be removed');
      }
    },
  };
}

/** From an account of an identity provider to a user of ours. The state of a sign-in lies here, bound to the browser that began it;
 *  the browser holds two secrets that mean nothing elsewhere. Knows neither HTTP nor sessions. */

import { createHash, timingSafeEqual } from 'node:crypto';
import type { ConfigFile } from '#contract/config.ts';
import { createQueue } from '#kernel/async.ts';
import type { Clock } from '#kernel/clock.ts';
import { AppError } from '#kernel/errors.ts';
import { newSecret } from '#kernel/ids.ts';
import type { Logger } from '#kernel/logger.ts';
import { createOneUse } from '../one-use.ts';
import { type Account, type Flow, newFlow, type ProviderClient } from './provider-client.ts';
import type { OidcStore } from './store.ts';
import { safeUserName } from './user-name.ts';

/** Time to type a password and a second factor at the provider. */
const FLOW_MS = 600_000;

type ProviderConfig = ConfigFile['access']['oidc'][number];

export interface OidcPorts {
  readonly providers: readonly ProviderConfig[];
  readonly clientOf: (providerId: string) => ProviderClient | null;
  readonly store: OidcStore;
  readonly clock: Clock;
  readonly log: Logger;
  readonly findUser: (userId: string) => { readonly id: string; readonly isDisabled: boolean } | null;
  readonly isNameTaken: (name: string) => boolean;
  /** Makes the user and gives him the account, both or none. @returns the user's id */
  readonly createUser: (providerId: string, name: string, account: Account) => Promise<string>;
  /** Makes these, and no others, the grants that this user has from this provider. */
  readonly setMappedGrants: (
    userId: string,
    providerId: string,
    grants: readonly { readonly role: string; readonly scope: string }[],
  ) => Promise<void>;
}

export interface OidcSignIn {
  /** @param redirectUri page of ours that the provider sends the browser back to
   *  @param from address of who asks
   *  @returns where to send the browser, and the secret that stays in it. @throws not_found, oidc_unavailable */
  start(providerId: string, redirectUri: string, from: string): Promise<{ url: string; binding: string }>;
  /** @param binding the secret of `start`, or null when the browser has none
   *  @returns the user's id. @throws oidc_refused, oidc_no_account, oidc_unavailable */
  finish(
    answer: {
      readonly provider: string;
      readonly state: string;
      readonly code?: string | undefined;
      readonly iss?: string | undefined;
      readonly error?: string | undefined;
    },
    binding: string | null,
  ): Promise<string>;
}

interface Waiting {
  readonly providerId: string;
  readonly bindingHash: Buffer;
  readonly flow: Flow;
}

const hashOf = (secret: string): Buffer => createHash('sha256').update(secret).digest();

export function createOidcSignIn(ports: OidcPorts): OidcSignIn {
  const { store, clock, log } = ports;
  const waiting = createOneUse<Waiting>(clock, FLOW_MS);
  const find = (id: string): { readonly config: ProviderConfig; readonly client: ProviderClient } | null => {
    const config = ports.providers.find((provider) => provider.id === id);
    const client = ports.clientOf(id);
    return config && client ? { config, client } : null;
  };
  /** The first sign-in of an account makes a user; two of them at once must not make two. */
  const oneByOne = createQueue();

  const grantsOf = ({ groups }: ProviderConfig, account: Account) =>
    groups.filter(({ group }) => account.groups.includes(group)).map(({ role, scope }) => ({ role, scope }));

  const makeUser = async (config: ProviderConfig, account: Account): Promise<string> => {
    const known = await store.find(account.issuer, account.subject);
    if (known) return known.user_id;
    const name = safeUserName(account.preferredName, ports.isNameTaken);
    const userId = await ports.createUser(config.id, name, account);
    log.info({ provider: config.id, user: userId }, 'a user was made for an account of an identity provider');
    return userId;
  };

  const userOf = async (config: ProviderConfig, account: Account): Promise<string> => {
    const known = await store.find(account.issuer, account.subject);
    if (known) return known.user_id;
    // Whoever can make an account at the provider must not be able to make users here: a group that someone put him in decides.
    if (!config.autoCreate || grantsOf(config, account).length === 0) throw new AppError('oidc_no_account');
    return oneByOne(() => makeUser(config, account));
  };

  return {
    async start(providerId, redirectUri, from) {
      const provider = find(providerId);
      if (!provider)
        throw new AppError('not_found', { detail: `There is no identity provider "${providerId.slice(0, 40)}".` });
      const binding = newSecret();
      const flow = newFlow(redirectUri);
      const state = waiting.put({ providerId, bindingHash: hashOf(binding), flow }, from);
      return { url: await provider.client.addressFor(flow, state), binding };
    },

    async finish({ provider: providerId, state, ...answer }, binding) {
      const entry = waiting.take(state);
      // The browser that ends it must be the one that began it, or an attacker could sign a victim in as himself.
      const isSameBrowser = entry !== null && binding !== null && timingSafeEqual(entry.bindingHash, hashOf(binding));
      const provider = find(providerId);
      if (!entry || !provider || !isSameBrowser || entry.providerId !== providerId) throw new AppError('oidc_refused');
      const account = await provider.client.finish(entry.flow, { state, ...answer });
      const userId = await userOf(provider.config, account);
      const user = ports.findUser(userId);
      if (!user || user.isDisabled) throw new AppError('oidc_no_account', { detail: 'This user is disabled.' });
      // Each time anew: whoever left a group at the provider loses here what it gave.
      await ports.setMappedGrants(userId, providerId, grantsOf(provider.config, account));
      const identity = await store.find(account.issuer, account.subject);
      if (identity) await store.touch(identity.id, clock.now().toISOString());
      return userId;
    },
  };
}

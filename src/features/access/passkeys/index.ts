/** Puts the parts of passkeys together for the slice. */

import { isIP } from 'node:net';
import type { IdentityView } from '#contract/access.ts';
import type { AuditApi } from '#features/audit/index.ts';
import type { Clock } from '#kernel/clock.ts';
import type { Logger } from '#kernel/logger.ts';
import { type Config, ConfigError } from '#platform/config.ts';
import type { Database } from '#platform/db/database.ts';
import type { Handlers, Identity, PublicAddress } from '#platform/feature.ts';
import type { Directory } from '../directory.ts';
import type { OwnRights } from '../own-rights.ts';
import type { Sessions } from '../sessions.ts';
import type { StepUp } from '../step-up.ts';
import { createCeremonies } from './ceremonies.ts';
import { relyingPartyOf } from './relying-party.ts';
import { createPasskeyRoutes } from './routes.ts';
import { createPasskeyStore, type PasskeyRow } from './store.ts';

export { passkeyMigration } from './store.ts';

export interface PasskeysParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly log: Logger;
  readonly config: Pick<Config, 'access' | 'publicNames' | 'listen'>;
  readonly address: PublicAddress;
  readonly directory: Pick<Directory, 'snapshot'>;
  readonly sessions: Sessions;
  readonly stepUp: StepUp;
  readonly ownRights: OwnRights;
  readonly describe: (who: Identity) => IdentityView;
  readonly audit: Pick<AuditApi, 'record'>;
  readonly hasOtherFactor: (userId: string) => boolean;
}

/** @throws ConfigError for an rpId that no address of this machine has */
export function createPasskeys(parts: PasskeysParts): { readonly handlers: Handlers } {
  const { db, clock, log, config, address, directory, audit } = parts;
  const { rpId } = config.access;
  if (rpId !== undefined && rpId !== 'localhost') {
    const hosts = config.publicNames.map((name) => name.toLowerCase().split(':')[0] ?? '');
    if (!hosts.some((host) => isIP(host) === 0 && (host === rpId || host.endsWith(`.${rpId}`))))
      throw new ConfigError(
        `access.rpId: "${rpId}" is none of publicNames, nor above one of them. Mend: add the host name to publicNames.`,
      );
  }
  const store = createPasskeyStore(db);
  const relyingParty = () => {
    const listening = Number(config.listen.slice(config.listen.lastIndexOf(':') + 1));
    // Port 0 = any that is free; then only the running server knows it.
    const port = listening === 0 ? Number(new URL(address().origin).port || 443) : listening;
    return relyingPartyOf({ rpId: rpId ?? null, publicNames: config.publicNames, port });
  };
  const onCounterBack = (passkey: PasskeyRow) =>
    audit.record({
      phase: 'outcome',
      outcome: 'denied',
      actor: directory.snapshot().users.get(passkey.user_id)?.name ?? passkey.user_id,
      via: 'network',
      address: null,
      action: 'passkey.suspected',
      permission: null,
      objectType: 'passkey',
      objectId: passkey.id,
      objectName: passkey.name,
      requestId: null,
      operationId: null,
      code: 'passkey_counter_back',
    });
  const ceremonies = createCeremonies({ store, clock, log, relyingParty, onCounterBack });
  return { handlers: createPasskeyRoutes({ ...parts, ceremonies, store, relyingParty }) };
}

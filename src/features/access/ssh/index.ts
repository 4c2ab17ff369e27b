/** Sign-in by SSH key, put together for the access feature. Tables: ssh_key. Guide: docs/guides/sign-in.md */

import type { Handlers, ObjectResolver } from '#platform/feature.ts';
import { createKeyStore } from './key-store.ts';
import { createSshRoutes, keyObject, type SshRouteDependencies } from './routes.ts';
import { createSshSignIn } from './sign-in.ts';

type Dependencies = Omit<Parameters<typeof createSshSignIn>[0], 'keys'> &
  Omit<Parameters<typeof createKeyStore>[0], 'configured'> &
  Omit<SshRouteDependencies, 'signIn' | 'keys'> & {
    readonly authorizedKeys: Readonly<Record<string, readonly string[]>>;
  };

export { sshKeyMigration } from './key-store.ts';

export interface SshParts {
  readonly handlers: Handlers;
  readonly resolvers: { readonly key: ObjectResolver };
  load(): Promise<void>;
  /** Whether the user can prove himself by a key. */
  hasKey(userId: string): boolean;
}

export function createSsh(parts: Dependencies): SshParts {
  const keys = createKeyStore({ ...parts, configured: parts.authorizedKeys });
  return {
    handlers: createSshRoutes({ ...parts, keys, signIn: createSshSignIn({ ...parts, keys }) }),
    resolvers: {
      key(id) {
        const row = keys.get(id);
        return row ? keyObject(row) : null;
      },
    },
    load: keys.load,
    hasKey: (userId) => keys.ofUser(userId).length > 0,
  };
}

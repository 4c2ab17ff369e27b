/** `hv session hosts`: the machines that this user signed in to from here. */

import { command } from './command.ts';
import { EXIT } from './exit-codes.ts';
import { knownHosts } from './known-hosts.ts';
import { printTable } from './table.ts';
import { safeText } from './text.ts';

export const knownHostsCommand = command({
  path: ['session', 'hosts'],
  summary: 'List the machines that you signed in to from here',
  examples: ['session hosts'],
  run: async ({ env, output }) => {
    const hosts = knownHosts(env);
    const rows = await Promise.all(
      (await hosts.list()).map(async (host) => ({ ...host, isSignedIn: (await hosts.session(host)) !== null })),
    );
    if (output.isJson)
      output.json(
        rows.map(({ name, origin, user, fingerprint, isSignedIn }) => ({
          name,
          origin,
          user,
          fingerprint,
          isSignedIn,
        })),
      );
    else
      printTable(
        output,
        [
          { title: 'HOST', value: ({ name }) => safeText(name), flexibleTo: 12 },
          { title: 'USER', value: ({ user }) => safeText(user), flexibleTo: 6 },
          { title: 'SESSION', value: ({ isSignedIn }) => (isSignedIn ? 'kept' : 'none') },
          { title: 'CERTIFICATE', value: ({ fingerprint }) => fingerprint, flexibleTo: 20, isOptional: true },
        ],
        rows,
        'None. `hv login --url https://HOST:PORT` signs in to one.',
      );
    return EXIT.done;
  },
});

/** `hv login`: a session on a machine by SSH key; `hv login --web` lets a browser in. */

import { userInfo } from 'node:os';
import type { IdentityView } from '#contract/access.ts';
import { confirmYes } from './ask.ts';
import { command, defineCommands } from './command.ts';
import type { CommandContext } from './context.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';
import { Failure, usageFailure } from './failure.ts';
import { hostName, type KnownHost, type KnownHosts, knownHosts, originOf } from './known-hosts.ts';
import { approveHere, approveThere } from './login-web.ts';
import { type Presented, presentedBy } from './remote.ts';
import { prove } from './ssh-proof.ts';
import { safeText } from './text.ts';
import { flag, textOption } from './values.ts';

interface Target {
  readonly url: string | undefined;
  readonly user: string | undefined;
  readonly fingerprint: string | undefined;
}

/** Which machine is meant: `--url`, `--host` or HV_HOST, or the only one known. */
async function originFor({ env }: CommandContext, hosts: KnownHosts, { url }: Target): Promise<string> {
  if (url !== undefined) return originOf(url);
  const named = env['HV_HOST'];
  if (named) return (await hosts.find(named))?.origin ?? originOf(named);
  const [only, ...others] = await hosts.list();
  if (only && others.length === 0) return only.origin;
  throw usageFailure(
    'which machine?',
    'Give its address: hv login --url https://HOST:PORT, as `hv status` prints it there.',
  );
}

const bare = (fingerprint: string): string =>
  fingerprint
    .replace(/^SHA-?256:?/i, '')
    .replace(/[^0-9a-f]/gi, '')
    .toUpperCase();

/** The machine with a certificate that its user trusts: pinned before, vouched for, or compared now.
 *  @throws Failure when it is not the one that was named or nobody says that it is */
async function trusted(context: CommandContext, hosts: KnownHosts, origin: string, target: Target): Promise<KnownHost> {
  const { output } = context;
  const known = await hosts.find(hostName(origin));
  const user = target.user ?? known?.user ?? userInfo().username;
  if (known && target.fingerprint === undefined) return { ...known, user };
  const presented = await presentedBy(origin);
  const fresh: KnownHost = {
    name: hostName(origin),
    origin,
    user,
    fingerprint: presented.fingerprint,
    // Whoever names the fingerprint means this certificate, whoever else vouches for it.
    authority: presented.isVouched && target.fingerprint === undefined ? null : presented.authority,
    key: known?.key ?? null,
  };
  if (target.fingerprint !== undefined) {
    if (bare(target.fingerprint) === bare(presented.fingerprint)) return fresh;
    throw new Failure(`${origin} shows another certificate: ${presented.fingerprint}`, {
      exit: EXIT.unreachable,
      code: 'certificate_unexpected',
      hint: 'Nothing was sent. Compare with what `hv status` prints on the machine.',
    });
  }
  if (!presented.isVouched) await askForTrust(context, origin, presented);
  else output.message(`${origin} is vouched for by a public authority`);
  return fresh;
}

async function askForTrust({ output }: CommandContext, origin: string, { fingerprint }: Presented): Promise<void> {
  const lines = [
    `${output.paintMessage('bold', origin)} is new here. Its certificate was made on that machine and has the SHA-256 fingerprint`,
    `  ${fingerprint}`,
    'Compare it with what `hv status` prints there: on its console, or over SSH.',
  ];
  for (const line of lines) output.message(line);
  if (!output.isInteractive)
    throw usageFailure(
      'nobody can say whether this is the right machine',
      `Without a terminal, add --fingerprint ${fingerprint} once you compared it.`,
    );
  if (await confirmYes('Is it the same?')) return;
  throw new Failure('nothing was sent: the fingerprint was not confirmed', {
    exit: EXIT.failed,
    code: 'not_confirmed',
  });
}

async function login(
  context: CommandContext,
  target: Target & { readonly key: string | undefined },
): Promise<ExitCode> {
  const { env, output } = context;
  const hosts = knownHosts(env);
  const origin = await originFor(context, hosts, target);
  const host = await trusted(context, hosts, origin, target);
  await hosts.save(host);
  const { response, key } = await prove(
    env,
    output,
    {
      remote: { origin, authority: host.authority, cookie: null },
      purpose: 'login',
      user: host.user,
      challengePath: '/auth/challenge',
      challengeBody: { user: host.user },
      proofPath: '/auth/ssh',
    },
    { file: target.key, last: host.key },
  );
  const identity: IdentityView = JSON.parse(response.body.toString('utf8'));
  const known = { ...host, fingerprint: response.fingerprint, key };
  await hosts.save(known);
  await hosts.saveSession(known, response.cookie);
  if (output.isJson)
    output.json({ host: known.name, url: origin, user: identity.user, fingerprint: known.fingerprint });
  else {
    output.message(
      `${output.paintMessage('green', '●')} signed in to ${safeText(known.name)} as ${safeText(identity.user)}`,
    );
    output.message(`Use it with \`hv --host ${known.name} …\`, or for this shell: export HV_HOST=${known.name}`);
  }
  return EXIT.done;
}

const targetOptions = {
  url: textOption('https://HOST:PORT', 'address of the machine, as `hv status` prints it there'),
  user: textOption('NAME', 'user on that machine', { defaultText: 'as last time, else your name here' }),
  key: textOption('FILE', 'private or public SSH key to sign with', {
    defaultText: 'the agent’s keys, then ~/.ssh/id_*',
    completes: 'file',
  }),
  fingerprint: textOption('SHA256', 'trust the certificate with this fingerprint, and no other'),
};

export const commands = defineCommands([
  command({
    path: ['login'],
    summary: 'Sign in to a machine with an SSH key, or let a browser in',
    details:
      'The key signs a challenge that names the machine and its certificate; the key itself never leaves your agent or file. At the first time the certificate is shown to be compared. With --web, the browser that shows the code is signed in; on the machine itself root needs no key for that.',
    options: {
      ...targetOptions,
      web: textOption('CODE', 'let in the browser that shows this code'),
      yes: flag('with --web: do not ask, I compared address and browser'),
    },
    examples: ['login --url https://vm1.example:8080 --user alice', 'login --web BCD-FGH'],
    run: async (context, { options }) => {
      if (options.web === undefined) {
        if (options.yes) throw usageFailure('--yes goes with --web', 'See `hv login --help`.');
        return login(context, options);
      }
      const isElsewhere = options.url !== undefined || options.key !== undefined || context.transport.host !== null;
      if (!isElsewhere && (await context.transport.isHere()))
        return approveHere(context, options.web, options.user, options.yes);
      const hosts = knownHosts(context.env);
      const origin = await originFor(context, hosts, options);
      const host = await trusted(context, hosts, origin, options);
      const key = await approveThere(context, host, { code: options.web, key: options.key, isSure: options.yes });
      await hosts.save({ ...host, key });
      return EXIT.done;
    },
  }),
]);

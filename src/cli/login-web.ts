/** `hv login --web CODE` and `hv session approve CODE`: lets in the browser that shows the code, after a look at who asks. */

import type { DeviceLook } from '#contract/sign-in.ts';
import { confirmYes } from './ask.ts';
import type { CommandContext } from './context.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';
import { Failure, usageFailure } from './failure.ts';
import type { KnownHost } from './known-hosts.ts';
import { problemFrom } from './problems.ts';
import { post, prove } from './ssh-proof.ts';
import { safeText } from './text.ts';
import { ageText } from './time.ts';

/** Shows who asks and wants a yes; a second one when the browser is at another address than whoever confirms.
 *  That is the fence against a stranger who started this himself and sent the code. @throws Failure when it is no */
async function askAbout({ output }: CommandContext, look: DeviceLook, isSure: boolean): Promise<void> {
  const what =
    look.purpose === 'login'
      ? `A browser wants to be signed in on ${output.paintMessage('bold', safeText(look.host))}:`
      : `${safeText(look.user ?? 'Somebody')} wants to do this on ${output.paintMessage('bold', safeText(look.host))}: ${safeText(look.action ?? 'an action that needs a proof')}`;
  const lines = [
    what,
    `  address  ${safeText(look.address)}`,
    `  browser  ${safeText(look.userAgent) || 'unknown'}`,
    `  ends     ${ageText(look.expiresAt)}`,
  ];
  for (const line of lines) output.message(line);
  if (isSure) return;
  if (!output.isInteractive)
    throw usageFailure(
      'this has to be confirmed by a person',
      'Without a terminal, add --yes once you compared address and browser.',
    );
  const refuse = () => {
    throw new Failure('the browser was not let in', { exit: EXIT.failed, code: 'not_confirmed' });
  };
  if (!(await confirmYes('Is that your browser, and did you type the code from its page?'))) refuse();
  if (look.yourAddress === null || look.yourAddress === look.address) return;
  output.message(
    `${output.paintMessage('yellow', 'careful:')} you are at ${safeText(look.yourAddress)}, the browser is at ${safeText(look.address)}. If somebody sent you this code, say no.`,
  );
  if (!(await confirmYes('Are both addresses yours?'))) refuse();
}

function say({ output }: CommandContext, { user, purpose }: { readonly user: string; readonly purpose: string }): void {
  if (output.isJson) output.json({ user, purpose });
  else
    output.message(
      `${output.paintMessage('green', '●')} ${purpose === 'login' ? `the browser is signed in as ${safeText(user)}` : `confirmed for ${safeText(user)}`}; it goes on by itself`,
    );
}

/** Over the local socket, as root. */
export async function approveHere(
  context: CommandContext,
  code: string,
  user: string | undefined,
  isSure: boolean,
): Promise<ExitCode> {
  const look = await context.api('POST /auth/device/look', { body: { code } });
  await askAbout(context, look, isSure);
  say(
    context,
    await context.api('POST /auth/device/confirm', { body: { code, ...(user === undefined ? {} : { user }) } }),
  );
  return EXIT.done;
}

/** On a machine elsewhere, with a signature. Answers the key that signed. */
export async function approveThere(
  context: CommandContext,
  host: KnownHost,
  { code, key, isSure }: { readonly code: string; readonly key: string | undefined; readonly isSure: boolean },
): Promise<string> {
  const remote = { origin: host.origin, authority: host.authority, cookie: null };
  const answer = await post(remote, '/auth/device/look', { code });
  if (answer.status >= 400) throw problemFrom(answer.body.toString('utf8'), answer.status);
  await askAbout(context, JSON.parse(answer.body.toString('utf8')), isSure);
  const normal = code.toUpperCase().replace(/[\s-]/g, '');
  const { response, key: used } = await prove(
    context.env,
    context.output,
    {
      remote,
      purpose: 'device',
      user: host.user,
      challengePath: '/auth/challenge',
      challengeBody: { user: host.user, code },
      proofPath: '/auth/device/approve',
      code: `${normal.slice(0, 3)}-${normal.slice(3)}`,
    },
    { file: key, last: host.key },
  );
  say(context, JSON.parse(response.body.toString('utf8')));
  return used;
}

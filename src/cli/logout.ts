/** `hv logout`: ends a session on another machine, there and here. */

import { command, defineCommands } from './command.ts';
import type { CommandContext } from './context.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';
import { Failure } from './failure.ts';
import { knownHosts } from './known-hosts.ts';
import { post } from './ssh-proof.ts';
import { flag, textOption } from './values.ts';

export const commands = defineCommands([
  command({
    path: ['logout'],
    summary: 'End the session on a machine',
    options: {
      name: textOption('HOST', 'the machine', { defaultText: '--host, or the only one' }),
      forget: flag('forget its certificate too'),
    },
    examples: ['logout', 'logout --name vm1.example --forget'],
    run: (context, { options }) => logout(context, options.name, options.forget),
  }),
]);

async function logout(context: CommandContext, name: string | undefined, isForgotten: boolean): Promise<ExitCode> {
  const { env, output } = context;
  const hosts = knownHosts(env);
  const named = name ?? env['HV_HOST'];
  const all = await hosts.list();
  const host = named ? await hosts.find(named) : all.length === 1 ? all[0] : null;
  if (!host)
    throw new Failure(named ? `you never signed in to "${named}"` : 'which machine?', {
      exit: named ? EXIT.notFound : EXIT.usage,
      code: named ? 'not_found' : 'usage',
      hint: `Known: ${all.map((each) => each.name).join(', ') || 'none'}.`,
    });
  const cookie = await hosts.session(host);
  // Over there it ends too; when that machine is away, the session ends there by itself.
  const ended =
    cookie === null
      ? true
      : await post({ ...host, cookie }, '/auth/logout', {}).then(
          ({ status }) => status < 500,
          () => false,
        );
  await hosts.saveSession(host, null);
  if (isForgotten) await hosts.forget(host.name);
  if (output.isJson) output.json({ host: host.name, endedThere: ended, forgotten: isForgotten });
  else {
    output.message(
      `${output.paintMessage('green', '●')} signed out of ${host.name}${isForgotten ? ' and forgot its certificate' : ''}`,
    );
    if (!ended) output.message('It could not be told; the session ends there by itself when it is idle.');
  }
  return EXIT.done;
}

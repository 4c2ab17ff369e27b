/** `hv session`: who is signed in, and ending it. */

import type { Session } from '#contract/access.ts';
import { command, defineCommands } from './command.ts';
import { EXIT } from './exit-codes.ts';
import { approveHere } from './login-web.ts';
import { about } from './objects.ts';
import { knownHostsCommand } from './session-hosts.ts';
import { type Column, printTable } from './table.ts';
import { safeText } from './text.ts';
import { ageText } from './time.ts';
import { flag, one } from './values.ts';

const COLUMNS: readonly Column<Session>[] = [
  { title: 'ID', value: (session) => safeText(session.id) },
  { title: 'USER', value: (session) => safeText(session.user), flexibleTo: 6 },
  { title: 'SIGNED IN BY', value: (session) => session.method.replace('_', ' ') },
  { title: 'SEEN', value: (session) => ageText(session.lastSeenAt) },
  { title: 'ENDS', value: (session) => ageText(session.expiresAt), isOptional: true },
  { title: 'FROM', value: (session) => safeText(session.address), flexibleTo: 9, isOptional: true },
  { title: 'BROWSER', value: (session) => safeText(session.userAgent), flexibleTo: 12, isOptional: true },
];

export const commands = defineCommands([
  command({
    path: ['session', 'list'],
    summary: 'List browser sessions',
    examples: ['session list'],
    run: async ({ api, output }) => {
      const { items } = await api('GET /auth/sessions');
      if (output.isJson) output.json(items);
      else
        printTable(
          output,
          COLUMNS,
          items,
          'Nobody is signed in with a browser. `hv system link` makes a sign-in link.',
        );
      return EXIT.done;
    },
  }),
  command({
    path: ['session', 'end'],
    summary: 'End a session; its streams and consoles end with it',
    positionals: { id: one('ID', 'session id', { completes: 'session' }) },
    examples: ['session end ses-01h2…'],
    run: async (context, { args }) => {
      const { api, output } = context;
      await about(context, 'session', args.id, (id) => api('DELETE /auth/sessions/{id}', { params: { id } }));
      if (output.isJson) output.json({ id: args.id, state: 'ended' });
      else output.message(`${output.paintMessage('green', '●')} session ${safeText(args.id)} is ended`);
      return EXIT.done;
    },
  }),
  command({
    path: ['session', 'approve'],
    summary: 'Confirm the code that a browser shows, as root on the machine',
    details:
      'For sessions that came by a one-time link and have no key: confirms what they want to do, or signs a browser in. `hv login --web CODE` does the same with a key.',
    positionals: { code: one('CODE', 'the code, as BCD-FGH') },
    options: { yes: flag('do not ask, I compared address and browser') },
    examples: ['session approve BCD-FGH'],
    run: (context, { args, options }) => approveHere(context, args.code, undefined, options.yes),
  }),
  knownHostsCommand,
]);

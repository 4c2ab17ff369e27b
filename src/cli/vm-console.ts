/** What a guest shows and gets: screenshot, serial console, keys. */

import { writeFile } from 'node:fs/promises';
import { command } from './command.ts';
import type { CommandContext } from './context.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';
import { Failure, usageFailure } from './failure.ts';
import { unreadable } from './files.ts';
import { about } from './objects.ts';
import { problemFrom } from './problems.ts';
import { plainLog, safeText } from './text.ts';
import { countOption, flag, many, textOption } from './values.ts';
import { vmName } from './vm-show.ts';

async function bytesOf({ transport }: CommandContext, path: string): Promise<Buffer> {
  const response = await transport.send({ method: 'GET', path });
  if (response.status >= 400) throw problemFrom(response.body.toString('utf8'), response.status);
  return response.body;
}

async function screenshot(
  context: CommandContext,
  name: string,
  out: string | undefined,
  width: number | undefined,
): Promise<ExitCode> {
  const { output } = context;
  const query = width === undefined ? '' : `?width=${width}`;
  const isStdout = out === '-';
  if (isStdout && output.isJson) throw usageFailure('--json and --out - both want stdout', 'Give --out FILE.');
  if (isStdout && process.stdout.isTTY)
    throw usageFailure('a picture cannot be shown on a terminal', 'Give --out FILE, or redirect stdout.');
  const file = out ?? `${name.replace(/[^A-Za-z0-9_-]+/g, '_')}.png`;
  const png = await about(context, 'vm', name, (id) =>
    bytesOf(context, `/api/v1/vms/${encodeURIComponent(id)}/screenshot${query}`),
  );
  if (isStdout) output.bytes(png);
  else {
    await writeFile(file, png).catch((error: unknown) => {
      throw unreadable(file, error);
    });
    if (output.isJson) output.json({ name, file, bytes: png.length });
    else output.message(`${output.paintMessage('green', '●')} ${safeText(file)}: ${png.length} bytes`);
  }
  return EXIT.done;
}

async function serialLog(context: CommandContext, name: string): Promise<ExitCode> {
  const { output } = context;
  const log = await about(context, 'vm', name, (id) =>
    bytesOf(context, `/api/v1/vms/${encodeURIComponent(id)}/serial/log`),
  );
  if (output.isJson) output.json({ name, log: log.toString('utf8') });
  else if (process.stdout.isTTY) output.line(plainLog(log.toString('utf8')).trimEnd());
  else output.bytes(log);
  return EXIT.done;
}

export const consoleCommands = [
  command({
    path: ['vm', 'serial'],
    summary: 'Open the serial console, or print what it wrote',
    details:
      'Ctrl-] leaves the console; the VM runs on. --log prints the last 256 KiB that the guest wrote, also of a VM that is off.',
    positionals: { name: vmName },
    options: { log: flag('print the last 256 KiB and end'), 'read-only': flag('look, do not type') },
    examples: ['vm serial web1', 'vm serial web1 --log | tail -50'],
    run: async (context, { args, options }) => {
      if (options.log) return serialLog(context, args.name);
      if (context.output.isJson)
        throw usageFailure('a console has no machine output', 'Use --log --json for what it wrote.');
      if (!process.stdin.isTTY || !process.stdout.isTTY)
        throw usageFailure('a console needs a terminal', `\`hv vm serial ${args.name} --log\` prints what it wrote.`);
      const { openSerial } = await import('./serial.ts');
      return openSerial(context, args.name, options['read-only']);
    },
  }),
  command({
    path: ['vm', 'screenshot'],
    summary: 'Save a picture of the screen as PNG',
    positionals: { name: vmName },
    options: {
      out: textOption('FILE', 'where to; - writes to stdout', { defaultText: 'NAME.png', completes: 'file' }),
      width: countOption('PIXELS', 'make it this wide', { defaultText: 'as the screen is' }),
    },
    examples: ['vm screenshot web1 --out web1.png'],
    run: (context, { args, options }) => screenshot(context, args.name, options.out, options.width),
  }),
  command({
    path: ['vm', 'key'],
    summary: 'Press keys together on the guest keyboard',
    positionals: {
      name: vmName,
      keys: many('KEY', 'names as ctrl, alt, delete, f2; a combination may be written ctrl+alt+delete'),
    },
    examples: ['vm key web1 ctrl alt delete', 'vm key web1 ctrl+alt+f2'],
    run: async (context, { args }) => {
      const keys = args.keys.flatMap((key) => key.toLowerCase().split('+')).filter(Boolean);
      if (keys.length === 0 || keys.length > 8)
        throw new Failure('one to eight keys can be pressed together', {
          exit: EXIT.usage,
          code: 'usage',
          hint: 'As: hv vm key web1 ctrl alt delete',
        });
      await about(context, 'vm', args.name, (id) =>
        context.api('POST /vms/{id}/keys', { params: { id }, body: { keys } }),
      );
      if (context.output.isJson) context.output.json({ name: args.name, keys });
      else
        context.output.message(`${context.output.paintMessage('green', '●')} pressed ${keys.map(safeText).join('+')}`);
      return EXIT.done;
    },
  }),
];

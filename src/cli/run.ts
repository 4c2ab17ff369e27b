/** One call of `hv`: finds the command, runs it, and turns every failure into words and an exit code. */

import { LAUNCHER_WORDS, NOUNS, type Noun } from './commands.ts';
import type { CommandContext } from './context.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';
import { usageFailure } from './failure.ts';
import { type Output, processOutput } from './output.ts';
import { didYouMean, type Globals, matchCommand, parseCommandLine, takeGlobals, unknownCommand } from './parse.ts';
import { describeFailure, problemOf, toFailure } from './problems.ts';
import { createClient, createTransport, type Transport } from './transport.ts';

/** Runs the words after `hv`. Never rejects. */
export async function run(argv: readonly string[], env: NodeJS.ProcessEnv = process.env): Promise<ExitCode> {
  const globals = takeGlobals(argv);
  const output = processOutput(globals.isJson, env);
  try {
    if (globals.host === '') throw usageFailure('--host needs a value: HOST', 'As: hv --host vm1.example vm list');
    return await dispatch(globals, output, globals.host === null ? env : { ...env, HV_HOST: globals.host });
  } catch (error) {
    const failure = toFailure(error);
    describeFailure(output, failure);
    if (env['HV_DEBUG'] && error instanceof Error) output.message(error.stack ?? '');
    if (output.isJson) output.json(problemOf(failure));
    return failure.exit;
  }
}

async function dispatch(globals: Globals, output: Output, env: NodeJS.ProcessEnv): Promise<ExitCode> {
  const words = leadingWords(globals.rest);
  const [first] = globals.rest;
  if (first === undefined || first === 'help') return showHelp(words.slice(1), output);
  if (first === '--version') return showVersion(output);
  if (words.length === 0)
    throw usageFailure(`hv takes no option ${first} before the noun`, 'Write it after the verb. See `hv --help`.');
  if (globals.wantsHelp) return showHelp(words, output);
  const { commands } = await findNoun(words[0] ?? '').load();
  const found = matchCommand(commands, words);
  if (!found) throw unknownCommand(commands, words);
  const line = parseCommandLine(found, globals.rest.slice(found.path.length));
  const transport = await transportFor(env, output);
  const context: CommandContext = {
    api: createClient(transport),
    transport,
    output,
    isDetached: line.options.has('detach'),
    env,
  };
  return found.run(context, line);
}

/** This machine's daemon, or the one on the machine that HV_HOST names. */
async function transportFor(env: NodeJS.ProcessEnv, output: Output): Promise<Transport> {
  const host = env['HV_HOST'];
  if (!host) return createTransport(env);
  const { createRemoteTransport } = await import('./remote-transport.ts');
  return createRemoteTransport(env, output, host);
}

/** Words up to the first option. */
function leadingWords(words: readonly string[]): readonly string[] {
  const end = words.findIndex((word) => word.startsWith('-'));
  return end === -1 ? words : words.slice(0, end);
}

function findNoun(name: string): Noun {
  const noun = NOUNS.find((each) => each.name === name);
  if (noun) return noun;
  if (LAUNCHER_WORDS.some(([word]) => word === name))
    throw usageFailure(`"${name}" is done by the launcher`, `Call ./hv ${name} from the folder of the program.`);
  const known = [...NOUNS.map((each) => each.name), ...LAUNCHER_WORDS.map(([word]) => word)];
  throw usageFailure(`hv has no "${name}"${didYouMean(name, known)}`, 'See `hv --help`.');
}

async function showHelp(words: readonly string[], output: Output): Promise<ExitCode> {
  const { commandHelp, groupHelp, rootHelp } = await import('./help.ts');
  // Help is for people: where stdout is promised to JSON it goes to stderr.
  const paint = output.isJson ? output.paintMessage : output.paint;
  const columns = output.isJson ? output.messageWidth : output.width;
  const width = columns === null || columns === Number.POSITIVE_INFINITY ? 80 : Math.min(columns, 100);
  const show = (text: string) => (output.isJson ? output.raw(`${text}\n`) : output.line(text));
  if (words.length === 0) {
    show(rootHelp(width, paint));
    return EXIT.done;
  }
  const { commands } = await findNoun(words[0] ?? '').load();
  const found = matchCommand(commands, words);
  if (found) show(commandHelp(found, width, paint));
  else if (commands.some(({ path }) => words.every((word, index) => path[index] === word)))
    show(groupHelp(commands, words, width, paint));
  else throw unknownCommand(commands, words);
  return EXIT.done;
}

async function showVersion(output: Output): Promise<ExitCode> {
  const { readFile } = await import('node:fs/promises');
  const text = await readFile(new URL('../../package.json', import.meta.url), 'utf8');
  const { version }: { version: string } = JSON.parse(text);
  if (output.isJson) output.json({ version });
  else output.line(version);
  return EXIT.done;
}

/** From the words of a command line to a command and its texts; refusals name the nearest thing that was meant. */

import { parseArgs } from 'node:util';
import { nearestName } from '#kernel/names.ts';
import type { Command, CommandLine, OptionSpec } from './command.ts';
import { usageFailure } from './failure.ts';
import { flag } from './values.ts';

/** Options that every command has. */
export const GLOBAL_OPTIONS: Readonly<Record<string, OptionSpec<boolean>>> = {
  json: flag('machine output: one JSON document on stdout, nothing else there'),
  help: flag('show this help'),
};

/** Options of commands that start an operation. */
export const LONG_OPTIONS: Readonly<Record<string, OptionSpec<boolean>>> = {
  detach: flag('do not wait: print the operation and end'),
};

/** All options of a command with those that it has by its kind. */
export function optionsOf(command: Command): Readonly<Record<string, OptionSpec<unknown>>> {
  return { ...command.options, ...(command.isLong ? LONG_OPTIONS : {}), ...GLOBAL_OPTIONS };
}

/** ` Did you mean "x"?` or nothing. */
export function didYouMean(text: string, candidates: readonly string[]): string {
  const beginning = text.length >= 3 ? candidates.filter((each) => each.startsWith(text)) : [];
  const nearest = nearestName(text, candidates) ?? beginning.sort((a, b) => a.length - b.length)[0] ?? null;
  return nearest === null ? '' : `; did you mean "${nearest}"?`;
}

export interface Globals {
  readonly isJson: boolean;
  readonly wantsHelp: boolean;
  /** `--host NAME` before the noun: the machine that is meant; null when it is not given, empty when its value is missing. */
  readonly host: string | null;
  readonly rest: readonly string[];
}

/** Takes `--json`, `--help` and `-h` out, wherever they stand before `--`, and `--host` where it stands before the noun. */
export function takeGlobals(words: readonly string[]): Globals {
  const { host, rest: argv } = takeHost(words);
  const end = argv.indexOf('--');
  const before = end === -1 ? argv : argv.slice(0, end);
  const after = end === -1 ? [] : argv.slice(end);
  const isGlobal = (word: string) => word === '--json' || word === '--help' || word === '-h';
  return {
    isJson: before.includes('--json'),
    wantsHelp: before.some((word) => word === '--help' || word === '-h'),
    host,
    rest: [...before.filter((word) => !isGlobal(word)), ...after],
  };
}

/** Only before the noun, because behind it a command may have an option of that name. */
function takeHost(words: readonly string[]): { readonly host: string | null; readonly rest: readonly string[] } {
  const noun = words.findIndex((word, index) => !word.startsWith('-') && words[index - 1] !== '--host');
  const leading = noun === -1 ? words.length : noun;
  const at = words.findIndex((word, index) => index < leading && (word === '--host' || word.startsWith('--host=')));
  if (at === -1) return { host: null, rest: words };
  const inline = words[at]?.startsWith('--host=') === true;
  const host = (inline ? words[at]?.slice('--host='.length) : words[at + 1]) ?? '';
  return { host, rest: words.filter((_word, index) => index !== at && (inline || index !== at + 1)) };
}

/** The command with the longest path that `words` begins with, or null. */
export function matchCommand(commands: readonly Command[], words: readonly string[]): Command | null {
  const matching = commands.filter(({ path }) => path.every((part, index) => words[index] === part));
  return matching.sort((a, b) => b.path.length - a.path.length)[0] ?? null;
}

/** Why no command fits, naming the nearest one. */
export function unknownCommand(commands: readonly Command[], words: readonly string[]): Error {
  const depth = longestSharedPath(commands, words);
  const known = [
    ...new Set(
      commands
        .filter((each) => !each.isHidden && each.path.slice(0, depth).every((part, index) => part === words[index]))
        .map((each) => each.path[depth] ?? ''),
    ),
  ].filter(Boolean);
  const prefix = words.slice(0, depth).join(' ');
  const wrong = words[depth];
  if (wrong === undefined)
    return usageFailure(`"hv ${prefix}" needs one of: ${known.join(', ')}`, `hv ${prefix} --help`);
  return usageFailure(
    `hv ${prefix} has no "${wrong}"${didYouMean(wrong, known)}`,
    `It has ${known.join(', ')}. See \`hv ${prefix} --help\`.`,
  );
}

function longestSharedPath(commands: readonly Command[], words: readonly string[]): number {
  let longest = 0;
  for (const { path } of commands) {
    let depth = 0;
    while (depth < path.length && depth < words.length && path[depth] === words[depth]) depth += 1;
    longest = Math.max(longest, depth);
  }
  return longest;
}

/** `hv vm create NAME [options]`. */
export function usageLine(command: Command): string {
  const words = Object.values(command.positionals).map((spec) => {
    const name = spec.isRepeatable ? `${spec.placeholder}...` : spec.placeholder;
    return spec.isOptional ? `[${name}]` : name;
  });
  return ['hv', ...command.path, ...words, '[options]'].join(' ');
}

/** Reads the words after the command's path.
 *  @throws Failure (exit 2) for unknown, doubled, missing or superfluous words */
export function parseCommandLine(command: Command, words: readonly string[]): CommandLine {
  const specs = optionsOf(command);
  const help = `See \`hv ${command.path.join(' ')} --help\`.`;
  const { tokens } = parseArgs({
    args: [...words],
    strict: false,
    tokens: true,
    options: Object.fromEntries(
      Object.entries(specs).map(([name, spec]) => [
        name,
        { type: spec.isFlag ? ('boolean' as const) : ('string' as const), multiple: true },
      ]),
    ),
  });
  const options = new Map<string, string[]>();
  const positionals: string[] = [];
  for (const token of tokens) {
    if (token.kind === 'positional') positionals.push(token.value);
    if (token.kind !== 'option') continue;
    const spec = Object.hasOwn(specs, token.name) ? specs[token.name] : undefined;
    if (!spec || !token.rawName.startsWith('--')) {
      const near = didYouMean(token.name, Object.keys(specs));
      throw usageFailure(`there is no option ${token.rawName}${near.replace(/"(.*)"/, '"--$1"')}`, help);
    }
    if (spec.isFlag && token.value !== undefined) throw usageFailure(`${token.rawName} takes no value`, help);
    const isMissing =
      !spec.isFlag &&
      (token.value === undefined || (!token.inlineValue && token.value.startsWith('-') && token.value !== '-'));
    if (isMissing)
      throw usageFailure(
        `${token.rawName} needs a value: ${spec.placeholder}`,
        `Write ${token.rawName}=VALUE where the value begins with a dash. ${help}`,
      );
    const texts = options.get(token.name) ?? [];
    if (texts.length > 0 && !spec.isRepeatable && !spec.isFlag)
      throw usageFailure(`${token.rawName} is given twice`, 'Give it once.');
    options.set(token.name, [...texts, token.value ?? '']);
  }
  for (const [name, spec] of Object.entries(specs)) {
    if (spec.isRequired && !options.has(name)) throw usageFailure(`--${name} ${spec.placeholder} is missing`, help);
  }
  checkPositionals(command, positionals, help);
  return { positionals, options };
}

function checkPositionals(command: Command, positionals: readonly string[], help: string): void {
  const specs = Object.values(command.positionals);
  const needed = specs.filter((spec) => !spec.isOptional);
  const missing = needed[positionals.length];
  if (missing) throw usageFailure(`${missing.placeholder} is missing`, `Usage: ${usageLine(command)}`);
  const isOpen = specs.some((spec) => spec.isRepeatable);
  const extra = positionals[specs.length];
  if (!isOpen && extra !== undefined)
    throw usageFailure(`"${extra}" is one argument too many`, `Usage: ${usageLine(command)}. ${help}`);
}

/** How a command is declared. One record gives parsing, help, completion and the reference. */

import type { CommandContext } from './context.ts';
import type { ExitCode } from './exit-codes.ts';

/** What a shell offers for a value: names of objects, files, or nothing. */
export type Completion =
  | 'vm'
  | 'image'
  | 'network'
  | 'pool'
  | 'operation'
  | 'trash'
  | 'catalogue'
  | 'host'
  | 'session'
  | 'project'
  | 'user'
  | 'group'
  | 'role'
  | 'grant'
  | 'token'
  | 'channel'
  | 'silence'
  | 'alert'
  | 'rule'
  | 'repository'
  | 'restore-point'
  | 'schedule'
  | 'file'
  | null;

/** An option; `read` turns its texts (in the order given, none when absent) into its value.
 *  @throws Failure with exit 2 for a value that does not fit */
export interface OptionSpec<Value> {
  readonly isFlag: boolean;
  readonly isRepeatable: boolean;
  readonly isRequired: boolean;
  /** As `SIZE`; empty for a flag. */
  readonly placeholder: string;
  readonly summary: string;
  readonly defaultText: string | null;
  readonly choices: readonly string[];
  readonly completes: Completion;
  read(texts: readonly string[], name: string): Value;
}

/** A positional argument; as for options. */
export interface PositionalSpec<Value> {
  readonly placeholder: string;
  readonly summary: string;
  readonly isOptional: boolean;
  readonly isRepeatable: boolean;
  readonly choices: readonly string[];
  readonly completes: Completion;
  read(texts: readonly string[]): Value;
}

export type OptionSpecs = Readonly<Record<string, OptionSpec<unknown>>>;
export type PositionalSpecs = Readonly<Record<string, PositionalSpec<unknown>>>;

type OptionValues<Specs> = {
  readonly [Name in keyof Specs]: Specs[Name] extends OptionSpec<infer Value> ? Value : never;
};
type PositionalValues<Specs> = {
  readonly [Name in keyof Specs]: Specs[Name] extends PositionalSpec<infer Value> ? Value : never;
};

export interface Invocation<Positionals, Options> {
  readonly args: PositionalValues<Positionals>;
  readonly options: OptionValues<Options>;
}

/** What a command line says, before its values are read. */
export interface CommandLine {
  readonly positionals: readonly string[];
  readonly options: ReadonlyMap<string, readonly string[]>;
}

/** A command with the types of its values forgotten. */
export interface Command {
  readonly path: readonly string[];
  readonly summary: string;
  readonly details: string;
  readonly examples: readonly string[];
  readonly positionals: PositionalSpecs;
  readonly options: OptionSpecs;
  /** Starts an operation: has `--detach`. */
  readonly isLong: boolean;
  readonly isHidden: boolean;
  run(context: CommandContext, line: CommandLine): Promise<ExitCode>;
}

export interface CommandDeclaration<Positionals extends PositionalSpecs, Options extends OptionSpecs> {
  readonly path: readonly string[];
  readonly summary: string;
  /** Further sentences for the command's own help. */
  readonly details?: string;
  /** Command lines without the leading `hv`. */
  readonly examples?: readonly string[];
  readonly positionals?: Positionals;
  readonly options?: Options;
  readonly isLong?: boolean;
  readonly isHidden?: boolean;
  run(context: CommandContext, invocation: Invocation<Positionals, Options>): Promise<ExitCode>;
}

// biome-ignore lint/complexity/noBannedTypes: a command without options has an empty record of them
export function command<const Positionals extends PositionalSpecs = {}, const Options extends OptionSpecs = {}>(
  declaration: CommandDeclaration<Positionals, Options>,
): Command {
  const positionals: PositionalSpecs = declaration.positionals ?? {};
  const options: OptionSpecs = declaration.options ?? {};
  return {
    path: declaration.path,
    summary: declaration.summary,
    details: declaration.details ?? '',
    examples: declaration.examples ?? [],
    positionals,
    options,
    isLong: declaration.isLong ?? false,
    isHidden: declaration.isHidden ?? false,
    run: async (context, line) => {
      const args = readPositionals(positionals, line.positionals);
      const values = Object.fromEntries(
        Object.entries(options).map(([name, spec]) => [name, spec.read(line.options.get(name) ?? [], name)]),
      );
      // The records were read by the very specs that the types come from.
      return declaration.run(context, {
        args: args as PositionalValues<Positionals>,
        options: values as OptionValues<Options>,
      });
    },
  };
}

/** Commands of one noun, in the order in which help shows them. */
export function defineCommands(commands: readonly Command[]): readonly Command[] {
  const seen = new Set<string>();
  for (const { path } of commands) {
    const name = path.join(' ');
    if (seen.has(name)) throw new TypeError(`command "${name}" is declared twice`);
    seen.add(name);
  }
  return commands;
}

function readPositionals(specs: PositionalSpecs, texts: readonly string[]): Readonly<Record<string, unknown>> {
  let index = 0;
  const values: [string, unknown][] = [];
  for (const [name, spec] of Object.entries(specs)) {
    const taken = spec.isRepeatable ? texts.slice(index) : texts.slice(index, index + 1);
    index += taken.length;
    values.push([name, spec.read(taken)]);
  }
  return Object.fromEntries(values);
}

/** `hv completion`: scripts for bash, zsh and fish. They ask `hv completion words` at each Tab, which knows every command,
 *  option, choice and the names of objects. */

import type { Command, Completion } from './command.ts';
import { command, defineCommands } from './command.ts';
import type { CommandContext } from './context.ts';
import { EXIT } from './exit-codes.ts';
import { matchCommand, optionsOf } from './parse.ts';
import { any, one } from './values.ts';

const KINDS = [
  'vm',
  'image',
  'network',
  'pool',
  'operation',
  'trash',
  'catalogue',
  'host',
  'session',
  'project',
  'user',
  'group',
  'role',
  'grant',
  'token',
  'alert',
  'rule',
  'repository',
  'restore-point',
  'schedule',
] as const;

const BASH = `# bash completion for hv. Load it with: source <(hv completion bash)
_hv() {
  local current="\${COMP_WORDS[COMP_CWORD]}" line
  COMPREPLY=()
  while IFS= read -r line; do
    if [[ "$line" == ":file" ]]; then
      compopt -o default 2>/dev/null
    else
      COMPREPLY+=("$line")
    fi
  done < <("\${COMP_WORDS[0]}" completion words -- "\${COMP_WORDS[@]:1:COMP_CWORD-1}" "$current" 2>/dev/null)
}
complete -F _hv hv ./hv
`;

const ZSH = `#compdef hv
# zsh completion for hv. Load it with: source <(hv completion zsh)
_hv() {
  local -a found
  found=("\${(@f)$("\${words[1]}" completion words -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if (( \${found[(Ie):file]} )); then
    _files
  else
    compadd -a found
  fi
}
compdef _hv hv
`;

const FISH = `# fish completion for hv. Load it with: hv completion fish | source
function __hv_words
    set -l words (commandline -opc) (commandline -ct)
    for line in ($words[1] completion words -- $words[2..-1] 2>/dev/null)
        if test "$line" = ":file"
            __fish_complete_path (commandline -ct)
        else
            echo $line
        end
    end
end
complete -c hv -f -a '(__hv_words)'
`;

const SCRIPTS: Readonly<Record<string, string>> = { bash: BASH, zsh: ZSH, fish: FISH };

async function wordsFor(
  context: CommandContext,
  completes: Completion,
  choices: readonly string[],
): Promise<readonly string[]> {
  if (choices.length > 0) return choices;
  if (completes === null) return [];
  if (completes === 'file') return [':file'];
  const { namesOf } = await import('./objects.ts');
  // A shell shows nothing when the daemon is away; it has no place for an error.
  const names = await namesOf(context, completes).catch(() => []);
  // A name with anything else than these needs quoting that differs between shells: it is left out.
  return names.filter((name) => /^[A-Za-z0-9._:@%+-]+$/.test(name));
}

/** What may stand for the last of `words` (which come after `hv`). */
async function complete(context: CommandContext, typed: readonly string[]): Promise<readonly string[]> {
  const words = withoutEquals(typed);
  const current = words.at(-1) ?? '';
  const before = words.slice(0, -1);
  const { NOUNS, LAUNCHER_WORDS } = await import('./commands.ts');
  const beginning = (candidates: readonly string[]) =>
    [...new Set(candidates)].filter((candidate) => candidate === ':file' || candidate.startsWith(current));
  if (before.length === 0)
    return beginning([
      ...NOUNS.map(({ name }) => name),
      ...LAUNCHER_WORDS.map(([name]) => name),
      '--help',
      '--version',
    ]);
  const noun = NOUNS.find(({ name }) => name === before[0]);
  if (!noun) return [];
  const { commands } = await noun.load();
  const found = matchCommand(commands, before);
  if (!found) return beginning(nextWords(commands, before));
  const options = optionsOf(found);
  const rest = before.slice(found.path.length);
  const previous = rest.at(-1) ?? '';
  const awaited = previous.startsWith('--') ? options[previous.slice(2)] : undefined;
  if (awaited && !awaited.isFlag) return beginning(await wordsFor(context, awaited.completes, awaited.choices));
  if (current.startsWith('-')) return beginning(Object.keys(options).map((name) => `--${name}`));
  const spec = positionalAt(found, countPositionals(rest, options));
  return beginning(spec ? await wordsFor(context, spec.completes, spec.choices) : []);
}

/** bash makes three words of `--firmware=uefi`. */
function withoutEquals(typed: readonly string[]): readonly string[] {
  const words = typed.filter((word, index) => word !== '=' || index === typed.length - 1);
  return typed.at(-1) === '=' ? [...words.slice(0, -1), ''] : words;
}

function nextWords(commands: readonly Command[], before: readonly string[]): readonly string[] {
  return commands
    .filter(({ path, isHidden }) => !isHidden && before.every((word, index) => path[index] === word))
    .map(({ path }) => path[before.length] ?? '');
}

function countPositionals(words: readonly string[], options: ReturnType<typeof optionsOf>): number {
  let count = 0;
  for (const [index, word] of words.entries()) {
    const previous = words[index - 1] ?? '';
    const isValue = previous.startsWith('--') && options[previous.slice(2)]?.isFlag === false;
    if (!word.startsWith('-') && !isValue) count += 1;
  }
  return count;
}

function positionalAt(found: Command, index: number) {
  const specs = Object.values(found.positionals);
  return specs[index] ?? (specs.at(-1)?.isRepeatable ? specs.at(-1) : undefined);
}

export const commands = defineCommands([
  ...(['bash', 'zsh', 'fish'] as const).map((shell) =>
    command({
      path: ['completion', shell],
      summary: `Print the completion script for ${shell}`,
      examples: [
        shell === 'fish'
          ? 'completion fish | source'
          : `completion ${shell} > /tmp/hv-completion && source /tmp/hv-completion`,
      ],
      run: async ({ output }) => {
        if (output.isJson) output.json({ shell, script: SCRIPTS[shell] });
        else output.bytes(Buffer.from(SCRIPTS[shell] ?? ''));
        return EXIT.done;
      },
    }),
  ),
  command({
    path: ['completion', 'words'],
    summary: 'What may stand for the last word; called by the scripts',
    isHidden: true,
    positionals: { words: any('WORD', 'the words after hv') },
    run: async (context, { args }) => {
      for (const word of await complete(context, args.words)) context.output.line(word);
      return EXIT.done;
    },
  }),
  command({
    path: ['completion', 'names'],
    summary: 'Names of all objects of a kind',
    isHidden: true,
    positionals: { kind: one('KIND', 'kind of object', { choices: KINDS }) },
    run: async (context, { args }) => {
      const kind = KINDS.find((each) => each === args.kind);
      for (const word of await wordsFor(context, kind ?? null, [])) context.output.line(word);
      return EXIT.done;
    },
  }),
]);

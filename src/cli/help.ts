/** Help at every level, from the same records that the commands are declared with. */

import type { Command } from './command.ts';
import { LAUNCHER_WORDS, NOUNS } from './commands.ts';
import type { Paint } from './output.ts';
import { optionsOf, usageLine } from './parse.ts';
import { padText, textWidth, wrapText } from './text.ts';

type Entry = readonly [left: string, right: string];

/** Narrower descriptions stand below their names. */
const LEAST_ROOM = 24;

/** Two columns within `width`: names, and what they are. */
function entryLines(entries: readonly Entry[], width: number): string[] {
  const leftWidth = Math.min(34, Math.max(...entries.map(([left]) => textWidth(left))));
  const room = width - leftWidth - 4;
  if (room < LEAST_ROOM)
    return entries.flatMap(([left, right]) => [
      ...hanging(left, width, 2).map((line) => `  ${line}`),
      ...wrapText(right, width - 6).map((line) => `      ${line}`),
    ]);
  return entries.flatMap(([left, right]) => {
    const lines = wrapText(right, room);
    const indent = ' '.repeat(leftWidth + 4);
    const isLong = textWidth(left) > leftWidth;
    const first = isLong
      ? [`  ${left}`, `${indent}${lines[0] ?? ''}`]
      : [`  ${padText(left, leftWidth)}  ${lines[0] ?? ''}`];
    return [...first, ...lines.slice(1).map((line) => indent + line)];
  });
}

/** Lines of which all but the first are set in by two, to be set in by `indent` as a whole. */
function hanging(text: string, width: number, indent = 0): string[] {
  return wrapText(text, width - indent - 2).map((line, index) => (index === 0 ? line : `  ${line}`));
}

/** Commands that a shell takes as they stand, also where one needs several lines. */
function exampleLines(examples: readonly string[], width: number): string[] {
  return examples.flatMap((example) => {
    const lines = textWidth(example) + 2 <= width ? [example] : hanging(example, width - 2, 2);
    return lines.map((line, index) => `  ${line}${index < lines.length - 1 ? ' \\' : ''}`);
  });
}

function titleLines(text: string, width: number, paint: Paint): string[] {
  return wrapText(text, width).map((line) => paint('bold', line));
}

const EXAMPLES = [
  'hv vm list',
  'hv vm create web1 --image debian-13-cloud --memory 2GiB --disk 20GiB --ssh-key ~/.ssh/id_ed25519.pub',
  'hv vm serial web1',
];

/** `hv --help`. */
export function rootHelp(width: number, paint: Paint): string {
  return [
    ...titleLines('hv - run virtual machines on this host', width, paint),
    '',
    ...hanging('Usage: hv [--host HOST] <noun> <verb> [options]', width),
    '',
    ...entryLines(
      NOUNS.map(({ name, summary }): Entry => [name, summary]),
      width,
    ),
    '',
    paint('bold', 'The platform itself'),
    ...entryLines(LAUNCHER_WORDS, width),
    '',
    paint('bold', 'Examples'),
    ...exampleLines(EXAMPLES, width),
    '',
    ...wrapText(
      'Every command takes --json and --help. `hv <noun> --help` shows the verbs of a noun. --host HOST (or HV_HOST) means a machine that you signed in to with `hv login`.',
      width,
    ),
  ].join('\n');
}

/** `hv vm --help`: the commands whose path begins with `words`. */
export function groupHelp(commands: readonly Command[], words: readonly string[], width: number, paint: Paint): string {
  const shown = commands.filter(
    ({ path, isHidden }) => !isHidden && words.every((word, index) => path[index] === word),
  );
  const prefix = words.join(' ');
  const summary = words.length === 1 ? NOUNS.find(({ name }) => name === words[0])?.summary : undefined;
  return [
    ...titleLines(summary ? `hv ${prefix} - ${summary}` : `hv ${prefix}`, width, paint),
    '',
    ...entryLines(
      shown.map(
        (each): Entry => [
          [
            ...each.path.slice(words.length),
            ...Object.values(each.positionals).map(({ placeholder, isOptional }) =>
              isOptional ? `[${placeholder}]` : placeholder,
            ),
          ].join(' ') || prefix,
          each.summary,
        ],
      ),
      width,
    ),
    '',
    ...wrapText(`\`hv ${prefix} <verb> --help\` shows a command with its options and examples.`, width),
  ].join('\n');
}

/** How an option is written: `--memory SIZE`. */
export function optionLabel(name: string, placeholder: string): string {
  return placeholder ? `--${name} ${placeholder}` : `--${name}`;
}

/** `hv vm create --help`. */
export function commandHelp(each: Command, width: number, paint: Paint): string {
  const args = Object.values(each.positionals).map(
    (spec): Entry => [spec.placeholder, spec.summary + (spec.choices.length > 0 ? `: ${spec.choices.join(', ')}` : '')],
  );
  const options = Object.entries(optionsOf(each)).map(([name, spec]): Entry => {
    const notes = [
      spec.defaultText === null ? '' : `default ${spec.defaultText}`,
      spec.isRepeatable ? 'may be repeated' : '',
      spec.isRequired ? 'required' : '',
    ].filter(Boolean);
    return [optionLabel(name, spec.placeholder), spec.summary + (notes.length > 0 ? ` (${notes.join(', ')})` : '')];
  });
  return [
    ...titleLines(`hv ${each.path.join(' ')} - ${each.summary}`, width, paint),
    '',
    ...hanging(`Usage: ${usageLine(each)}`, width),
    ...(each.details ? ['', ...wrapText(each.details, width)] : []),
    ...(args.length > 0 ? ['', paint('bold', 'Arguments'), ...entryLines(args, width)] : []),
    '',
    paint('bold', 'Options'),
    ...entryLines(options, width),
    ...(each.examples.length > 0
      ? [
          '',
          paint('bold', each.examples.length === 1 ? 'Example' : 'Examples'),
          ...exampleLines(
            each.examples.map((example) => `hv ${example}`),
            width,
          ),
        ]
      : []),
  ].join('\n');
}

/** Help at every level, from the same records that the commands are declared with. */

import type { Command } from './command.ts';
import { LAUNCHER_WORDS, NOUNS } from './commands.ts';
import type { Paint } from './output.ts';
import { optionsOf, usageLine } from './parse.ts';
import { padText, textWidth, wrapText } from './text.ts';

type Entry = readonly [left: string, right: string];

/** Two columns: names, and what they are, wrapped within `width`. */
function entryLines(entries: readonly Entry[], width: number): string[] {
  const leftWidth = Math.min(34, Math.max(...entries.map(([left]) => textWidth(left))));
  const room = Math.max(24, Math.min(width, 100) - leftWidth - 4);
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

/** `hv --help`. */
export function rootHelp(width: number, paint: Paint): string {
  return [
    paint('bold', 'hv - run virtual machines on this host'),
    '',
    'Usage: hv <noun> <verb> [options]',
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
    '  hv vm list',
    '  hv vm create web1 --image debian-13-cloud --memory 2GiB --disk 20GiB --ssh-key ~/.ssh/id_ed25519.pub',
    '  hv vm serial web1',
    '',
    'Every command takes --json and --help. `hv <noun> --help` shows the verbs of a noun.',
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
    paint('bold', summary ? `hv ${prefix} - ${summary}` : `hv ${prefix}`),
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
    `\`hv ${prefix} <verb> --help\` shows a command with its options and examples.`,
  ].join('\n');
}

/** How an option is written: `--memory SIZE`. */
export function optionLabel(name: string, placeholder: string): string {
  return placeholder ? `--${name} ${placeholder}` : `--${name}`;
}

/** `hv vm create --help`. */
export function commandHelp(each: Command, width: number, paint: Paint): string {
  const room = Math.min(width, 100);
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
    paint('bold', `hv ${each.path.join(' ')} - ${each.summary}`),
    '',
    `Usage: ${usageLine(each)}`,
    ...(each.details ? ['', ...wrapText(each.details, room)] : []),
    ...(args.length > 0 ? ['', paint('bold', 'Arguments'), ...entryLines(args, width)] : []),
    '',
    paint('bold', 'Options'),
    ...entryLines(options, width),
    ...(each.examples.length > 0
      ? [
          '',
          paint('bold', each.examples.length === 1 ? 'Example' : 'Examples'),
          ...each.examples.map((example) => `  hv ${example}`),
        ]
      : []),
  ].join('\n');
}

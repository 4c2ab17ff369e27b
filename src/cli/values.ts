/** The kinds of values that options and arguments have: text, sizes, counts, choices, flags. */

import { formatBytes, parseBytes } from '#kernel/units.ts';
import type { Completion, OptionSpec, PositionalSpec } from './command.ts';
import { usageFailure } from './failure.ts';

interface OptionExtras {
  readonly completes?: Completion;
  readonly defaultText?: string;
}

interface Reader<Value> {
  readonly placeholder: string;
  readonly choices?: readonly string[];
  read(text: string, name: string): Value;
}

function base(placeholder: string, summary: string, extras: OptionExtras, choices: readonly string[] = []) {
  return {
    isFlag: false,
    isRepeatable: false,
    isRequired: false,
    placeholder,
    summary,
    choices,
    defaultText: extras.defaultText ?? null,
    completes: extras.completes ?? null,
  };
}

const text = (placeholder: string): Reader<string> => ({ placeholder, read: (value) => value });

const byteCount: Reader<number> = {
  placeholder: 'SIZE',
  read: (value, name) => {
    const bytes = parseBytes(value);
    if (bytes === null)
      throw usageFailure(
        `--${name} ${JSON.stringify(value)} is not a size`,
        'Write a number with a unit, as 512MiB or 20GiB.',
      );
    return bytes;
  },
};

const count = (placeholder: string): Reader<number> => ({
  placeholder,
  read: (value, name) => {
    if (!/^\d{1,9}$/.test(value))
      throw usageFailure(`--${name} ${JSON.stringify(value)} is not a whole number`, 'Write digits only, as 4.');
    return Number(value);
  },
});

function oneOf<const Choices extends readonly string[]>(choices: Choices): Reader<Choices[number]> {
  return {
    placeholder: choices.join('|'),
    choices,
    read: (value, name) => {
      const found = choices.find((choice) => choice === value);
      if (found === undefined)
        throw usageFailure(
          `--${name} ${JSON.stringify(value)} is not one of ${choices.join(', ')}`,
          `Choose one of ${choices.join(', ')}.`,
        );
      return found;
    },
  };
}

function optional<Value>(
  reader: Reader<Value>,
  summary: string,
  extras: OptionExtras = {},
): OptionSpec<Value | undefined> {
  return {
    ...base(reader.placeholder, summary, extras, reader.choices),
    read: (texts, name) => (texts[0] === undefined ? undefined : reader.read(texts[0], name)),
  };
}

/** An option without a value: true when it is given. */
export function flag(summary: string): OptionSpec<boolean> {
  return { ...base('', summary, {}), isFlag: true, read: (texts) => texts.length > 0 };
}

export function textOption(
  placeholder: string,
  summary: string,
  extras: OptionExtras = {},
): OptionSpec<string | undefined> {
  return optional(text(placeholder), summary, extras);
}

/** Text that may be given several times. */
export function textList(
  placeholder: string,
  summary: string,
  extras: OptionExtras = {},
): OptionSpec<readonly string[]> {
  return { ...base(placeholder, summary, extras), isRepeatable: true, read: (texts) => texts };
}

/** Bytes, written as `512MiB`. */
export function sizeOption(
  summary: string,
  extras: { readonly defaultBytes?: number } = {},
): OptionSpec<number | undefined> {
  return optional(
    byteCount,
    summary,
    extras.defaultBytes === undefined ? {} : { defaultText: formatBytes(extras.defaultBytes) },
  );
}

export function countOption(
  placeholder: string,
  summary: string,
  extras: OptionExtras = {},
): OptionSpec<number | undefined> {
  return optional(count(placeholder), summary, extras);
}

export function choiceOption<const Choices extends readonly string[]>(
  choices: Choices,
  summary: string,
  extras: OptionExtras = {},
): OptionSpec<Choices[number] | undefined> {
  return optional(oneOf(choices), summary, extras);
}

interface PositionalExtras {
  readonly completes?: Completion;
  readonly choices?: readonly string[];
}

function positional(placeholder: string, summary: string, extras: PositionalExtras) {
  return {
    placeholder,
    summary,
    isOptional: false,
    isRepeatable: false,
    choices: extras.choices ?? [],
    completes: extras.completes ?? null,
  };
}

/** An argument that must be there. */
export function one(placeholder: string, summary: string, extras: PositionalExtras = {}): PositionalSpec<string> {
  return {
    ...positional(placeholder, summary, extras),
    read: (texts) => {
      if (texts[0] === undefined || texts[0] === '')
        throw usageFailure(`${placeholder} is missing`, `${placeholder}: ${summary}.`);
      if (extras.choices && !extras.choices.includes(texts[0])) {
        throw usageFailure(
          `${JSON.stringify(texts[0])} is not one of ${extras.choices.join(', ')}`,
          `Choose one of ${extras.choices.join(', ')}.`,
        );
      }
      return texts[0];
    },
  };
}

/** One or more arguments, each once. */
export function many(
  placeholder: string,
  summary: string,
  extras: PositionalExtras = {},
): PositionalSpec<readonly string[]> {
  return {
    ...positional(placeholder, summary, extras),
    isRepeatable: true,
    read: (texts) => {
      if (texts.length === 0 || texts.includes(''))
        throw usageFailure(`${placeholder} is missing`, `${placeholder}: ${summary}.`);
      return [...new Set(texts)];
    },
  };
}

/** Any number of arguments, none too. */
export function any(
  placeholder: string,
  summary: string,
  extras: PositionalExtras = {},
): PositionalSpec<readonly string[]> {
  return { ...positional(placeholder, summary, extras), isOptional: true, isRepeatable: true, read: (texts) => texts };
}

/** The entries of a text as `prod,db`; blanks around them do not count. */
export function commaSeparated(list: string): string[] {
  return list
    .split(',')
    .map((entry) => entry.trim())
    .filter(Boolean);
}

/** Asking before something is lost: the name on a terminal, `--yes --name NAME` without one. */

import { createInterface } from 'node:readline/promises';
import type { CommandContext } from './context.ts';
import { EXIT } from './exit-codes.ts';
import { Failure, usageFailure } from './failure.ts';
import { safeText } from './text.ts';
import { flag, textOption } from './values.ts';

/** Options of every command that takes something away. */
export const CONFIRM_OPTIONS = {
  yes: flag('do not ask; needs --name'),
  name: textOption('NAME', 'the name of what is taken away, to go with --yes'),
} as const;

export interface Confirmation {
  /** What happens, as `"web1" goes to the trash`. */
  readonly what: string;
  /** What has to be typed. */
  readonly name: string;
  readonly options: { readonly yes: boolean; readonly name: string | undefined };
}

/** Returns when it is confirmed: true when a person typed the name, false when the command line said it.
 *  @throws Failure exit 2 without a terminal and without `--yes --name`, exit 1 when the typed name differs */
export async function confirmByName(
  { output }: CommandContext,
  { what, name, options }: Confirmation,
): Promise<boolean> {
  if (options.name !== undefined && options.name !== name)
    throw usageFailure(`--name "${options.name}" is not the name "${name}"`, `Give --name ${name} if that is the one.`);
  if (options.yes && options.name !== undefined) return false;
  if (!output.isInteractive)
    throw usageFailure(`this has to be confirmed: ${what}`, `Without a terminal, add --yes --name ${name}.`);
  output.message(safeText(what));
  const typed = await ask(`Type ${safeText(name)} to go on: `);
  if (typed !== name && typed !== safeText(name))
    throw new Failure('nothing was changed: the name was not given', { exit: EXIT.failed, code: 'not_confirmed' });
  return true;
}

/** A question to a person at a terminal; only `yes` is a yes. */
export async function confirmYes(question: string): Promise<boolean> {
  return (await ask(`${question} Type yes or no: `)).toLowerCase() === 'yes';
}

/** One line from the terminal; Ctrl-C and the end of input give an empty one. */
export async function ask(question: string): Promise<string> {
  const prompt = createInterface({ input: process.stdin, output: process.stderr });
  let isAnswered = false;
  const closed = new Promise<string>((resolve) =>
    prompt.once('close', () => {
      if (!isAnswered) process.stderr.write('\n');
      resolve('');
    }),
  );
  try {
    const answer = await Promise.race([prompt.question(question), closed]);
    isAnswered = true;
    return answer.trim();
  } finally {
    prompt.close();
  }
}

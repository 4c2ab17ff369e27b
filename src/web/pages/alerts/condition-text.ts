/** The text of a condition cut at its mistakes, and mended. Pure. */

import type { RuleProblem } from '#contract/rules/problem.ts';

export interface Piece {
  readonly text: string;
  readonly mark: 'error' | 'note' | null;
}

/** Mistakes go before what is perhaps not meant; what is wrong at the end of the text marks its last character. */
export function pieces(
  text: string,
  errors: readonly Pick<RuleProblem, 'column' | 'length'>[],
  notes: readonly Pick<RuleProblem, 'column' | 'length'>[],
): readonly Piece[] {
  const marks = new Array<Piece['mark']>(text.length).fill(null);
  const paint = ({ column, length }: Pick<RuleProblem, 'column' | 'length'>, mark: Piece['mark']) => {
    const from = Math.max(0, Math.min(column - 1, text.length - 1));
    marks.fill(mark, from, Math.max(from + 1, column - 1 + length));
  };
  for (const note of notes) paint(note, 'note');
  for (const error of errors) paint(error, 'error');
  const found: { text: string; mark: Piece['mark'] }[] = [];
  for (const [index, character] of Array.from({ length: text.length }, (_, at) => text[at] ?? '').entries()) {
    const mark = marks[index] ?? null;
    const last = found.at(-1);
    if (last && last.mark === mark) last.text += character;
    else found.push({ text: character, mark });
  }
  return found;
}

/** The text with the suggestion in place of the mistake, and where the cursor stands behind it. */
export function mended(
  text: string,
  { column, length, suggestion }: Pick<RuleProblem, 'column' | 'length' | 'suggestion'>,
): { readonly text: string; readonly cursor: number } {
  const before = text.slice(0, column - 1) + (suggestion ?? '');
  return { text: before + text.slice(column - 1 + length), cursor: before.length };
}

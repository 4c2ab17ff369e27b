/** `hv image catalogue check`: what was found online, entry by entry. */

import type { CommandContext } from './context.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';
import { finish, follow, resultOf } from './follow.ts';
import type { Colour } from './output.ts';
import { printTable } from './table.ts';
import { safeText } from './text.ts';

interface Finding {
  readonly id: string;
  readonly status: string;
  readonly detail: string;
}

/** The findings in an operation's result; entries that this version does not understand are left out. */
function findingsOf(result: unknown): readonly Finding[] {
  if (typeof result !== 'object' || result === null || !('checks' in result) || !Array.isArray(result.checks))
    return [];
  const checks: readonly unknown[] = result.checks;
  return checks.filter(
    (each): each is Finding =>
      typeof each === 'object' &&
      each !== null &&
      'id' in each &&
      typeof each.id === 'string' &&
      'status' in each &&
      typeof each.status === 'string' &&
      'detail' in each &&
      typeof each.detail === 'string',
  );
}

const markFor = (status: string): readonly [glyph: string, colour: Colour] => {
  if (status === 'ok') return ['●', 'green'];
  return status === 'unreachable' ? ['?', 'yellow'] : ['■', 'red'];
};

/** Checks entries (all when none is named). Exit 7 when something is not as it should be, 1 when nothing was checked. */
export async function checkCatalogue(context: CommandContext, ids: readonly string[]): Promise<ExitCode> {
  const { api, output } = context;
  const operation = await api('POST /images/catalogue/check', { body: ids.length > 0 ? { ids: [...ids] } : {} });
  const finished = context.isDetached ? operation : await follow(context, operation);
  if (finished.state !== 'done') return finish(context, finished);
  const findings = findingsOf(finished.result);
  if (output.isJson) output.json(resultOf(finished));
  else {
    printTable(
      output,
      [
        { title: 'ID', value: ({ id }) => safeText(id) },
        {
          title: 'RESULT',
          value: ({ status }) => `${markFor(status)[0]} ${safeText(status.replaceAll('_', ' '))}`,
          colour: (text, { status }, paint) => paint(markFor(status)[1], text),
        },
        { title: 'FOUND', value: ({ detail }) => safeText(detail), flexibleTo: 20, isOptional: true },
      ],
      findings,
      'Nothing was checked.',
    );
  }
  if (findings.length === 0) return EXIT.failed;
  return findings.every(({ status }) => status === 'ok') ? EXIT.done : EXIT.warnings;
}

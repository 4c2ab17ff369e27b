/** `hv health`: what is looked at all the time, what was found, since when, and what to do. */

import type { Health, HealthDetail, HealthResult } from '#contract/health.ts';
import { command, defineCommands } from './command.ts';
import type { CommandContext } from './context.ts';
import { EXIT } from './exit-codes.ts';
import { Failure, usageFailure } from './failure.ts';
import { follow } from './follow.ts';
import { CHECK_MARKS } from './glyphs.ts';
import type { Output } from './output.ts';
import { padText, safeText, wrapText } from './text.ts';
import { ageText, sinceText, timeText } from './time.ts';
import { any, flag } from './values.ts';

const EXITS = { ok: EXIT.done, warn: EXIT.warnings, fail: EXIT.failed, unknown: EXIT.failed } as const;
/** What needs somebody comes first. */
const ORDER = { fail: 0, unknown: 1, warn: 2, ok: 3 } as const;
/** `? unknown` and a gap. */
const STATUS_WIDTH = 11;
const INDENT = '    ';

async function runNow(context: CommandContext): Promise<void> {
  const finished = await follow(context, await context.api('POST /health/run'));
  if (finished.state !== 'done')
    throw new Failure(`the checks did not come to an end: ${finished.error?.detail ?? finished.state}`, {
      exit: EXIT.failed,
      code: finished.error?.code ?? 'failed',
      hint: `hv op show ${finished.id}`,
    });
}

function mark(output: Output, status: HealthResult['status']): string {
  const { glyph, colour } = CHECK_MARKS[status];
  return output.paint(colour, padText(`${glyph} ${status}`, STATUS_WIDTH));
}

function printText(output: Output, text: string): void {
  const lines = output.width === Number.POSITIVE_INFINITY ? [text] : wrapText(text, output.width - INDENT.length);
  for (const line of lines) output.line(`${INDENT}${line}`);
}

function printResult(output: Output, { id, title, status, evidence, hint, items, since }: HealthResult): void {
  output.line(`${mark(output, status)}${safeText(title)} (${safeText(id)}), for ${sinceText(since)}`);
  printText(output, safeText(evidence));
  // The evidence names the first three.
  if (status !== 'ok')
    for (const item of items.slice(3)) printText(output, `${safeText(item.name)}: ${safeText(item.detail)}`);
  if (hint !== null) printText(output, `→ ${safeText(hint)}`);
}

function printAll({ output }: CommandContext, { results }: Health): void {
  const bad = results
    .filter(({ status }) => status !== 'ok')
    .toSorted((a, b) => ORDER[a.status] - ORDER[b.status] || a.number - b.number);
  for (const result of bad) printResult(output, result);
  const well = results.filter(({ status }) => status === 'ok');
  for (const { title, id, evidence } of well)
    output.line(`${mark(output, 'ok')}${safeText(title)} (${safeText(id)}): ${safeText(evidence)}`);
  const counts = (['ok', 'warn', 'fail', 'unknown'] as const)
    .map((status) => [status, results.filter((result) => result.status === status).length] as const)
    .filter(([, count]) => count > 0);
  output.message(
    counts.map(([status, count]) => `${count} ${status}`).join(', ') ||
      'nothing was checked yet: the first checks come half a minute after the start; `hv health --run` checks now',
  );
}

function printOne(output: Output, detail: HealthDetail): void {
  printResult(output, detail);
  output.line('');
  printText(output, safeText(detail.meaning));
  printText(output, `checked ${ageText(detail.checkedAt)}`);
  for (const { name, of, warn, fail } of detail.limits)
    printText(output, `limit ${safeText(name)}: ${safeText(of)}; warns ${warn ?? 'never'}, fails ${fail ?? 'never'}`);
  if (detail.history.length > 0) output.line('');
  for (const { at, status, evidence } of detail.history.slice(0, 20))
    output.line(`${timeText(at)}  ${mark(output, status)}${safeText(evidence)}`);
}

export const commands = defineCommands([
  command({
    path: ['health'],
    summary: 'Show what the health checks found',
    details:
      'Exit code 0 when all is ok, 7 with warnings, 1 with a failure or an unknown, and when nothing was checked. With an ID that of this check, with its limits and the changes of its status.',
    positionals: { id: any('ID', 'a check, as host.cpu; all when it is left out') },
    options: { run: flag('run all checks now, then show') },
    examples: ['health', 'health --run', 'health --json', 'health host.cpu'],
    run: async (context, { args, options }) => {
      const { api, output } = context;
      const [id, ...others] = args.id;
      if (others.length > 0) throw usageFailure('one check can be shown at a time', 'hv health ID');
      if (options.run) await runNow(context);
      if (id !== undefined) {
        const detail = await api('GET /health/{id}', { params: { id } });
        if (output.isJson) output.json(detail);
        else printOne(output, detail);
        return EXITS[detail.status];
      }
      const health = await api('GET /health');
      if (output.isJson) output.json(health);
      else printAll(context, health);
      // Nothing is good by default: without results the status is unknown.
      return EXITS[health.status];
    },
  }),
]);

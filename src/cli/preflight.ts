/** `hv preflight`: checks of this machine, each ok, warn, fail or unknown, and what to do. */

import type { Preflight } from '#contract/system.ts';
import { command, defineCommands } from './command.ts';
import type { CommandContext } from './context.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';
import { Failure } from './failure.ts';
import { follow } from './follow.ts';
import { CHECK_MARKS } from './glyphs.ts';
import { padText, safeText, textWidth, wrapText } from './text.ts';
import { ageText } from './time.ts';
import { flag } from './values.ts';

/** `? unknown` and a gap. */
const STATUS_WIDTH = 11;

const EXITS = { ok: EXIT.done, warn: EXIT.warnings, fail: EXIT.failed, unknown: EXIT.failed } as const;

/** Exit code of a preflight: nothing is good by default, so no checks at all is a failure. */
function exitOf(preflight: Preflight): ExitCode {
  return preflight.checks.length === 0 ? EXIT.failed : EXITS[preflight.status];
}

async function checkNow(context: CommandContext): Promise<void> {
  const operation = await context.api('POST /preflight');
  const finished = await follow(context, operation);
  if (finished.state !== 'done') {
    throw new Failure(`the checks did not come to an end: ${finished.error?.detail ?? finished.state}`, {
      exit: EXIT.failed,
      code: finished.error?.code ?? 'failed',
      hint: `hv op show ${operation.id}`,
    });
  }
}

function print({ output }: CommandContext, preflight: Preflight): void {
  const titleWidth = Math.min(30, Math.max(...preflight.checks.map(({ title }) => textWidth(safeText(title)))));
  const indent = STATUS_WIDTH + titleWidth + 2;
  for (const check of preflight.checks) {
    const mark = CHECK_MARKS[check.status];
    const status = output.paint(mark.colour, padText(`${mark.glyph} ${check.status}`, STATUS_WIDTH));
    const room = output.width - indent;
    const isNarrow = room < 30;
    const texts = [safeText(check.detail), ...(check.hint === null ? [] : [`→ ${safeText(check.hint)}`])];
    const lines = texts.flatMap((text) =>
      output.width === Number.POSITIVE_INFINITY ? [text] : wrapText(text, isNarrow ? output.width - 4 : room),
    );
    const title = safeText(check.title);
    if (isNarrow) {
      output.line(`${status}${title}`);
      for (const line of lines) output.line(`    ${line}`);
      continue;
    }
    const isLong = textWidth(title) > titleWidth;
    output.line(isLong ? `${status}${title}` : `${status}${padText(title, titleWidth)}  ${lines[0] ?? ''}`.trimEnd());
    for (const line of isLong ? lines : lines.slice(1)) output.line(' '.repeat(indent) + line);
  }
  const counts = (['ok', 'warn', 'fail', 'unknown'] as const)
    .map((status) => [status, preflight.checks.filter((check) => check.status === status).length] as const)
    .filter(([, count]) => count > 0);
  const accel = { kvm: 'VMs run with KVM', tcg: 'VMs run in software emulation (TCG), slowly', none: 'no VM can run' }[
    preflight.accel
  ];
  output.message(
    `${counts.map(([status, count]) => `${count} ${status}`).join(', ') || 'nothing was checked'}; ${accel}; checked ${ageText(preflight.checkedAt)}`,
  );
}

export const commands = defineCommands([
  command({
    path: ['preflight'],
    summary: 'Check this machine: KVM, libvirt, QEMU, firmware, memory, disks, networks',
    details: 'Exit code 0 when all is ok, 7 with warnings, 1 with a failure or an unknown.',
    options: { last: flag('show the last result, check nothing') },
    examples: ['preflight', 'preflight --json', 'preflight --last'],
    run: async (context, { options }) => {
      if (!options.last) await checkNow(context);
      const preflight = await context.api('GET /preflight');
      if (preflight === null)
        throw new Failure('nothing was checked yet', {
          exit: EXIT.failed,
          code: 'unknown',
          hint: 'Run `hv preflight`.',
        });
      if (context.output.isJson) context.output.json(preflight);
      else print(context, preflight);
      return exitOf(preflight);
    },
  }),
]);

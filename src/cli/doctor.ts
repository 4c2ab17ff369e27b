/** `hv doctor`: whether the second fence stands, tried now, and which projects are behind it. */

import type { Doctor } from '#contract/fence.ts';
import { command, defineCommands } from './command.ts';
import type { CommandContext } from './context.ts';
import { EXIT } from './exit-codes.ts';
import { CHECK_MARKS } from './glyphs.ts';
import { safeText } from './text.ts';

const EXITS = { ok: EXIT.done, warn: EXIT.warnings, fail: EXIT.failed, unknown: EXIT.failed } as const;

function print({ output }: CommandContext, { user, projects, checks }: Doctor): void {
  output.line(`hyperd runs as ${safeText(user)}`);
  for (const { status, title, detail, hint } of checks) {
    const mark = CHECK_MARKS[status];
    output.line(`${output.paint(mark.colour, `${mark.glyph} ${status}`)}  ${safeText(title)}: ${safeText(detail)}`);
    if (hint !== null) output.line(`    → ${safeText(hint)}`);
  }
  for (const { name, account, why } of projects)
    output.line(
      `project ${safeText(name)}: second fence: ${account === null ? `none (${safeText(why ?? '')})` : account}`,
    );
}

export const commands = defineCommands([
  command({
    path: ['doctor'],
    summary: 'Try the second fence, and show which projects are behind it',
    details:
      'Exit code 0 when the fence stands, 7 when a project has none, 1 when it is broken or could not be tried. The default project never has one. See docs/guides/second-fence.md.',
    examples: ['doctor', 'doctor --json'],
    run: async (context) => {
      const doctor = await context.api('GET /doctor');
      if (context.output.isJson) context.output.json(doctor);
      else print(context, doctor);
      return EXITS[doctor.status];
    },
  }),
]);

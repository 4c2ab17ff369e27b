/** `hv doctor`: whether the second fence stands, tried now, and which projects are behind it. */

import { writeFile } from 'node:fs/promises';
import { ApiProblem, pathOf } from '#contract/client.ts';
import type { Doctor } from '#contract/fence.ts';
import { hasErrno, messageOf } from '#kernel/errors.ts';
import { command, defineCommands } from './command.ts';
import type { CommandContext } from './context.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';
import { usageFailure } from './failure.ts';
import { CHECK_MARKS } from './glyphs.ts';
import { safeText } from './text.ts';
import { textOption } from './values.ts';

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

async function writeBundle({ transport, output }: CommandContext, path: string): Promise<ExitCode> {
  const { status, body } = await transport.open({ method: 'GET', path: pathOf('GET /support/bundle', {}, {}) });
  const chunks: Buffer[] = [];
  for await (const chunk of body) chunks.push(Buffer.from(chunk));
  const bytes = Buffer.concat(chunks);
  if (status !== 200) throw new ApiProblem(JSON.parse(bytes.toString('utf8')));
  await writeFile(path, bytes, { mode: 0o600, flag: 'wx' }).catch((error: unknown) => {
    throw usageFailure(
      `"${path}" cannot be written: ${hasErrno(error, 'EEXIST') ? 'it is there already' : messageOf(error)}`,
      'Name a file that is not there yet.',
    );
  });
  output.message(`Written to ${safeText(path)}. Look into it before you hand it on: \`tar -xzf ${safeText(path)}\`.`);
  return EXIT.done;
}

export const commands = defineCommands([
  command({
    path: ['doctor'],
    summary: 'Try the second fence, and show which projects are behind it',
    details:
      'Exit code 0 when the fence stands, 7 when a project has none, 1 when it is broken or could not be tried. The default project never has one. See docs/guides/second-fence.md.',
    options: {
      bundle: textOption(
        'FILE',
        'write a file for those who help instead: versions, checks, settings, log; no secrets',
        {
          completes: 'file',
        },
      ),
    },
    examples: ['doctor', 'doctor --json', 'doctor --bundle support.tar.gz'],
    run: async (context, { options: { bundle } }) => {
      if (bundle !== undefined) return writeBundle(context, bundle);
      const doctor = await context.api('GET /doctor');
      if (context.output.isJson) context.output.json(doctor);
      else print(context, doctor);
      return EXITS[doctor.status];
    },
  }),
]);

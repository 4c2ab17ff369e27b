/** Where a role or token holds: the whole system, one project or one VM, as options of a command line. */

import type { CommandContext } from './context.ts';
import { usageFailure } from './failure.ts';
import { about } from './objects.ts';
import { flag, textOption } from './values.ts';

export const SCOPE_OPTIONS = {
  all: flag('on the whole system'),
  project: textOption('NAME', 'on this project and all that is in it', { completes: 'project' }),
  vm: textOption('NAME', 'on this VM only', { completes: 'vm' }),
} as const;

interface ScopeChoice {
  readonly all: boolean;
  readonly project: string | undefined;
  readonly vm: string | undefined;
}

/** `all`, `project:ID` or `vm:UUID`, or null when none was named.
 *  @throws Failure exit 2 when two are named, exit 4 for a name that nobody has */
export async function readScope(context: CommandContext, options: ScopeChoice): Promise<string | null> {
  const given = [options.all, options.project !== undefined, options.vm !== undefined].filter(Boolean).length;
  if (given > 1) throw usageFailure('more than one place is named', 'Give one of --all, --project NAME and --vm NAME.');
  if (options.all) return 'all';
  if (options.project !== undefined) {
    const { id } = await about(context, 'project', options.project, (name) =>
      context.api('GET /projects/{id}', { params: { id: name } }),
    );
    return `project:${id}`;
  }
  if (options.vm === undefined) return null;
  const { id } = await about(context, 'vm', options.vm, (name) =>
    context.api('GET /vms/{id}', { params: { id: name } }),
  );
  return `vm:${id}`;
}

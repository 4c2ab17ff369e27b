/** A changed rule and the end of the alerts that it had: on the disk both or none. */

import type { Database } from '#platform/db/database.ts';
import type { Engine } from './live/engine.ts';
import type { Closing } from './machine/machine.ts';
import type { CommitChange, RuleEntry, RuleRegistry } from './rules/registry.ts';
import type { RuleFacts } from './view.ts';

export const factsOfRule = ({ id, spec, running }: RuleEntry): RuleFacts => ({
  id,
  name: spec.name,
  spec,
  compiled: running?.compiled ?? null,
});

export function committingWith(db: Database, engine: Pick<Engine, 'retire'>): CommitChange {
  return async (before, after, write) => {
    const closing = closingOf(before, after);
    if (closing === null) await db.transaction(write);
    else await engine.retire(factsOfRule(before), closing, write);
  };
}

/** Why alerts of a changed rule end: what they fired for is not asked any more. */
function closingOf(before: RuleEntry, after: RuleEntry | null): Closing | null {
  if (after === null) return 'rule_removed';
  if (after.running === null) return 'rule_disabled';
  const asks = ({ spec }: RuleEntry) => JSON.stringify([spec.condition, spec.clear, spec.desiredOnly, spec.project]);
  return asks(before) === asks(after) ? null : 'rule_changed';
}

/** Rules of projects that are gone go too; one that comes with the program is as it was again. @returns those that went */
export async function removeOrphans(
  registry: Pick<RuleRegistry, 'all' | 'remove'>,
  isProject: (id: string) => boolean,
  commit: CommitChange,
): Promise<readonly RuleEntry[]> {
  const orphans = registry
    .all()
    .filter(
      ({ origin, spec: { project } }) =>
        (origin === 'user' || origin === 'changed_default') && project !== null && !isProject(project),
    );
  for (const { id } of orphans) await registry.remove(id, commit);
  return orphans;
}

/** A rule whose text does not hold together is off. Somebody relies on it, so it is told. */

import { createHash } from 'node:crypto';
import type { Logger } from '#kernel/logger.ts';
import type { Database } from '#platform/db/database.ts';
import type { Announcer } from '../notices.ts';
import type { RuleEntry } from './registry.ts';

interface Dependencies {
  readonly db: Database;
  readonly rules: readonly RuleEntry[];
  readonly announcer: Pick<Announcer, 'announceEvent'>;
  readonly log: Logger;
}

/** Once for each rule and text; after a restart the key is the same. */
export async function tellOfBadRules({ db, rules, announcer, log }: Dependencies): Promise<void> {
  const bad = rules.filter(({ problems, spec }) => problems.length > 0 && spec.enabled);
  if (bad.length === 0) return;
  for (const { spec, problems } of bad)
    log.warn({ rule: spec.name, problem: problems[0]?.message }, 'a rule is off because its condition is wrong');
  await db.transaction(async (tx) => {
    for (const { id, spec, problems } of bad) {
      const [first] = problems;
      const digest = createHash('sha256').update(`${spec.condition}\n${spec.clear}`).digest('hex').slice(0, 12);
      await announcer.announceEvent(tx, {
        key: `rule_invalid ${id} ${digest}`,
        severity: 'warning',
        title: `The rule "${spec.name}" is off`,
        text: `Its ${first?.field ?? 'condition'} is wrong at column ${first?.column ?? 1}: ${first?.message ?? ''}. It will not fire until that is mended.`,
        project: spec.project,
        labels: { rule: spec.name },
      });
    }
  });
}

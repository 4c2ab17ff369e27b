/** Alerts and rules as objects of policy. */

import type { Alert, AlertRule } from '#contract/alerts.ts';
import type { May } from '#features/projects/index.ts';
import type { FoundObject } from '#platform/feature.ts';
import { DEFAULT_RULES } from './rules/default-rules.ts';
import type { RuleEntry } from './rules/registry.ts';

export const alertObject = ({
  id,
  project,
  vmId,
  rule,
}: Pick<Alert, 'id' | 'project' | 'vmId' | 'rule'>): FoundObject => ({
  type: 'alert',
  id,
  name: rule.name,
  project,
  vmId: vmId ?? undefined,
});

/** What comes with the program is no secret; what somebody wrote may name what belongs to others. */
export const ruleObject = ({
  id,
  name,
  project,
  origin,
}: Pick<AlertRule, 'id' | 'name' | 'project' | 'origin'>): FoundObject => ({
  type: 'rule',
  id,
  name,
  project,
  ...(origin === 'default' ? { sharedWith: 'all' as const } : {}),
});

export const objectOfRule = ({ id, spec, origin }: Pick<RuleEntry, 'id' | 'spec' | 'origin'>): FoundObject =>
  ruleObject({ id, name: spec.name, project: spec.project, origin });

/** The alert as those see it of whom `may` tells: the condition only where they see the rule. */
export function alertAsSeen(alert: Alert, mayReadRules: May): Alert {
  const { id, name, condition, project } = alert.rule;
  const isShipped = DEFAULT_RULES.some((rule) => rule.name === name && rule.condition === condition);
  const rule = ruleObject({ id, name, project, origin: isShipped ? 'default' : 'user' });
  return mayReadRules('alert.read', rule) ? alert : { ...alert, rule: { ...alert.rule, condition: null } };
}

/** A rule as its form holds it, and the body it becomes. Pure. */

import type { AlertRulePatch, AlertRuleSpec } from '#contract/alert-rule-spec.ts';
import type { AlertRule } from '#contract/alerts.ts';
import { labelsText, parseLabels } from './label-text.ts';

/** Texts as they are typed; '' = left to what is usual. */
export interface RuleDraft {
  readonly name: string;
  readonly condition: string;
  readonly severity: AlertRuleSpec['severity'];
  readonly cooldown: string;
  readonly clear: string;
  readonly keepFiring: string;
  readonly noData: AlertRuleSpec['noData'];
  readonly labels: string;
  readonly runbook: string;
  readonly description: string;
  /** Null = by the routing. */
  readonly channels: readonly string[] | null;
  readonly desiredOnly: boolean;
  readonly enabled: boolean;
  readonly project: string;
}

export const NEW_DRAFT: RuleDraft = {
  name: '',
  condition: '',
  severity: 'warning',
  cooldown: '30m',
  clear: '',
  keepFiring: '',
  noData: 'keep',
  labels: '',
  runbook: '',
  description: '',
  channels: null,
  desiredOnly: true,
  enabled: true,
  project: '',
};

export function draftOf(rule: AlertRule): RuleDraft {
  const labels = Object.entries(rule.labels).map(([label, value]) => ({ label, value, isNot: false }));
  return {
    name: rule.name,
    condition: rule.condition,
    severity: rule.severity,
    cooldown: rule.cooldown,
    clear: rule.clear ?? '',
    keepFiring: rule.keepFiring ?? '',
    noData: rule.noData,
    labels: labelsText(labels),
    runbook: rule.runbook ?? '',
    description: rule.description ?? '',
    channels: rule.channels,
    desiredOnly: rule.desiredOnly,
    enabled: rule.enabled,
    project: rule.project ?? '',
  };
}

const DURATION = /^(\d{1,6}(ms|s|m|h|d|w))+$/;

export interface DraftProblems {
  readonly name: boolean;
  readonly cooldown: boolean;
  readonly keepFiring: boolean;
  readonly labels: boolean;
}

export function problemsOfDraft(draft: RuleDraft): DraftProblems {
  const labels = parseLabels(draft.labels);
  return {
    name: draft.name.trim() === '',
    cooldown: !DURATION.test(draft.cooldown.trim()),
    keepFiring: draft.keepFiring.trim() !== '' && !DURATION.test(draft.keepFiring.trim()),
    labels: labels === null || labels.some(({ isNot }) => isNot),
  };
}

/** The whole rule; its mistakes are the daemon's to tell. */
export function specOf(draft: RuleDraft): AlertRuleSpec {
  const orNull = (text: string) => text.trim() || null;
  return {
    name: draft.name.trim(),
    condition: draft.condition.trim(),
    severity: draft.severity,
    cooldown: draft.cooldown.trim(),
    clear: orNull(draft.clear),
    keepFiring: orNull(draft.keepFiring),
    noData: draft.noData,
    labels: Object.fromEntries((parseLabels(draft.labels) ?? []).map(({ label, value }) => [label, value])),
    runbook: orNull(draft.runbook),
    description: orNull(draft.description),
    channels: draft.channels === null ? null : [...draft.channels],
    desiredOnly: draft.desiredOnly,
    enabled: draft.enabled,
    project: draft.project || null,
  };
}

/** Only what is another than before: somebody else may have changed the rest meanwhile. */
export function patchOf(before: RuleDraft, after: RuleDraft): AlertRulePatch {
  const [old, spec] = [specOf(before), specOf(after)];
  const isSame = (name: keyof AlertRuleSpec) => JSON.stringify(old[name]) === JSON.stringify(spec[name]);
  const patch: AlertRulePatch = {};
  const take = <Name extends keyof AlertRuleSpec>(name: Name) => {
    if (!isSame(name)) Object.assign(patch, { [name]: spec[name] });
  };
  for (const name of FIELDS) take(name);
  return patch;
}

const FIELDS = [
  'name',
  'condition',
  'severity',
  'cooldown',
  'clear',
  'keepFiring',
  'noData',
  'labels',
  'runbook',
  'description',
  'channels',
  'desiredOnly',
  'enabled',
  'project',
] as const satisfies readonly (keyof AlertRuleSpec)[];

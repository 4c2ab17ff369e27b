/** One alert rule as people write it: in config.json, over the API and on the command line. The condition is text in the rule language;
 *  here only its shape is checked, since a wrong condition disables its rule and nothing else. */

import { z } from 'zod';
import { durationTextSchema, severitySchema } from './alerts-config.ts';
import { textSchema } from './common.ts';

const labelName = z.string().regex(/^[a-z_][a-z0-9_]{0,39}$/, 'use lower-case letters, digits and _');

const fields = {
  name: textSchema(100).min(1),
  condition: z.string().min(1).max(512).describe('when it fires, as `cpu_usage > 90% for 5m`'),
  severity: severitySchema,
  cooldown: durationTextSchema.describe('least time between two notices of one alert'),
  clear: z
    .string()
    .min(1)
    .max(100)
    .nullable()
    .describe('when it ends, as `80%`, where the condition is one comparison; null = by the rules of the language'),
  keepFiring: durationTextSchema
    .nullable()
    .describe('how long it must be well again before it ends; null = one minute'),
  noData: z
    .enum(['keep', 'alert', 'ok'])
    .describe('what an alert does when its figures stay away: keep = stays as it is, alert = fires, ok = ends'),
  labels: z.record(labelName, textSchema(200)).describe('added to those of the alert, for routing'),
  runbook: z
    .url({ protocol: /^https?$/ })
    .max(500)
    .nullable()
    .describe('page that says what to do'),
  description: textSchema(500).nullable().describe('what to do, in a sentence or two; goes into the notice'),
  channels: z.array(z.string().min(1).max(100)).max(50).nullable().describe('null = by the routing'),
  desiredOnly: z.boolean().describe('comparisons of vm_state look only at VMs that should be running'),
  enabled: z.boolean(),
  project: z.string().min(1).max(64).nullable().describe('only things of this project; null = all'),
};

/** With what a rule has unless it says otherwise. */
export const alertRuleSpecSchema = z.strictObject({
  ...fields,
  severity: fields.severity.default('warning'),
  cooldown: fields.cooldown.default('30m'),
  clear: fields.clear.default(null),
  keepFiring: fields.keepFiring.default(null),
  noData: fields.noData.default('keep'),
  labels: fields.labels.default({}).refine((labels) => Object.keys(labels).length <= 20, 'at most 20 labels'),
  runbook: fields.runbook.default(null),
  description: fields.description.default(null),
  channels: fields.channels.default(null),
  desiredOnly: fields.desiredOnly.default(true),
  enabled: fields.enabled.default(true),
  project: fields.project.default(null),
});
export type AlertRuleSpec = z.output<typeof alertRuleSpecSchema>;

/** What of a rule may be changed; what is left out stays. */
export const alertRulePatchSchema = z
  .strictObject(fields)
  .partial()
  .refine((patch) => Object.keys(patch).length > 0, 'name at least one field');
export type AlertRulePatch = z.output<typeof alertRulePatchSchema>;

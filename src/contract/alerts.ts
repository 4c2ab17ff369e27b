/** Alerts, and the rules that raise them. */

import { z } from 'zod';
import { defineErrors } from '#kernel/errors.ts';
import { alertRulePatchSchema, alertRuleSpecSchema } from './alert-rule-spec.ts';
import { severitySchema } from './alerts-config.ts';
import { textSchema, timeSchema } from './common.ts';
import { defineRoutes, idParam, pageOf, pageQuery } from './define.ts';
import { ENTITY_KINDS } from './metric-catalogue.ts';

export const alertErrors = defineErrors({
  rule_invalid: {
    status: 422,
    title: 'The condition of the rule does not hold together',
    hint: 'Look at `params.problems`: each names its place and often the mend; `hv rule check` shows them under the text.',
  },
  rule_managed: {
    status: 409,
    title: 'The rule is managed by the configuration',
    hint: 'Change it in config.json (`alerts.rules`) and restart hyperd.',
  },
  alert_not_active: {
    status: 409,
    title: 'The alert is not firing',
    hint: 'Only an alert that fires can be acknowledged; `hv alert list` shows which do.',
  },
});

/** Phases of the state machine. `suppressed`: it would fire, were it not for an operation on its VM. */
export const ALERT_STATES = ['ok', 'pending', 'suppressed', 'firing', 'clearing'] as const;
export const alertStateSchema = z.enum(ALERT_STATES);
export type AlertPhase = z.infer<typeof alertStateSchema>;

/** Phases in which something is wrong and was told. */
export const ACTIVE_STATES: readonly AlertPhase[] = ['firing', 'clearing'];

export const alertSchema = z.object({
  id: z.string().describe('the same for the same rule and thing, for ever'),
  episode: z.int().describe('grows by one each time it fires'),
  rule: z.object({
    id: z.string(),
    name: z.string(),
    condition: z.string().nullable().describe('null for those who may not see the rule'),
    project: z.string().nullable().describe('of the rule; null = it holds everywhere'),
    runbook: z.string().nullable(),
  }),
  severity: severitySchema,
  state: alertStateSchema,
  isNoData: z.boolean().describe('its figures have stayed away for a while'),
  isFlapping: z.boolean().describe('it came and went so often that notices are held back'),
  entity: z.object({ kind: z.enum(ENTITY_KINDS), name: z.string() }).describe('what it is about'),
  labels: z.record(z.string(), z.string()),
  project: z.string().nullable(),
  vmId: z.string().nullable(),
  value: z.number().nullable(),
  valueText: z.string(),
  text: z.string().describe('one sentence for people'),
  since: timeSchema.describe('of the state'),
  startedAt: timeSchema.nullable().describe('when the condition began to hold'),
  endedAt: timeSchema.nullable(),
  acknowledged: z.object({ by: z.string(), at: timeSchema, note: z.string().nullable() }).nullable(),
  maskedBy: z
    .object({ operationId: z.string(), title: z.string(), from: timeSchema })
    .nullable()
    .describe('the operation that keeps it quiet, or kept it quiet at first'),
  inhibitedBy: z
    .object({ alertId: z.string(), rule: z.string().describe('its name') })
    .nullable()
    .describe(
      'the alert that tells of the same thing and cause, so that this one is told to nobody, or to fewer channels',
    ),
});
export type Alert = z.infer<typeof alertSchema>;

export const ALERT_EVENT_KINDS = [
  'firing',
  'resolved',
  'suppressed',
  'severity_raised',
  'flapping',
  'nodata',
  'acknowledged',
] as const;

export const alertEventSchema = z.object({
  id: z.int(),
  alertId: z.string(),
  episode: z.int(),
  at: timeSchema,
  kind: z.enum(ALERT_EVENT_KINDS),
  severity: severitySchema,
  rule: z.object({ id: z.string(), name: z.string() }),
  entity: z.object({ kind: z.enum(ENTITY_KINDS), name: z.string() }),
  project: z.string().nullable(),
  vmId: z.string().nullable(),
  value: z.number().nullable(),
  valueText: z.string().describe('the figure at that moment; empty where the rule says it all'),
  limitText: z
    .string()
    .describe(
      'what it was compared with, as > 90 %; empty where that is no single thing, and for those who may not see the rule',
    ),
  reason: z.string().nullable().describe('as removed, stopped, no data, or who acknowledged'),
  note: z.string().nullable().describe('what whoever acknowledged it wrote'),
});
export type AlertEvent = z.infer<typeof alertEventSchema>;

export const ruleProblemSchema = z.object({
  code: z.string().describe('as unknown_metric'),
  field: z.enum(['condition', 'clear']).describe('in which text it is'),
  column: z.int().describe('1 = the first character'),
  length: z.int(),
  message: z.string(),
  suggestion: z.string().nullable().describe('what was perhaps meant'),
});
export type RuleProblem = z.infer<typeof ruleProblemSchema>;

export const alertRuleSchema = alertRuleSpecSchema.extend({
  id: z.string(),
  origin: z
    .enum(['default', 'changed_default', 'user', 'config'])
    .describe('default = comes with the program; config = managed by configuration, read-only here'),
  explanation: z.string().nullable().describe('what it means in one sentence; null while it has problems'),
  problems: z.array(ruleProblemSchema).describe('a rule with problems is off'),
  firing: z.int().describe('how many alerts of it fire now, of those one may see'),
  lastFiredAt: timeSchema.nullable().describe('of those one may see, as far back as the history reaches'),
});
export type AlertRule = z.infer<typeof alertRuleSchema>;

export const ruleCheckSchema = z.object({
  isValid: z.boolean(),
  problems: z.array(ruleProblemSchema),
  explanation: z.string().nullable(),
  metrics: z.array(z.string()).describe('the figures it looks at'),
});

export const backtestSchema = z.object({
  from: timeSchema,
  to: timeSchema,
  tier: z
    .enum(['raw', '5m', '1h'])
    .describe('which figures were used: as they were measured, or of five minutes or an hour'),
  stepSeconds: z.number().describe('how far apart the samples lie that were used'),
  episodes: z
    .array(
      z.object({
        entity: z.object({ kind: z.enum(ENTITY_KINDS), name: z.string() }),
        labels: z.record(z.string(), z.string()),
        startedAt: timeSchema.describe('when the condition began to hold'),
        firedAt: timeSchema,
        endedAt: timeSchema.nullable().describe('null = it still fired at the end'),
        peak: z.number().nullable(),
        peakText: z.string(),
        masked: z.string().nullable().describe('the operation that kept it quiet at first'),
      }),
    )
    .describe('at most 1000, in the order in which they fired'),
  episodeCount: z.int(),
  notices: z.int().describe('how many would have been sent, after cooldown and grouping'),
  maskedMinutes: z.number().describe('time that operations kept it quiet, summed over all things'),
  unknownRatio: z.number().min(0).max(1).describe('share of the time for which figures were missing'),
  entities: z.int().describe('how many things it looked at'),
  notes: z.array(z.string()).describe('what is not exact'),
});
export type Backtest = z.infer<typeof backtestSchema>;

const alertFilter = {
  severity: severitySchema.optional(),
  project: z.string().max(64).optional().describe('id or name'),
  vm: z.string().max(256).optional().describe('id or name'),
  rule: z.string().max(100).optional().describe('id or name'),
  q: z.string().max(200).optional().describe('only with this in the rule, the thing or a label'),
};

export const alertRoutes = defineRoutes({
  'GET /alerts': {
    summary: 'List alerts, what fires first; those that are over are in the history',
    permission: 'alert.read',
    list: true,
    query: z.object({
      ...pageQuery,
      ...alertFilter,
      state: z
        .enum([...ALERT_STATES, 'active'])
        .default('active')
        .describe('active = firing, clearing or suppressed'),
    }),
    response: pageOf(alertSchema),
  },
  'GET /alerts/history': {
    summary: 'What happened, newest first',
    permission: 'alert.read',
    list: true,
    query: z.object({
      ...pageQuery,
      ...alertFilter,
      alert: z.string().max(64).optional().describe('id of one alert'),
      from: timeSchema.optional(),
      to: timeSchema.optional(),
    }),
    response: pageOf(alertEventSchema),
  },
  'GET /alerts/{id}': {
    summary: 'Show an alert with what happened to it',
    permission: 'alert.read',
    object: { type: 'alert', param: 'id' },
    params: idParam('id of the alert'),
    response: alertSchema.extend({ events: z.array(alertEventSchema).describe('the newest hundred, newest first') }),
  },
  'POST /alerts/{id}/acknowledge': {
    summary: 'Say that somebody looks after it: no more repeats until it ends or gets worse',
    permission: 'alert.ack',
    object: { type: 'alert', param: 'id' },
    params: idParam('id of the alert'),
    body: z
      .strictObject({ note: textSchema(500).min(1).optional().describe('what was found, or is being done') })
      .default({}),
    response: alertSchema,
  },
  'GET /rules': {
    summary: 'List alert rules',
    permission: 'alert.read',
    list: true,
    query: z.object({ ...pageQuery, q: alertFilter.q }),
    response: pageOf(alertRuleSchema),
  },
  'POST /rules': {
    summary: 'Add an alert rule',
    permission: 'alert.configure',
    body: alertRuleSpecSchema,
    response: alertRuleSchema,
    status: 201,
  },
  'POST /rules/check': {
    summary: 'Check a condition; all its problems at once, with their places',
    permission: 'alert.configure',
    list: true,
    changesNothing: true,
    body: alertRuleSpecSchema.pick({ condition: true, clear: true, desiredOnly: true }),
    response: ruleCheckSchema,
  },
  'POST /rules/backtest': {
    summary: 'What a rule would have done with the figures of the last days',
    permission: 'alert.configure',
    changesNothing: true,
    body: z.strictObject({
      rule: alertRuleSpecSchema,
      from: timeSchema.optional().describe('seven days before the end unless given, thirty at most'),
      to: timeSchema.optional().describe('now unless given'),
    }),
    response: backtestSchema,
  },
  'GET /rules/{id}': {
    summary: 'Show an alert rule',
    permission: 'alert.read',
    object: { type: 'rule', param: 'id' },
    params: idParam('id or name of the rule'),
    response: alertRuleSchema,
  },
  'PATCH /rules/{id}': {
    summary: 'Change an alert rule, or one that comes with the program',
    permission: 'alert.configure',
    object: { type: 'rule', param: 'id' },
    params: idParam('id or name of the rule'),
    body: alertRulePatchSchema,
    response: alertRuleSchema,
  },
  'DELETE /rules/{id}': {
    summary: 'Delete an alert rule; one that comes with the program is as it was again',
    permission: 'alert.configure',
    object: { type: 'rule', param: 'id' },
    params: idParam('id or name of the rule'),
  },
});

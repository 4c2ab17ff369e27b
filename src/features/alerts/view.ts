/** Alerts as the API shows them, as events and as notices. Pure. */

import type { AlertRuleSpec } from '#contract/alert-rule-spec.ts';
import type { Alert, AlertEvent } from '#contract/alerts.ts';
import { durationMs } from '#contract/alerts-config.ts';
import { isAboutEvents, type Track } from './evaluation.ts';
import type { Effect } from './machine/machine.ts';
import type { AlertNotice } from './notices.ts';
import type { CompiledRule } from './rule-language.ts';
import type { EventRow } from './store.ts';
import { entityName, labelsWith, remarksOf, type Sentence, sentenceOf } from './text.ts';

/** What is known of a rule; of one that is gone only its name. */
export interface RuleFacts {
  readonly id: string;
  readonly name: string;
  readonly spec: AlertRuleSpec | null;
  readonly compiled: CompiledRule | null;
}

const isoOf = (ms: number): string => new Date(ms).toISOString();

const valueTextOf = ({ compiled }: RuleFacts, value: number | null): string =>
  compiled === null || value === null ? '' : compiled.valueText(value);

const sentence = (facts: RuleFacts, track: Track, reason: string | null): Sentence => ({
  track,
  ruleName: facts.name,
  valueText: valueTextOf(facts, track.machine.value),
  description: facts.spec?.description ?? null,
  reason,
});

/** @param inhibitedBy what tells of it in its stead */
export function alertView(facts: RuleFacts, track: Track, inhibitedBy: Alert['inhibitedBy']): Alert {
  const { machine, entity, labels } = track;
  const isActive = machine.phase === 'firing' || machine.phase === 'clearing';
  return {
    id: track.id,
    episode: machine.episode,
    rule: {
      id: facts.id,
      name: facts.name,
      condition: facts.spec?.condition ?? null,
      project: facts.spec?.project ?? null,
      runbook: facts.spec?.runbook ?? null,
    },
    severity: isActive ? machine.severity : (facts.spec?.severity ?? machine.severity),
    state: machine.phase,
    isNoData: machine.isNoData,
    isFlapping: machine.quietUntilMs !== null,
    entity: { kind: entity.kind, name: entityName(entity, labels) },
    labels: labelsWith(facts.spec?.labels ?? {}, labels),
    project: track.project,
    vmId: entity.owner.type === 'vm' ? entity.owner.id : null,
    value: machine.value,
    valueText: valueTextOf(facts, machine.value),
    text: sentenceOf(sentence(facts, track, null)),
    since: isoOf(machine.sinceAtMs),
    startedAt: machine.startedAtMs === null ? null : isoOf(machine.startedAtMs),
    endedAt: machine.endedAtMs === null ? null : isoOf(machine.endedAtMs),
    acknowledged:
      machine.acknowledged === null
        ? null
        : {
            by: machine.acknowledged.by,
            at: isoOf(machine.acknowledged.atMs),
            note: machine.acknowledged.note,
          },
    maskedBy:
      machine.mask === null
        ? null
        : {
            operationId: machine.mask.operationId,
            title: machine.mask.title,
            from: isoOf(machine.mask.fromAtMs),
          },
    inhibitedBy: isActive ? inhibitedBy : null,
  };
}

export function eventOf(
  facts: RuleFacts,
  { id, entity, labels, project, machine }: Track,
  kind: AlertEvent['kind'],
  reason: string | null,
  atMs: number,
): Omit<EventRow, 'id'> {
  return {
    alert_id: id,
    episode: machine.episode,
    at_ms: Math.round(atMs),
    kind,
    severity: machine.severity,
    rule_id: facts.id,
    rule_name: facts.name,
    entity_kind: entity.kind,
    entity_name: entityName(entity, labels),
    project,
    vm_id: entity.owner.type === 'vm' ? entity.owner.id : null,
    value: machine.value,
    value_text: valueTextOf(facts, machine.value),
    limit_text: facts.compiled?.limitText ?? '',
    reason,
    note: kind === 'acknowledged' ? (machine.acknowledged?.note ?? null) : null,
  };
}

export function noticeOf(facts: RuleFacts, track: Track, effect: Extract<Effect, { type: 'notice' }>): AlertNotice {
  const { machine, entity, labels } = track;
  const { spec, compiled } = facts;
  return {
    fingerprint: track.id,
    episode: effect.episode,
    kind: effect.kind,
    rule: {
      id: facts.id,
      name: facts.name,
      condition: spec?.condition ?? '',
      metrics: compiled?.requires ?? [],
      isEvent: compiled !== null && isAboutEvents(compiled),
      project: spec?.project ?? null,
      cooldownMs: spec === null ? 0 : durationMs(spec.cooldown),
      channels: spec?.channels ?? null,
    },
    severity: machine.severity,
    labels: labelsWith(spec?.labels ?? {}, labels),
    entity: { kind: entity.kind, name: entityName(entity, labels) },
    project: track.project,
    host: labels['host'] ?? '',
    value: machine.value,
    valueText: valueTextOf(facts, machine.value),
    startedAtMs: machine.startedAtMs ?? machine.sinceAtMs,
    endedAtMs: effect.kind === 'resolved' ? machine.endedAtMs : null,
    text: remarksOf(sentence(facts, track, effect.reason)),
  };
}

/** As an entry of the history. @param seesRule what it asks for is not everybody's business */
export function eventView(row: EventRow, kind: AlertEvent['kind'], seesRule: boolean): AlertEvent {
  return {
    id: row.id,
    alertId: row.alert_id,
    episode: row.episode,
    at: isoOf(row.at_ms),
    kind,
    severity: row.severity,
    rule: { id: row.rule_id, name: row.rule_name },
    entity: { kind: row.entity_kind, name: row.entity_name },
    project: row.project,
    vmId: row.vm_id,
    value: row.value,
    valueText: row.value_text,
    limitText: seesRule ? row.limit_text : '',
    reason: row.reason,
    note: row.note,
  };
}

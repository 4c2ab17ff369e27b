/** One alert: what is wrong, since when, its figures against the threshold, and what happened to it. */

import { useSignal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useEffect, useMemo } from 'preact/hooks';
import type { Answer } from '#contract/api.ts';
import type { Problem } from '#contract/common.ts';
import { SeverityMark } from '../../components/alert-marks.tsx';
import { Button } from '../../components/button.tsx';
import { ExactTime, TimeAgo } from '../../components/figures.tsx';
import { Menu } from '../../components/menu.tsx';
import { Card, EmptyState, Facts, PageHead, Skeleton } from '../../components/page.tsx';
import { ProblemBox } from '../../components/problem-box.tsx';
import { Badge } from '../../components/state-mark.tsx';
import { alertRules, isFiring } from '../../state/alerts.ts';
import { api, can, problemOf } from '../../state/api.ts';
import { onEvent, onReset } from '../../state/live.ts';
import { areSeveralProjects, projectName, projects } from '../../state/projects.ts';
import { alertsText } from '../../text-alerts.ts';
import { AlertDialogs, acknowledge, alertMenu, canAcknowledge, rulePath } from './alert-actions.tsx';
import { AlertBadges } from './alert-row.tsx';
import './alerts.css';
import { subjectOf } from './condition.ts';
import { ConditionGraph } from './condition-graph.tsx';
import { firingSpans, rangeAround } from './episodes.ts';
import { EventFigures } from './event-figures.tsx';
import { EVENT_TONES, reasonText } from './event-words.ts';

const words = alertsText.one;

type AlertWithEvents = Answer<'GET /alerts/{id}'>;

const REFRESH_MS = 15_000;
const LIVE_MS = 400;

export function AlertPage({ params }: { readonly params: Readonly<Record<string, string>> }) {
  const id = params['id'] ?? '';
  const alert = useSignal<AlertWithEvents | null>(null);
  const problem = useSignal<Problem | null>(null);
  const attempt = useSignal(0);
  const tries = attempt.value;
  // biome-ignore lint/correctness/useExhaustiveDependencies: another try reads again
  useEffect(() => {
    let isGone = false;
    let timer: number | undefined;
    const load = async () => {
      timer = undefined;
      try {
        const found = await api('GET /alerts/{id}', { params: { id } });
        if (isGone) return;
        alert.value = found;
        problem.value = null;
      } catch (error) {
        if (!isGone) problem.value = problemOf(error);
      }
    };
    const soon = () => {
      timer ??= window.setTimeout(() => void load(), LIVE_MS);
    };
    void load();
    const stop = [onEvent('alert.changed', (changed) => changed.id === id && soon()), onReset(soon)];
    return () => {
      isGone = true;
      window.clearTimeout(timer);
      for (const end of stop) end();
    };
  }, [id, tries, alert, problem]);
  useEffect(() => {
    alertRules.ensure();
    if (can('project.read')) projects.ensure();
  }, []);
  const found = alert.value;
  if (problem.value?.code === 'not_found' || problem.value?.code === 'forbidden')
    return (
      <EmptyState icon="alert" title={words.gone} action={<a href="/alerts">{words.back}</a>}>
        {words.goneNote}
      </EmptyState>
    );
  return (
    <>
      {problem.value && <ProblemBox problem={problem.value} onRetry={() => (attempt.value += 1)} />}
      {found === null ? !problem.value && <Skeleton lines={8} /> : <Shown alert={found} />}
      <AlertDialogs />
    </>
  );
}

function Shown({ alert }: { readonly alert: AlertWithEvents }) {
  const entries = alertMenu(alert);
  return (
    <>
      <p class="back">
        <a href="/alerts">{words.back}</a>
      </p>
      <PageHead
        title={alert.rule.name}
        note={
          <span class="alert-head-note">
            <SeverityMark severity={alert.severity} />
            <Badge tone={isFiring(alert) ? EVENT_TONES.firing : alert.state === 'ok' ? 'good' : 'unknown'}>
              {alertsText.phases[alert.state]}
            </Badge>
            {alert.state === 'firing' && <AlertBadges alert={alert} />}
            <span class="breaks">{alert.text}</span>
          </span>
        }
      >
        {canAcknowledge(alert) && (
          <Button kind="primary" icon="check" onClick={() => acknowledge(alert)}>
            {alertsText.actions.acknowledge}
          </Button>
        )}
        {entries.length > 0 && <Menu label={alertsText.actionsFor(alert.rule.name)} entries={entries} />}
      </PageHead>
      <div class="alert-page">
        <div class="stack">
          <GraphCard alert={alert} />
          <TimeLine alert={alert} />
        </div>
        <FactsCard alert={alert} />
      </div>
    </>
  );
}

/** With about twice its length before it began, and as much after its end. */
function GraphCard({ alert }: { readonly alert: AlertWithEvents }) {
  const { condition, id: ruleId } = alert.rule;
  const rule = alertRules.data.value?.find(({ id }) => id === ruleId);
  const isLive = alert.state !== 'ok';
  const since = alert.startedAt ?? alert.since;
  const endedAt = isLive ? null : (alert.endedAt ?? alert.since);
  const range = useMemo(
    () => rangeAround(Date.parse(since), endedAt === null ? null : Date.parse(endedAt), Date.now()),
    [since, endedAt],
  );
  const spans = useMemo(() => firingSpans(alert.events, Date.now()), [alert.events]);
  const { kind } = alert.entity;
  const labels = JSON.stringify(alert.labels);
  const subject = useMemo(() => subjectOf(kind, JSON.parse(labels), alert.vmId), [kind, labels, alert.vmId]);
  if (condition === null)
    return (
      <Card title={words.graphTitle}>
        <p class="muted">{words.hiddenRule}</p>
      </Card>
    );
  return (
    <Card title={words.graphTitle}>
      <ConditionGraph
        condition={condition}
        clear={rule?.clear ?? null}
        desiredOnly={rule?.desiredOnly ?? true}
        subject={subject}
        range={range}
        spans={spans}
        everyMs={isLive ? REFRESH_MS : null}
      />
    </Card>
  );
}

function TimeLine({ alert }: { readonly alert: AlertWithEvents }) {
  return (
    <Card title={words.timeLine}>
      {alert.events.length === 0 ? (
        <p class="muted">{words.noEvents}</p>
      ) : (
        <ol class="time-line">
          {alert.events.map((event) => (
            <li key={event.id} class={`tone-${EVENT_TONES[event.kind]}`}>
              <span class="muted small when">
                <TimeAgo iso={event.at} />
              </span>
              <span class="what">
                <strong>{alertsText.events[event.kind]}</strong>
                {reasonText(event) && <span class="breaks"> {reasonText(event)}</span>} <EventFigures event={event} />
              </span>
              <span class="muted small">{words.episode(event.episode)}</span>
            </li>
          ))}
        </ol>
      )}
    </Card>
  );
}

function FactsCard({ alert }: { readonly alert: AlertWithEvents }) {
  const { entity, vmId, rule, acknowledged, maskedBy, inhibitedBy } = alert;
  const fact = (name: string, value: ComponentChildren): readonly [ComponentChildren, ComponentChildren][] =>
    value === null || value === '' || value === false ? [] : [[name, value]];
  return (
    <Card title={words.facts}>
      <Facts
        items={[
          ...fact(
            words.thing,
            <span class="breaks">
              {vmId === null ? entity.name : <a href={`/vms/${vmId}`}>{entity.name}</a>}{' '}
              <span class="muted">{alertsText.kinds[entity.kind]}</span>
            </span>,
          ),
          ...fact(
            words.project,
            areSeveralProjects.value && alert.project !== null && (
              <a href={`/projects/${alert.project}`}>{projectName(alert.project)}</a>
            ),
          ),
          ...fact(words.rule, rule.condition === null ? rule.name : <a href={rulePath(rule.id)}>{rule.name}</a>),
          ...fact(words.condition, rule.condition !== null && <code class="breaks">{rule.condition}</code>),
          ...fact(words.value, alert.valueText),
          ...fact(words.started, alert.startedAt && <ExactTime iso={alert.startedAt} />),
          ...fact(words.ended, alert.endedAt && <ExactTime iso={alert.endedAt} />),
          ...fact(
            words.acknowledged,
            acknowledged && (
              <span class="breaks">
                {words.by} {acknowledged.by}, <TimeAgo iso={acknowledged.at} />
                {acknowledged.note && <span class="quote">{acknowledged.note}</span>}
              </span>
            ),
          ),
          ...fact(
            words.mask,
            maskedBy && <a href={`/operations/${encodeURIComponent(maskedBy.operationId)}`}>{maskedBy.title}</a>,
          ),
          ...fact(
            words.toldBy,
            inhibitedBy && <a href={`/alerts/${encodeURIComponent(inhibitedBy.alertId)}`}>{inhibitedBy.rule}</a>,
          ),
          ...fact(
            words.runbook,
            rule.runbook && (
              <a href={rule.runbook} target="_blank" rel="noopener noreferrer">
                {words.openRunbook}
              </a>
            ),
          ),
          ...fact(
            words.labels,
            <span class="label-list">
              {Object.entries(alert.labels)
                .filter(([, value]) => value !== '')
                .map(([name, value]) => (
                  <code key={name} class="small breaks">
                    {name}={value}
                  </code>
                ))}
            </span>,
          ),
        ]}
      />
    </Card>
  );
}

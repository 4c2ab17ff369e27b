/** One alert in the list: a row on wide screens, a card on the phone. Names come from guests and tenants: they are text, and are cut. */

import type { Alert } from '#contract/alerts.ts';
import { AlertGlyph } from '../../components/alert-marks.tsx';
import { Button } from '../../components/button.tsx';
import { TimeAgo } from '../../components/figures.tsx';
import { Menu } from '../../components/menu.tsx';
import { Badge } from '../../components/state-mark.tsx';
import { areSeveralProjects, projectName } from '../../state/projects.ts';
import { alertsText } from '../../text-alerts.ts';
import { acknowledge, alertMenu, alertPath, alertTitle, canAcknowledge } from './alert-actions.tsx';

const words = alertsText;

/** Pixels; the virtual list counts with them. */
export const ALERT_ROW_HEIGHT = 56;
export const ALERT_CARD_HEIGHT = 100;

interface AlertRowProps {
  readonly alert: Alert;
  readonly index: number;
}

export function AlertRow({ alert, index }: AlertRowProps) {
  return (
    <div role="row" aria-rowindex={index + 2} class={`alert-row ${isQuiet(alert) ? 'is-quiet' : ''}`}>
      <span role="cell" class="alert-title">
        <AlertGlyph alert={alert} />
        <span class="alert-names">
          <a class="alert-name" href={alertPath(alert.id)} title={alertTitle(alert)}>
            {alert.rule.name}
          </a>
          <span class="alert-thing muted small" title={alert.entity.name}>
            {thingText(alert)}
          </span>
        </span>
      </span>
      <span role="cell" class="alert-badges">
        <AlertBadges alert={alert} />
      </span>
      <span role="cell" class="alert-value mono small">
        {alert.valueText}
      </span>
      <span role="cell" class="alert-since muted small">
        <TimeAgo iso={alert.startedAt ?? alert.since} />
      </span>
      <span role="cell" class="alert-act">
        <Acknowledge alert={alert} />
        <Actions alert={alert} />
      </span>
    </div>
  );
}

export function AlertCard({ alert, index }: AlertRowProps) {
  return (
    <div role="row" aria-rowindex={index + 2} class={`alert-card ${isQuiet(alert) ? 'is-quiet' : ''}`}>
      <span role="cell" class="alert-title">
        <AlertGlyph alert={alert} />
        <span class="alert-names">
          <a class="alert-name" href={alertPath(alert.id)}>
            {alert.rule.name}
          </a>
          <span class="alert-thing muted small">{thingText(alert)}</span>
        </span>
      </span>
      <span role="cell" class="alert-card-foot small">
        <span class="mono">{alert.valueText}</span>
        <span class="muted">
          <TimeAgo iso={alert.startedAt ?? alert.since} />
        </span>
        <AlertBadges alert={alert} />
      </span>
      <span role="cell" class="alert-act">
        <Actions alert={alert} />
      </span>
    </div>
  );
}

function thingText({ entity, project }: Alert): string {
  return [
    entity.name,
    entity.kind === 'vm' ? null : words.kinds[entity.kind],
    areSeveralProjects.value && project !== null ? projectName(project) : null,
  ]
    .filter(Boolean)
    .join(' · ');
}

const isQuiet = ({ acknowledged, state }: Alert) => acknowledged !== null || state === 'suppressed';

function Acknowledge({ alert }: { readonly alert: Alert }) {
  if (!canAcknowledge(alert)) return null;
  return (
    <Button isSmall aria-label={words.actions.acknowledgeName(alertTitle(alert))} onClick={() => acknowledge(alert)}>
      {words.actions.acknowledge}
    </Button>
  );
}

function Actions({ alert }: { readonly alert: Alert }) {
  const entries = alertMenu(alert);
  return entries.length === 0 ? null : <Menu label={words.actionsFor(alertTitle(alert))} entries={entries} />;
}

/** What is special about its state, in a fixed order. */
export function AlertBadges({ alert }: { readonly alert: Alert }) {
  const { marks } = words;
  return (
    <>
      {alert.acknowledged && (
        <Badge tone="accent" title={marks.acknowledgedBy(alert.acknowledged.by)}>
          {marks.acknowledged}
        </Badge>
      )}
      {alert.state === 'clearing' && (
        <Badge tone="good" title={marks.clearingHint}>
          {marks.clearing}
        </Badge>
      )}
      {alert.state === 'suppressed' && (
        <Badge title={alert.maskedBy === null ? marks.suppressed : marks.suppressedBy(alert.maskedBy.title)}>
          {marks.suppressed}
        </Badge>
      )}
      {alert.inhibitedBy && <Badge title={marks.inhibitedBy(alert.inhibitedBy.rule)}>{marks.inhibited}</Badge>}
      {alert.isFlapping && (
        <Badge tone="warn" title={marks.flappingHint}>
          {marks.flapping}
        </Badge>
      )}
      {alert.isNoData && (
        <Badge tone="warn" title={marks.noDataHint}>
          {marks.noData}
        </Badge>
      )}
    </>
  );
}

/** Planned quiet: what is kept back, until when, who said so and why. */

import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { Silence } from '#contract/notifications.ts';
import { Button } from '../../components/button.tsx';
import { ConfirmDialog } from '../../components/dialog.tsx';
import { TimeAgo } from '../../components/figures.tsx';
import { Card, EmptyState, Loaded } from '../../components/page.tsx';
import { StackTable } from '../../components/stack-table.tsx';
import { Badge, type Tone } from '../../components/state-mark.tsx';
import { silences } from '../../state/alerts.ts';
import { api, can } from '../../state/api.ts';
import { now } from '../../state/clock.ts';
import { showProblem } from '../../state/operations.ts';
import { projectName, projects } from '../../state/projects.ts';
import { currentQuery, setQuery } from '../../state/router.ts';
import { vms } from '../../state/vms.ts';
import { text } from '../../text.ts';
import { alertsText } from '../../text-alerts.ts';
import { SilenceDialog } from './silence-dialog.tsx';

const words = alertsText.silences;

const TONES: Readonly<Record<keyof typeof words.states, Tone>> = {
  active: 'accent',
  planned: 'unknown',
  waiting: 'unknown',
  over: 'unknown',
};

export function SilencesTab() {
  const isCreating = useSignal(false);
  const hasOver = currentQuery.value.get('all') === '1';
  useEffect(() => {
    if (can('project.read')) projects.ensure();
    if (can('vm.read')) vms.ensure();
  }, []);
  const create = can('alert.ack') && (
    <Button kind="primary" icon="plus" onClick={() => (isCreating.value = true)}>
      {words.create}
    </Button>
  );
  return (
    <>
      <div class="filters">
        <button
          type="button"
          class="chip"
          aria-pressed={hasOver}
          onClick={() => setQuery({ all: hasOver ? null : '1' })}
        >
          {words.showOver}
        </button>
        <span class="filter-end">{create}</span>
      </div>
      <Loaded resource={silences} lines={6}>
        {(all) => {
          const shown = all.filter(({ isOver }) => hasOver || !isOver);
          if (shown.length === 0)
            return (
              <EmptyState icon="pause" title={words.none}>
                {words.noneNote}
              </EmptyState>
            );
          return (
            <Card class="is-flush">
              <SilenceTable rows={shown} />
            </Card>
          );
        }}
      </Loaded>
      {isCreating.value && <SilenceDialog of={null} onClose={() => (isCreating.value = false)} />}
    </>
  );
}

/** `rule disk_*, critical, vm is web1`. */
function matchText({ match, project }: Silence): string {
  const parts = [
    match.rule === undefined || match.rule === '*' ? '' : alertsText.routing.rule(match.rule),
    (match.severities ?? []).map((severity) => text.severities[severity]).join(alertsText.routing.any),
    ...(match.labels ?? []).map(({ label, value, isNot }) => {
      const vm = label === 'uuid' && !isNot ? vms.data.value?.get(value) : undefined;
      return vm ? words.vm(vm.name) : alertsText.routing.label(label, isNot, value);
    }),
    project === null ? '' : alertsText.routing.project(projectName(project)),
  ].filter(Boolean);
  return parts.join(', ') || words.everything;
}

/** The clock of the page goes by ten seconds. */
const SLACK_MS = 15_000;

const isAhead = ({ from }: Silence): boolean => Date.parse(from) > now.value + SLACK_MS;

function stateOf(silence: Silence): keyof typeof words.states {
  if (silence.isOver) return 'over';
  if (silence.isActive) return 'active';
  return isAhead(silence) ? 'planned' : 'waiting';
}

function SilenceTable({ rows }: { readonly rows: readonly Silence[] }) {
  return (
    <StackTable
      rows={rows}
      keyOf={({ id }) => id}
      columns={[
        {
          head: words.what,
          kind: 'title',
          class: 'breaks',
          cell: (silence) => (
            <>
              {matchText(silence)}
              <span class="muted subtitle">{silence.reason}</span>
            </>
          ),
        },
        {
          head: words.state,
          isSelfEvident: true,
          cell: (silence) => <Badge tone={TONES[stateOf(silence)]}>{words.states[stateOf(silence)]}</Badge>,
        },
        {
          head: words.when,
          class: 'small',
          isSelfEvident: true,
          cell: (silence) => (
            <span class="lines">
              {isAhead(silence) && (
                <span>
                  {words.begins} <TimeAgo iso={silence.from} />
                </span>
              )}
              <span>
                {silence.isOver ? words.ended : words.ends} <TimeAgo iso={silence.to} />
              </span>
              {silence.cron !== null && <code>{words.window(silence.cron, silence.durationMinutes ?? 0)}</code>}
            </span>
          ),
        },
        { head: words.who, class: 'small breaks', cell: (silence) => silence.createdBy },
        {
          head: alertsText.notices.title,
          class: 'small muted',
          isSelfEvident: true,
          cell: (silence) => words.hits(silence.hits),
        },
        { head: alertsText.rules.actions, kind: 'actions', cell: (silence) => <End silence={silence} /> },
      ]}
    />
  );
}

function End({ silence }: { readonly silence: Silence }) {
  const isAsking = useSignal(false);
  if (silence.isOver || !can('alert.ack', silence.project ?? undefined)) return null;
  const end = async () => {
    try {
      await api('DELETE /silences/{id}', { params: { id: silence.id } });
      await silences.reload();
    } catch (error) {
      showProblem(error);
    }
  };
  return (
    <>
      <Button isSmall aria-label={words.endFor(matchText(silence))} onClick={() => (isAsking.value = true)}>
        {words.end}
      </Button>
      {isAsking.value && (
        <ConfirmDialog
          title={words.endTitle}
          action={words.endAction}
          kind="primary"
          onClose={() => (isAsking.value = false)}
          onConfirm={() => void end()}
        >
          <p>{words.endNote}</p>
        </ConfirmDialog>
      )}
    </>
  );
}

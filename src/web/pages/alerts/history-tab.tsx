/** What happened: alerts that fired, ended, were held back. Newest first, older ones on demand; new ones come by themselves. */

import type { AlertEvent } from '#contract/alerts.ts';
import { SeverityMark } from '../../components/alert-marks.tsx';
import { Button } from '../../components/button.tsx';
import { TimeAgo } from '../../components/figures.tsx';
import { Chips, SearchField } from '../../components/filters.tsx';
import { Card, EmptyState, Skeleton } from '../../components/page.tsx';
import { ProblemBox } from '../../components/problem-box.tsx';
import { StackTable } from '../../components/stack-table.tsx';
import { Badge } from '../../components/state-mark.tsx';
import { api } from '../../state/api.ts';
import { currentQuery, setQuery } from '../../state/router.ts';
import { usePages } from '../../state/use-pages.ts';
import { text } from '../../text.ts';
import { alertsText } from '../../text-alerts.ts';
import { alertPath } from './alert-actions.tsx';
import { EventFigures } from './event-figures.tsx';
import { EVENT_TONES, reasonText } from './event-words.ts';

const words = alertsText.history;

const SEVERITIES = ['critical', 'warning', 'info'] as const;
const PERIODS = { hour: 3_600_000, day: 86_400_000, week: 7 * 86_400_000 } as const;
const PERIOD_NAMES = ['hour', 'day', 'week'] as const;

function filterOf(query: URLSearchParams) {
  const severity = SEVERITIES.find((one) => one === query.get('severity'));
  const period = PERIOD_NAMES.find((one) => one === query.get('period'));
  const of = (name: 'q' | 'vm' | 'rule') => (query.get(name) ? { [name]: query.get(name) ?? '' } : {});
  return {
    ...(severity ? { severity } : {}),
    ...(period ? { from: new Date(Date.now() - PERIODS[period]).toISOString() } : {}),
    ...of('q'),
    ...of('vm'),
    ...of('rule'),
  };
}

export function HistoryTab() {
  const query = currentQuery.value;
  const asked = query.toString();
  const { items, next, problem, isLoading, load } = usePages<AlertEvent>({
    asked,
    read: (page) => api('GET /alerts/history', { query: { ...page, ...filterOf(currentQuery.peek()) } }),
    event: 'alert.changed',
  });
  const isFiltered = Object.keys(filterOf(query)).length > 0;
  return (
    <>
      <div class="filters">
        <SearchField label={words.search} />
        <Chips
          label={alertsText.active.severity}
          chosen={SEVERITIES.find((one) => one === query.get('severity')) ?? null}
          options={SEVERITIES.map((value) => ({ value, label: text.severities[value] }))}
          onChoose={(value) => setQuery({ severity: value })}
        />
        <Chips
          label={words.period}
          chosen={PERIOD_NAMES.find((one) => one === query.get('period')) ?? null}
          options={PERIOD_NAMES.map((value) => ({ value, label: words.periods[value] }))}
          onChoose={(value) => setQuery({ period: value })}
        />
        {isFiltered && (
          <Button
            kind="quiet"
            icon="close"
            onClick={() => setQuery({ q: null, severity: null, period: null, vm: null, rule: null })}
          >
            {alertsText.clearFilters}
          </Button>
        )}
      </div>
      {problem.value && <ProblemBox problem={problem.value} onRetry={() => void load(null)} />}
      {items.value === null ? (
        !problem.value && <Skeleton lines={8} />
      ) : items.value.length === 0 ? (
        <EmptyState icon="alert" title={isFiltered ? words.nothingFits : words.none}>
          {!isFiltered && words.noneNote}
        </EmptyState>
      ) : (
        <Events events={items.value} />
      )}
      {next.value !== null && (
        <p class="more-button">
          <Button isBusy={isLoading.value} onClick={() => void load(next.value)}>
            {words.more}
          </Button>
        </p>
      )}
    </>
  );
}

function Events({ events }: { readonly events: readonly AlertEvent[] }) {
  return (
    <Card class="is-flush">
      <StackTable
        rows={events}
        keyOf={(event) => String(event.id)}
        columns={[
          { head: words.when, isSelfEvident: true, class: 'small', cell: (event) => <TimeAgo iso={event.at} /> },
          {
            head: words.what,
            kind: 'title',
            class: 'breaks',
            cell: (event) => <a href={alertPath(event.alertId)}>{event.rule.name}</a>,
          },
          {
            head: words.thing,
            class: 'breaks',
            isSelfEvident: true,
            cell: (event) =>
              event.vmId === null ? event.entity.name : <a href={`/vms/${event.vmId}`}>{event.entity.name}</a>,
          },
          {
            head: words.happened,
            isSelfEvident: true,
            cell: (event) => <Badge tone={EVENT_TONES[event.kind]}>{alertsText.events[event.kind]}</Badge>,
          },
          {
            head: alertsText.active.severity,
            isSelfEvident: true,
            cell: (event) => <SeverityMark severity={event.severity} />,
          },
          {
            head: words.value,
            class: 'small',
            isSelfEvident: true,
            cell: (event) => <EventFigures event={event} />,
          },
          {
            head: words.reason,
            class: 'small muted breaks',
            isSelfEvident: true,
            cell: (event) => reasonText(event),
          },
        ]}
      />
    </Card>
  );
}

/** What fires now, what needs somebody first. The filters stand in the address. */

import { useEffect } from 'preact/hooks';
import type { Alert } from '#contract/alerts.ts';
import { Button, ButtonLink } from '../../components/button.tsx';
import { Chips, ChoiceFilter, isSearched, SearchField } from '../../components/filters.tsx';
import { EmptyState, Loaded } from '../../components/page.tsx';
import { VirtualList } from '../../components/virtual-list.tsx';
import { alertList, alertRules, alerts, channels, isFiring } from '../../state/alerts.ts';
import { can } from '../../state/api.ts';
import { isNarrow } from '../../state/media.ts';
import { projects } from '../../state/projects.ts';
import { currentQuery, setQuery } from '../../state/router.ts';
import { text } from '../../text.ts';
import { alertsText } from '../../text-alerts.ts';
import { AlertDialogs } from './alert-actions.tsx';
import { ALERT_CARD_HEIGHT, ALERT_ROW_HEIGHT, AlertCard, AlertRow } from './alert-row.tsx';

const words = alertsText.active;

const SEVERITIES = ['critical', 'warning', 'info'] as const;
const STATES = ['firing', 'acknowledged', 'suppressed'] as const;
type ShownState = (typeof STATES)[number];

const stateOf = (alert: Alert): ShownState =>
  !isFiring(alert) ? 'suppressed' : alert.acknowledged === null ? 'firing' : 'acknowledged';

const vmNameOf = ({ vmId, labels, entity }: Alert): string => labels['vm'] ?? (vmId === null ? '' : entity.name);

export function ActiveTab() {
  useEffect(() => {
    if (can('project.read')) projects.ensure();
    channels.ensure();
    alertRules.ensure();
  }, []);
  return (
    <>
      <Loaded resource={alerts} lines={10}>
        {(known) => (known.size === 0 ? <NothingFires /> : <AlertList all={alertList.value} />)}
      </Loaded>
      <AlertDialogs />
    </>
  );
}

/** Quiet is good news only where somebody would hear of the opposite. */
function NothingFires() {
  const isHeard = channels.data.value === null || channels.data.value.some(({ isEnabled }) => isEnabled);
  if (!isHeard && can('alert.configure'))
    return (
      <EmptyState
        icon="alert"
        title={words.noneYet}
        action={
          <ButtonLink kind="primary" icon="plus" href="/alerts/channels?add=1">
            {words.addChannel}
          </ButtonLink>
        }
      >
        {words.noneYetNote}
      </EmptyState>
    );
  const watching = (alertRules.data.value ?? []).filter(({ enabled, problems }) => enabled && problems.length === 0);
  return (
    <EmptyState icon="check" title={words.none}>
      {alertRules.data.value && words.noneNote(watching.length)}
    </EmptyState>
  );
}

function AlertList({ all }: { readonly all: readonly Alert[] }) {
  const query = currentQuery.value;
  const severity = SEVERITIES.find((one) => one === query.get('severity')) ?? null;
  const state = STATES.find((one) => one === query.get('state')) ?? null;
  const vm = query.get('vm');
  const shown = all.filter(
    (alert) =>
      (severity === null || alert.severity === severity) &&
      (state === null || stateOf(alert) === state) &&
      (vm === null || alert.vmId === vm) &&
      isSearched(`${alert.rule.name} ${alert.entity.name} ${Object.values(alert.labels).join(' ')}`),
  );
  const narrow = isNarrow.value;
  return (
    <>
      <Filters all={all} shown={shown.length} severity={severity} state={state} vm={vm} />
      {shown.length === 0 ? (
        <EmptyState
          icon="search"
          title={words.nothingFits}
          action={
            <Button onClick={() => setQuery({ q: null, severity: null, state: null, vm: null })}>
              {alertsText.clearFilters}
            </Button>
          }
        />
      ) : (
        <div
          role="table"
          class={`alert-list ${narrow ? 'is-cards' : ''}`}
          aria-label={alertsText.tabs.active}
          aria-rowcount={shown.length + 1}
        >
          {!narrow && <Head />}
          <VirtualList
            items={shown}
            rowHeight={narrow ? ALERT_CARD_HEIGHT : ALERT_ROW_HEIGHT}
            keyOf={(alert) => alert.id}
          >
            {(alert, index) =>
              narrow ? <AlertCard alert={alert} index={index} /> : <AlertRow alert={alert} index={index} />
            }
          </VirtualList>
        </div>
      )}
    </>
  );
}

function Head() {
  return (
    <div role="rowgroup">
      <div role="row" aria-rowindex={1} class="alert-row alert-head">
        <span role="columnheader">{words.what}</span>
        <span role="columnheader">{words.state}</span>
        <span role="columnheader" class="alert-value">
          {words.value}
        </span>
        <span role="columnheader" class="alert-since">
          {words.since}
        </span>
        <span role="columnheader" class="visually-hidden">
          {alertsText.rules.actions}
        </span>
      </div>
    </div>
  );
}

function Filters({
  all,
  shown,
  severity,
  state,
  vm,
}: {
  readonly all: readonly Alert[];
  readonly shown: number;
  readonly severity: Alert['severity'] | null;
  readonly state: ShownState | null;
  readonly vm: string | null;
}) {
  const vms = new Map(all.flatMap((alert) => (alert.vmId === null ? [] : [[alert.vmId, vmNameOf(alert)] as const])));
  return (
    <div class="filters">
      <SearchField label={words.search} />
      <Chips
        label={words.severity}
        chosen={severity}
        options={SEVERITIES.map((value) => ({
          value,
          label: (
            <>
              {text.severities[value]}{' '}
              <span class="chip-count">{all.filter((alert) => alert.severity === value).length}</span>
            </>
          ),
        }))}
        onChoose={(value) => setQuery({ severity: value })}
      />
      <Chips
        label={words.state}
        chosen={state}
        options={STATES.map((value) => ({
          value,
          label: (
            <>
              {words.states[value]}{' '}
              <span class="chip-count">{all.filter((alert) => stateOf(alert) === value).length}</span>
            </>
          ),
        }))}
        onChoose={(value) => setQuery({ state: value })}
      />
      {(vms.size > 0 || vm !== null) && (
        <ChoiceFilter
          name="vm"
          label={words.vm}
          any={words.allVms}
          choices={[...vms]
            .map(([id, name]) => ({ id, name }))
            .sort((a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }))}
        />
      )}
      <span class="muted small filter-count" aria-live="polite">
        {shown !== all.length && words.shownOf(shown, all.length)}
      </span>
    </div>
  );
}

/** All rules: those that come with the program, those of the configuration, one's own. */

import type { AlertRule } from '#contract/alerts.ts';
import { SeverityMark } from '../../components/alert-marks.tsx';
import { Button, ButtonLink } from '../../components/button.tsx';
import { TimeAgo } from '../../components/figures.tsx';
import { Chips, isSearched, SearchField } from '../../components/filters.tsx';
import { Menu } from '../../components/menu.tsx';
import { Card, EmptyState, Loaded } from '../../components/page.tsx';
import { Prose } from '../../components/prose.tsx';
import { StackTable } from '../../components/stack-table.tsx';
import { Badge, Mark } from '../../components/state-mark.tsx';
import { alertRules, firingAlerts } from '../../state/alerts.ts';
import { can } from '../../state/api.ts';
import { currentQuery, setQuery } from '../../state/router.ts';
import { alertsText } from '../../text-alerts.ts';
import { rulePath } from './alert-actions.tsx';
import { RuleDialogs, ruleMenu } from './rule-actions.tsx';

const words = alertsText.rules;

const WHICH = ['on', 'off', 'firing', 'own', 'broken'] as const;
type Which = (typeof WHICH)[number];

const firingOf = (rule: AlertRule): number => firingAlerts.value.filter((alert) => alert.rule.id === rule.id).length;

const FITS: Readonly<Record<Which, (rule: AlertRule) => boolean>> = {
  on: ({ enabled, problems }) => enabled && problems.length === 0,
  off: ({ enabled }) => !enabled,
  firing: (rule) => firingOf(rule) > 0,
  own: ({ origin }) => origin !== 'default',
  broken: ({ problems }) => problems.length > 0,
};

export function RulesTab() {
  const which = WHICH.find((one) => one === currentQuery.value.get('which')) ?? null;
  return (
    <>
      <div class="filters">
        <SearchField label={words.search} />
        <Chips
          label={words.which}
          chosen={which}
          options={WHICH.map((value) => ({ value, label: words.whichNames[value] }))}
          onChoose={(value) => setQuery({ which: value })}
        />
        <span class="filter-end">
          {can('alert.configure') && (
            <ButtonLink kind="primary" icon="plus" href="/alerts/rules/new">
              {words.create}
            </ButtonLink>
          )}
        </span>
      </div>
      <Loaded resource={alertRules} lines={10}>
        {(all) => {
          const shown = all
            .filter(
              (rule) =>
                (which === null || FITS[which](rule)) &&
                isSearched(`${rule.name} ${rule.condition} ${rule.description ?? ''}`),
            )
            .toSorted(byNeed);
          if (all.length === 0)
            return (
              <EmptyState icon="alert" title={words.none}>
                <Prose value={words.noneNote} />
              </EmptyState>
            );
          if (shown.length === 0)
            return (
              <EmptyState
                icon="search"
                title={words.filtered}
                action={<Button onClick={() => setQuery({ q: null, which: null })}>{alertsText.clearFilters}</Button>}
              />
            );
          return <RuleTable rows={shown} />;
        }}
      </Loaded>
      <RuleDialogs />
    </>
  );
}

/** Mistakes first, then one's own, then what comes with the program. */
function byNeed(a: AlertRule, b: AlertRule): number {
  const place = (rule: AlertRule) => (rule.problems.length > 0 ? 0 : rule.origin === 'default' ? 2 : 1);
  return place(a) - place(b) || a.name.localeCompare(b.name, 'en', { numeric: true });
}

function RuleTable({ rows }: { readonly rows: readonly AlertRule[] }) {
  return (
    <Card class="is-flush">
      <StackTable
        rows={rows}
        keyOf={({ id }) => id}
        columns={[
          {
            head: words.name,
            kind: 'title',
            class: 'breaks',
            cell: (rule) => (
              <span class="rule-name">
                <a href={rulePath(rule.id)}>{rule.name}</a>
                <Origin rule={rule} />
              </span>
            ),
          },
          {
            head: words.condition,
            class: 'breaks rule-condition',
            isSelfEvident: true,
            cell: (rule) => <code class="small">{rule.condition}</code>,
          },
          { head: words.severity, isSelfEvident: true, cell: (rule) => <SeverityMark severity={rule.severity} /> },
          { head: words.state, isSelfEvident: true, cell: (rule) => <State rule={rule} /> },
          { head: words.lastFired, class: 'small', cell: (rule) => <LastFired rule={rule} /> },
          {
            head: words.actions,
            kind: 'menu',
            cell: (rule) => <Menu label={alertsText.actionsFor(rule.name)} entries={ruleMenu(rule)} />,
          },
        ]}
      />
    </Card>
  );
}

export function Origin({ rule: { origin } }: { readonly rule: Pick<AlertRule, 'origin'> }) {
  return (
    <Badge tone={origin === 'changed_default' ? 'accent' : 'unknown'} title={words.originHints[origin]}>
      {words.origins[origin]}
    </Badge>
  );
}

function State({ rule }: { readonly rule: AlertRule }) {
  const firing = firingOf(rule);
  if (rule.problems.length > 0)
    return (
      <Badge tone="bad" title={words.brokenHint}>
        {words.broken}
      </Badge>
    );
  if (firing > 0)
    return (
      <a href={`/alerts?q=${encodeURIComponent(rule.name)}`}>
        <Badge tone="bad">{words.firing(firing)}</Badge>
      </a>
    );
  return (
    <Mark tone={rule.enabled ? 'good' : 'unknown'} shape={rule.enabled ? 'dot' : 'ring'}>
      {rule.enabled ? words.on : words.off}
    </Mark>
  );
}

function LastFired({ rule }: { readonly rule: AlertRule }) {
  const at = rule.lastFiredAt;
  return at === null ? (
    <span class="muted">{words.notLately}</span>
  ) : (
    <a href={`/alerts/history?rule=${encodeURIComponent(rule.id)}`}>
      <TimeAgo iso={at} />
    </a>
  );
}

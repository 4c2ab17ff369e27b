/** Alerts: what fires, what happened, the rules, who hears of it, and planned quiet, each under its own address. */

import { useEffect } from 'preact/hooks';
import { PageHead, Tabs } from '../../components/page.tsx';
import { alerts, firingAlerts } from '../../state/alerts.ts';
import { text } from '../../text.ts';
import { alertsText } from '../../text-alerts.ts';
import { ActiveTab } from './active-tab.tsx';
import './alerts.css';
import { ChannelsTab } from './channels-tab.tsx';
import { HistoryTab } from './history-tab.tsx';
import { RulesTab } from './rules-tab.tsx';
import { SilencesTab } from './silences-tab.tsx';

const words = alertsText.tabs;

const TABS = {
  active: ActiveTab,
  history: HistoryTab,
  rules: RulesTab,
  channels: ChannelsTab,
  silences: SilencesTab,
} as const;
const TAB_IDS = ['active', 'history', 'rules', 'channels', 'silences'] as const;

export function AlertsPage({ params }: { readonly params: Readonly<Record<string, string>> }) {
  useEffect(() => alerts.ensure(), []);
  const current = TAB_IDS.find((id) => id === params['tab']) ?? 'active';
  const Tab = TABS[current];
  const count = firingAlerts.value.length;
  return (
    <>
      <PageHead title={text.pages.alerts} />
      <Tabs
        label={words.label}
        current={current}
        tabs={TAB_IDS.map((id) => ({
          id,
          label:
            id === 'active' && count > 0 ? (
              <>
                {words[id]} <span class="count">{count}</span>
              </>
            ) : (
              words[id]
            ),
          href: id === 'active' ? '/alerts' : `/alerts/${id}`,
        }))}
      />
      <Tab />
    </>
  );
}

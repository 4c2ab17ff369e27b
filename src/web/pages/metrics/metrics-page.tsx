/** Figures over time: the host, its VMs beside each other, and how long the space will last. */

import { HOST_GRAPHS } from '../../components/graph/graph-sets.ts';
import { GraphWall } from '../../components/graph/graph-wall.tsx';
import { PageHead, Tabs } from '../../components/page.tsx';
import { canEverywhere } from '../../state/api.ts';
import { text } from '../../text.ts';
import { CapacityTab } from './capacity-tab.tsx';
import { CompareTab } from './compare-tab.tsx';
import './metrics.css';

const words = text.metrics;
const TABS = ['host', 'vms', 'capacity'] as const;

export function MetricsPage({ params }: { readonly params: Readonly<Record<string, string>> }) {
  const offered = TABS.filter((tab) => tab !== 'host' || canEverywhere('metrics.read'));
  const tab = offered.find((candidate) => candidate === params['tab']) ?? offered[0] ?? 'vms';
  return (
    <>
      <PageHead title={text.pages.metrics} />
      <Tabs
        label={words.tabs}
        current={tab}
        tabs={offered.map((id) => ({ id, label: words.tabNames[id], href: `/graphs/${id}` }))}
      />
      {tab === 'host' && <GraphWall entity="host" sets={HOST_GRAPHS} />}
      {tab === 'vms' && <CompareTab />}
      {tab === 'capacity' && <CapacityTab />}
    </>
  );
}

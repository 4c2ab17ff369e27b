/** The NICs of a VM and the addresses that were seen on them. */

import type { Vm } from '#contract/vms.ts';
import { CopyButton } from '../../components/copy-button.tsx';
import { Card, EmptyState } from '../../components/page.tsx';
import { StackTable } from '../../components/stack-table.tsx';
import { Badge } from '../../components/state-mark.tsx';
import { text } from '../../text.ts';

const words = text.nics;

export function NetworksTab({ vm }: { readonly vm: Vm }) {
  if (vm.nics.length === 0)
    return (
      <EmptyState icon="network" title={words.none}>
        {words.noneNote}
      </EmptyState>
    );
  return (
    <Card class="is-flush" title={words.title}>
      <StackTable
        rows={vm.nics}
        keyOf={(nic) => nic.mac}
        columns={[
          { head: words.mac, kind: 'title', class: 'mono', cell: (nic) => nic.mac },
          {
            head: words.source,
            cell: (nic) =>
              nic.sourceType === 'network' && nic.source ? (
                <a href={`/networks#${encodeURIComponent(nic.source)}`}>{nic.source}</a>
              ) : (
                [nic.sourceType, nic.source].filter(Boolean).join(' · ')
              ),
          },
          { head: words.model, cell: (nic) => nic.model ?? text.unknownValue },
          { head: words.link, cell: (nic) => (nic.linkUp ? words.up : <Badge tone="warn">{words.down}</Badge>) },
          {
            head: words.filter,
            cell: (nic) =>
              nic.filter === null ? (
                <span class="muted">{words.filters.none}</span>
              ) : (
                <span title={words.filterHints[nic.filter]}>{words.filters[nic.filter]}</span>
              ),
          },
          {
            head: words.addresses,
            cell: (nic) =>
              nic.addresses.length === 0 ? (
                <span class="muted">{text.unknownValue}</span>
              ) : (
                <ul>
                  {nic.addresses.map((entry) => (
                    <li key={entry.address} class="with-copy">
                      <code>
                        {entry.address}/{entry.prefix}
                      </code>
                      <span class="muted small" title={words.fromHints[entry.from]}>
                        {words.from[entry.from]}
                      </span>
                      <CopyButton value={entry.address} name={text.vm.copyAddress(entry.address)} />
                    </li>
                  ))}
                </ul>
              ),
          },
        ]}
      />
    </Card>
  );
}

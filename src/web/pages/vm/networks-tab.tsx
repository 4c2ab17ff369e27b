/** The NICs of a VM and the addresses that were seen on them. */

import type { Vm } from '#contract/vms.ts';
import { CopyButton } from '../../components/copy-button.tsx';
import { Card, EmptyState } from '../../components/page.tsx';
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
      <div class="table-scroll">
        <table class="table stacks">
          <thead>
            <tr>
              <th scope="col">{words.mac}</th>
              <th scope="col">{words.source}</th>
              <th scope="col">{words.model}</th>
              <th scope="col">{words.link}</th>
              <th scope="col">{words.addresses}</th>
            </tr>
          </thead>
          <tbody>
            {vm.nics.map((nic) => (
              <tr key={nic.mac}>
                <th scope="row" class="mono">
                  {nic.mac}
                </th>
                <td data-label={words.source}>
                  {nic.sourceType === 'network' && nic.source ? (
                    <a href={`/networks#${encodeURIComponent(nic.source)}`}>{nic.source}</a>
                  ) : (
                    [nic.sourceType, nic.source].filter(Boolean).join(' · ')
                  )}
                </td>
                <td data-label={words.model}>{nic.model ?? text.unknownValue}</td>
                <td data-label={words.link}>{nic.linkUp ? words.up : <Badge tone="warn">{words.down}</Badge>}</td>
                <td data-label={words.addresses}>
                  {nic.addresses.length === 0 ? (
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
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Card>
  );
}

/** Networks of libvirt and bridges of the host, with who is on them. */

import type { Network } from '#contract/networks.ts';
import { TimeAgo } from '../../components/figures.tsx';
import { Card, EmptyState, Facts, Loaded, PageHead } from '../../components/page.tsx';
import { StackTable } from '../../components/stack-table.tsx';
import { ActiveMark, Badge } from '../../components/state-mark.tsx';
import { canEverywhere } from '../../state/api.ts';
import { networks } from '../../state/library.ts';
import { text } from '../../text.ts';

const words = text.networks;

export function NetworksPage() {
  return (
    <>
      <PageHead title={text.pages.networks} />
      <Loaded resource={networks} lines={6}>
        {(known) =>
          known.length === 0 ? (
            <EmptyState icon="network" title={words.none}>
              {canEverywhere('network.read') ? words.noneNote : words.noneGiven}
            </EmptyState>
          ) : (
            <div class="stack">
              {known.map((network) => (
                <NetworkCard key={network.id} network={network} />
              ))}
            </div>
          )
        }
      </Loaded>
    </>
  );
}

function NetworkCard({ network }: { readonly network: Network }) {
  return (
    <Card
      title={<span class="mono">{network.name}</span>}
      aside={
        <>
          <Badge>{words.kinds[network.kind]}</Badge>
          {!network.managed && <Badge title={words.unmanagedHint}>{text.badges.unmanaged}</Badge>}
          <ActiveMark state={network.state} />
        </>
      }
    >
      <div class="columns">
        <Facts
          items={[
            [words.kind, words.kindHints[network.kind]],
            [
              words.addresses,
              network.addresses.length === 0
                ? text.unknownValue
                : network.addresses.map((entry) => (
                    <div key={entry.address}>
                      <code>{`${entry.address}/${entry.prefix}`}</code>
                      {entry.dhcp && <span class="muted"> {words.dhcp}</span>}
                    </div>
                  )),
            ],
            [words.bridge, network.bridge ? <code key="b">{network.bridge}</code> : text.unknownValue],
            [words.autostart, network.autostart ? text.vm.yes : text.vm.no],
          ]}
        />
        <div>
          <h3 class="muted">{words.usedBy(network.usedBy.length)}</h3>
          <p class="name-list mono">
            {network.usedBy.map((vm) => (
              <a key={vm.vmId} href={`/vms/${vm.vmId}`}>
                {vm.name}
              </a>
            ))}
          </p>
        </div>
      </div>
      {network.leases.length > 0 && (
        <details class="more">
          <summary>{words.leases(network.leases.length)}</summary>
          <StackTable
            rows={network.leases}
            keyOf={(lease) => `${lease.mac}${lease.address}`}
            columns={[
              { head: words.address, kind: 'title', class: 'mono', cell: (lease) => lease.address },
              { head: text.nics.mac, class: 'mono', cell: (lease) => lease.mac },
              { head: words.hostname, class: 'breaks', cell: (lease) => lease.hostname ?? text.unknownValue },
              {
                head: words.expires,
                cell: (lease) => (lease.expiresAt === null ? text.unknownValue : <TimeAgo iso={lease.expiresAt} />),
              },
            ]}
          />
        </details>
      )}
    </Card>
  );
}

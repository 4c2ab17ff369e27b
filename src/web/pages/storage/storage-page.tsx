/** Storage pools, how full they are, and their volumes with the VMs that use them. */

import type { Pool } from '#contract/networks.ts';
import { bytesText, Meter } from '../../components/figures.tsx';
import { Card, EmptyState, Loaded, PageHead } from '../../components/page.tsx';
import { StackTable } from '../../components/stack-table.tsx';
import { ActiveMark, Badge } from '../../components/state-mark.tsx';
import { canEverywhere } from '../../state/api.ts';
import { pools } from '../../state/library.ts';
import { text } from '../../text.ts';

const words = text.storage;

export function StoragePage() {
  return (
    <>
      <PageHead title={text.pages.storage} />
      <Loaded resource={pools} lines={6}>
        {(known) =>
          known.length === 0 ? (
            <EmptyState icon="storage" title={words.none}>
              {canEverywhere('storage.read') ? words.noneNote : words.noneGiven}
            </EmptyState>
          ) : (
            <div class="stack">
              {known.map((pool) => (
                <PoolCard key={pool.id} pool={pool} />
              ))}
            </div>
          )
        }
      </Loaded>
    </>
  );
}

function PoolCard({ pool }: { readonly pool: Pool }) {
  const ratio =
    pool.capacityBytes && pool.availableBytes !== null ? 1 - pool.availableBytes / pool.capacityBytes : null;
  return (
    <Card
      title={<span class="mono">{pool.name}</span>}
      aside={
        <>
          {pool.isDefault && (
            <Badge tone="accent" title={words.defaultHint}>
              {words.default}
            </Badge>
          )}
          <Badge>{pool.kind}</Badge>
          {!pool.managed && <Badge title={text.networks.unmanagedHint}>{text.badges.unmanaged}</Badge>}
          <ActiveMark state={pool.state} />
        </>
      }
    >
      {pool.path && <p class="muted mono small pool-path">{pool.path}</p>}
      {pool.capacityBytes !== null && (
        <div class="pool-usage">
          <Meter
            ratio={ratio}
            label={words.usage(pool.name)}
            warnAt={0.85}
            value={words.freeOf(bytesText(pool.availableBytes), bytesText(pool.capacityBytes))}
          />
        </div>
      )}
      {pool.volumes.length > 0 && (
        <details class="more" open={pool.volumes.length <= 30}>
          <summary>{words.volumes(pool.volumes.length)}</summary>
          <StackTable
            rows={pool.volumes}
            keyOf={(volume) => volume.name}
            columns={[
              { head: words.volume, kind: 'title', class: 'mono breaks', cell: (volume) => volume.name },
              { head: words.format, isSelfEvident: true, cell: (volume) => volume.format ?? text.unknownValue },
              { head: words.size, kind: 'number', cell: (volume) => bytesText(volume.sizeBytes) },
              { head: words.allocated, kind: 'number', cell: (volume) => bytesText(volume.allocatedBytes) },
              {
                head: words.usedBy,
                class: 'breaks',
                cell: (volume) =>
                  volume.usedBy ? (
                    <a href={`/vms/${volume.usedBy.vmId}`}>{volume.usedBy.name}</a>
                  ) : (
                    <span class="muted">{words.unused}</span>
                  ),
              },
            ]}
          />
        </details>
      )}
    </Card>
  );
}

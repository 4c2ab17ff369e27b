/** Restore points of VMs that are not there any more: listed, never counted. */

import type { OrphanedPoints } from '#contract/protection.ts';
import { bytesText, TimeAgo } from '../../components/figures.tsx';
import { Card } from '../../components/page.tsx';
import { StackTable } from '../../components/stack-table.tsx';
import { backupsText } from '../../text-backups.ts';
import { pointPath, pointsPath } from './vm-backup-actions.tsx';

const words = backupsText.protection;

export function OrphansCard({ orphans }: { readonly orphans: readonly OrphanedPoints[] }) {
  if (orphans.length === 0) return null;
  return (
    <Card class="is-flush" title={words.orphans}>
      <p class="card-note muted small">{words.orphansNote}</p>
      <StackTable
        rows={orphans}
        keyOf={({ vmId }) => vmId}
        columns={[
          {
            head: words.vm,
            kind: 'title',
            class: 'mono breaks',
            cell: (gone) => <a href={pointsPath(gone.vmId)}>{gone.vmName}</a>,
          },
          {
            head: words.newest,
            class: 'small',
            cell: (gone) => (
              <a href={pointPath(gone.newestPointId)}>
                <TimeAgo iso={gone.newestAt} />
              </a>
            ),
          },
          { head: words.size, kind: 'number', cell: ({ points }) => points },
          { head: backupsText.points.added, kind: 'number', cell: ({ storedBytes }) => bytesText(storedBytes) },
        ]}
      />
    </Card>
  );
}

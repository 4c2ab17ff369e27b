/** VMs that run from a restore point while their data is copied behind their guests: how far, what keeps it, and how it goes on. */

import type { InstantRestore } from '#contract/backups.ts';
import { Button } from '../../components/button.tsx';
import { Since } from '../../components/figures.tsx';
import { ProgressBar } from '../../components/operation-item.tsx';
import { Card } from '../../components/page.tsx';
import { Mark } from '../../components/state-mark.tsx';
import { api, can } from '../../state/api.ts';
import { follow } from '../../state/operations.ts';
import { backupsText } from '../../text-backups.ts';
import { pointPath } from './vm-backup-actions.tsx';

const words = backupsText.instant;

const MARKS = {
  starting: ['accent', 'half'],
  copying: ['accent', 'half'],
  waiting: ['warn', 'triangle'],
  held: ['bad', 'square'],
} as const;

export function InstantCard({ restores }: { readonly restores: readonly InstantRestore[] }) {
  if (restores.length === 0) return null;
  return (
    <Card title={words.title}>
      <div class="separated" aria-live="polite">
        {restores.map((one) => (
          <Item key={one.vmId} restore={one} />
        ))}
      </div>
    </Card>
  );
}

function Item({ restore }: { readonly restore: InstantRestore }) {
  const { vmId, vmName, pointId, repositoryName, state, copiedRatio, problem, startedAt } = restore;
  const [tone, shape] = MARKS[state];
  return (
    <div class="operation-item">
      <div class="operation-line">
        <a class="operation-title mono" href={`/vms/${vmId}`}>
          {vmName}
        </a>
        <Mark tone={tone} shape={shape}>
          {words.states[state]}
        </Mark>
      </div>
      <ProgressBar ratio={copiedRatio} label={words.copied(vmName)} />
      {problem !== null && <p class="operation-error small">{problem}</p>}
      <div class="operation-line">
        <p class="muted small">
          {Math.floor(copiedRatio * 100)} % · {words.since} <Since iso={startedAt} /> ·{' '}
          <a href={pointPath(pointId)}>{repositoryName}</a>
        </p>
        {state === 'held' && can('backup.restore') && (
          <Button
            isSmall
            icon="play"
            onClick={() => void follow(api('POST /vms/{id}/copy-behind', { params: { id: vmId } }))}
          >
            {words.resume}
          </Button>
        )}
      </div>
    </div>
  );
}

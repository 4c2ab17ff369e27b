/** The one thing to do next about a VM, as a button where one may do it. */

import type { VmPosture } from '#contract/protection.ts';
import { Button, ButtonLink } from '../../components/button.tsx';
import { api, can, canEverywhere } from '../../state/api.ts';
import { repositories } from '../../state/backups.ts';
import { follow } from '../../state/operations.ts';
import { backupsText } from '../../text-backups.ts';
import { backUpNow, pointPath, proveNow } from './vm-backup-actions.tsx';

const words = backupsText.protection;

const NEEDS_BACKUP = ['no_good_point', 'newest_far_too_old', 'newest_too_old'];
const NEEDS_PROOF = ['never_proven', 'proof_too_old', 'evidence_unreadable'];
const NEEDS_LOOK = ['proof_failed', 'proof_inconclusive'];
const NEEDS_POINT = ['disk_left_out', 'not_consistent'];

export function NextStep({ vm }: { readonly vm: VmPosture }) {
  const reason = vm.reasons[0]?.code ?? '';
  if (reason === 'no_schedule')
    return canEverywhere('backup.configure') ? (
      <ButtonLink icon="plus" href={`/backups/schedules?cover=${encodeURIComponent(vm.vmId)}`}>
        {words.next.cover}
      </ButtonLink>
    ) : null;
  if (NEEDS_BACKUP.includes(reason))
    return can('backup.run') ? (
      <Button isSmall icon="download" onClick={() => backUpNow(vm)}>
        {words.backUp}
      </Button>
    ) : null;
  if (NEEDS_PROOF.includes(reason))
    return can('backup.verify') && vm.newestPointId !== null ? (
      <Button isSmall icon="check" onClick={() => proveNow(vm)}>
        {words.prove}
      </Button>
    ) : null;
  if (NEEDS_LOOK.includes(reason))
    return (
      <a class="small" href={`/vms/${vm.vmId}/backups`}>
        {words.next.see}
      </a>
    );
  if (NEEDS_POINT.includes(reason) && vm.newestPointId !== null)
    return (
      <a class="small" href={pointPath(vm.newestPointId)}>
        {words.next.see}
      </a>
    );
  if (reason === 'last_run_failed' && vm.lastRun !== null)
    return (
      <a class="small" href={`/operations/${encodeURIComponent(vm.lastRun.operationId)}`}>
        {words.next.see}
      </a>
    );
  if (reason === 'catalogue_not_read' && canEverywhere('backup.configure'))
    return (
      <Button isSmall icon="reboot" onClick={readAll}>
        {words.next.scan}
      </Button>
    );
  return null;
}

function readAll(): void {
  for (const { id, state } of repositories.data.value ?? [])
    if (state !== 'unreachable') void follow(api('POST /repositories/{id}/scan', { params: { id } }));
}

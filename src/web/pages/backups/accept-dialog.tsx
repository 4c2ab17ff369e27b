/** Says of disks that no restore point holds that it is right so. */

import { useSignal } from '@preact/signals';
import type { VmPosture } from '#contract/protection.ts';
import { SaveDialog } from '../../components/save-dialog.tsx';
import { TextField } from '../../components/text-field.tsx';
import { api, fieldProblem } from '../../state/api.ts';
import { postures } from '../../state/backups.ts';
import { useRequest } from '../../state/use-request.ts';
import { backupsText } from '../../text-backups.ts';

const words = backupsText.protection;

/** @param disks all of which it is right; none takes it back */
export async function acceptDisks(vmId: string, disks: readonly string[], reason: string): Promise<void> {
  await api('PUT /vms/{id}/accepted-disks', { params: { id: vmId }, body: { disks: [...disks], reason } });
  await postures.reload();
}

export function AcceptDialog({
  vm,
  disks,
  onClose,
}: {
  readonly vm: VmPosture;
  readonly disks: readonly string[];
  readonly onClose: () => void;
}) {
  const reason = useSignal('');
  const request = useRequest();
  return (
    <SaveDialog
      title={words.acceptTitle(vm.vmName, disks.join(', '))}
      action={words.acceptAction}
      request={request}
      onSave={() => acceptDisks(vm.vmId, [...vm.disksAccepted, ...disks], reason.value.trim())}
      onClose={onClose}
    >
      <p>{words.acceptNote}</p>
      <TextField
        label={words.acceptReason}
        isOptional
        problem={fieldProblem(request.problem.value, 'reason')}
        maxLength={200}
        value={reason}
      />
    </SaveDialog>
  );
}

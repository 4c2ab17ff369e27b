/** Asks where to back up a VM now, and whether to read it as a whole. */

import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { Check, Field } from '../../components/form.tsx';
import { SaveDialog } from '../../components/save-dialog.tsx';
import { api } from '../../state/api.ts';
import { homes, repositories } from '../../state/backups.ts';
import { follow } from '../../state/operations.ts';
import { useRequest } from '../../state/use-request.ts';
import { backupsText } from '../../text-backups.ts';

const words = backupsText.backUp;

export function BackUpDialog({
  vmId,
  vmName,
  onClose,
}: {
  readonly vmId: string;
  readonly vmName: string;
  readonly onClose: () => void;
}) {
  const repository = useSignal('');
  const full = useSignal(false);
  const request = useRequest();
  useEffect(() => repositories.ensure(), []);
  const usable = homes.value.filter(({ state }) => state === 'ready');
  const standard = usable.find(({ isDefault }) => isDefault);
  const start = async () => {
    let refusal: unknown = null;
    await follow(
      api('POST /vms/{id}/backup', {
        params: { id: vmId },
        body: { full: full.value, ...(repository.value === '' ? {} : { repository: repository.value }) },
      }),
      { onRefused: (error) => (refusal = error) },
    );
    if (refusal !== null) throw refusal;
  };
  return (
    <SaveDialog title={words.title(vmName)} action={words.action} request={request} onSave={start} onClose={onClose}>
      <Field label={words.repository}>
        {(field) => (
          <select
            {...field}
            value={repository.value}
            onChange={(event) => (repository.value = event.currentTarget.value)}
          >
            <option value="">{standard ? words.default(standard.name) : words.makeDefault}</option>
            {usable
              .filter(({ isDefault }) => !isDefault)
              .map(({ id, name }) => (
                <option key={id} value={id}>
                  {name}
                </option>
              ))}
          </select>
        )}
      </Field>
      <Check
        label={words.full}
        hint={words.fullHint}
        checked={full.value}
        onChange={(checked) => (full.value = checked)}
      />
    </SaveDialog>
  );
}

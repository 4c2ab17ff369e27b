/** Adds a repository, and asks for its recovery key to be typed back. */

import { useSignal } from '@preact/signals';
import type { BackupRepository } from '#contract/backups.ts';
import { CopyButton } from '../../components/copy-button.tsx';
import { Check } from '../../components/form.tsx';
import { NameField, SaveDialog } from '../../components/save-dialog.tsx';
import { TextField } from '../../components/text-field.tsx';
import { api, fieldProblem } from '../../state/api.ts';
import { repositories } from '../../state/backups.ts';
import { follow } from '../../state/operations.ts';
import { showToast } from '../../state/toasts.ts';
import { useRequest } from '../../state/use-request.ts';
import { backupsText } from '../../text-backups.ts';
import { backupDialog, closeBackupDialog } from './backup-dialog.ts';

const words = backupsText.repository;

export function RepositoryDialog({ onClose }: { readonly onClose: () => void }) {
  const name = useSignal('');
  const folder = useSignal('');
  const isThere = useSignal(false);
  const isEncrypted = useSignal(false);
  const isBetter = useSignal(false);
  const recoveryKey = useSignal('');
  const isTried = useSignal(false);
  const request = useRequest();
  const problem = request.problem.value;
  const folderProblem = isTried.value && !folder.value.trim().startsWith('/') ? words.needFolder : null;
  /** What stands open after this one: the key that was made. */
  let following: (() => void) | null = null;
  const add = async () => {
    const key = recoveryKey.value.trim();
    const made = await api('POST /repositories', {
      body: {
        name: name.value.trim(),
        folder: folder.value.trim(),
        ...(isThere.value
          ? { existing: true, ...(key === '' ? {} : { recoveryKey: key }) }
          : { isEncrypted: isEncrypted.value, compression: isBetter.value ? 'better' : 'default' }),
      },
    });
    await repositories.reload();
    const shown = made.recoveryKey;
    if (shown !== null)
      following = () => {
        backupDialog.value = (
          <ConfirmKeyDialog repository={made.repository} recoveryKey={shown} onClose={closeBackupDialog} />
        );
      };
    else showToast({ kind: 'good', title: words.added(made.repository.name) });
    // Its restore points are known once they were read.
    if (isThere.value)
      await follow(api('POST /repositories/{id}/scan', { params: { id: made.repository.id } }), { isQuiet: true });
  };
  return (
    <SaveDialog
      title={words.title}
      action={words.action}
      request={request}
      isReady={() => {
        isTried.value = true;
        return folder.value.trim().startsWith('/');
      }}
      onSave={add}
      onClose={() => {
        onClose();
        following?.();
      }}
    >
      <NameField label={words.name} problem={fieldProblem(problem, 'name')} value={name} />
      <TextField
        label={words.folder}
        hint={words.folderHint}
        problem={folderProblem ?? fieldProblem(problem, 'folder')}
        isCode
        maxLength={1000}
        value={folder}
      />
      <Check label={words.existing} checked={isThere.value} onChange={(checked) => (isThere.value = checked)} />
      {isThere.value ? (
        <TextField
          label={words.recoveryKey}
          isOptional
          hint={words.recoveryKeyHint}
          problem={fieldProblem(problem, 'recoveryKey')}
          isCode
          maxLength={200}
          value={recoveryKey}
        />
      ) : (
        <>
          <Check
            label={words.encrypt}
            hint={words.encryptHint}
            checked={isEncrypted.value}
            onChange={(checked) => (isEncrypted.value = checked)}
          />
          <Check label={words.better} checked={isBetter.value} onChange={(checked) => (isBetter.value = checked)} />
        </>
      )}
    </SaveDialog>
  );
}

/** @param recoveryKey as it was just made, shown this once; without it the reader has it on paper */
export function ConfirmKeyDialog({
  repository,
  recoveryKey,
  onClose,
}: {
  readonly repository: BackupRepository;
  readonly recoveryKey?: string;
  readonly onClose: () => void;
}) {
  const typed = useSignal('');
  const request = useRequest();
  const confirm = async () => {
    await api('POST /repositories/{id}/confirm', {
      params: { id: repository.id },
      body: { recoveryKey: typed.value.trim() },
    });
    await repositories.reload();
    showToast({ kind: 'good', title: words.confirmed(repository.name) });
  };
  return (
    <SaveDialog
      title={recoveryKey === undefined ? words.confirmTitle(repository.name) : words.keyTitle(repository.name)}
      action={words.keyConfirm}
      request={request}
      isReady={() => typed.value.trim() !== ''}
      onSave={confirm}
      onClose={onClose}
      lead={
        recoveryKey === undefined ? (
          <p class="muted">{words.confirmNote}</p>
        ) : (
          <>
            <p>{words.keyNote}</p>
            <p class="recovery-key with-copy">
              <code>{recoveryKey}</code>
              <CopyButton value={recoveryKey} />
            </p>
          </>
        )
      }
    >
      <TextField
        label={words.keyBack}
        problem={fieldProblem(request.problem.value, 'recoveryKey')}
        isCode
        maxLength={200}
        value={typed}
      />
    </SaveDialog>
  );
}

/** What a copy is changed by: how it is kept, and the credentials that its place is reached with. */

import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { BackupCopy } from '#contract/backup-copies.ts';
import type { BackupRepository } from '#contract/backups.ts';
import { SaveDialog } from '../../components/save-dialog.tsx';
import { api, fieldProblem } from '../../state/api.ts';
import { copies, homes, repositories } from '../../state/backups.ts';
import { follow } from '../../state/operations.ts';
import { showToast } from '../../state/toasts.ts';
import { useRequest } from '../../state/use-request.ts';
import { copiesText } from '../../text-copies.ts';
import { copyFieldsOf, keepDraftOf, newKeepDraft, newPlaceDraft, type PlaceDraft, secretsOf } from './copy-draft.ts';
import { KeepingFields, S3Credentials, SftpCredentials } from './copy-fields.tsx';

/** @param copy null = nothing is copied there yet */
export function CopySettingsDialog({
  repository: { id, name },
  copy,
  onClose,
}: {
  readonly repository: BackupRepository;
  readonly copy: BackupCopy | null;
  readonly onClose: () => void;
}) {
  const words = copiesText.settings;
  const home = homes.value.find(({ isDefault }) => isDefault) ?? homes.value[0];
  const draft = useSignal(
    copy === null ? newKeepDraft(home?.id ?? '', Intl.DateTimeFormat().resolvedOptions().timeZone) : keepDraftOf(copy),
  );
  const isTried = useSignal(false);
  const request = useRequest();
  useEffect(() => repositories.ensure(), []);
  const { fields, problems } = copyFieldsOf(draft.value);
  const save = async () => {
    if (fields === null) return;
    await api('PUT /repositories/{id}/copy', { params: { id }, body: fields });
    await copies.reload();
    showToast({ kind: 'good', title: words.saved(name) });
  };
  const problem = request.problem.value;
  const shown = isTried.value ? problems : {};
  return (
    <SaveDialog
      isWide
      title={words.title(name)}
      action={words.action}
      request={request}
      isReady={() => {
        isTried.value = true;
        return fields !== null;
      }}
      onSave={save}
      onClose={onClose}
    >
      <KeepingFields
        isOpen
        draft={draft.value}
        problems={{
          source: shown.source ?? fieldProblem(problem, 'source'),
          keep: shown.keep ?? fieldProblem(problem, 'retention'),
          limit: shown.limit ?? fieldProblem(problem, 'bytesPerSecond'),
        }}
        onChange={(parts) => {
          draft.value = { ...draft.peek(), ...parts };
        }}
      />
    </SaveDialog>
  );
}

export function CredentialsDialog({
  repository: { id, name, kind },
  onClose,
}: {
  readonly repository: BackupRepository;
  readonly onClose: () => void;
}) {
  const words = copiesText.credentials;
  const draft = useSignal<PlaceDraft>({ ...newPlaceDraft(), kind: kind === 's3' ? 's3' : 'sftp' });
  const isTried = useSignal(false);
  const request = useRequest();
  const problem = request.problem.value;
  const secrets = secretsOf(draft.value.kind, draft.value);
  const accessKey = draft.value.accessKey.trim();
  const isEmpty = Object.keys(secrets).length === 0 && accessKey === '';
  const change = (parts: Partial<PlaceDraft>) => {
    draft.value = { ...draft.peek(), ...parts };
  };
  const save = async () => {
    await api('PATCH /repositories/{id}', {
      params: { id },
      body: { ...(accessKey === '' ? {} : { accessKey }), ...(Object.keys(secrets).length === 0 ? {} : { secrets }) },
    });
    await Promise.all([repositories.reload(), copies.reload()]);
    showToast({ kind: 'good', title: words.saved(name) });
    // What failed for the old ones goes on at once.
    if (copies.data.peek()?.some((copy) => copy.repositoryId === id && copy.state === 'failed'))
      await follow(api('POST /repositories/{id}/copy', { params: { id } }), { isQuiet: true });
  };
  const first = { s3: 'secretKey', sftp: draft.value.auth === 'key' ? 'privateKey' : 'password' } as const;
  const problemOf = (field: keyof PlaceDraft): string | null =>
    (isTried.value && isEmpty && field === first[kind === 's3' ? 's3' : 'sftp'] ? words.needOne : null) ??
    fieldProblem(problem, `secrets.${field}`) ??
    fieldProblem(problem, field);
  const fields = { draft: draft.value, problemOf, onChange: change, keptHint: words.keptHint };
  return (
    <SaveDialog
      isWide
      title={words.title(name)}
      action={words.action}
      request={request}
      lead={<p class="muted">{words.note}</p>}
      isReady={() => {
        isTried.value = true;
        return !isEmpty;
      }}
      onSave={save}
      onClose={onClose}
    >
      {kind === 's3' ? <S3Credentials {...fields} /> : <SftpCredentials {...fields} />}
    </SaveDialog>
  );
}

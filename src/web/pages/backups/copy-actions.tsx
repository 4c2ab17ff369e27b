/** What can be done about a copy, and the questions before it. */

import type { BackupCopy } from '#contract/backup-copies.ts';
import type { BackupRepository } from '#contract/backups.ts';
import { ConfirmDialog } from '../../components/dialog.tsx';
import type { MenuEntry } from '../../components/menu.tsx';
import { api, canEverywhere } from '../../state/api.ts';
import { copies, repositories } from '../../state/backups.ts';
import { follow, showProblem } from '../../state/operations.ts';
import { navigate } from '../../state/router.ts';
import { showToast } from '../../state/toasts.ts';
import { backupsText } from '../../text-backups.ts';
import { copiesText } from '../../text-copies.ts';
import { backupDialog, closeBackupDialog } from './backup-dialog.ts';
import { CopySettingsDialog, CredentialsDialog } from './copy-settings.tsx';
import { HostKeyDialog } from './host-key.tsx';

const words = copiesText;

export const pointsThere = (repositoryId: string): string =>
  `/backups/points?repository=${encodeURIComponent(repositoryId)}`;

export function copyNow({ id }: BackupRepository): void {
  void follow(api('POST /repositories/{id}/copy', { params: { id } }));
}

export function openSettings(repository: BackupRepository, copy: BackupCopy | null): void {
  backupDialog.value = <CopySettingsDialog repository={repository} copy={copy} onClose={closeBackupDialog} />;
}

export function openCredentials(repository: BackupRepository): void {
  backupDialog.value = <CredentialsDialog repository={repository} onClose={closeBackupDialog} />;
}

export function openKey(repository: BackupRepository): void {
  backupDialog.value = <HostKeyDialog repository={repository} onClose={closeBackupDialog} />;
}

/** @param copy null = nothing is copied there yet */
export function copyMenu(repository: BackupRepository, copy: BackupCopy | null): MenuEntry[] {
  const { id, kind } = repository;
  return [
    { label: words.showPoints, icon: 'list', run: () => navigate(pointsThere(id)) },
    ...(canEverywhere('backup.verify') && copy !== null && copy.points > 0
      ? [
          { label: words.check, icon: 'check', run: () => check(id, false) } satisfies MenuEntry,
          {
            label: backupsText.repositories.checkData,
            icon: 'check',
            run: () => askToReadAll(repository),
          } satisfies MenuEntry,
        ]
      : []),
    ...(canEverywhere('backup.configure') ? configureEntries(repository, copy) : []),
    ...(canEverywhere('backup.configure') && kind === 'sftp'
      ? [{ label: words.newKey, icon: 'key', run: () => openKey(repository) } satisfies MenuEntry]
      : []),
    ...(canEverywhere('backup.configure')
      ? [
          {
            label: words.remove,
            icon: 'close',
            isDangerous: true,
            startsGroup: true,
            run: () => askToRemove(repository, copy),
          } satisfies MenuEntry,
        ]
      : []),
  ];
}

function configureEntries(repository: BackupRepository, copy: BackupCopy | null): MenuEntry[] {
  const isPlaced = repository.kind === 'sftp' || repository.kind === 's3';
  const { sourceId, sourceName } = copy ?? { sourceId: null, sourceName: null };
  return [
    ...(copy !== null && sourceId !== null && sourceName !== null && copy.points > 0
      ? [
          {
            label: words.repair(sourceName),
            icon: 'health',
            run: () => askToRepair(repository, { id: sourceId, name: sourceName }),
          } satisfies MenuEntry,
        ]
      : []),
    {
      label: copy === null ? words.choose : words.edit,
      icon: 'edit',
      startsGroup: true,
      run: () => openSettings(repository, copy),
    },
    ...(copy !== null && sourceId !== null
      ? [
          {
            label: copy.isEnabled ? words.pause : words.resume,
            icon: copy.isEnabled ? 'pause' : 'play',
            run: () => void switchCopying(copy, sourceId),
          } satisfies MenuEntry,
        ]
      : []),
    ...(isPlaced
      ? [{ label: words.otherCredentials, icon: 'lock', run: () => openCredentials(repository) } satisfies MenuEntry]
      : []),
  ];
}

function check(id: string, readData: boolean): void {
  void follow(api('POST /repositories/{id}/check', { params: { id }, body: { readData } }));
}

function askToReadAll({ id, name }: BackupRepository): void {
  const of = backupsText.repositories;
  backupDialog.value = (
    <ConfirmDialog
      title={of.checkDataTitle(name)}
      action={of.checkDataAction}
      kind="primary"
      onConfirm={() => check(id, true)}
      onClose={closeBackupDialog}
    >
      <p>{words.checkDataNote}</p>
    </ConfirmDialog>
  );
}

function askToRepair({ id, name }: BackupRepository, source: { readonly id: string; readonly name: string }): void {
  backupDialog.value = (
    <ConfirmDialog
      title={words.repairTitle(source.name, name)}
      action={words.repairAction}
      kind="primary"
      onConfirm={() =>
        void follow(api('POST /repositories/{id}/repair', { params: { id: source.id }, body: { from: id } }))
      }
      onClose={closeBackupDialog}
    >
      <p>{words.repairNote(source.name)}</p>
    </ConfirmDialog>
  );
}

async function switchCopying(
  { repositoryId: id, repositoryName, isEnabled, retention, timeZone, bytesPerSecond, takesStates }: BackupCopy,
  source: string,
): Promise<void> {
  try {
    await api('PUT /repositories/{id}/copy', {
      params: { id },
      body: { source, isEnabled: !isEnabled, retention, timeZone, bytesPerSecond, takesStates },
    });
    await copies.reload();
    showToast({ kind: 'good', title: isEnabled ? words.paused(repositoryName) : words.resumed(repositoryName) });
  } catch (error) {
    showProblem(error);
  }
}

function askToRemove(repository: BackupRepository, copy: BackupCopy | null): void {
  const { id, name, place, kind, points } = repository;
  const remove = async () => {
    try {
      await api('DELETE /repositories/{id}', { params: { id } });
      await Promise.all([repositories.reload(), copies.reload()]);
    } catch (error) {
      showProblem(error);
    }
  };
  const consequences = [
    ...(copy?.sourceName ? [words.removeStops(copy.sourceName)] : []),
    words.removeStays(place ?? name),
    ...(points > 0 ? [words.removeOnly(points)] : []),
    ...(kind === 'sftp' || kind === 's3' ? [words.removeCredentials] : []),
    ...(copy?.isEnabled ? [words.removePosture] : []),
  ];
  backupDialog.value = (
    <ConfirmDialog
      title={words.removeTitle(name)}
      action={words.removeAction}
      typedName={name}
      onConfirm={() => void remove()}
      onClose={closeBackupDialog}
    >
      <ul class="plain-list">
        {consequences.map((line) => (
          <li key={line}>{line}</li>
        ))}
      </ul>
    </ConfirmDialog>
  );
}

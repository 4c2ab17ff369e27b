/** What can be done with a restore point, and the questions before it. */

import type { RestorePoint } from '#contract/backups.ts';
import { ConfirmDialog } from '../../components/dialog.tsx';
import type { MenuEntry } from '../../components/menu.tsx';
import { api, can } from '../../state/api.ts';
import { isPointProtected, postures, retention } from '../../state/backups.ts';
import { follow, showProblem } from '../../state/operations.ts';
import { currentPath, navigate } from '../../state/router.ts';
import { backupsText } from '../../text-backups.ts';
import { backupDialog, closeBackupDialog } from './backup-dialog.ts';
import { ExportDialog } from './export-dialog.tsx';
import { filesPath } from './file-path.ts';
import { momentText } from './moment.ts';
import { RestoreDialog } from './restore-dialog.tsx';
import { pointPath, proveNow } from './vm-backup-actions.tsx';

const words = backupsText.points;

/** @param hasOpen whether its own page is offered
 *  @param from id of the repository or copy that is looked at; null = none in particular */
export function pointMenu(
  point: RestorePoint,
  { hasOpen, from = null }: { readonly hasOpen: boolean; readonly from?: string | null },
): MenuEntry[] {
  const isGood = point.state === 'good';
  const isProtected = isPointProtected(point.id);
  const damage = isGood ? {} : { isDisabled: true, hint: point.problem ?? words.damaged };
  const open: MenuEntry[] = hasOpen
    ? [{ label: words.open, icon: 'list', run: () => navigate(pointPath(point.id)) }]
    : [];
  const uses: MenuEntry[] = [
    ...(can('backup.restore')
      ? [
          { label: words.restore, icon: 'plus', ...damage, run: () => askToRestore(point, from) } satisfies MenuEntry,
          { label: words.instant, icon: 'bolt', ...damage, run: () => askToStart(point) } satisfies MenuEntry,
        ]
      : []),
    ...(can('backup.overwrite') && point.isVmThere
      ? [
          {
            label: words.overwrite,
            icon: 'reboot',
            ...damage,
            run: () => askToOverwrite(point, from),
          } satisfies MenuEntry,
        ]
      : []),
    ...(can('backup.files')
      ? [
          {
            label: words.files,
            icon: 'project',
            ...damage,
            run: () => navigate(filesPath(point.id)),
          } satisfies MenuEntry,
        ]
      : []),
    ...(can('backup.export')
      ? [{ label: words.export, icon: 'download', ...damage, run: () => askToExport(point, from) } satisfies MenuEntry]
      : []),
    ...(can('backup.verify') && point.isVmThere
      ? [{ label: words.prove, icon: 'check', run: () => proveNow(point, point.id) } satisfies MenuEntry]
      : []),
  ];
  const keeps: MenuEntry[] = [
    ...(can('backup.run') && !isProtected
      ? [{ label: words.protect, icon: 'lock', startsGroup: true, run: () => void protect(point) } satisfies MenuEntry]
      : []),
    ...(can('backup.delete') && isProtected
      ? [
          {
            label: words.unprotect,
            icon: 'lock',
            startsGroup: true,
            run: () => askToUnprotect(point),
          } satisfies MenuEntry,
        ]
      : []),
    ...(can('backup.delete')
      ? [
          {
            label: words.remove,
            icon: 'trash',
            isDangerous: true,
            ...(isProtected ? { isDisabled: true, hint: words.protectedHint } : {}),
            run: () => askToRemove(point),
          } satisfies MenuEntry,
        ]
      : []),
  ];
  return [...open, ...uses, ...keeps];
}

export function askToRestore(point: RestorePoint, from: string | null = null): void {
  backupDialog.value = <RestoreDialog point={point} from={from} onClose={closeBackupDialog} />;
}

function askToStart(point: RestorePoint): void {
  backupDialog.value = <RestoreDialog point={point} of="instant" onClose={closeBackupDialog} />;
}

function askToExport(point: RestorePoint, from: string | null): void {
  backupDialog.value = <ExportDialog point={point} from={from} onClose={closeBackupDialog} />;
}

function askToOverwrite(point: RestorePoint, from: string | null): void {
  const { overwrite } = backupsText;
  // It may have another name by now, and that one has to be typed.
  const name = postures.data.peek()?.vms.find(({ vmId }) => vmId === point.vmId)?.vmName ?? point.vmName;
  const run = () =>
    void follow(
      api('POST /restore-points/{id}/overwrite', {
        params: { id: point.id },
        body: { confirm: name, ...(from === null ? {} : { from }) },
      }),
    );
  backupDialog.value = (
    <ConfirmDialog
      title={overwrite.title(name)}
      action={overwrite.action(name)}
      typedName={name}
      onConfirm={run}
      onClose={closeBackupDialog}
    >
      <p>{overwrite.body(momentText(point.pointInTime))}</p>
    </ConfirmDialog>
  );
}

async function protect({ id }: RestorePoint): Promise<void> {
  try {
    await api('POST /restore-points/{id}/protect', { params: { id }, body: {} });
    await retention.reload();
  } catch (error) {
    showProblem(error);
  }
}

function askToUnprotect({ id }: RestorePoint): void {
  const { unprotect } = backupsText;
  const run = async () => {
    try {
      await api('POST /restore-points/{id}/unprotect', { params: { id } });
      await retention.reload();
    } catch (error) {
      showProblem(error);
    }
  };
  backupDialog.value = (
    <ConfirmDialog
      title={unprotect.title}
      action={unprotect.action}
      onConfirm={() => void run()}
      onClose={closeBackupDialog}
    >
      <p>{unprotect.body}</p>
    </ConfirmDialog>
  );
}

function askToRemove(point: RestorePoint): void {
  const { remove } = backupsText;
  const run = () =>
    void follow(api('DELETE /restore-points/{id}', { params: { id: point.id } }), {
      onDone: () => {
        if (currentPath.peek() === pointPath(point.id)) navigate('/backups/points');
      },
    });
  backupDialog.value = (
    <ConfirmDialog
      title={remove.title(point.vmName)}
      action={remove.action}
      onConfirm={run}
      onClose={closeBackupDialog}
    >
      <p>{remove.body(momentText(point.pointInTime))}</p>
    </ConfirmDialog>
  );
}

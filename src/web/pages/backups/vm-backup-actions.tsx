/** What can be done about the backups of one VM, wherever it is listed. */

import type { BackupSchedule, VmPosture } from '#contract/protection.ts';
import { ConfirmDialog } from '../../components/dialog.tsx';
import type { MenuEntry } from '../../components/menu.tsx';
import { api, can, canEverywhere } from '../../state/api.ts';
import { schedules } from '../../state/backups.ts';
import { follow, showProblem } from '../../state/operations.ts';
import { navigate } from '../../state/router.ts';
import { showToast } from '../../state/toasts.ts';
import { text } from '../../text.ts';
import { backupsText } from '../../text-backups.ts';
import { AcceptDialog, acceptDisks } from './accept-dialog.tsx';
import { BackUpDialog } from './back-up-dialog.tsx';
import { backupDialog, closeBackupDialog } from './backup-dialog.ts';

const words = backupsText.protection;

interface OneVm {
  readonly vmId: string;
  readonly vmName: string;
}

export function backUpNow({ vmId, vmName }: OneVm): void {
  backupDialog.value = <BackUpDialog vmId={vmId} vmName={vmName} onClose={closeBackupDialog} />;
}

/** @param pointId null = the newest one */
export function proveNow({ vmId }: Pick<OneVm, 'vmId'>, pointId: string | null = null): void {
  void follow(
    api('POST /vms/{id}/proofs', { params: { id: vmId }, body: pointId === null ? {} : { point: pointId } }),
    { onDone: ({ title, result }) => showVerdict(title, result) },
  );
}

/** The verdict of a proof that this browser asked for, with the way to its evidence. */
function showVerdict(title: string, result: unknown): void {
  if (typeof result !== 'object' || result === null || !('proofId' in result) || !('verdict' in result)) return;
  const verdict = (['pass', 'fail', 'inconclusive'] as const).find((one) => one === result.verdict);
  if (verdict === undefined) return;
  showToast({
    kind: verdict === 'pass' ? 'good' : verdict === 'fail' ? 'bad' : 'info',
    title: `${title}: ${text.backups.verdicts[verdict]}`,
    links: [{ href: proofPath(String(result.proofId)), label: words.next.proof }],
  });
}

export const proofPath = (id: string): string => `/backups/proofs/${encodeURIComponent(id)}`;
export const pointPath = (id: string): string => `/backups/points/${encodeURIComponent(id)}`;
export const pointsPath = (vmId: string): string => `/backups/points?vm=${encodeURIComponent(vmId)}`;

export function vmBackupMenu(vm: VmPosture): MenuEntry[] {
  const covering = (schedules.data.value ?? []).filter(
    ({ name, targets }) => vm.schedules.includes(name) && targets.kind !== 'vms',
  );
  return [
    ...(can('backup.run')
      ? [{ label: words.backUp, icon: 'download', run: () => backUpNow(vm) } satisfies MenuEntry]
      : []),
    ...(can('backup.verify') && vm.newestPointId !== null
      ? [{ label: words.prove, icon: 'check', run: () => proveNow(vm) } satisfies MenuEntry]
      : []),
    ...(vm.points > 0
      ? [{ label: words.showPoints, icon: 'list', run: () => navigate(pointsPath(vm.vmId)) } satisfies MenuEntry]
      : []),
    ...acceptEntries(vm),
    ...(canEverywhere('backup.configure')
      ? covering.map(
          (schedule, index): MenuEntry => ({
            label: words.leaveOut(schedule.name),
            icon: 'close',
            startsGroup: index === 0,
            run: () => askToLeaveOut(vm, schedule),
          }),
        )
      : []),
  ];
}

/** Of disks that no restore point holds: that it is right so, or not any more. */
function acceptEntries(vm: VmPosture): MenuEntry[] {
  if (!can('backup.configure', vm.project)) return [];
  const open = vm.disksLeftOut.filter((disk) => !vm.disksAccepted.includes(disk));
  return [
    ...(open.length > 0
      ? [
          {
            label: words.accept,
            icon: 'disk',
            startsGroup: true,
            run: () => {
              backupDialog.value = <AcceptDialog vm={vm} disks={open} onClose={closeBackupDialog} />;
            },
          } satisfies MenuEntry,
        ]
      : []),
    ...(vm.disksAccepted.length > 0
      ? [
          {
            label: words.askAgain(vm.disksAccepted.join(', ')),
            icon: 'disk',
            startsGroup: open.length === 0,
            run: () => void acceptDisks(vm.vmId, [], '').catch(showProblem),
          } satisfies MenuEntry,
        ]
      : []),
  ];
}

function askToLeaveOut(vm: OneVm, schedule: BackupSchedule): void {
  const leaveOut = async () => {
    const { targets } = schedule;
    try {
      await api('PATCH /backup-schedules/{id}', {
        params: { id: schedule.id },
        body: { targets: { ...targets, except: [...targets.except, vm.vmId] } },
      });
      showToast({ kind: 'good', title: words.leftOut(vm.vmName, schedule.name) });
    } catch (error) {
      showProblem(error);
    }
  };
  backupDialog.value = (
    <ConfirmDialog
      title={words.leaveOutTitle(vm.vmName, schedule.name)}
      action={words.leaveOutAction}
      onConfirm={() => void leaveOut()}
      onClose={closeBackupDialog}
    >
      <p>{words.leaveOutNote}</p>
    </ConfirmDialog>
  );
}

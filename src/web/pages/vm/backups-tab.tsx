/** Backups of one VM: how well it is protected, its restore points, how fast it came up in proofs, and what goes on now. */

import { useEffect } from 'preact/hooks';
import type { RestorePoint } from '#contract/backups.ts';
import type { VmPosture } from '#contract/protection.ts';
import type { Vm } from '#contract/vms.ts';
import { formatDuration } from '#kernel/units.ts';
import { PostureMark, VerdictMark } from '../../components/backup-marks.tsx';
import { Button } from '../../components/button.tsx';
import { TimeAgo } from '../../components/figures.tsx';
import { Menu } from '../../components/menu.tsx';
import { Card, EmptyState, Facts, Loaded, Skeleton } from '../../components/page.tsx';
import { ProblemBox } from '../../components/problem-box.tsx';
import { Prose } from '../../components/prose.tsx';
import { api, can } from '../../state/api.ts';
import { instantRestores, postures, proofs, repositories, retention, schedules, workOn } from '../../state/backups.ts';
import { operations } from '../../state/operations.ts';
import { usePages } from '../../state/use-pages.ts';
import { text } from '../../text.ts';
import { backupsText } from '../../text-backups.ts';
import { backupDialog, closeBackupDialog } from '../backups/backup-dialog.ts';
import { BootTrend } from '../backups/boot-trend.tsx';
import { InstantCard } from '../backups/instant-card.tsx';
import { NextStep } from '../backups/next-step.tsx';
import { PointTable } from '../backups/point-table.tsx';
import { ProofList } from '../backups/proof-list.tsx';
import { ProofSettingsDialog } from '../backups/proof-settings-dialog.tsx';
import { backUpNow, proofPath, vmBackupMenu } from '../backups/vm-backup-actions.tsx';
import { WorkCard } from '../backups/work-card.tsx';
import '../backups/backups.css';

const words = backupsText.vmTab;

export function BackupsTab({ vm }: { readonly vm: Vm }) {
  useEffect(() => {
    proofs.ensure();
    retention.ensure();
    schedules.ensure();
    repositories.ensure();
    instantRestores.ensure();
    if (can('operation.read')) operations.ensure();
    return closeBackupDialog;
  }, []);
  const work = workOn(vm);
  return (
    <div class="stack">
      <Loaded resource={postures} lines={3}>
        {({ vms }) => {
          const posture = vms.find(({ vmId }) => vmId === vm.id);
          return posture ? <Standing vm={posture} /> : <Skeleton lines={3} />;
        }}
      </Loaded>
      <InstantCard restores={(instantRestores.data.value ?? []).filter(({ vmId }) => vmId === vm.id)} />
      {work.length > 0 && <WorkCard title={words.work} work={work} />}
      <Points vm={vm} />
      <div class="operation-columns">
        <Card
          title={words.proofs}
          aside={
            can('backup.verify') && (
              <Button
                isSmall
                icon="settings"
                onClick={() => {
                  backupDialog.value = (
                    <ProofSettingsDialog vmId={vm.id} vmName={vm.name} onClose={closeBackupDialog} />
                  );
                }}
              >
                {backupsText.proofSettings.open}
              </Button>
            )
          }
        >
          <ProofList fits={({ vmId }) => vmId === vm.id} none={text.backups.noProof} />
        </Card>
        <Card title={backupsText.proof.trend}>
          <BootTrend vmId={vm.id} vmName={vm.name} />
        </Card>
      </div>
      {backupDialog.value}
    </div>
  );
}

function Standing({ vm }: { readonly vm: VmPosture }) {
  const actions = vmBackupMenu(vm);
  return (
    <Card
      class={`standing is-${vm.posture}`}
      title={<PostureMark posture={vm.posture} />}
      aside={
        <>
          {can('backup.run') && (
            <Button kind="primary" icon="download" onClick={() => backUpNow(vm)}>
              {backupsText.protection.backUp}
            </Button>
          )}
          {actions.length > 0 && <Menu label={backupsText.actionsFor(vm.vmName)} entries={actions} />}
        </>
      }
    >
      {vm.reasons.length > 0 && (
        <div class="why">
          <ul class="lines">
            {vm.reasons.map(({ code, text: sentence }) => (
              <li key={code}>
                <Prose value={sentence} />
              </li>
            ))}
          </ul>
          <NextStep vm={vm} />
        </div>
      )}
      <Facts
        items={[
          [
            words.lastBackup,
            <span key="l" class="with-badges">
              {vm.newestAt === null ? backupsText.protection.never : <TimeAgo iso={vm.newestAt} />}
              {vm.lastRun?.state === 'failed' && (
                <a class="tone-bad" href={`/operations/${encodeURIComponent(vm.lastRun.operationId)}`}>
                  {words.failed} <TimeAgo iso={vm.lastRun.at} />
                </a>
              )}
            </span>,
          ],
          [words.lastProven, <LastProven key="p" vm={vm} />],
          [
            words.startsIn,
            <span key="s" title={backupsText.protection.recoveryHint}>
              {vm.bootSeconds === null ? text.unknownValue : formatDuration(vm.bootSeconds * 1000)}
            </span>,
          ],
          [
            words.schedules,
            vm.schedules.length === 0 ? (
              words.noSchedules
            ) : (
              <span key="c">
                <a href="/backups/schedules">{vm.schedules.join(', ')}</a>
                {vm.nextRunAt !== null && (
                  <span class="muted">
                    {' '}
                    {words.next} <TimeAgo iso={vm.nextRunAt} />
                  </span>
                )}
              </span>
            ),
          ],
          ...(vm.disksAccepted.length === 0
            ? []
            : [[backupsText.point.skipped, backupsText.protection.accepted(vm.disksAccepted.join(', '))] as const]),
        ]}
      />
    </Card>
  );
}

function LastProven({ vm }: { readonly vm: VmPosture }) {
  const newest = (proofs.data.value ?? []).find(({ vmId }) => vmId === vm.vmId);
  return (
    <span class="with-badges">
      {vm.provenAt === null ? backupsText.protection.never : <TimeAgo iso={vm.provenAt} />}
      {vm.proof !== null && newest !== undefined && (
        <a class="plain-link" href={proofPath(newest.id)}>
          <VerdictMark verdict={vm.proof.verdict}>
            {text.backups.verdicts[vm.proof.verdict]}, {backupsText.level(vm.proof.level)}
          </VerdictMark>
        </a>
      )}
    </span>
  );
}

function Points({ vm }: { readonly vm: Vm }) {
  const { items, next, problem, isLoading, load } = usePages<RestorePoint>({
    asked: vm.id,
    read: (page) => api('GET /restore-points', { query: { ...page, vm: vm.id } }),
    event: 'backup.changed',
  });
  if (problem.value) return <ProblemBox problem={problem.value} onRetry={() => void load(null)} />;
  if (items.value === null) return <Skeleton lines={4} />;
  if (items.value.length === 0)
    return (
      <EmptyState icon="shield" title={backupsText.points.noneOfVm}>
        {backupsText.points.noneOfVmNote}
      </EmptyState>
    );
  return (
    <>
      <Card class="is-flush" title={words.points}>
        <PointTable isOfOneVm points={items.value} />
      </Card>
      {next.value !== null && (
        <p class="more-button">
          <Button isBusy={isLoading.value} onClick={() => void load(next.value)}>
            {backupsText.more}
          </Button>
        </p>
      )}
    </>
  );
}

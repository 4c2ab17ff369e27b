/** Restore points in a table: when, how large, what was added, whether proven, and how long each stays. */

import type { RestorePoint } from '#contract/backups.ts';
import { VerdictMark } from '../../components/backup-marks.tsx';
import { bytesText, TimeAgo } from '../../components/figures.tsx';
import { Menu } from '../../components/menu.tsx';
import { type Column, StackTable } from '../../components/stack-table.tsx';
import { Badge } from '../../components/state-mark.tsx';
import { proofOfPoint, reasonsToStay } from '../../state/backups.ts';
import { text } from '../../text.ts';
import { backupsText } from '../../text-backups.ts';
import { copiesText } from '../../text-copies.ts';
import { momentText } from './moment.ts';
import { pointMenu } from './point-actions.tsx';
import { pointPath, pointsPath, proofPath } from './vm-backup-actions.tsx';

const words = backupsText.points;

/** @param isOfOneVm leaves out the name of the VM
 *  @param from id of the repository or copy whose points these are; null = of all */
export function PointTable({
  points,
  isOfOneVm = false,
  from = null,
}: {
  readonly points: readonly RestorePoint[];
  readonly from?: string | null;
  readonly isOfOneVm?: boolean;
}) {
  const vm: Column<RestorePoint> = {
    head: words.vm,
    class: 'breaks',
    isSelfEvident: true,
    cell: (point) => (
      <span class="with-badges">
        <a class="mono" href={point.isVmThere ? `/vms/${point.vmId}/backups` : pointsPath(point.vmId)}>
          {point.vmName}
        </a>
        {!point.isVmThere && <Badge>{words.vmGone}</Badge>}
      </span>
    ),
  };
  return (
    <StackTable
      rows={points}
      keyOf={({ id }) => id}
      columns={[
        {
          head: words.moment,
          kind: 'title',
          cell: (point) => (
            <span class="with-badges">
              <a href={pointPath(point.id)} title={momentText(point.pointInTime)}>
                <TimeAgo iso={point.pointInTime} />
              </a>
              <PointBadges point={point} />
            </span>
          ),
        },
        ...(isOfOneVm ? [] : [vm]),
        { head: words.size, kind: 'number', cell: ({ sizeBytes }) => bytesText(sizeBytes) },
        {
          head: words.added,
          kind: 'number',
          cell: ({ storedBytes }) => <span title={words.addedHint}>{bytesText(storedBytes)}</span>,
        },
        { head: words.kind, class: 'small muted', isSelfEvident: true, cell: (point) => howText(point) },
        { head: words.verdict, isSelfEvident: true, cell: (point) => <Verdict pointId={point.id} /> },
        { head: words.stays, class: 'small', cell: ({ id }) => <Stays pointId={id} /> },
        { head: words.repository, class: 'small', isSelfEvident: true, cell: (point) => <Where point={point} /> },
        {
          head: backupsText.actions,
          kind: 'menu',
          cell: (point) => (
            <Menu
              label={words.actionsFor(point.vmName, momentText(point.pointInTime))}
              entries={pointMenu(point, { hasOpen: true, from })}
            />
          ),
        },
      ]}
    />
  );
}

/** The repository that it is listed in, and the copies that hold it too. */
function Where({ point: { repositoryName, copies } }: { readonly point: RestorePoint }) {
  const others = copies.filter((name) => name !== repositoryName);
  return (
    <span class="lines">
      {repositoryName}
      {others.length > 0 && <span class="muted">{copiesText.alsoIn(others.join(', '))}</span>}
    </span>
  );
}

export function PointBadges({ point }: { readonly point: RestorePoint }) {
  const isProtected = reasonsToStay.value.get(point.id)?.includes('protected') ?? false;
  return (
    <>
      {point.state === 'bad' && (
        <Badge tone="bad" {...(point.problem === null ? {} : { title: point.problem })}>
          {words.damaged}
        </Badge>
      )}
      {isProtected && (
        <Badge tone="accent" title={words.protectedHint}>
          {words.protected}
        </Badge>
      )}
    </>
  );
}

/** What was read of its disks, in the words of the worst of them. */
function howText({ disks, consistency }: RestorePoint): string {
  const modes = (['full', 'incremental', 'unchanged'] as const).filter((mode) =>
    disks.some((disk) => disk.mode === mode),
  );
  return [...modes.map((mode) => backupsText.modes[mode]), backupsText.consistency[consistency]].join(' · ');
}

export function Verdict({ pointId }: { readonly pointId: string }) {
  const proof = proofOfPoint.value.get(pointId);
  if (proof === undefined) return <VerdictMark verdict={null} />;
  return (
    <a class="plain-link" href={proofPath(proof.id)} title={proof.text}>
      <VerdictMark verdict={proof.verdict}>
        {text.backups.verdicts[proof.verdict]}
        {proof.level !== null && `, ${backupsText.level(proof.level)}`}
      </VerdictMark>
    </a>
  );
}

export function Stays({ pointId }: { readonly pointId: string }) {
  const reasons = reasonsToStay.value.get(pointId);
  if (reasons === undefined) return <span class="muted">{text.unknownValue}</span>;
  if (reasons.length === 0) return <Badge tone="warn">{words.goesShort}</Badge>;
  const named = reasons.map((reason) => backupsText.stays[reason] ?? reason);
  return (
    <span class="muted" title={named.join(', ')}>
      {named[0]}
      {named.length > 1 && ` +${named.length - 1}`}
    </span>
  );
}

/** One restore point: what it holds, how it was read, whether it was proven, how long it stays, and what can be made of it. */

import { useEffect, useMemo } from 'preact/hooks';
import type { RestorePoint } from '#contract/backups.ts';
import { Button } from '../../components/button.tsx';
import { CopyButton } from '../../components/copy-button.tsx';
import { bytesText, ExactTime } from '../../components/figures.tsx';
import { Menu } from '../../components/menu.tsx';
import { Card, Facts, Loaded, PageHead } from '../../components/page.tsx';
import { StackTable } from '../../components/stack-table.tsx';
import { Badge, Glyph } from '../../components/state-mark.tsx';
import { api, can } from '../../state/api.ts';
import { postures, proofs, reasonsToStay, retention } from '../../state/backups.ts';
import { createResource } from '../../state/collection.ts';
import { onEvent } from '../../state/live.ts';
import { backupsText } from '../../text-backups.ts';
import { backupDialog, closeBackupDialog } from './backup-dialog.ts';
import { momentText } from './moment.ts';
import { askToRestore, pointMenu } from './point-actions.tsx';
import { PointBadges } from './point-table.tsx';
import { ProofList } from './proof-list.tsx';
import { pointsPath } from './vm-backup-actions.tsx';
import './backups.css';

const words = backupsText.point;

export function PointPage({ params }: { readonly params: Readonly<Record<string, string>> }) {
  const id = params['id'] ?? '';
  const asked = useMemo(() => createResource(() => api('GET /restore-points/{id}', { params: { id } })), [id]);
  useEffect(() => {
    postures.ensure();
    proofs.ensure();
    retention.ensure();
    return closeBackupDialog;
  }, []);
  useEffect(
    () =>
      onEvent('backup.changed', (changed) => {
        if (changed.id === id) void asked.reload();
      }),
    [id, asked],
  );
  return (
    <>
      <p class="back">
        <a href="/backups/points">{words.all}</a>
      </p>
      <Loaded resource={asked}>{(point) => <Shown point={point} />}</Loaded>
      {backupDialog.value}
    </>
  );
}

function Shown({ point }: { readonly point: RestorePoint }) {
  const name = momentText(point.pointInTime);
  return (
    <>
      <PageHead
        title={words.title(point.vmName)}
        note={
          <span class="with-badges">
            {name} <PointBadges point={point} />
          </span>
        }
      >
        {can('backup.restore') && point.state === 'good' && (
          <Button kind="primary" icon="plus" onClick={() => askToRestore(point)}>
            {backupsText.points.restore}
          </Button>
        )}
        <Menu
          label={backupsText.points.actionsFor(point.vmName, name)}
          triggerClass="button"
          entries={pointMenu(point, { hasOpen: false })}
        />
      </PageHead>
      <div class="stack">
        <Trouble point={point} />
        <div class="operation-columns">
          <Card title={words.facts}>
            <PointFacts point={point} />
          </Card>
          <Card title={words.proofs}>
            <ProofList fits={({ pointId }) => pointId === point.id} none={words.noProofs} />
          </Card>
        </div>
        <Disks point={point} />
      </div>
    </>
  );
}

function Trouble({ point }: { readonly point: RestorePoint }) {
  const lines = [...(point.problem === null ? [] : [point.problem]), ...point.warnings];
  if (lines.length === 0) return null;
  const [tone, shape] = point.state === 'bad' ? (['bad', 'square'] as const) : (['warn', 'triangle'] as const);
  return (
    <Card class={point.state === 'bad' ? '' : 'is-warning'}>
      <ul class="lines">
        {lines.map((line) => (
          <li key={line} class="with-glyph">
            <Glyph tone={tone} shape={shape} />
            <span>{line}</span>
          </li>
        ))}
      </ul>
    </Card>
  );
}

function PointFacts({ point }: { readonly point: RestorePoint }) {
  const reasons = reasonsToStay.value.get(point.id);
  const others = point.copies.filter((name) => name !== point.repositoryName);
  return (
    <Facts
      items={[
        [
          backupsText.points.vm,
          <a key="v" class="mono" href={point.isVmThere ? `/vms/${point.vmId}/backups` : pointsPath(point.vmId)}>
            {point.vmName}
          </a>,
        ],
        [words.at, <ExactTime key="a" iso={point.pointInTime} />],
        [words.ended, <ExactTime key="e" iso={point.finishedAt} />],
        [
          words.state,
          [
            backupsText.consistency[point.consistency],
            ...(point.frozenMs === null ? [] : [words.frozen(point.frozenMs)]),
          ].join(' '),
        ],
        [backupsText.points.size, bytesText(point.sizeBytes)],
        [words.read, words.readOf(bytesText(point.readBytes), bytesText(point.sizeBytes))],
        [words.stored, bytesText(point.storedBytes)],
        [
          backupsText.points.repository,
          <a key="r" href="/backups/repositories">
            {point.repositoryName}
          </a>,
        ],
        ...(others.length === 0
          ? []
          : [
              [
                words.copies,
                <a key="o" href="/backups/copies">
                  {others.join(', ')}
                </a>,
              ] as const,
            ]),
        ...(reasons === undefined
          ? []
          : [
              [
                words.stays,
                reasons.length === 0 ? (
                  <span key="s" class="tone-warn">
                    {words.goes}
                  </span>
                ) : (
                  reasons.map((reason) => backupsText.stays[reason] ?? reason).join(', ')
                ),
              ] as const,
            ]),
        [
          words.id,
          <span key="i" class="with-copy">
            <code>{point.id}</code>
            <CopyButton value={point.id} />
          </span>,
        ],
      ]}
    />
  );
}

function Disks({ point }: { readonly point: RestorePoint }) {
  return (
    <Card class="is-flush" title={words.disks}>
      <StackTable
        rows={point.disks}
        keyOf={({ target }) => target}
        columns={[
          { head: words.target, kind: 'title', class: 'mono', cell: ({ target }) => target },
          { head: words.format, isSelfEvident: true, cell: ({ format }) => format },
          { head: words.size, kind: 'number', cell: ({ sizeBytes }) => bytesText(sizeBytes) },
          {
            head: words.how,
            class: 'breaks',
            isSelfEvident: true,
            cell: ({ mode, reason }) => (
              <span class="lines">
                {backupsText.modes[mode]}
                {reason !== null && <span class="muted small">{reason}</span>}
              </span>
            ),
          },
          { head: words.read, kind: 'number', cell: ({ readBytes }) => bytesText(readBytes) },
          { head: words.stored, kind: 'number', cell: ({ storedBytes }) => bytesText(storedBytes) },
        ]}
      />
      {point.skipped.length > 0 && (
        <ul class="skipped-disks small">
          {point.skipped.map(({ target, device, reason }) => (
            <li key={target}>
              <Badge>{words.skipped}</Badge> <span class="mono">{target}</span> ({device}): {reason}
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}

/** Single files of a restore point: what lies on its disks, folders, and downloads. Names are of the guest: shown as text only. */

import { useEffect, useMemo } from 'preact/hooks';
import type { FileVolume } from '#contract/backup-files.ts';
import type { RestorePoint } from '#contract/backups.ts';
import { bytesText } from '../../components/figures.tsx';
import { Icon } from '../../components/icon.tsx';
import { Card, EmptyState, Loaded, PageHead } from '../../components/page.tsx';
import { StackTable } from '../../components/stack-table.tsx';
import { api } from '../../state/api.ts';
import { createResource } from '../../state/collection.ts';
import { currentQuery } from '../../state/router.ts';
import { backupsText } from '../../text-backups.ts';
import { filesPath, foldersTo, placePath } from './file-path.ts';
import { FolderView } from './folder-view.tsx';
import { momentText } from './moment.ts';
import { patiently } from './patiently.ts';
import { pointPath } from './vm-backup-actions.tsx';
import './backups.css';

const words = backupsText.files;

export function FilesPage({ params }: { readonly params: Readonly<Record<string, string>> }) {
  const id = params['id'] ?? '';
  const point = useMemo(() => createResource(() => api('GET /restore-points/{id}', { params: { id } })), [id]);
  useEffect(() => point.ensure(), [point]);
  return <Loaded resource={point}>{(found) => <Shown point={found} />}</Loaded>;
}

function Shown({ point }: { readonly point: RestorePoint }) {
  const query = currentQuery.value;
  const volume = query.get('volume');
  const path = query.get('folder') ?? '/';
  return (
    <>
      <p class="back">
        <a href={pointPath(point.id)}>{backupsText.point.title(point.vmName)}</a>
      </p>
      <PageHead title={words.title(point.vmName)} note={momentText(point.pointInTime)} />
      {volume === null ? (
        <Volumes pointId={point.id} />
      ) : (
        <div class="stack">
          <Crumbs pointId={point.id} volume={volume} path={path} />
          <FolderView key={`${volume} ${path}`} pointId={point.id} volume={volume} path={path} />
        </div>
      )}
    </>
  );
}

function Crumbs({
  pointId,
  volume,
  path,
}: {
  readonly pointId: string;
  readonly volume: string;
  readonly path: string;
}) {
  const folders = foldersTo(path);
  return (
    <nav class="file-crumbs" aria-label={words.place}>
      <a href={filesPath(pointId)}>{words.volumes}</a>
      <Icon name="chevron" size={12} />
      <a
        class="mono"
        href={placePath(pointId, volume, '/')}
        {...(folders.length === 0 ? { 'aria-current': 'page' as const } : {})}
      >
        {volume}
      </a>
      {folders.map((folder, index) => (
        <span key={folder.path} class="file-crumb">
          <Icon name="chevron" size={12} />
          <a
            class="mono"
            href={placePath(pointId, volume, folder.path)}
            {...(index === folders.length - 1 ? { 'aria-current': 'page' as const } : {})}
          >
            {folder.name}
          </a>
        </span>
      ))}
    </nav>
  );
}

function Volumes({ pointId }: { readonly pointId: string }) {
  const volumes = useMemo(
    () => createResource(() => patiently(() => api('GET /restore-points/{id}/volumes', { params: { id: pointId } }))),
    [pointId],
  );
  useEffect(() => volumes.ensure(), [volumes]);
  return (
    <>
      {volumes.data.value === null && volumes.problem.value === null && <p class="muted">{words.opening}</p>}
      <Loaded resource={volumes} lines={4}>
        {({ volumes: found }) =>
          found.length === 0 ? (
            <EmptyState icon="disk" title={words.noVolumes} />
          ) : (
            <VolumeTable pointId={pointId} volumes={found} />
          )
        }
      </Loaded>
    </>
  );
}

function VolumeTable({ pointId, volumes }: { readonly pointId: string; readonly volumes: readonly FileVolume[] }) {
  return (
    <Card class="is-flush">
      <StackTable
        rows={volumes}
        keyOf={({ id }) => id}
        columns={[
          {
            head: words.volume,
            kind: 'title',
            class: 'mono breaks',
            cell: ({ id, isReadable }) => (isReadable ? <a href={placePath(pointId, id, '/')}>{id}</a> : id),
          },
          { head: words.label, class: 'breaks', isSelfEvident: true, cell: ({ label }) => label },
          { head: words.kind, class: 'mono', isSelfEvident: true, cell: ({ kind }) => kind },
          { head: words.size, kind: 'number', cell: ({ sizeBytes }) => bytesText(sizeBytes) },
          { head: words.note, class: 'small muted breaks', isSelfEvident: true, cell: ({ note }) => note },
        ]}
      />
    </Card>
  );
}

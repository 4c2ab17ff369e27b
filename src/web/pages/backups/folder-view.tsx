/** A folder of a restore point: its entries, and downloads of files as they are and of folders as archives. */

import { useSignal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import type { FileEntry } from '#contract/backup-files.ts';
import { Button } from '../../components/button.tsx';
import { bytesText, TimeAgo } from '../../components/figures.tsx';
import { isSearched, SearchField } from '../../components/filters.tsx';
import { Icon, type IconName } from '../../components/icon.tsx';
import { Menu } from '../../components/menu.tsx';
import { Card, EmptyState, Skeleton } from '../../components/page.tsx';
import { ProblemBox } from '../../components/problem-box.tsx';
import { StackTable } from '../../components/stack-table.tsx';
import { api } from '../../state/api.ts';
import { usePages } from '../../state/use-pages.ts';
import { backupsText } from '../../text-backups.ts';
import { inFolder, modeText, namesOf, placePath } from './file-path.ts';
import { patiently } from './patiently.ts';

const words = backupsText.files;

interface Place {
  readonly pointId: string;
  readonly volume: string;
  readonly path: string;
}

export function FolderView({ pointId, volume, path }: Place) {
  const isCut = useSignal(false);
  const { items, next, problem, isLoading, load } = usePages<FileEntry>({
    asked: `${volume} ${path}`,
    read: async (page) => {
      const answer = await patiently(() =>
        api('GET /restore-points/{id}/files', { params: { id: pointId }, query: { ...page, volume, path } }),
      );
      isCut.value = answer.isCut;
      return answer;
    },
    event: 'backup.changed',
    // What lies in a restore point never changes.
    isFollowing: () => false,
  });
  if (problem.value) return <ProblemBox problem={problem.value} onRetry={() => void load(null)} />;
  if (items.value === null)
    return (
      <>
        <p class="muted">{words.opening}</p>
        <Skeleton lines={8} />
      </>
    );
  const shown = items.value.filter(({ name }) => isSearched(name)).toSorted(foldersFirst);
  return (
    <div>
      <div class="filters">
        <SearchField label={words.search} />
        <span class="filter-end">
          <ArchiveMenu
            pointId={pointId}
            volume={volume}
            path={path}
            label={words.downloadFolder}
            trigger={
              <>
                <Icon name="download" />
                <span>{words.downloadFolder}</span>
              </>
            }
          />
        </span>
      </div>
      {isCut.value && <p class="field-warning">{words.isCut}</p>}
      {shown.length === 0 ? (
        <EmptyState icon="project" title={items.value.length === 0 ? words.empty : words.noneFits} />
      ) : (
        <Entries entries={shown} pointId={pointId} volume={volume} path={path} />
      )}
      {next.value !== null && (
        <p class="more-button">
          <Button isBusy={isLoading.value} onClick={() => void load(next.value)}>
            {words.more}
          </Button>
        </p>
      )}
    </div>
  );
}

function foldersFirst(a: FileEntry, b: FileEntry): number {
  return (
    Number(b.kind === 'folder') - Number(a.kind === 'folder') || a.name.localeCompare(b.name, 'en', { numeric: true })
  );
}

const ICONS: Readonly<Record<FileEntry['kind'], IconName>> = {
  file: 'audit',
  folder: 'project',
  link: 'external',
  other: 'settings',
  unreadable: 'warning',
};

function Entries({ entries, pointId, volume, path }: Place & { readonly entries: readonly FileEntry[] }) {
  return (
    <Card class="is-flush">
      <StackTable
        rows={entries}
        keyOf={({ name }) => name}
        columns={[
          {
            head: words.name,
            kind: 'title',
            class: 'breaks',
            cell: (entry) => <Name entry={entry} href={placePath(pointId, volume, inFolder(path, entry.name))} />,
          },
          {
            head: words.size,
            kind: 'number',
            cell: ({ kind, sizeBytes }) => (kind === 'file' ? bytesText(sizeBytes) : ''),
          },
          {
            head: words.changed,
            class: 'small',
            isSelfEvident: true,
            cell: ({ modifiedAt }) => modifiedAt !== null && <TimeAgo iso={modifiedAt} />,
          },
          { head: words.rights, class: 'mono small', isSelfEvident: true, cell: (entry) => modeText(entry) },
          { head: words.owner, class: 'mono small', cell: ({ uid, gid }) => `${uid}:${gid}` },
          {
            head: backupsText.actions,
            kind: 'menu',
            cell: ({ kind, name }) =>
              kind === 'file' ? (
                <a
                  class="icon-button"
                  href={downloadAddress({ pointId, volume, path: inFolder(path, name) })}
                  download={name}
                  aria-label={words.download(name)}
                  title={words.download(name)}
                >
                  <Icon name="download" />
                </a>
              ) : (
                kind === 'folder' && (
                  <ArchiveMenu
                    pointId={pointId}
                    volume={volume}
                    path={inFolder(path, name)}
                    label={words.download(name)}
                    trigger={<Icon name="download" />}
                    isIcon
                  />
                )
              ),
          },
        ]}
      />
    </Card>
  );
}

function Name({ entry: { kind, name, target }, href }: { readonly entry: FileEntry; readonly href: string }) {
  return (
    <span class="file-name mono">
      <Icon name={ICONS[kind]} />
      <span class="visually-hidden">{words.kinds[kind]}</span>
      {kind === 'folder' ? <a href={href}>{name}</a> : <span>{name}</span>}
      {target !== null && <span class="muted">→ {target}</span>}
    </span>
  );
}

const ARCHIVES = ['tar', 'zip'] as const;

function ArchiveMenu({
  pointId,
  volume,
  path,
  label,
  trigger,
  isIcon = false,
}: Place & {
  readonly label: string;
  readonly trigger: ComponentChildren;
  readonly isIcon?: boolean;
}) {
  const name = namesOf(path).at(-1) ?? volume.replaceAll('/', '-');
  return (
    <Menu
      label={label}
      trigger={trigger}
      triggerClass={isIcon ? 'icon-button' : 'button'}
      entries={ARCHIVES.map((archive) => ({
        label: words.archives[archive],
        icon: 'download',
        run: () => {
          const link = document.createElement('a');
          link.href = `${downloadAddress({ pointId, volume, path })}&archive=${archive}`;
          link.download = `${name}.${archive}`;
          link.click();
        },
      }))}
    />
  );
}

function downloadAddress({ pointId, volume, path }: Place): string {
  return `/api/v1/restore-points/${encodeURIComponent(pointId)}/file?${new URLSearchParams({ volume, path })}`;
}

/** Where backups lie: state, room, checks. */

import { useEffect } from 'preact/hooks';
import type { BackupRepository } from '#contract/backups.ts';
import { Button } from '../../components/button.tsx';
import { ConfirmDialog } from '../../components/dialog.tsx';
import { bytesText, TimeAgo } from '../../components/figures.tsx';
import { Menu, type MenuEntry } from '../../components/menu.tsx';
import { Card, EmptyState, Facts, Loaded } from '../../components/page.tsx';
import { Badge, Mark } from '../../components/state-mark.tsx';
import { api, canEverywhere } from '../../state/api.ts';
import { checks, openBackupWork, repositories } from '../../state/backups.ts';
import { follow, showProblem } from '../../state/operations.ts';
import { currentQuery, navigate, setQuery } from '../../state/router.ts';
import { backupsText } from '../../text-backups.ts';
import { backupDialog, closeBackupDialog } from './backup-dialog.ts';
import { LastCheck } from './last-check.tsx';
import { ConfirmKeyDialog, RepositoryDialog } from './repository-dialog.tsx';

const words = backupsText.repositories;

const openAdd = () => {
  backupDialog.value = <RepositoryDialog onClose={closeBackupDialog} />;
};

export function RepositoriesTab() {
  const mayConfigure = canEverywhere('backup.configure');
  const isAsked = currentQuery.value.has('add');
  useEffect(() => {
    checks.ensure();
  }, []);
  useEffect(() => {
    if (!isAsked || !mayConfigure) return;
    setQuery({ add: null });
    openAdd();
  }, [isAsked, mayConfigure]);
  const add = mayConfigure && (
    <Button kind="primary" icon="plus" onClick={openAdd}>
      {words.add}
    </Button>
  );
  return (
    <Loaded resource={repositories} lines={6}>
      {(listed) => {
        // Copies have a page of their own.
        const all = listed.filter(({ isCopy }) => !isCopy);
        return all.length === 0 ? (
          <EmptyState icon="storage" title={words.none} action={add}>
            {words.noneNote}
          </EmptyState>
        ) : (
          <div class="stack">
            {add && <div class="filters is-end">{add}</div>}
            <div class="repository-cards">
              {all.map((repository) => (
                <RepositoryCard key={repository.id} repository={repository} />
              ))}
            </div>
          </div>
        );
      }}
    </Loaded>
  );
}

const MARKS = {
  ready: ['good', 'dot'],
  unconfirmed: ['warn', 'triangle'],
  unreachable: ['bad', 'square'],
} as const;

function RepositoryCard({ repository }: { readonly repository: BackupRepository }) {
  const [tone, shape] = MARKS[repository.state];
  const entries = repositoryMenu(repository);
  const isChecking = openBackupWork.value.some(
    ({ kind, objectId }) => kind === 'repository.check' && objectId === repository.id,
  );
  return (
    <Card
      class="repository-card"
      title={<span class="mono">{repository.name}</span>}
      aside={
        <>
          <Mark tone={tone} shape={shape}>
            {words.states[repository.state]}
          </Mark>
          {entries.length > 0 && <Menu label={backupsText.actionsFor(repository.name)} entries={entries} />}
        </>
      }
    >
      <p class="badges">
        {repository.isDefault && <Badge tone="accent">{words.default}</Badge>}
        {repository.isEncrypted && <Badge>{words.encrypted}</Badge>}
        {repository.compression === 'better' && <Badge>{words.better}</Badge>}
      </p>
      {repository.problem !== null && <p class="tone-bad small">{repository.problem}</p>}
      <Facts
        items={[
          ...(repository.place === null ? [] : [[words.folder, <code key="f">{repository.place}</code>] as const]),
          [
            words.points,
            <a key="p" href={`/backups/points?repository=${encodeURIComponent(repository.id)}`}>
              {repository.points}
            </a>,
          ],
          [words.free, bytesText(repository.freeBytes)],
          [words.scanned, repository.scannedAt === null ? words.never : <TimeAgo key="s" iso={repository.scannedAt} />],
          [words.checked, <LastCheck key="c" repositoryId={repository.id} />],
        ]}
      />
      <div class="row-actions card-foot">
        {repository.state === 'unconfirmed' && canEverywhere('backup.configure') ? (
          <Button icon="key" kind="primary" onClick={() => askForKey(repository)}>
            {words.confirm}
          </Button>
        ) : (
          canEverywhere('backup.verify') && (
            <Button icon="check" isBusy={isChecking} onClick={() => check(repository, false)}>
              {words.check}
            </Button>
          )
        )}
      </div>
    </Card>
  );
}

function check({ id }: BackupRepository, readData: boolean): void {
  void follow(api('POST /repositories/{id}/check', { params: { id }, body: { readData } }));
}

function askForKey(repository: BackupRepository): void {
  backupDialog.value = <ConfirmKeyDialog repository={repository} onClose={closeBackupDialog} />;
}

function repositoryMenu(repository: BackupRepository): MenuEntry[] {
  const { id, name, state, isDefault } = repository;
  const isThere = state !== 'unreachable';
  return [
    {
      label: words.showPoints,
      icon: 'list',
      run: () => navigate(`/backups/points?repository=${encodeURIComponent(id)}`),
    },
    ...(canEverywhere('backup.verify')
      ? [
          {
            label: words.checkData,
            icon: 'check',
            isDisabled: !isThere,
            run: () => {
              backupDialog.value = (
                <ConfirmDialog
                  title={words.checkDataTitle(name)}
                  action={words.checkDataAction}
                  kind="primary"
                  onConfirm={() => check(repository, true)}
                  onClose={closeBackupDialog}
                >
                  <p>{words.checkDataNote}</p>
                </ConfirmDialog>
              );
            },
          } satisfies MenuEntry,
        ]
      : []),
    ...(canEverywhere('backup.configure')
      ? [
          {
            label: words.scan,
            icon: 'reboot',
            isDisabled: !isThere,
            run: () => void follow(api('POST /repositories/{id}/scan', { params: { id } })),
          } satisfies MenuEntry,
          {
            label: words.forget,
            icon: 'close',
            isDangerous: true,
            startsGroup: true,
            isDisabled: isDefault,
            run: () => askToForget(repository),
          } satisfies MenuEntry,
        ]
      : []),
  ];
}

function askToForget({ id, name }: BackupRepository): void {
  const forget = async () => {
    try {
      await api('DELETE /repositories/{id}', { params: { id } });
      await repositories.reload();
    } catch (error) {
      showProblem(error);
    }
  };
  backupDialog.value = (
    <ConfirmDialog
      title={words.forgetTitle(name)}
      action={words.forgetAction}
      typedName={name}
      onConfirm={() => void forget()}
      onClose={closeBackupDialog}
    >
      <p>{words.forgetNote}</p>
    </ConfirmDialog>
  );
}

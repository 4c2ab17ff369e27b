/** Copies of repositories at other places: how each stands, and what can be done about it. */

import { useEffect } from 'preact/hooks';
import { Button, ButtonLink } from '../../components/button.tsx';
import { EmptyState, Loaded } from '../../components/page.tsx';
import { can, canEverywhere } from '../../state/api.ts';
import { checks, copies, copyRuns, homes, repositories, schedules } from '../../state/backups.ts';
import { currentQuery, setQuery } from '../../state/router.ts';
import { backupsText } from '../../text-backups.ts';
import { copiesText } from '../../text-copies.ts';
import { backupDialog, closeBackupDialog } from './backup-dialog.ts';
import { CopyCard } from './copy-card.tsx';
import { CopyDialog } from './copy-dialog.tsx';

const words = copiesText;

const openAdd = () => {
  backupDialog.value = <CopyDialog onClose={closeBackupDialog} />;
};

export function CopiesTab() {
  const mayConfigure = canEverywhere('backup.configure');
  const isAsked = currentQuery.value.has('add');
  const isLoaded = repositories.data.value !== null;
  useEffect(() => {
    copies.ensure();
    schedules.ensure();
    if (!can('operation.read')) return;
    checks.ensure();
    copyRuns.ensure();
  }, []);
  useEffect(() => {
    if (!isAsked || !mayConfigure || !isLoaded) return;
    setQuery({ add: null });
    openAdd();
  }, [isAsked, mayConfigure, isLoaded]);
  return (
    <Loaded resource={repositories} lines={6}>
      {(all) => {
        const places = all.filter(({ isCopy }) => isCopy);
        if (places.length > 0)
          return (
            <div class="stack">
              {mayConfigure && (
                <div class="filters is-end">
                  <Button kind="primary" icon="plus" onClick={openAdd}>
                    {words.add}
                  </Button>
                </div>
              )}
              <div class="repository-cards is-wide">
                {places.map((repository) => (
                  <CopyCard
                    key={repository.id}
                    repository={repository}
                    copy={copies.data.value?.find(({ repositoryId }) => repositoryId === repository.id) ?? null}
                  />
                ))}
              </div>
            </div>
          );
        return (
          <EmptyState
            icon="storage"
            title={words.none}
            action={
              mayConfigure && (
                <>
                  {homes.value.length === 0 && (
                    <ButtonLink kind="primary" icon="plus" href="/backups/repositories?add">
                      {backupsText.repositories.add}
                    </ButtonLink>
                  )}
                  <Button kind={homes.value.length === 0 ? 'plain' : 'primary'} icon="plus" onClick={openAdd}>
                    {words.firstAdd}
                  </Button>
                </>
              )
            }
          >
            {words.noneNote} {homes.value.length === 0 && words.noHome}
          </EmptyState>
        );
      }}
    </Loaded>
  );
}

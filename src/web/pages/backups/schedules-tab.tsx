/** When what is backed up: schedules, a calendar of what ran and what comes, and what the next cleaning does. */

import { useEffect } from 'preact/hooks';
import type { BackupSchedule } from '#contract/protection.ts';
import { Button } from '../../components/button.tsx';
import { ConfirmDialog } from '../../components/dialog.tsx';
import { TimeAgo } from '../../components/figures.tsx';
import { Menu, type MenuEntry } from '../../components/menu.tsx';
import { Card, EmptyState, Loaded } from '../../components/page.tsx';
import { StackTable } from '../../components/stack-table.tsx';
import { Mark } from '../../components/state-mark.tsx';
import { api, can, canEverywhere } from '../../state/api.ts';
import { postures, schedules } from '../../state/backups.ts';
import { follow, showProblem } from '../../state/operations.ts';
import { projectName, projects } from '../../state/projects.ts';
import { currentQuery, setQuery } from '../../state/router.ts';
import { text } from '../../text.ts';
import { backupsText } from '../../text-backups.ts';
import { backupDialog, closeBackupDialog } from './backup-dialog.ts';
import { CleaningCard } from './cleaning-card.tsx';
import { MonthCalendar } from './month-calendar.tsx';
import { RoundMark, runPath } from './runs-tab.tsx';
import { ScheduleDialog } from './schedule-dialog.tsx';
import { retentionText } from './schedule-draft.ts';
import { timesText } from './schedule-times.ts';

const words = backupsText.schedules;

/** @param vmId the VM that it is made for; null = all */
const openAdd = (vmId: string | null = null) => {
  backupDialog.value = <ScheduleDialog schedule={null} vmId={vmId} onClose={closeBackupDialog} />;
};

export function SchedulesTab() {
  const mayConfigure = canEverywhere('backup.configure');
  const query = currentQuery.value;
  const cover = query.get('cover');
  const isAsked = query.has('add') || cover !== null;
  useEffect(() => {
    postures.ensure();
    if (can('project.read')) projects.ensure();
  }, []);
  useEffect(() => {
    if (!isAsked || !mayConfigure) return;
    setQuery({ add: null, cover: null });
    openAdd(cover);
  }, [isAsked, mayConfigure, cover]);
  return (
    <Loaded resource={schedules} lines={6}>
      {(all) =>
        all.length === 0 ? (
          <EmptyState
            icon="operations"
            title={words.none}
            action={
              mayConfigure && (
                <Button kind="primary" icon="plus" onClick={() => openAdd()}>
                  {words.firstAdd}
                </Button>
              )
            }
          >
            {words.noneNote}
          </EmptyState>
        ) : (
          <div class="stack">
            {mayConfigure && (
              <div class="filters is-end">
                <Button kind="primary" icon="plus" onClick={() => openAdd()}>
                  {words.add}
                </Button>
              </div>
            )}
            <ScheduleTable all={all} />
            <MonthCalendar schedules={all} />
            <CleaningCard />
          </div>
        )
      }
    </Loaded>
  );
}

function ScheduleTable({ all }: { readonly all: readonly BackupSchedule[] }) {
  return (
    <Card class="is-flush">
      <StackTable
        rows={all}
        keyOf={({ id }) => id}
        columns={[
          {
            head: words.name,
            kind: 'title',
            class: 'breaks',
            cell: ({ name, isEnabled }) => (
              <span class="with-badges">
                <span class="mono">{name}</span>
                {!isEnabled && (
                  <Mark tone="unknown" shape="ring">
                    {words.off}
                  </Mark>
                )}
              </span>
            ),
          },
          {
            head: words.when,
            isSelfEvident: true,
            cell: ({ calendar, timeZone }) => (
              <span class="lines">
                {timesText(calendar)}
                <span class="muted small">{timeZone}</span>
              </span>
            ),
          },
          {
            head: words.covers,
            isSelfEvident: true,
            cell: (schedule) => (
              <span class="lines">
                {words.covered(schedule.covered)}
                <span class="muted small">{targetsText(schedule)}</span>
              </span>
            ),
          },
          {
            head: words.keeps,
            class: 'small',
            cell: ({ retention, repositoryName }) => (
              <span class="lines">
                {retentionText(retention)}
                {repositoryName !== null && <span class="muted">{repositoryName}</span>}
              </span>
            ),
          },
          { head: words.proof, class: 'small', cell: ({ proof }) => words.proofs[proof] },
          {
            head: words.next,
            class: 'small',
            cell: ({ nextAt }) =>
              nextAt === null ? <span class="muted">{text.unknownValue}</span> : <TimeAgo iso={nextAt} />,
          },
          {
            head: words.last,
            class: 'small',
            cell: ({ lastRound }) =>
              lastRound === null ? (
                <span class="muted">{words.never}</span>
              ) : (
                <a class="lines plain-link" href={runPath(lastRound.id)}>
                  <RoundMark state={lastRound.state} />
                  <span class="muted">
                    <TimeAgo iso={lastRound.beganAt} />
                  </span>
                </a>
              ),
          },
          {
            head: backupsText.actions,
            kind: 'menu',
            cell: (schedule) => {
              const entries = scheduleMenu(schedule);
              return entries.length > 0 && <Menu label={backupsText.actionsFor(schedule.name)} entries={entries} />;
            },
          },
        ]}
      />
    </Card>
  );
}

function targetsText({ targets }: BackupSchedule): string {
  const of = backupsText.targetsText;
  const what =
    targets.kind === 'all'
      ? of.all
      : targets.kind === 'project'
        ? of.project(projectName(targets.project))
        : targets.kind === 'tags'
          ? of.tags(targets.tags.join(', '))
          : of.vms;
  return targets.except.length === 0 ? what : `${what}, ${of.except(targets.except.length)}`;
}

function scheduleMenu(schedule: BackupSchedule): MenuEntry[] {
  const { id, isEnabled, name } = schedule;
  const mayConfigure = canEverywhere('backup.configure');
  return [
    ...(canEverywhere('backup.run')
      ? [
          {
            label: words.run,
            icon: 'play',
            run: () => void follow(api('POST /backup-schedules/{id}/run', { params: { id } })),
          } satisfies MenuEntry,
        ]
      : []),
    ...(mayConfigure
      ? [
          {
            label: words.edit,
            icon: 'edit',
            run: () => {
              backupDialog.value = <ScheduleDialog schedule={schedule} vmId={null} onClose={closeBackupDialog} />;
            },
          } satisfies MenuEntry,
          {
            label: isEnabled ? words.disable : words.enable,
            icon: 'power',
            run: () => void change(id, !isEnabled),
          } satisfies MenuEntry,
          {
            label: words.remove,
            icon: 'trash',
            isDangerous: true,
            startsGroup: true,
            run: () => {
              backupDialog.value = (
                <ConfirmDialog
                  title={words.removeTitle(name)}
                  action={words.removeAction}
                  onConfirm={() => void remove(id)}
                  onClose={closeBackupDialog}
                >
                  <p>{words.removeNote}</p>
                </ConfirmDialog>
              );
            },
          } satisfies MenuEntry,
        ]
      : []),
  ];
}

async function change(id: string, isEnabled: boolean): Promise<void> {
  try {
    await api('PATCH /backup-schedules/{id}', { params: { id }, body: { isEnabled } });
    await schedules.reload();
  } catch (error) {
    showProblem(error);
  }
}

async function remove(id: string): Promise<void> {
  try {
    await api('DELETE /backup-schedules/{id}', { params: { id } });
    await schedules.reload();
  } catch (error) {
    showProblem(error);
  }
}

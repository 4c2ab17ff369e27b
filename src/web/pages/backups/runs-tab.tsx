/** What goes on now, and what each run of a schedule did. */

import { useEffect } from 'preact/hooks';
import type { BackupRound } from '#contract/protection.ts';
import { formatDuration } from '#kernel/units.ts';
import { roundGlyph } from '../../components/backup-marks.tsx';
import { Button } from '../../components/button.tsx';
import { Since, TimeAgo } from '../../components/figures.tsx';
import { ChoiceFilter } from '../../components/filters.tsx';
import { Card, EmptyState, Skeleton } from '../../components/page.tsx';
import { ProblemBox } from '../../components/problem-box.tsx';
import { StackTable } from '../../components/stack-table.tsx';
import { Mark } from '../../components/state-mark.tsx';
import { api } from '../../state/api.ts';
import { instantRestores, openBackupWork, schedules } from '../../state/backups.ts';
import { currentQuery } from '../../state/router.ts';
import { usePages } from '../../state/use-pages.ts';
import { backupsText } from '../../text-backups.ts';
import { InstantCard } from './instant-card.tsx';
import { WorkCard } from './work-card.tsx';

const words = backupsText.runs;

export const runPath = (id: string): string => `/backups/runs/${encodeURIComponent(id)}`;

export function RunsTab() {
  useEffect(() => {
    schedules.ensure();
    instantRestores.ensure();
  }, []);
  const work = openBackupWork.value;
  const schedule = currentQuery.value.get('schedule');
  const { items, next, problem, isLoading, load } = usePages<BackupRound>({
    asked: schedule ?? '',
    read: (page) =>
      api('GET /backup-runs', { query: { ...page, schedule: currentQuery.peek().get('schedule') ?? undefined } }),
    event: 'schedule.changed',
  });
  return (
    <div class="stack">
      <InstantCard restores={instantRestores.data.value ?? []} />
      {work.length > 0 ? (
        <WorkCard title={words.running} work={work} />
      ) : (
        <Card title={words.running}>
          <p class="muted">{words.runningNone}</p>
        </Card>
      )}
      <div>
        {(schedules.data.value?.length ?? 0) > 1 && (
          <div class="filters">
            <ChoiceFilter
              name="schedule"
              label={words.schedule}
              any={words.anySchedule}
              choices={schedules.data.value ?? []}
            />
          </div>
        )}
        {problem.value && <ProblemBox problem={problem.value} onRetry={() => void load(null)} />}
        {items.value === null ? (
          !problem.value && <Skeleton lines={6} />
        ) : items.value.length === 0 ? (
          <EmptyState icon="operations" title={words.none}>
            {words.noneNote}
          </EmptyState>
        ) : (
          <Rounds rounds={items.value} />
        )}
        {next.value !== null && (
          <p class="more-button">
            <Button isBusy={isLoading.value} onClick={() => void load(next.value)}>
              {backupsText.more}
            </Button>
          </p>
        )}
      </div>
    </div>
  );
}

function Rounds({ rounds }: { readonly rounds: readonly BackupRound[] }) {
  return (
    <Card class="is-flush" title={words.past}>
      <StackTable
        rows={rounds}
        keyOf={({ id }) => id}
        columns={[
          {
            head: words.began,
            kind: 'title',
            cell: (round) => (
              <a href={runPath(round.id)}>
                <TimeAgo iso={round.beganAt} />
              </a>
            ),
          },
          { head: words.schedule, class: 'mono breaks', isSelfEvident: true, cell: ({ scheduleName }) => scheduleName },
          { head: words.state, isSelfEvident: true, cell: ({ state }) => <RoundMark state={state} /> },
          { head: words.vms, isSelfEvident: true, cell: (round) => <RoundCounts round={round} /> },
          {
            head: words.took,
            kind: 'number',
            cell: ({ beganAt, endedAt }) =>
              endedAt === null ? <Since iso={beganAt} /> : formatDuration(Date.parse(endedAt) - Date.parse(beganAt)),
          },
          { head: words.note, class: 'small muted breaks', isSelfEvident: true, cell: ({ note }) => note },
        ]}
      />
    </Card>
  );
}

export function RoundMark({ state }: { readonly state: BackupRound['state'] }) {
  const [tone, shape] = roundGlyph(state);
  return (
    <Mark tone={tone} shape={shape}>
      {backupsText.roundStates[state]}
    </Mark>
  );
}

export function RoundCounts({ round: { counts } }: { readonly round: Pick<BackupRound, 'counts'> }) {
  return (
    <span class="small">
      {[
        words.counts(counts.done, counts.all),
        ...(counts.failed > 0 ? [words.failed(counts.failed)] : []),
        ...(counts.notReached > 0 ? [words.notReached(counts.notReached)] : []),
      ].join(', ')}
    </span>
  );
}

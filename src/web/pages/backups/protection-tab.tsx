/** How well each VM is protected: the worst first, why, and the one thing to do about it. */

import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { Posture, VmPosture } from '#contract/protection.ts';
import { formatDuration } from '#kernel/units.ts';
import { PostureMark, postureGlyph, VerdictMark } from '../../components/backup-marks.tsx';
import { Button, ButtonLink } from '../../components/button.tsx';
import { bytesText, TimeAgo } from '../../components/figures.tsx';
import { ChoiceFilter, isSearched, SearchField } from '../../components/filters.tsx';
import { Menu } from '../../components/menu.tsx';
import { Card, EmptyState, Loaded } from '../../components/page.tsx';
import { Prose } from '../../components/prose.tsx';
import { StackTable } from '../../components/stack-table.tsx';
import { Glyph } from '../../components/state-mark.tsx';
import { can, canEverywhere } from '../../state/api.ts';
import { postures, repositories, schedules } from '../../state/backups.ts';
import { areSeveralProjects, projectName, projects } from '../../state/projects.ts';
import { currentQuery, setQuery } from '../../state/router.ts';
import { text } from '../../text.ts';
import { backupsText } from '../../text-backups.ts';
import { NextStep } from './next-step.tsx';
import { OrphansCard } from './orphans-card.tsx';
import { pointPath, pointsPath, vmBackupMenu } from './vm-backup-actions.tsx';

const words = backupsText.protection;

const ORDER = ['unprotected', 'unknown', 'attention', 'protected'] as const;
/** A long list comes in parts. */
const FIRST_ROWS = 100;

export function ProtectionTab() {
  useEffect(() => {
    schedules.ensure();
    repositories.ensure();
    if (can('project.read')) projects.ensure();
  }, []);
  const isWhole = useSignal(false);
  const query = currentQuery.value;
  const chosen = ORDER.find((one) => one === query.get('posture')) ?? null;
  const project = query.get('project');
  return (
    <Loaded resource={postures} lines={10}>
      {({ vms, counts, orphans }) => {
        if (vms.length === 0 && orphans.length === 0)
          return (
            <EmptyState
              icon="shield"
              title={words.noVms}
              action={
                can('vm.create') && (
                  <ButtonLink kind="primary" icon="plus" href="/vms/new">
                    {words.noVmsAction}
                  </ButtonLink>
                )
              }
            >
              {words.noVmsNote}
            </EmptyState>
          );
        const fitting = vms.filter(
          (vm) =>
            (chosen === null || vm.posture === chosen) &&
            (project === null || vm.project === project) &&
            isSearched(`${vm.vmName} ${vm.schedules.join(' ')} ${vm.reasons.map((reason) => reason.text).join(' ')}`),
        );
        const shown = isWhole.value ? fitting : fitting.slice(0, FIRST_ROWS);
        return (
          <div class="stack">
            <Counts counts={counts} all={vms.length} chosen={chosen} />
            <Begin hasPoints={vms.some(({ newestAt }) => newestAt !== null)} />
            <div>
              <div class="filters">
                <SearchField label={words.search} />
                {areSeveralProjects.value && (
                  <ChoiceFilter
                    name="project"
                    label={backupsText.schedule.project}
                    any={words.allProjects}
                    choices={projects.data.value ?? []}
                  />
                )}
              </div>
              {fitting.length === 0 ? (
                <EmptyState
                  icon="search"
                  title={words.nothingFits}
                  action={
                    <Button onClick={() => setQuery({ q: null, posture: null, project: null })}>
                      {backupsText.clearFilters}
                    </Button>
                  }
                />
              ) : (
                <Vms rows={shown} />
              )}
              {shown.length < fitting.length && (
                <p class="more-button">
                  <Button onClick={() => (isWhole.value = true)}>{words.showAll(fitting.length)}</Button>
                </p>
              )}
            </div>
            <OrphansCard orphans={orphans} />
          </div>
        );
      }}
    </Loaded>
  );
}

/** The four counts, which are filters too. */
function Counts({
  counts,
  all,
  chosen,
}: {
  readonly counts: Readonly<Record<Posture, number>>;
  readonly all: number;
  readonly chosen: Posture | null;
}) {
  const bad = all - counts.protected;
  const worst = ORDER.find((one) => counts[one] > 0) ?? 'unknown';
  const [tone, shape] = postureGlyph(worst);
  return (
    <section class="posture-head">
      <p class={`posture tone-${tone}`}>
        <Glyph tone={tone} shape={shape} />
        <strong>{words.head(bad, all)}</strong>
      </p>
      <div class="posture-counts" role="group" aria-label={words.countsOf}>
        {ORDER.map((posture) => (
          <button
            type="button"
            key={posture}
            class={`posture-count ${counts[posture] === 0 ? 'is-none' : ''}`}
            aria-pressed={chosen === posture}
            onClick={() => setQuery({ posture: chosen === posture ? null : posture })}
          >
            <span class="posture-number">{counts[posture]}</span>
            <PostureMark posture={posture} />
          </button>
        ))}
      </div>
    </section>
  );
}

/** While no schedule backs anything up: how to begin. */
function Begin({ hasPoints }: { readonly hasPoints: boolean }) {
  if (!canEverywhere('backup.configure') || schedules.data.value === null || repositories.data.value === null)
    return null;
  if (schedules.data.value.length > 0) return null;
  const hasOwn = repositories.data.value.some(({ isDefault }) => !isDefault);
  return (
    <Card class="is-warning">
      <EmptyState
        icon="shield"
        title={hasPoints ? words.beginByItself : words.begin}
        action={
          <>
            <ButtonLink kind={hasOwn ? 'plain' : 'primary'} icon="plus" href="/backups/repositories?add">
              {words.addRepository}
            </ButtonLink>
            <ButtonLink kind={hasOwn ? 'primary' : 'plain'} icon="plus" href="/backups/schedules?add">
              {words.addSchedule}
            </ButtonLink>
          </>
        }
      >
        {words.beginNote}
      </EmptyState>
    </Card>
  );
}

function Vms({ rows }: { readonly rows: readonly VmPosture[] }) {
  return (
    <Card class="is-flush">
      <StackTable
        rows={rows}
        keyOf={({ vmId }) => vmId}
        columns={[
          {
            head: words.vm,
            kind: 'title',
            class: 'breaks posture-vm',
            cell: (vm) => (
              <span class="lines">
                <a class="mono" href={`/vms/${vm.vmId}/backups`}>
                  {vm.vmName}
                </a>
                <PostureMark posture={vm.posture} />
                {areSeveralProjects.value && <span class="muted subtitle">{projectName(vm.project)}</span>}
              </span>
            ),
          },
          { head: words.why, class: 'posture-why', isSelfEvident: true, cell: (vm) => <Why vm={vm} /> },
          { head: words.newest, class: 'small', cell: (vm) => <Newest vm={vm} /> },
          { head: words.proven, class: 'small', cell: (vm) => <Proven vm={vm} /> },
          {
            head: words.recovery,
            kind: 'number',
            cell: (vm) => (
              <span title={words.recoveryHint}>
                {vm.bootSeconds === null ? text.unknownValue : formatDuration(vm.bootSeconds * 1000)}
              </span>
            ),
          },
          {
            head: words.size,
            kind: 'number',
            cell: (vm) =>
              vm.points === 0 ? (
                0
              ) : (
                <a href={pointsPath(vm.vmId)} title={words.pointsOf(vm.points, bytesText(vm.storedBytes))}>
                  {vm.points}
                </a>
              ),
          },
          {
            head: backupsText.actions,
            kind: 'menu',
            cell: (vm) => {
              const entries = vmBackupMenu(vm);
              return entries.length > 0 && <Menu label={backupsText.actionsFor(vm.vmName)} entries={entries} />;
            },
          },
        ]}
      />
    </Card>
  );
}

function Why({ vm }: { readonly vm: VmPosture }) {
  if (vm.reasons.length === 0) return <span class="muted">{words.fine}</span>;
  return (
    <span class="why">
      <span class="lines">
        {vm.reasons.map(({ code, text: sentence }) => (
          <span key={code}>
            <Prose value={sentence} />
          </span>
        ))}
      </span>
      <NextStep vm={vm} />
    </span>
  );
}

function Newest({ vm }: { readonly vm: VmPosture }) {
  return (
    <span class="lines">
      {vm.newestAt === null || vm.newestPointId === null ? (
        <span class="tone-bad">{words.never}</span>
      ) : (
        <a href={pointPath(vm.newestPointId)} title={words.newestHint}>
          <TimeAgo iso={vm.newestAt} />
        </a>
      )}
      <span class="muted">
        {vm.nextRunAt === null ? (
          words.noNextRun
        ) : (
          <>
            {words.nextRun} <TimeAgo iso={vm.nextRunAt} />
          </>
        )}
      </span>
    </span>
  );
}

function Proven({ vm }: { readonly vm: VmPosture }) {
  const last = vm.proof;
  return (
    <span class="lines">
      {vm.provenAt === null ? <span class="muted">{words.never}</span> : <TimeAgo iso={vm.provenAt} />}
      {last !== null && (
        <VerdictMark verdict={last.verdict}>
          {text.backups.verdicts[last.verdict]}, {backupsText.level(last.level)}
        </VerdictMark>
      )}
    </span>
  );
}

/** One run of a schedule: every VM that it was about, with the reason where it was not backed up. */

import { useEffect, useMemo } from 'preact/hooks';
import type { RoundReport } from '#contract/protection.ts';
import { formatDuration } from '#kernel/units.ts';
import { roundVmGlyph } from '../../components/backup-marks.tsx';
import { ButtonLink } from '../../components/button.tsx';
import { ExactTime, Since } from '../../components/figures.tsx';
import { CancelButton, OperationProgress } from '../../components/operation-item.tsx';
import { Card, EmptyState, Facts, Loaded, PageHead } from '../../components/page.tsx';
import { StackTable } from '../../components/stack-table.tsx';
import { Mark } from '../../components/state-mark.tsx';
import { api, can } from '../../state/api.ts';
import { createResource } from '../../state/collection.ts';
import { onEvent } from '../../state/live.ts';
import { isOpen, operations } from '../../state/operations.ts';
import { backupsText } from '../../text-backups.ts';
import { RoundCounts, RoundMark } from './runs-tab.tsx';
import { pointPath } from './vm-backup-actions.tsx';
import './backups.css';

const words = backupsText.runs;

export function RunPage({ params }: { readonly params: Readonly<Record<string, string>> }) {
  const id = params['id'] ?? '';
  const report = useMemo(() => createResource(() => api('GET /backup-runs/{id}', { params: { id } })), [id]);
  useEffect(() => onEvent('schedule.changed', () => void report.reload()), [report]);
  useEffect(() => {
    if (can('operation.read')) operations.ensure();
  }, []);
  return (
    <>
      <p class="back">
        <a href="/backups/runs">{words.runs}</a>
      </p>
      <Loaded resource={report}>{(round) => <Shown round={round} />}</Loaded>
    </>
  );
}

function Shown({ round }: { readonly round: RoundReport }) {
  const operation = operations.data.value?.get(round.id);
  return (
    <>
      <PageHead title={words.title(round.scheduleName)} note={<RoundMark state={round.state} />}>
        {operation && (
          <>
            <ButtonLink href={`/operations/${encodeURIComponent(operation.id)}`}>{words.operation}</ButtonLink>
            <CancelButton operation={operation} />
          </>
        )}
      </PageHead>
      <div class="stack">
        {operation && isOpen(operation) && (
          <Card>
            <OperationProgress operation={operation} />
          </Card>
        )}
        <Card>
          <Facts
            items={[
              [words.dueAt, <ExactTime key="d" iso={round.dueAt} />],
              [words.began, <ExactTime key="b" iso={round.beganAt} />],
              [
                words.took,
                round.endedAt === null ? (
                  <Since key="t" iso={round.beganAt} />
                ) : (
                  formatDuration(Date.parse(round.endedAt) - Date.parse(round.beganAt))
                ),
              ],
              [words.vms, <RoundCounts key="c" round={round} />],
              ...(round.note === null ? [] : [[words.note, round.note] as const]),
            ]}
          />
        </Card>
        {round.vms.length === 0 ? <EmptyState icon="vm" title={words.noVms} /> : <Vms round={round} />}
      </div>
    </>
  );
}

/** Those that need somebody first. */
const ORDER = ['failed', 'not_reached', 'running', 'waiting', 'gone', 'done'] as const;

function Vms({ round }: { readonly round: RoundReport }) {
  return (
    <Card class="is-flush">
      <StackTable
        rows={round.vms.toSorted(
          (a, b) => ORDER.indexOf(a.state) - ORDER.indexOf(b.state) || a.vmName.localeCompare(b.vmName),
        )}
        keyOf={({ vmId }) => vmId}
        columns={[
          {
            head: words.vm,
            kind: 'title',
            class: 'mono breaks',
            cell: ({ vmId, vmName, state }) =>
              state === 'gone' ? vmName : <a href={`/vms/${vmId}/backups`}>{vmName}</a>,
          },
          {
            head: words.state,
            isSelfEvident: true,
            cell: ({ state }) => {
              const [tone, shape] = roundVmGlyph(state);
              return (
                <Mark tone={tone} shape={shape}>
                  {backupsText.roundVmStates[state]}
                </Mark>
              );
            },
          },
          { head: words.detail, class: 'small breaks', isSelfEvident: true, cell: ({ detail }) => detail },
          {
            head: words.took,
            kind: 'number',
            cell: ({ beganAt, endedAt }) =>
              beganAt === null || endedAt === null ? '' : formatDuration(Date.parse(endedAt) - Date.parse(beganAt)),
          },
          {
            head: words.show,
            isSelfEvident: true,
            class: 'small',
            cell: ({ pointId, operationId }) => (
              <span class="with-badges">
                {pointId !== null && <a href={pointPath(pointId)}>{words.point}</a>}
                {operationId !== null && (
                  <a href={`/operations/${encodeURIComponent(operationId)}`}>{words.operation}</a>
                )}
              </span>
            ),
          },
        ]}
      />
    </Card>
  );
}

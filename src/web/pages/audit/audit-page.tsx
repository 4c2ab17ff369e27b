/** Who did what, when, from where, and whether it was allowed and worked. */

import { useSignal } from '@preact/signals';
import type { AuditRecord } from '#contract/audit.ts';
import { pathOf } from '#contract/client.ts';
import { Button, IconButton } from '../../components/button.tsx';
import { TimeAgo } from '../../components/figures.tsx';
import { Chips, SearchField } from '../../components/filters.tsx';
import { Menu } from '../../components/menu.tsx';
import { Card, EmptyState, PageHead, Skeleton } from '../../components/page.tsx';
import { ProblemBox } from '../../components/problem-box.tsx';
import { StackTable } from '../../components/stack-table.tsx';
import { Badge, type Tone } from '../../components/state-mark.tsx';
import { api, can } from '../../state/api.ts';
import { currentQuery, setQuery } from '../../state/router.ts';
import { usePages } from '../../state/use-pages.ts';
import { text } from '../../text.ts';
import { ChainCard } from './chain-card.tsx';
import { RecordDialog } from './record-dialog.tsx';

const words = text.audit;

const OUTCOMES = ['done', 'failed', 'cancelled', 'denied', 'invalid', 'unknown'] as const;
type Outcome = (typeof OUTCOMES)[number];
const TONES: Readonly<Record<Outcome, Tone>> = {
  done: 'good',
  failed: 'bad',
  cancelled: 'unknown',
  denied: 'warn',
  invalid: 'warn',
  unknown: 'bad',
};
const PERIODS = { hour: 3600_000, day: 86_400_000, week: 7 * 86_400_000 } as const;
type Period = keyof typeof PERIODS;
const PERIOD_NAMES: readonly Period[] = ['hour', 'day', 'week'];
const FORMATS = ['jsonl', 'csv', 'cef', 'ocsf'] as const;

/** What the address asks for. */
function filterOf(query: URLSearchParams) {
  const outcome = OUTCOMES.find((candidate) => candidate === query.get('outcome'));
  const period = PERIOD_NAMES.find((name) => name === query.get('period'));
  const of = (name: string, field: string) => {
    const value = query.get(name) ?? '';
    return value === '' ? {} : { [field]: value };
  };
  return {
    ...(outcome ? { outcome } : {}),
    ...(period ? { since: new Date(Date.now() - PERIODS[period]).toISOString() } : {}),
    ...of('actor', 'actor'),
    ...of('object', 'objectId'),
    ...of('project', 'project'),
    ...of('q', 'text'),
  };
}

export function AuditPage() {
  const query = currentQuery.value;
  const outcome = OUTCOMES.find((candidate) => candidate === query.get('outcome'));
  const period = PERIOD_NAMES.find((name) => name === query.get('period'));
  const actor = query.get('actor') ?? '';
  const objectId = query.get('object') ?? '';
  const asked = query.toString();
  const isLive = useSignal(true);
  const opened = useSignal<number | null>(null);
  const { items, next, problem, isLoading, hasNews, load } = usePages<AuditRecord>({
    asked,
    read: (page) => api('GET /audit', { query: { ...page, ...filterOf(currentQuery.peek()) } }),
    event: 'audit.recorded',
    isFollowing: () => isLive.peek() && opened.peek() === null,
  });
  const exportAs = (format: (typeof FORMATS)[number]) =>
    window.location.assign(pathOf('GET /audit/export', {}, { format, ...filterOf(currentQuery.peek()) }));

  return (
    <>
      <PageHead title={text.pages.audit} note={words.note}>
        {hasNews.value && !isLive.value && (
          <Button icon="reboot" onClick={() => void load(null)}>
            {words.showNew}
          </Button>
        )}
        {can('audit.export') && (
          <Menu
            label={words.export}
            triggerClass="button plain"
            trigger={words.export}
            entries={FORMATS.map((format) => ({
              label: words.formats[format],
              icon: 'download',
              run: () => exportAs(format),
            }))}
          />
        )}
      </PageHead>
      <div class="chain-above">
        <ChainCard />
      </div>
      <div class="filters">
        <SearchField label={words.search} />
        <Chips
          label={words.outcome}
          chosen={outcome ?? null}
          options={OUTCOMES.map((value) => ({ value, label: words.outcomes[value] }))}
          onChoose={(value) => setQuery({ outcome: value })}
        />
        <Chips
          label={words.period}
          chosen={period ?? null}
          options={PERIOD_NAMES.map((value) => ({ value, label: words.periods[value] }))}
          onChoose={(value) => setQuery({ period: value })}
        />
        <button
          type="button"
          class="chip"
          aria-pressed={isLive.value}
          onClick={() => {
            isLive.value = !isLive.value;
          }}
        >
          {words.live}
        </button>
        <input
          class="filter-input"
          aria-label={words.actor}
          placeholder={words.actor}
          value={actor}
          onInput={(event) => setQuery({ actor: event.currentTarget.value })}
        />
        <input
          class="filter-input"
          aria-label={words.project}
          placeholder={words.project}
          value={query.get('project') ?? ''}
          onInput={(event) => setQuery({ project: event.currentTarget.value })}
        />
        {objectId !== '' && (
          <Button icon="close" kind="quiet" onClick={() => setQuery({ object: null })}>
            {words.oneObject}
          </Button>
        )}
      </div>
      {problem.value && <ProblemBox problem={problem.value} onRetry={() => void load(null)} />}
      {items.value === null ? (
        !problem.value && <Skeleton lines={8} />
      ) : items.value.length === 0 ? (
        <EmptyState icon="audit" title={next.value === null ? words.nothing : words.searching} />
      ) : (
        <Records
          records={items.value}
          onOpen={(seq) => {
            opened.value = seq;
          }}
        />
      )}
      {opened.value !== null && (
        <RecordDialog
          seq={opened.value}
          onClose={() => {
            opened.value = null;
          }}
        />
      )}
      {next.value !== null && (
        <p class="more-button">
          <Button isBusy={isLoading.value} onClick={() => void load(next.value)}>
            {words.more}
          </Button>
        </p>
      )}
    </>
  );
}

function Records({
  records,
  onOpen,
}: {
  readonly records: readonly AuditRecord[];
  readonly onOpen: (seq: number) => void;
}) {
  return (
    <Card class="is-flush">
      <StackTable
        rows={records}
        keyOf={(record) => String(record.id)}
        columns={[
          { head: words.when, isSelfEvident: true, cell: (record) => <TimeAgo iso={record.at} /> },
          {
            head: words.who,
            kind: 'title',
            class: 'breaks',
            cell: (record) => (
              <button type="button" class="link" onClick={() => setQuery({ actor: record.actor })}>
                {record.actor}
              </button>
            ),
          },
          {
            head: words.what,
            class: 'mono small breaks',
            isSelfEvident: true,
            cell: (record) => (
              <>
                {record.action}
                {record.operationId && (
                  <>
                    {' '}
                    <a href={`/operations/${encodeURIComponent(record.operationId)}`}>{text.pages.operation}</a>
                  </>
                )}
              </>
            ),
          },
          {
            head: words.object,
            class: 'breaks',
            isSelfEvident: true,
            cell: (record) =>
              record.objectId ? (
                <button
                  type="button"
                  class="link"
                  title={record.objectId}
                  onClick={() => setQuery({ object: record.objectId })}
                >
                  {record.objectName ?? record.objectId}
                </button>
              ) : (
                <span class="muted">{text.unknownValue}</span>
              ),
          },
          {
            head: words.outcome,
            isSelfEvident: true,
            cell: (record) => (
              <>
                {record.outcome === null ? (
                  <Badge title={words.intentHint}>{words.intent}</Badge>
                ) : (
                  <Badge tone={TONES[record.outcome]}>{words.outcomes[record.outcome]}</Badge>
                )}
                {record.code && <code class="small"> {record.code}</code>}
              </>
            ),
          },
          {
            head: words.from,
            class: 'small muted',
            isSelfEvident: true,
            cell: (record) => [record.via.replaceAll('_', ' '), record.address].filter(Boolean).join(' · '),
          },
          {
            head: words.details,
            kind: 'actions',
            cell: (record) => (
              <IconButton
                icon="more"
                label={`${words.details}: ${words.recordTitle(record.seq)}`}
                onClick={() => onOpen(record.seq)}
              />
            ),
          },
        ]}
      />
    </Card>
  );
}

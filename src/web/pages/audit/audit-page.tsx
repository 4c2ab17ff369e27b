/** Who did what, when, from where, and whether it was allowed and worked. */

import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { AuditRecord } from '#contract/audit.ts';
import type { Problem } from '#contract/common.ts';
import { Button } from '../../components/button.tsx';
import { TimeAgo } from '../../components/figures.tsx';
import { Chips } from '../../components/filters.tsx';
import { Card, EmptyState, PageHead, Skeleton } from '../../components/page.tsx';
import { ProblemBox } from '../../components/problem-box.tsx';
import { StackTable } from '../../components/stack-table.tsx';
import { Badge, type Tone } from '../../components/state-mark.tsx';
import { api, problemOf } from '../../state/api.ts';
import { onEvent } from '../../state/live.ts';
import { currentQuery, setQuery } from '../../state/router.ts';
import { text } from '../../text.ts';

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
const PAGE_SIZE = 100;

export function AuditPage() {
  const query = currentQuery.value;
  const outcome = OUTCOMES.find((candidate) => candidate === query.get('outcome'));
  const actor = query.get('actor') ?? '';
  const objectId = query.get('object') ?? '';
  const items = useSignal<readonly AuditRecord[] | null>(null);
  const next = useSignal<string | null>(null);
  const problem = useSignal<Problem | null>(null);
  const isLoading = useSignal(false);
  const hasNews = useSignal(false);

  const load = async (cursor: string | null) => {
    isLoading.value = true;
    try {
      const page = await api('GET /audit', {
        query: {
          limit: PAGE_SIZE,
          ...(cursor === null ? {} : { cursor }),
          ...(outcome ? { outcome } : {}),
          ...(actor ? { actor } : {}),
          ...(objectId ? { objectId } : {}),
        },
      });
      items.value = cursor === null ? page.items : [...(items.peek() ?? []), ...page.items];
      next.value = page.next;
      problem.value = null;
      if (cursor === null) hasNews.value = false;
    } catch (error) {
      problem.value = problemOf(error);
    } finally {
      isLoading.value = false;
    }
  };
  // biome-ignore lint/correctness/useExhaustiveDependencies: `load` reads exactly these
  useEffect(() => {
    const timer = window.setTimeout(() => void load(null), 150);
    return () => window.clearTimeout(timer);
  }, [outcome, actor, objectId]);
  useEffect(
    () =>
      onEvent('audit.recorded', () => {
        hasNews.value = true;
      }),
    [hasNews],
  );

  return (
    <>
      <PageHead title={text.pages.audit} note={words.note}>
        {hasNews.value && (
          <Button icon="reboot" onClick={() => void load(null)}>
            {words.showNew}
          </Button>
        )}
      </PageHead>
      <div class="filters">
        <Chips
          label={words.outcome}
          chosen={outcome ?? null}
          options={OUTCOMES.map((value) => ({ value, label: words.outcomes[value] }))}
          onChoose={(value) => setQuery({ outcome: value })}
        />
        <input
          class="filter-input"
          aria-label={words.actor}
          placeholder={words.actor}
          value={actor}
          onInput={(event) => setQuery({ actor: event.currentTarget.value })}
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
        <EmptyState icon="audit" title={words.nothing} />
      ) : (
        <Records records={items.value} />
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

function Records({ records }: { readonly records: readonly AuditRecord[] }) {
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
            cell: (record) => [record.via, record.address].filter(Boolean).join(' · '),
          },
        ]}
      />
    </Card>
  );
}

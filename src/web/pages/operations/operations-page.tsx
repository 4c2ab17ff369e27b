/** Everything that ran or runs: what it did, how far it is, and why it failed. */

import { Button } from '../../components/button.tsx';
import { Chips } from '../../components/filters.tsx';
import { OperationItem } from '../../components/operation-item.tsx';
import { Card, EmptyState, Loaded, PageHead } from '../../components/page.tsx';
import { isOpen, operationList, operations } from '../../state/operations.ts';
import { currentQuery, setQuery } from '../../state/router.ts';
import { text } from '../../text.ts';
import { JobsCard } from './jobs-card.tsx';

const words = text.operations;

const FILTERS = ['open', 'attention', 'failed', 'done', 'cancelled'] as const;

export function OperationsPage() {
  return (
    <>
      <PageHead title={text.pages.operations} />
      <div class="stack">
        <JobsCard />
        <OperationsList />
      </div>
    </>
  );
}

function OperationsList() {
  const chosen = FILTERS.find((filter) => filter === currentQuery.value.get('state')) ?? null;
  return (
    <div>
      <Loaded resource={operations} lines={8}>
        {() => {
          const all = operationList.value;
          if (all.length === 0)
            return (
              <EmptyState icon="operations" title={words.none}>
                {words.noneNote}
              </EmptyState>
            );
          const matches = (filter: (typeof FILTERS)[number]) =>
            all.filter((operation) => (filter === 'open' ? isOpen(operation) : operation.state === filter));
          const list = chosen ? matches(chosen) : all;
          return (
            <>
              <div class="filters">
                <Chips
                  label={text.vms.states}
                  chosen={chosen}
                  options={FILTERS.map((value) => ({
                    value,
                    label: (
                      <>
                        {words.filters[value]} <span class="chip-count">{matches(value).length}</span>
                      </>
                    ),
                  }))}
                  onChoose={(value) => setQuery({ state: value })}
                />
              </div>
              {list.length === 0 ? (
                <EmptyState
                  icon="search"
                  title={words.nothingFits}
                  action={<Button onClick={() => setQuery({ state: null })}>{text.vms.clearFilters}</Button>}
                />
              ) : (
                <Card>
                  <div class="separated" aria-live="polite">
                    {list.map((operation) => (
                      <OperationItem key={operation.id} operation={operation} />
                    ))}
                  </div>
                </Card>
              )}
            </>
          );
        }}
      </Loaded>
    </div>
  );
}

/** All grants, to be searched and narrowed to a kind of place. */

import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { Button } from '../../components/button.tsx';
import { Chips, isSearched, SearchField } from '../../components/filters.tsx';
import { Card, EmptyState, Loaded } from '../../components/page.tsx';
import { grants } from '../../state/access.ts';
import { can } from '../../state/api.ts';
import { currentQuery, setQuery } from '../../state/router.ts';
import { vms } from '../../state/vms.ts';
import { text } from '../../text.ts';
import { GrantDialog } from './grant-dialog.tsx';
import { GrantTable } from './grant-table.tsx';

const words = text.access.grants;
const KINDS = ['all', 'project', 'vm'] as const;

export function GrantsSection() {
  const isCreating = useSignal(false);
  // To know whose the VMs are that grants speak of.
  useEffect(() => {
    if (can('vm.read')) vms.ensure();
  }, []);
  const kind = KINDS.find((one) => one === currentQuery.value.get('on')) ?? null;
  return (
    <>
      <div class="filters">
        <SearchField label={words.search} />
        <Chips
          label={words.kinds}
          chosen={kind}
          options={KINDS.map((value) => ({ value, label: words.kindNames[value] }))}
          onChoose={(value) => setQuery({ on: value })}
        />
        <span class="filter-end">
          {can('access.manage') && (
            <Button kind="primary" icon="plus" onClick={() => (isCreating.value = true)}>
              {words.create}
            </Button>
          )}
        </span>
      </div>
      <Loaded resource={grants} lines={6}>
        {(all) => {
          const shown = all.filter(
            (grant) =>
              (kind === null || grant.scope.split(':')[0] === kind) &&
              isSearched([grant.subject.type, grant.name, grant.createdBy, grant.source].join(' ')),
          );
          if (all.length === 0)
            return (
              <EmptyState icon="key" title={words.none}>
                {words.noneNote}
              </EmptyState>
            );
          if (shown.length === 0)
            return (
              <EmptyState icon="search" title={text.access.filtered}>
                {text.access.filteredNote}
              </EmptyState>
            );
          return (
            <Card class="is-flush">
              <GrantTable rows={shown} />
            </Card>
          );
        }}
      </Loaded>
      {isCreating.value && <GrantDialog onClose={() => (isCreating.value = false)} />}
    </>
  );
}

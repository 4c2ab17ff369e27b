/** All VMs: search, filters in the address, order, selection, and what several at once can be told. */

import { useComputed, useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import type { Vm } from '#contract/vms.ts';
import { Button, ButtonLink } from '../../components/button.tsx';
import { ChoiceFilter, SearchField } from '../../components/filters.tsx';
import { Icon } from '../../components/icon.tsx';
import { NoVms } from '../../components/no-vms.tsx';
import { EmptyState, Loaded, PageHead } from '../../components/page.tsx';
import { VirtualList } from '../../components/virtual-list.tsx';
import { countFitting, type PowerAction, powerIcon, powerVms, VmDialogs } from '../../components/vm-actions.tsx';
import { can } from '../../state/api.ts';
import { isNarrow } from '../../state/media.ts';
import { areSeveralProjects, projects } from '../../state/projects.ts';
import { currentQuery, setQuery } from '../../state/router.ts';
import { vms } from '../../state/vms.ts';
import { text } from '../../text.ts';
import { applyFilter, holdOrder, readFilter, type SortKey, tagsOf, VM_STATES, type VmFilter } from './vm-filters.ts';
import { CARD_HEIGHT, ROW_HEIGHT, VmCard, VmRow } from './vm-row.tsx';

const words = text.vms;

export function VmsPage() {
  const total = vms.data.value?.size ?? null;
  useEffect(() => {
    if (can('project.read')) projects.ensure();
  }, []);
  return (
    <>
      <PageHead title={text.pages.vms} note={total === null ? undefined : words.count(total)}>
        {can('vm.create') && (
          <ButtonLink kind="primary" icon="plus" href="/vms/new">
            {words.create}
          </ButtonLink>
        )}
      </PageHead>
      <Loaded resource={vms} lines={12}>
        {(known) => (known.size === 0 ? <NoVms /> : <VmList known={known} />)}
      </Loaded>
      <VmDialogs />
    </>
  );
}

function VmList({ known }: { readonly known: ReadonlyMap<string, Vm> }) {
  const selected = useSignal<ReadonlySet<string>>(new Set());
  const isHeld = useSignal(false);
  const shownOrder = useRef<readonly string[]>([]);
  const filter = readFilter(currentQuery.value);
  const wanted = applyFilter([...known.values()], filter);
  const list = isHeld.value ? holdOrder(shownOrder.current, wanted) : wanted;
  const chosen = useComputed(() => [...selected.value].flatMap((id) => vms.data.value?.get(id) ?? []));
  useEffect(() => {
    shownOrder.current = list.map((vm) => vm.id);
  });
  // Another filter or order was asked for: it counts at once, also under the pointer.
  const query = currentQuery.value.toString();
  // biome-ignore lint/correctness/useExhaustiveDependencies: the query is what this waits for
  useEffect(() => {
    isHeld.value = false;
  }, [query, isHeld]);

  const select = (id: string, isOn: boolean) => {
    const next = new Set(selected.peek());
    if (isOn) next.add(id);
    else next.delete(id);
    selected.value = next;
  };
  const areAllSelected = list.length > 0 && list.every((vm) => selected.value.has(vm.id));
  const selectAll = () => {
    selected.value = areAllSelected ? new Set() : new Set(list.map((vm) => vm.id));
  };
  const narrow = isNarrow.value;
  return (
    <>
      <Filters filter={filter} known={known} shown={list.length} />
      {narrow && list.length > 1 && (
        <label class="select-all">
          <input type="checkbox" checked={areAllSelected} onChange={selectAll} />
          {words.selectAll}
        </label>
      )}
      {list.length === 0 ? (
        <EmptyState
          icon="search"
          title={words.nothingFits}
          action={
            <Button onClick={() => setQuery({ q: null, state: null, only: null, project: null, tag: null })}>
              {words.clearFilters}
            </Button>
          }
        />
      ) : (
        <div
          role="table"
          class={`vm-list ${narrow ? 'is-cards' : ''} ${areSeveralProjects.value ? 'has-projects' : ''}`}
          aria-label={text.pages.vms}
          aria-rowcount={list.length}
          onKeyDown={moveFocus}
          onMouseMove={() => (isHeld.value = true)}
          onMouseLeave={() => (isHeld.value = false)}
        >
          {!narrow && (
            <div role="rowgroup">
              <div role="row" class="vm-row vm-head">
                <span role="columnheader">
                  <input type="checkbox" aria-label={words.selectAll} checked={areAllSelected} onChange={selectAll} />
                </span>
                <span role="columnheader" class="visually-hidden">
                  {words.screen}
                </span>
                <SortHead by="name" filter={filter} />
                {areSeveralProjects.value && (
                  <span role="columnheader" class="col-project">
                    {text.fields.project}
                  </span>
                )}
                <SortHead by="state" filter={filter} />
                <SortHead by="cpu" filter={filter} />
                <SortHead by="memory" filter={filter} />
                <SortHead by="disk" filter={filter} class="col-disk" />
                <SortHead by="network" filter={filter} class="col-net" />
                <span role="columnheader" class="col-address">
                  {words.address}
                </span>
                <span role="columnheader" class="visually-hidden">
                  {words.actions}
                </span>
              </div>
            </div>
          )}
          <VirtualList items={list} rowHeight={narrow ? CARD_HEIGHT : ROW_HEIGHT} keyOf={(vm) => vm.id}>
            {(vm, index) =>
              narrow ? (
                <VmCard vm={vm} index={index} isSelected={selected.value.has(vm.id)} onSelect={select} />
              ) : (
                <VmRow vm={vm} index={index} isSelected={selected.value.has(vm.id)} onSelect={select} />
              )
            }
          </VirtualList>
        </div>
      )}
      {chosen.value.length > 0 && (
        <BulkBar
          chosen={chosen.value}
          hidden={chosen.value.filter((vm) => !wanted.includes(vm)).length}
          onClear={() => (selected.value = new Set())}
        />
      )}
    </>
  );
}

/** Arrow keys go from name to name. */
function moveFocus(event: KeyboardEvent): void {
  if (event.key !== 'ArrowDown' && event.key !== 'ArrowUp') return;
  const list = event.currentTarget;
  if (!(list instanceof HTMLElement) || !(event.target instanceof Element) || event.target.closest('[role=menu]'))
    return;
  const links = [...list.querySelectorAll<HTMLElement>('a.vm-name')];
  const row = event.target.closest('.virtual-row');
  const at = links.findIndex((link) => link.closest('.virtual-row') === row);
  const next = links[at + (event.key === 'ArrowDown' ? 1 : -1)];
  if (!next) return;
  event.preventDefault();
  next.focus();
  next.scrollIntoView({ block: 'nearest' });
}

function SortHead({
  by,
  filter,
  class: extra = '',
}: {
  readonly by: SortKey;
  readonly filter: VmFilter;
  readonly class?: string;
}) {
  const isSorted = filter.sort === by;
  // Figures are first wanted from the top, names from A.
  const startsDescending = by !== 'name' && by !== 'state';
  const nextIsDescending = isSorted ? !filter.isDescending : startsDescending;
  return (
    <span
      role="columnheader"
      class={extra}
      aria-sort={isSorted ? (filter.isDescending ? 'descending' : 'ascending') : 'none'}
    >
      <button
        type="button"
        class={`sort ${isSorted ? 'is-sorted' : ''}`}
        onClick={() =>
          setQuery({ sort: nextIsDescending || by !== 'name' ? `${nextIsDescending ? '-' : ''}${by}` : null })
        }
      >
        {words.columns[by]}
        {isSorted && <Icon name={filter.isDescending ? 'down' : 'up'} size={12} />}
      </button>
    </span>
  );
}

function Filters({
  filter,
  known,
  shown,
}: {
  readonly filter: VmFilter;
  readonly known: ReadonlyMap<string, Vm>;
  readonly shown: number;
}) {
  const counts = new Map<string, number>();
  for (const vm of known.values()) counts.set(vm.state, (counts.get(vm.state) ?? 0) + 1);
  const states = VM_STATES.filter((state) => counts.has(state) || filter.states.includes(state));
  const toggle = (state: (typeof VM_STATES)[number]) => {
    const next = filter.states.includes(state)
      ? filter.states.filter((other) => other !== state)
      : [...filter.states, state];
    setQuery({ state: next.join(',') });
  };
  return (
    <div class="filters">
      <SearchField label={words.search} />
      <span class="chips" role="group" aria-label={words.states}>
        {states.map((state) => (
          <button
            type="button"
            key={state}
            class="chip"
            aria-pressed={filter.states.includes(state)}
            onClick={() => toggle(state)}
          >
            {text.vmStates[state]} <span class="chip-count">{counts.get(state) ?? 0}</span>
          </button>
        ))}
      </span>
      <TagChips filter={filter} known={known} />
      {areSeveralProjects.value && (
        <ChoiceFilter
          name="project"
          label={text.fields.project}
          any={words.allProjects}
          choices={projects.data.value ?? []}
        />
      )}
      <select
        class="filter-select"
        aria-label={words.only}
        value={filter.only}
        onChange={(event) => setQuery({ only: event.currentTarget.value === 'all' ? null : event.currentTarget.value })}
      >
        {Object.entries(words.onlyChoices).map(([value, label]) => (
          <option key={value} value={value}>
            {label}
          </option>
        ))}
      </select>
      <span class="muted small filter-count" aria-live="polite">
        {shown !== known.size && words.shownOf(shown, known.size)}
      </span>
    </div>
  );
}

const MOST_TAGS = 8;

/** The tags in use; those that are chosen are always there. */
function TagChips({ filter, known }: { readonly filter: VmFilter; readonly known: ReadonlyMap<string, Vm> }) {
  const counts = new Map(tagsOf(known.values()));
  const usual = [...counts.keys()].slice(0, MOST_TAGS);
  const tags = [...usual, ...filter.tags.filter((tag) => !usual.includes(tag))];
  if (tags.length === 0) return null;
  const toggle = (tag: string) =>
    setQuery({
      tag: (filter.tags.includes(tag) ? filter.tags.filter((one) => one !== tag) : [...filter.tags, tag]).join(','),
    });
  return (
    <span class="chips" role="group" aria-label={words.tags}>
      {tags.map((tag) => (
        <button
          type="button"
          key={tag}
          class="chip tag-chip"
          aria-pressed={filter.tags.includes(tag)}
          onClick={() => toggle(tag)}
        >
          #{tag} <span class="chip-count">{counts.get(tag) ?? 0}</span>
        </button>
      ))}
    </span>
  );
}

const BULK_ACTIONS: readonly PowerAction[] = ['start', 'shutdown', 'stop'];

function BulkBar({
  chosen,
  hidden,
  onClear,
}: {
  readonly chosen: readonly Vm[];
  /** So many of them are left out by the filters now. */
  readonly hidden: number;
  readonly onClear: () => void;
}) {
  return (
    <div class="bulk" role="region" aria-label={words.bulk}>
      <strong>{words.selected(chosen.length)}</strong>
      {hidden > 0 && <span class="muted small">{words.selectedHidden(hidden)}</span>}
      {can('vm.power') &&
        BULK_ACTIONS.map((action) => (
          <Button
            key={action}
            icon={powerIcon(action)}
            kind={action === 'stop' ? 'danger' : 'plain'}
            disabled={countFitting(chosen, action) === 0}
            title={countFitting(chosen, action) === 0 ? words.bulkNone : text.power.hints[action]}
            onClick={() => powerVms(chosen, action, onClear)}
          >
            {text.power.actions[action]}
          </Button>
        ))}
      <Button kind="quiet" onClick={onClear}>
        {words.clearSelection}
      </Button>
    </div>
  );
}

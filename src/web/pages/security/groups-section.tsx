/** Groups, their members and the roles they bring. */

import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { Group } from '#contract/access.ts';
import { Button } from '../../components/button.tsx';
import { ConfirmDialog } from '../../components/dialog.tsx';
import { isSearched, SearchField } from '../../components/filters.tsx';
import { Menu, type MenuEntry } from '../../components/menu.tsx';
import { Card, EmptyState, Loaded } from '../../components/page.tsx';
import { StackTable } from '../../components/stack-table.tsx';
import { grants, groups, mayManageAccess, users } from '../../state/access.ts';
import { api, can } from '../../state/api.ts';
import { showProblem } from '../../state/operations.ts';
import { text } from '../../text.ts';
import { GrantDialog } from './grant-dialog.tsx';
import { GroupDialog } from './group-dialog.tsx';

const words = text.access.groups;
const MEMBERS_SHOWN = 8;

const grantsOf = (group: Group) =>
  (grants.data.value ?? []).filter(({ subject }) => subject.type === 'group' && subject.id === group.id);

export function GroupsSection() {
  const isCreating = useSignal(false);
  useEffect(() => grants.ensure(), []);
  return (
    <>
      <div class="filters">
        <SearchField label={words.search} />
        <span class="filter-end">
          {mayManageAccess() && (
            <Button kind="primary" icon="plus" onClick={() => (isCreating.value = true)}>
              {words.create}
            </Button>
          )}
        </span>
      </div>
      <Loaded resource={groups} lines={6}>
        {(all) => {
          const shown = all.filter((group) =>
            isSearched([group.name, group.title, ...group.members.map(({ name }) => name)].join(' ')),
          );
          if (all.length === 0)
            return (
              <EmptyState icon="users" title={words.none}>
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
              <StackTable
                rows={shown}
                keyOf={(group) => group.id}
                columns={[
                  {
                    head: words.name,
                    kind: 'title',
                    class: 'breaks',
                    cell: (group) => (
                      <>
                        {group.name}
                        {group.title && <span class="muted subtitle">{group.title}</span>}
                      </>
                    ),
                  },
                  { head: words.members, class: 'breaks', cell: (group) => <Members group={group} /> },
                  {
                    head: words.grants,
                    class: 'breaks',
                    cell: (group) => (
                      <span class="lines">
                        {grantsOf(group).map((grant) => (
                          <span key={grant.id}>
                            {grant.role} <span class="muted">{grant.scopeName}</span>
                          </span>
                        ))}
                        {grantsOf(group).length === 0 && <span class="muted">{text.access.none}</span>}
                      </span>
                    ),
                  },
                  { head: text.access.users.actions, kind: 'menu', cell: (group) => <GroupMenu group={group} /> },
                ]}
              />
            </Card>
          );
        }}
      </Loaded>
      {isCreating.value && <GroupDialog group={null} onClose={() => (isCreating.value = false)} />}
    </>
  );
}

function Members({ group }: { readonly group: Group }) {
  const { members } = group;
  if (members.length === 0) return <span class="muted">{words.nobody}</span>;
  return (
    <span>
      {members.slice(0, MEMBERS_SHOWN).map((member, index) => (
        <span key={member.id}>
          {index > 0 && ', '}
          <a href={`/settings/security/users/${member.id}`}>{member.name}</a>
        </span>
      ))}
      {members.length > MEMBERS_SHOWN && <span class="muted"> +{members.length - MEMBERS_SHOWN}</span>}
    </span>
  );
}

function GroupMenu({ group }: { readonly group: Group }) {
  const open = useSignal<'edit' | 'grant' | 'delete' | null>(null);
  const close = () => (open.value = null);
  const remove = async () => {
    try {
      await api('DELETE /groups/{id}', { params: { id: group.id } });
      await Promise.all([groups.reload(), grants.reload(), users.reload()]);
    } catch (error) {
      showProblem(error);
    }
  };
  const entries: MenuEntry[] = [
    ...(can('access.manage') ? [{ label: words.grant, icon: 'plus' as const, run: () => (open.value = 'grant') }] : []),
    ...(mayManageAccess()
      ? [
          { label: words.edit, icon: 'edit' as const, run: () => (open.value = 'edit') },
          {
            label: words.remove,
            icon: 'trash' as const,
            isDangerous: true,
            startsGroup: true,
            run: () => (open.value = 'delete'),
          },
        ]
      : []),
  ];
  if (entries.length === 0) return null;
  return (
    <>
      <Menu label={words.actionsFor(group.name)} entries={entries} />
      {open.value === 'edit' && <GroupDialog group={group} onClose={close} />}
      {open.value === 'grant' && <GrantDialog subject={`group:${group.id}`} onClose={close} />}
      {open.value === 'delete' && (
        <ConfirmDialog
          title={words.deleteTitle(group.name)}
          action={words.deleteAction}
          typedName={group.name}
          onClose={close}
          onConfirm={() => void remove()}
        >
          <p>{words.deleteNote(group.members.length)}</p>
        </ConfirmDialog>
      )}
    </>
  );
}

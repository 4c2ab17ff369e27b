/** Roles: those of the program, and one's own. */

import { useSignal } from '@preact/signals';
import type { Role } from '#contract/access.ts';
import { Button } from '../../components/button.tsx';
import { ConfirmDialog } from '../../components/dialog.tsx';
import { isSearched, SearchField } from '../../components/filters.tsx';
import { Menu } from '../../components/menu.tsx';
import { Card, EmptyState, Loaded } from '../../components/page.tsx';
import { StackTable } from '../../components/stack-table.tsx';
import { Badge } from '../../components/state-mark.tsx';
import { mayManageAccess, roles } from '../../state/access.ts';
import { api } from '../../state/api.ts';
import { showProblem } from '../../state/operations.ts';
import { text } from '../../text.ts';
import { RoleDialog } from './role-dialog.tsx';

const words = text.access.roles;

interface Open {
  readonly what: 'show' | 'edit' | 'copy' | 'delete';
  readonly role: Role;
}

export function RolesSection() {
  const isCreating = useSignal(false);
  const open = useSignal<Open | null>(null);
  const close = () => {
    open.value = null;
    isCreating.value = false;
  };
  const show = (role: Role) => (open.value = { what: 'show', role });
  const remove = async (role: Role) => {
    try {
      await api('DELETE /roles/{id}', { params: { id: role.id } });
      await roles.reload();
    } catch (error) {
      showProblem(error);
    }
  };
  const menuOf = (role: Role) => [
    { label: words.show, icon: 'list' as const, run: () => void show(role) },
    ...(mayManageAccess()
      ? [
          { label: words.copy, icon: 'copy' as const, run: () => (open.value = { what: 'copy', role }) },
          ...(role.state === 'custom'
            ? [
                { label: words.edit, icon: 'edit' as const, run: () => (open.value = { what: 'edit', role }) },
                {
                  label: words.remove,
                  icon: 'trash' as const,
                  isDangerous: true,
                  startsGroup: true,
                  isDisabled: role.grants > 0,
                  ...(role.grants > 0 ? { hint: words.stillGranted } : {}),
                  run: () => (open.value = { what: 'delete', role }),
                },
              ]
            : []),
        ]
      : []),
  ];
  // Kept here: the dialog closes before it acts.
  const shown = open.value;
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
      <Loaded resource={roles} lines={6}>
        {(all) => {
          const fitting = all.filter((role) => isSearched([role.name, role.title, ...role.permissions].join(' ')));
          if (fitting.length === 0)
            return (
              <EmptyState icon="search" title={text.access.filtered}>
                {text.access.filteredNote}
              </EmptyState>
            );
          return (
            <Card class="is-flush">
              <StackTable
                rows={fitting}
                keyOf={(role) => role.id}
                columns={[
                  {
                    head: words.name,
                    kind: 'title',
                    class: 'breaks',
                    cell: (role) => (
                      <button type="button" class="link" onClick={() => show(role)}>
                        {role.name}
                      </button>
                    ),
                  },
                  {
                    head: words.kind,
                    isSelfEvident: true,
                    cell: (role) => (
                      <Badge tone={role.state === 'custom' ? 'accent' : 'unknown'}>{words.kinds[role.state]}</Badge>
                    ),
                  },
                  { head: words.what, isSelfEvident: true, class: 'breaks', cell: (role) => role.title },
                  {
                    head: words.permissions,
                    kind: 'number',
                    cell: (role) => role.permissions.filter((one) => one !== 'self.manage').length,
                  },
                  { head: words.granted, cell: (role) => words.times(role.grants) },
                  {
                    head: text.access.users.actions,
                    kind: 'menu',
                    cell: (role) => <Menu label={words.actionsFor(role.name)} entries={menuOf(role)} />,
                  },
                ]}
              />
            </Card>
          );
        }}
      </Loaded>
      {isCreating.value && <RoleDialog edited={null} onClose={close} />}
      {shown?.what === 'copy' && <RoleDialog edited={null} from={shown.role} onClose={close} />}
      {shown?.what === 'edit' && <RoleDialog edited={shown.role} onClose={close} />}
      {shown?.what === 'show' && <RoleDialog edited={shown.role} isReadOnly onClose={close} />}
      {shown?.what === 'delete' && (
        <ConfirmDialog
          title={words.deleteTitle(shown.role.name)}
          action={words.deleteAction}
          onClose={close}
          onConfirm={() => void remove(shown.role)}
        >
          <p>{words.deleteNote}</p>
        </ConfirmDialog>
      )}
    </>
  );
}

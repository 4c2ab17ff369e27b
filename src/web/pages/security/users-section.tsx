/** The list of users. */

import { useSignal } from '@preact/signals';
import type { User } from '#contract/access.ts';
import { Button } from '../../components/button.tsx';
import { TimeAgo } from '../../components/figures.tsx';
import { isSearched, SearchField } from '../../components/filters.tsx';
import { Card, EmptyState, Loaded } from '../../components/page.tsx';
import { StackTable } from '../../components/stack-table.tsx';
import { AccountMark, Badge } from '../../components/state-mark.tsx';
import { mayManageAccess, users } from '../../state/access.ts';
import { navigate } from '../../state/router.ts';
import { text } from '../../text.ts';
import { UserFormDialog } from './user-dialogs.tsx';
import { UserMenu } from './user-menu.tsx';

const words = text.access.users;

const haystack = (user: User): string =>
  [user.name, user.title, text.access.states[user.state], ...user.roles, ...user.groups.map(({ name }) => name)].join(
    ' ',
  );

export function UsersSection() {
  const isCreating = useSignal(false);
  const button = mayManageAccess() && (
    <Button kind="primary" icon="plus" onClick={() => (isCreating.value = true)}>
      {words.create}
    </Button>
  );
  return (
    <>
      <div class="filters">
        <SearchField label={words.search} />
        <span class="filter-end">{button}</span>
      </div>
      <Loaded resource={users} lines={6}>
        {(all) => {
          const shown = all.filter((user) => isSearched(haystack(user)));
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
              <StackTable rows={shown} keyOf={(user) => user.id} columns={columns()} />
            </Card>
          );
        }}
      </Loaded>
      {isCreating.value && (
        <UserFormDialog
          user={null}
          onClose={() => (isCreating.value = false)}
          onDone={(user) => navigate(`/settings/security/users/${user.id}`)}
        />
      )}
    </>
  );
}

const columns = () =>
  [
    {
      head: words.name,
      kind: 'title' as const,
      class: 'breaks',
      cell: (user: User) => (
        <>
          <a href={`/settings/security/users/${user.id}`}>{user.name}</a>
          {user.title && <span class="muted subtitle">{user.title}</span>}
        </>
      ),
    },
    { head: words.state, isSelfEvident: true, cell: (user: User) => <AccountMark state={user.state} /> },
    {
      head: words.roles,
      cell: (user: User) =>
        user.roles.length === 0 ? (
          <span class="muted">{words.noRole}</span>
        ) : (
          <span class="badges">
            {user.roles.map((role) => (
              <Badge key={role}>{role}</Badge>
            ))}
          </span>
        ),
    },
    {
      head: words.groups,
      class: 'breaks',
      cell: (user: User) => user.groups.map(({ name }) => name).join(', ') || text.unknownValue,
    },
    {
      head: words.lastSignIn,
      cell: (user: User) => (user.lastSignInAt ? <TimeAgo iso={user.lastSignInAt} /> : text.access.never),
    },
    { head: words.actions, kind: 'menu' as const, cell: (user: User) => <UserMenu user={user} /> },
  ] as const;

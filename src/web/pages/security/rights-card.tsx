/** Everything that a user may do, and the grant that gives it. */

import { useSignal } from '@preact/signals';
import type { z } from 'zod';
import type { rightsSchema, User } from '#contract/access.ts';
import { PERMISSION_MEANINGS, PERMISSIONS, type Permission } from '#contract/permissions.ts';
import { Icon } from '../../components/icon.tsx';
import { Card, EmptyState, Loaded } from '../../components/page.tsx';
import { StackTable } from '../../components/stack-table.tsx';
import type { Resource } from '../../state/collection.ts';
import { text } from '../../text.ts';

const words = text.access.rights;

type Rights = z.infer<typeof rightsSchema>;

interface Row {
  readonly permission: Permission;
  readonly reasons: readonly { readonly id: string; readonly on: string; readonly because: string }[];
}

/** A grant on the whole system makes the others about the same permission needless. */
function rowsOf({ user, grants }: Rights): Row[] {
  return PERMISSIONS.flatMap((permission) => {
    const giving = grants.filter(({ permissions }) => permissions.includes(permission));
    const everywhere = giving.filter(({ scope }) => scope === 'all');
    const telling = everywhere.length > 0 ? everywhere : giving;
    if (telling.length === 0) return [];
    return [
      {
        permission,
        reasons: telling.map(({ id, scopeName, role, through }) => ({
          id,
          on: scopeName,
          because: words.is(through === null ? user : words.group(through), role),
        })),
      },
    ];
  });
}

export function RightsCard({ user, rights }: { readonly user: User; readonly rights: Resource<Rights> }) {
  const wanted = useSignal('');
  return (
    <Card class="is-flush" title={words.title}>
      <Loaded resource={rights} lines={6}>
        {(known) => {
          const rows = rowsOf(known);
          if (rows.length === 0)
            return (
              <EmptyState icon="lock" title={words.nothing}>
                {words.nothingNote}
              </EmptyState>
            );
          const needle = wanted.value.trim().toLowerCase();
          const shown = rows.filter(({ permission, reasons }) =>
            [permission, PERMISSION_MEANINGS[permission], ...reasons.flatMap(({ on, because }) => [on, because])]
              .join(' ')
              .toLowerCase()
              .includes(needle),
          );
          return (
            <>
              {user.state === 'disabled' && <p class="field-warning card-note">{words.disabled}</p>}
              <p class="card-note">
                <span class="filter-search">
                  <Icon name="search" />
                  <input
                    type="search"
                    aria-label={words.search}
                    placeholder={words.search}
                    autocomplete="off"
                    value={wanted.value}
                    onInput={(event) => (wanted.value = event.currentTarget.value)}
                  />
                </span>
                <span class="muted small">{text.access.account.permissions(shown.length)}</span>
              </p>
              <StackTable
                rows={shown}
                keyOf={(row) => row.permission}
                columns={[
                  {
                    head: words.permission,
                    kind: 'title',
                    cell: (row) => (
                      <>
                        <code>{row.permission}</code>
                        <span class="muted subtitle">{PERMISSION_MEANINGS[row.permission]}</span>
                      </>
                    ),
                  },
                  {
                    head: words.on,
                    class: 'breaks',
                    cell: (row) => (
                      <span class="lines">
                        {row.reasons.map((reason) => (
                          <span key={reason.id}>{reason.on}</span>
                        ))}
                      </span>
                    ),
                  },
                  {
                    head: words.because,
                    class: 'breaks',
                    cell: (row) => (
                      <span class="lines">
                        {row.reasons.map((reason) => (
                          <span key={reason.id}>{reason.because}</span>
                        ))}
                      </span>
                    ),
                  },
                ]}
              />
            </>
          );
        }}
      </Loaded>
    </Card>
  );
}

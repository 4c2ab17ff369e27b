/** Grants as a table: who holds which role where. */

import { useSignal } from '@preact/signals';
import type { Grant } from '#contract/access.ts';
import { idOfScope } from '#kernel/names.ts';
import { Button } from '../../components/button.tsx';
import { ConfirmDialog } from '../../components/dialog.tsx';
import { TimeAgo } from '../../components/figures.tsx';
import { type Column, StackTable } from '../../components/stack-table.tsx';
import { Badge } from '../../components/state-mark.tsx';
import { grants, users } from '../../state/access.ts';
import { api, can, canEverywhere } from '../../state/api.ts';
import { showProblem } from '../../state/operations.ts';
import { vms } from '../../state/vms.ts';
import { text } from '../../text.ts';

const words = text.access.grants;

/** The project in which a grant holds; null = the whole system. */
function projectOf({ scope }: Grant): string | null {
  if (scope === 'all') return null;
  const id = idOfScope(scope);
  return scope.startsWith('project:') ? id : (vms.data.value?.get(id)?.project ?? null);
}

const mayRemove = (grant: Grant): boolean => {
  const project = projectOf(grant);
  return project === null ? canEverywhere('access.manage') : can('access.manage', project);
};

/** @param isOfOneUser says through which group a grant comes, instead of whose it is
 *  @param isOfOnePlace does not say where */
export function GrantTable({
  rows,
  isOfOneUser = false,
  isOfOnePlace = false,
}: {
  readonly rows: readonly Grant[];
  readonly isOfOneUser?: boolean;
  readonly isOfOnePlace?: boolean;
}) {
  const removing = useSignal<Grant | null>(null);
  const remove = async (grant: Grant) => {
    try {
      await api('DELETE /grants/{id}', { params: { id: grant.id } });
      await Promise.all([grants.reload(), users.reload()]);
    } catch (error) {
      showProblem(error);
    }
  };
  const who: Column<Grant> = {
    head: words.who,
    kind: 'title',
    class: 'breaks',
    cell: ({ subject }) =>
      subject.type === 'user' ? (
        <a href={`/settings/security/users/${subject.id}`}>{subject.name}</a>
      ) : (
        <>
          {subject.name} <Badge>{words.group}</Badge>
        </>
      ),
  };
  const role: Column<Grant> = {
    head: words.role,
    ...(isOfOneUser ? { kind: 'title' as const } : { isSelfEvident: true }),
    cell: (grant) => <a href={`/settings/security/roles?q=${encodeURIComponent(grant.role)}`}>{grant.role}</a>,
  };
  const through: Column<Grant> = {
    head: words.how,
    isSelfEvident: true,
    cell: ({ subject }) =>
      subject.type === 'group' ? words.through(subject.name) : <span class="muted">{words.direct}</span>,
  };
  // Kept here: the dialog closes before it acts.
  const asked = removing.value;
  return (
    <>
      <StackTable
        rows={rows}
        keyOf={(grant) => grant.id}
        columns={[
          ...(isOfOneUser ? [] : [who]),
          role,
          ...(isOfOnePlace ? [] : [{ head: words.on, class: 'breaks', cell: (grant: Grant) => grant.scopeName }]),
          ...(isOfOneUser ? [through] : []),
          {
            head: words.by,
            class: 'breaks',
            cell: (grant) => (grant.source === 'local' ? grant.createdBy : grant.source),
          },
          { head: words.since, cell: (grant) => <TimeAgo iso={grant.createdAt} /> },
          {
            head: text.access.users.actions,
            kind: 'actions',
            cell: (grant) =>
              mayRemove(grant) && (
                <Button
                  isSmall
                  kind="quiet"
                  aria-label={words.removeFor(grant.name)}
                  onClick={() => (removing.value = grant)}
                >
                  {words.remove}
                </Button>
              ),
          },
        ]}
      />
      {asked && (
        <ConfirmDialog
          title={words.removeTitle}
          action={words.removeAction}
          onClose={() => (removing.value = null)}
          onConfirm={() => void remove(asked)}
        >
          <p>
            <strong>{asked.name}</strong>
          </p>
          <p>{words.removeNote}</p>
        </ConfirmDialog>
      )}
    </>
  );
}

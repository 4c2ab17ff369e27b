/** The grants of one user, group or project, with the way to add and to take away. */

import { useSignal } from '@preact/signals';
import type { Grant } from '#contract/access.ts';
import { Button } from '../../components/button.tsx';
import { Card, EmptyState, Loaded } from '../../components/page.tsx';
import { grants } from '../../state/access.ts';
import { can } from '../../state/api.ts';
import { text } from '../../text.ts';
import { GrantDialog } from './grant-dialog.tsx';
import { GrantTable } from './grant-table.tsx';

const words = text.access.grants;

interface Subject {
  readonly id: string;
  readonly name: string;
  readonly groups: readonly { readonly id: string; readonly name: string }[];
}

/** @param subject a user with the groups that bring him more */
export function GrantsCard({ subject }: { readonly subject: Subject }) {
  const isAdding = useSignal(false);
  const reaches = (grant: Grant) =>
    grant.subject.type === 'user'
      ? grant.subject.id === subject.id
      : subject.groups.some(({ id }) => id === grant.subject.id);
  return (
    <Card
      class="is-flush"
      title={text.access.tabs.grants}
      aside={
        can('access.manage') && (
          <Button isSmall icon="plus" onClick={() => (isAdding.value = true)}>
            {words.create}
          </Button>
        )
      }
    >
      <Loaded resource={grants}>
        {(all) => {
          const shown = all.filter(reaches);
          return shown.length === 0 ? (
            <EmptyState icon="key" title={words.none}>
              {words.noneNote}
            </EmptyState>
          ) : (
            <GrantTable rows={shown} isOfOneUser />
          );
        }}
      </Loaded>
      {isAdding.value && <GrantDialog subject={`user:${subject.id}`} onClose={() => (isAdding.value = false)} />}
    </Card>
  );
}

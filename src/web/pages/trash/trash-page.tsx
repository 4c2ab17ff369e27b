/** Deleted VMs that can be brought back, and how long. */

import { useSignal } from '@preact/signals';
import type { TrashItem } from '#contract/vms.ts';
import { Button } from '../../components/button.tsx';
import { ConfirmDialog } from '../../components/dialog.tsx';
import { bytesText, TimeAgo } from '../../components/figures.tsx';
import { Card, EmptyState, Loaded, PageHead } from '../../components/page.tsx';
import { StackTable } from '../../components/stack-table.tsx';
import { api, can } from '../../state/api.ts';
import { trash } from '../../state/library.ts';
import { follow } from '../../state/operations.ts';
import { text } from '../../text.ts';

const words = text.trash;

export function TrashPage() {
  const purging = useSignal<TrashItem | null>(null);
  const total = trash.data.value?.reduce((sum, item) => sum + item.sizeBytes, 0) ?? 0;
  return (
    <>
      <PageHead title={text.pages.trash} note={total > 0 ? words.total(bytesText(total)) : undefined} />
      <Loaded resource={trash}>
        {(items) =>
          items.length === 0 ? (
            <EmptyState icon="trash" title={words.empty}>
              {words.emptyNote}
            </EmptyState>
          ) : (
            <Card class="is-flush">
              <StackTable
                rows={items}
                keyOf={(item) => item.id}
                columns={[
                  { head: text.fields.name, kind: 'title', class: 'mono breaks', cell: (item) => item.name },
                  { head: words.deleted, cell: (item) => <TimeAgo iso={item.deletedAt} /> },
                  { head: words.by, cell: (item) => item.deletedBy },
                  { head: words.size, kind: 'number', cell: (item) => bytesText(item.sizeBytes) },
                  {
                    head: words.purges,
                    cell: (item) =>
                      item.purgeAt === null ? (
                        <span title={words.keptNote}>{words.kept}</span>
                      ) : (
                        <TimeAgo iso={item.purgeAt} />
                      ),
                  },
                  {
                    head: text.vms.actions,
                    kind: 'actions',
                    cell: (item) =>
                      can('vm.delete') && (
                        <span class="row-actions">
                          <Button
                            isSmall
                            onClick={() => void follow(api('POST /trash/{id}/restore', { params: { id: item.id } }))}
                          >
                            {words.restore}
                          </Button>
                          <Button isSmall kind="quiet" onClick={() => (purging.value = item)}>
                            {words.purge}
                          </Button>
                        </span>
                      ),
                  },
                ]}
              />
            </Card>
          )
        }
      </Loaded>
      {purging.value && <Purge item={purging.value} onClose={() => (purging.value = null)} />}
    </>
  );
}

function Purge({ item, onClose }: { readonly item: TrashItem; readonly onClose: () => void }) {
  return (
    <ConfirmDialog
      title={words.purgeTitle(item.name)}
      action={words.purgeAction(item.name)}
      typedName={item.name}
      onClose={onClose}
      onConfirm={() => void follow(api('DELETE /trash/{id}', { params: { id: item.id } }))}
    >
      <p>{words.purgeBody(bytesText(item.sizeBytes))}</p>
    </ConfirmDialog>
  );
}

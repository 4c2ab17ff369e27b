/** Deleted VMs that can be brought back, and how long. */

import { useSignal } from '@preact/signals';
import type { TrashItem } from '#contract/vms.ts';
import { Button } from '../../components/button.tsx';
import { ConfirmDialog } from '../../components/dialog.tsx';
import { bytesText, TimeAgo } from '../../components/figures.tsx';
import { Card, EmptyState, Loaded, PageHead } from '../../components/page.tsx';
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
              <div class="table-scroll">
                <table class="table stacks">
                  <thead>
                    <tr>
                      <th scope="col">{text.fields.name}</th>
                      <th scope="col">{words.deleted}</th>
                      <th scope="col">{words.by}</th>
                      <th scope="col" class="number">
                        {words.size}
                      </th>
                      <th scope="col">{words.purges}</th>
                      <th scope="col">
                        <span class="visually-hidden">{text.vms.actions}</span>
                      </th>
                    </tr>
                  </thead>
                  <tbody>
                    {items.map((item) => (
                      <tr key={item.id}>
                        <th scope="row" class="mono breaks">
                          {item.name}
                        </th>
                        <td data-label={words.deleted}>
                          <TimeAgo iso={item.deletedAt} />
                        </td>
                        <td data-label={words.by}>{item.deletedBy}</td>
                        <td data-label={words.size} class="number">
                          {bytesText(item.sizeBytes)}
                        </td>
                        <td data-label={words.purges}>
                          {item.purgeAt === null ? (
                            <span title={words.keptNote}>{words.kept}</span>
                          ) : (
                            <TimeAgo iso={item.purgeAt} />
                          )}
                        </td>
                        <td class="end">
                          {can('vm.delete') && (
                            <span class="row-actions">
                              <Button
                                isSmall
                                onClick={() =>
                                  void follow(api('POST /trash/{id}/restore', { params: { id: item.id } }))
                                }
                              >
                                {words.restore}
                              </Button>
                              <Button isSmall kind="quiet" onClick={() => (purging.value = item)}>
                                {words.purge}
                              </Button>
                            </span>
                          )}
                        </td>
                      </tr>
                    ))}
                  </tbody>
                </table>
              </div>
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

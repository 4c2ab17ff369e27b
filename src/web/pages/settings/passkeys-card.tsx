/** The user's own passkeys: add, rename, delete. */

import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { Passkey } from '#contract/passkeys.ts';
import { Button } from '../../components/button.tsx';
import { ConfirmDialog, Dialog } from '../../components/dialog.tsx';
import { TimeAgo } from '../../components/figures.tsx';
import { Field } from '../../components/form.tsx';
import { Card, Loaded } from '../../components/page.tsx';
import { PasskeyPlaceNote } from '../../components/passkey-place-note.tsx';
import { StackTable } from '../../components/stack-table.tsx';
import { Badge } from '../../components/state-mark.tsx';
import { api } from '../../state/api.ts';
import { showProblem } from '../../state/operations.ts';
import {
  addPasskey,
  deletePasskey,
  PasskeyDismissed,
  passkeyObstacle,
  passkeyPlace,
  passkeys,
} from '../../state/passkeys.ts';
import { text } from '../../text.ts';

const words = text.passkeys;

export function PasskeysCard() {
  /** The one to rename; 'new' = to add. */
  const naming = useSignal<Passkey | 'new' | null>(null);
  const deleting = useSignal<Passkey | null>(null);
  const isBusy = useSignal(false);
  useEffect(() => {
    // Without the answer nothing can be added; the list is there all the same.
    void passkeyPlace.reload();
  }, []);
  const place = passkeyPlace.data.value;
  const obstacle = place ? passkeyObstacle(place.rpId) : null;

  const change = async (work: () => Promise<unknown>) => {
    isBusy.value = true;
    try {
      await work();
      await passkeys.reload();
    } catch (error) {
      if (!(error instanceof PasskeyDismissed)) showProblem(error);
    } finally {
      isBusy.value = false;
    }
  };
  const rename = (name: string) => {
    const target = naming.peek();
    naming.value = null;
    if (target === 'new') void change(() => addPasskey(name));
    else if (target) void change(() => api('PATCH /auth/passkeys/{id}', { params: { id: target.id }, body: { name } }));
  };

  return (
    <Card
      class="is-flush"
      title={words.title}
      aside={
        place &&
        obstacle === null && (
          <Button isSmall icon="plus" isBusy={isBusy.value} onClick={() => (naming.value = 'new')}>
            {words.add}
          </Button>
        )
      }
    >
      {place && obstacle !== null && (
        <div class="card-note">
          <PasskeyPlaceNote place={place} />
        </div>
      )}
      <Loaded resource={passkeys}>
        {(items) =>
          items.length === 0 ? (
            <p class="muted card-note">{words.none}</p>
          ) : (
            <StackTable
              rows={items}
              keyOf={(item) => item.id}
              columns={[
                {
                  head: words.name,
                  kind: 'title',
                  cell: (item) => (
                    <>
                      {item.name} {item.suspectedAt !== null && <Badge tone="bad">{words.suspected}</Badge>}
                    </>
                  ),
                },
                {
                  head: words.kept,
                  isSelfEvident: true,
                  cell: (item) => (item.isSynced ? words.synced : words.device),
                },
                { head: words.added, cell: (item) => <TimeAgo iso={item.createdAt} /> },
                {
                  head: words.lastUsed,
                  cell: (item) => (item.lastUsedAt === null ? words.never : <TimeAgo iso={item.lastUsedAt} />),
                },
                {
                  head: text.vms.actions,
                  kind: 'actions',
                  cell: (item) => (
                    <>
                      <Button isSmall kind="quiet" onClick={() => (naming.value = item)}>
                        {words.rename}
                      </Button>
                      <Button isSmall kind="quiet" onClick={() => (deleting.value = item)}>
                        {words.remove}
                      </Button>
                    </>
                  ),
                },
              ]}
            />
          )
        }
      </Loaded>
      {naming.value !== null && (
        <NameDialog
          before={naming.value === 'new' ? '' : naming.value.name}
          title={naming.value === 'new' ? words.add : words.rename}
          onName={rename}
          onClose={() => (naming.value = null)}
        />
      )}
      {deleting.value !== null && (
        <DeleteDialog
          item={deleting.value}
          onConfirm={(id) => void change(() => deletePasskey(id))}
          onClose={() => (deleting.value = null)}
        />
      )}
    </Card>
  );
}

function DeleteDialog({
  item,
  onConfirm,
  onClose,
}: {
  readonly item: Passkey;
  readonly onConfirm: (id: string) => void;
  readonly onClose: () => void;
}) {
  return (
    <ConfirmDialog
      title={words.removeTitle(item.name)}
      action={words.remove}
      onClose={onClose}
      onConfirm={() => onConfirm(item.id)}
    >
      <p>{words.removeNote}</p>
    </ConfirmDialog>
  );
}

function NameDialog({
  before,
  title,
  onName,
  onClose,
}: {
  readonly before: string;
  readonly title: string;
  readonly onName: (name: string) => void;
  readonly onClose: () => void;
}) {
  const name = useSignal(before);
  const isReady = name.value.trim() !== '';
  return (
    <Dialog
      title={title}
      onClose={onClose}
      onSubmit={() => isReady && onName(name.value.trim())}
      foot={
        <>
          <Button onClick={onClose}>{text.actions.cancel}</Button>
          <Button type="submit" kind="primary" disabled={!isReady}>
            {title}
          </Button>
        </>
      }
    >
      <Field label={words.name} hint={words.nameHint}>
        {(field) => (
          <input
            {...field}
            maxLength={60}
            autocomplete="off"
            value={name.value}
            onInput={(event) => (name.value = event.currentTarget.value)}
          />
        )}
      </Field>
    </Dialog>
  );
}

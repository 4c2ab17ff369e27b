/** SSH keys that open an account: one's own, or those of a user whose access one manages. */

import { useSignal } from '@preact/signals';
import { useMemo } from 'preact/hooks';
import type { SshKey } from '#contract/sign-in.ts';
import { Button } from '../../components/button.tsx';
import { ConfirmDialog, Dialog } from '../../components/dialog.tsx';
import { TimeAgo } from '../../components/figures.tsx';
import { Field } from '../../components/form.tsx';
import { Card, Loaded } from '../../components/page.tsx';
import { ProblemBox } from '../../components/problem-box.tsx';
import { Prose } from '../../components/prose.tsx';
import { StackTable } from '../../components/stack-table.tsx';
import { mayManageAccess } from '../../state/access.ts';
import { api, fieldProblem } from '../../state/api.ts';
import { createResource } from '../../state/collection.ts';
import { showProblem } from '../../state/operations.ts';
import { useRequest } from '../../state/use-request.ts';
import { text } from '../../text.ts';

const words = text.access.keys;

/** Whose keys these are; null = of who is signed in, which needs no right. */
interface Owner {
  readonly id: string;
  readonly name: string;
}

export function OwnKeysCard() {
  return <KeysCard owner={null} />;
}

export function KeysCard({ owner }: { readonly owner: Owner | null }) {
  const isAdding = useSignal(false);
  const removing = useSignal<SshKey | null>(null);
  const ownerId = owner?.id ?? null;
  const keys = useMemo(
    () =>
      createResource(
        async () =>
          (ownerId === null ? await api('GET /keys') : await api('GET /users/{id}/keys', { params: { id: ownerId } }))
            .items,
      ),
    [ownerId],
  );
  const mayChange = owner === null || mayManageAccess();
  const remove = async (key: SshKey) => {
    try {
      await api('DELETE /keys/{id}', { params: { id: key.id } });
      await keys.reload();
    } catch (error) {
      showProblem(error);
    }
  };
  // Kept here: the dialog closes before it acts.
  const asked = removing.value;
  return (
    <Card
      class="is-flush"
      title={words.title}
      aside={
        mayChange && (
          <Button isSmall icon="plus" onClick={() => (isAdding.value = true)}>
            {words.add}
          </Button>
        )
      }
    >
      <Loaded resource={keys}>
        {(items) =>
          items.length === 0 ? (
            <p class="muted card-note">
              <Prose value={owner ? words.noneOf(owner.name) : words.none} />
            </p>
          ) : (
            <StackTable
              rows={items}
              keyOf={(key) => key.id}
              columns={[
                { head: words.comment, kind: 'title', class: 'breaks', cell: (key) => key.comment || key.type },
                {
                  head: words.fingerprint,
                  class: 'mono breaks',
                  isSelfEvident: true,
                  cell: (key) => <span title={key.type}>{key.fingerprint}</span>,
                },
                { head: words.source, cell: (key) => words.sources[key.source] },
                {
                  head: words.lastUsed,
                  cell: (key) => (key.lastUsedAt === null ? text.access.never : <TimeAgo iso={key.lastUsedAt} />),
                },
                {
                  head: text.access.sessions.actions,
                  kind: 'actions',
                  cell: (key) =>
                    mayChange &&
                    key.source === 'local' && (
                      <Button
                        isSmall
                        kind="quiet"
                        aria-label={words.removeFor(key.comment || key.fingerprint)}
                        onClick={() => (removing.value = key)}
                      >
                        {words.remove}
                      </Button>
                    ),
                },
              ]}
            />
          )
        }
      </Loaded>
      {isAdding.value && (
        <AddDialog owner={owner} onClose={() => (isAdding.value = false)} onDone={() => void keys.reload()} />
      )}
      {asked && (
        <ConfirmDialog
          title={words.removeTitle(asked.comment || asked.fingerprint)}
          action={words.removeAction}
          onClose={() => (removing.value = null)}
          onConfirm={() => void remove(asked)}
        >
          <p>{words.removeNote}</p>
          <p class="mono small breaks">{asked.fingerprint}</p>
        </ConfirmDialog>
      )}
    </Card>
  );
}

function AddDialog({
  owner,
  onClose,
  onDone,
}: {
  readonly owner: Owner | null;
  readonly onClose: () => void;
  readonly onDone: () => void;
}) {
  const line = useSignal('');
  const request = useRequest();
  const key = line.value.trim();
  const isPrivate = key.includes('PRIVATE KEY');
  const problem = request.problem.value;
  const save = async () => {
    if (key === '' || isPrivate) return;
    const done = await request.run(async () => {
      if (owner) await api('POST /users/{id}/keys', { params: { id: owner.id }, body: { key } });
      else await api('POST /keys', { body: { key } });
    });
    if (!done) return;
    onDone();
    onClose();
  };
  return (
    <Dialog
      title={owner ? words.addTitle(owner.name) : words.addOwnTitle}
      onClose={onClose}
      onSubmit={() => void save()}
      foot={
        <>
          <Button onClick={onClose}>{text.actions.cancel}</Button>
          <Button type="submit" kind="primary" isBusy={request.isBusy.value} disabled={key === '' || isPrivate}>
            {words.add}
          </Button>
        </>
      }
    >
      <p class="muted">
        <Prose value={words.addNote} />
      </p>
      {problem && <ProblemBox isCompact problem={problem} />}
      <Field
        label={words.key}
        hint={words.keyHint}
        problem={isPrivate ? words.privateKey : fieldProblem(problem, 'key')}
      >
        {(field) => (
          <textarea
            {...field}
            class="mono"
            rows={4}
            spellcheck={false}
            placeholder={words.placeholder}
            value={line.value}
            onInput={(event) => (line.value = event.currentTarget.value)}
          />
        )}
      </Field>
    </Dialog>
  );
}

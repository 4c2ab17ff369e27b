/** Makes and edits a user, and makes the one-time link that lets it in. */

import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { User } from '#contract/access.ts';
import { Button } from '../../components/button.tsx';
import { CopyButton } from '../../components/copy-button.tsx';
import { Dialog } from '../../components/dialog.tsx';
import { TimeAgo } from '../../components/figures.tsx';
import { Field } from '../../components/form.tsx';
import { Skeleton } from '../../components/page.tsx';
import { ProblemBox } from '../../components/problem-box.tsx';
import { NameField, SaveDialog, TitleField } from '../../components/save-dialog.tsx';
import { users } from '../../state/access.ts';
import { api, fieldProblem } from '../../state/api.ts';
import { useRequest } from '../../state/use-request.ts';
import { text } from '../../text.ts';

const words = text.access.users;

/** @param user null = a new one */
export function UserFormDialog({
  user,
  onClose,
  onDone,
}: {
  readonly user: User | null;
  readonly onClose: () => void;
  readonly onDone?: (user: User) => void;
}) {
  const name = useSignal(user?.name ?? '');
  const title = useSignal(user?.title ?? '');
  const idle = useSignal(user?.idleMinutes == null ? '' : String(user.idleMinutes));
  const request = useRequest();
  const save = async () => {
    const idleMinutes = idle.value.trim() === '' ? null : Number(idle.value);
    const saved = user
      ? await api('PATCH /users/{id}', {
          params: { id: user.id },
          body: { name: name.value.trim(), title: title.value.trim() || null, idleMinutes },
        })
      : await api('POST /users', {
          body: {
            name: name.value.trim(),
            ...(title.value.trim() ? { title: title.value.trim() } : {}),
            ...(idleMinutes === null ? {} : { idleMinutes }),
          },
        });
    await users.reload();
    onDone?.(saved);
  };
  const problem = request.problem.value;
  return (
    <SaveDialog
      title={user ? words.editTitle(user.name) : words.createTitle}
      action={user ? words.save : words.createAction}
      request={request}
      onSave={save}
      onClose={onClose}
      lead={!user && <p class="muted">{words.createNote}</p>}
    >
      <NameField label={words.name} hint={words.nameHint} problem={fieldProblem(problem, 'name')} value={name} />
      <TitleField label={words.title} problem={fieldProblem(problem, 'title')} value={title} />
      <Field label={words.idle} isOptional hint={words.idleHint} problem={fieldProblem(problem, 'idleMinutes')}>
        {(field) => (
          <input
            {...field}
            class="mono"
            inputMode="numeric"
            autocomplete="off"
            value={idle.value}
            onInput={(event) => (idle.value = event.currentTarget.value.replace(/\D/g, ''))}
          />
        )}
      </Field>
    </SaveDialog>
  );
}

export function LinkDialog({ user, onClose }: { readonly user: User; readonly onClose: () => void }) {
  const link = useSignal<{ readonly url: string; readonly expiresAt: string; readonly fingerprint: string } | null>(
    null,
  );
  const request = useRequest();
  // biome-ignore lint/correctness/useExhaustiveDependencies: each opening makes one link
  useEffect(() => {
    void request.run(async () => {
      link.value = await api('POST /auth/links', { body: { user: user.name } });
    });
  }, []);
  return (
    <Dialog
      isWide
      title={words.linkTitle(user.name)}
      onClose={onClose}
      foot={<Button onClick={onClose}>{text.actions.close}</Button>}
    >
      {request.problem.value && <ProblemBox isCompact problem={request.problem.value} />}
      {request.isBusy.value && <Skeleton lines={2} />}
      {link.value && (
        <>
          <p>
            {words.linkNote} <TimeAgo iso={link.value.expiresAt} />.
          </p>
          <p class="command">
            <code class="breaks">{link.value.url}</code>
            <CopyButton value={link.value.url} />
          </p>
          <p class="muted small">
            {words.fingerprint}: <code class="breaks">{link.value.fingerprint}</code>
          </p>
        </>
      )}
    </Dialog>
  );
}

/** Makes and edits a group with its members. */

import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { Group } from '#contract/access.ts';
import { Button } from '../../components/button.tsx';
import { Dialog } from '../../components/dialog.tsx';
import { Check, Field } from '../../components/form.tsx';
import { Icon } from '../../components/icon.tsx';
import { ProblemBox } from '../../components/problem-box.tsx';
import { groups, users } from '../../state/access.ts';
import { api, fieldProblem } from '../../state/api.ts';
import { useRequest } from '../../state/use-request.ts';
import { text } from '../../text.ts';

const words = text.access.groups;

/** @param group null = a new one */
export function GroupDialog({ group, onClose }: { readonly group: Group | null; readonly onClose: () => void }) {
  const name = useSignal(group?.name ?? '');
  const title = useSignal(group?.title ?? '');
  const before = new Set(group?.members.map(({ id }) => id));
  const chosen = useSignal<ReadonlySet<string>>(before);
  const wanted = useSignal('');
  const request = useRequest();
  useEffect(() => users.ensure(), []);
  const save = async () => {
    const done = await request.run(async () => {
      const id =
        group?.id ??
        (
          await api('POST /groups', {
            body: { name: name.value.trim(), ...(title.value.trim() ? { title: title.value.trim() } : {}) },
          })
        ).id;
      const add = [...chosen.value].filter((one) => !before.has(one));
      const remove = [...before].filter((one) => !chosen.value.has(one));
      // Only what was changed here: somebody else may have added members meanwhile.
      if (group || add.length > 0)
        await api('PATCH /groups/{id}', {
          params: { id },
          body: { name: name.value.trim(), title: title.value.trim() || null, add, remove },
        });
      await Promise.all([groups.reload(), users.reload()]);
    });
    if (done) onClose();
  };
  const problem = request.problem.value;
  const found = (users.data.value ?? []).filter((user) =>
    `${user.name} ${user.title ?? ''}`.toLowerCase().includes(wanted.value.trim().toLowerCase()),
  );
  return (
    <Dialog
      title={group ? words.editTitle(group.name) : words.createTitle}
      onClose={onClose}
      onSubmit={() => void save()}
      foot={
        <>
          <Button onClick={onClose}>{text.actions.cancel}</Button>
          <Button type="submit" kind="primary" isBusy={request.isBusy.value}>
            {group ? words.save : words.create}
          </Button>
        </>
      }
    >
      {problem && <ProblemBox isCompact problem={problem} />}
      <Field label={words.name} problem={fieldProblem(problem, 'name')}>
        {(field) => (
          <input
            {...field}
            class="mono"
            autocomplete="off"
            autocapitalize="off"
            spellcheck={false}
            value={name.value}
            onInput={(event) => (name.value = event.currentTarget.value)}
          />
        )}
      </Field>
      <Field label={words.title} isOptional problem={fieldProblem(problem, 'title')}>
        {(field) => (
          <input
            {...field}
            autocomplete="off"
            value={title.value}
            onInput={(event) => (title.value = event.currentTarget.value)}
          />
        )}
      </Field>
      <fieldset class="picker">
        <legend>{words.chosen(chosen.value.size)}</legend>
        <span class="filter-search">
          <Icon name="search" />
          <input
            type="search"
            aria-label={words.findMember}
            placeholder={words.findMember}
            autocomplete="off"
            value={wanted.value}
            onInput={(event) => (wanted.value = event.currentTarget.value)}
          />
        </span>
        <div class="picker-list">
          {found.map((user) => (
            <Check
              key={user.id}
              label={user.name}
              hint={user.title}
              checked={chosen.value.has(user.id)}
              onChange={(isOn) => {
                const next = new Set(chosen.value);
                if (isOn) next.add(user.id);
                else next.delete(user.id);
                chosen.value = next;
              }}
            />
          ))}
          {found.length === 0 && <p class="muted small">{text.access.filtered}</p>}
        </div>
      </fieldset>
    </Dialog>
  );
}

/** Makes and edits a group with its members. */

import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { Group } from '#contract/access.ts';
import { Check } from '../../components/form.tsx';
import { Icon } from '../../components/icon.tsx';
import { NameField, SaveDialog, TitleField } from '../../components/save-dialog.tsx';
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
  };
  const problem = request.problem.value;
  const found = (users.data.value ?? []).filter((user) =>
    `${user.name} ${user.title ?? ''}`.toLowerCase().includes(wanted.value.trim().toLowerCase()),
  );
  return (
    <SaveDialog
      title={group ? words.editTitle(group.name) : words.createTitle}
      action={group ? words.save : words.create}
      request={request}
      onSave={save}
      onClose={onClose}
    >
      <NameField label={words.name} problem={fieldProblem(problem, 'name')} value={name} />
      <TitleField label={words.title} problem={fieldProblem(problem, 'title')} value={title} />
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
    </SaveDialog>
  );
}

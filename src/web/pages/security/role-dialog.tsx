/** Shows, makes and edits a role: the permissions by area, each with what it lets one do. */

import { useSignal } from '@preact/signals';
import type { Role } from '#contract/access.ts';
import type { Permission } from '#contract/permissions.ts';
import { Button } from '../../components/button.tsx';
import { Dialog } from '../../components/dialog.tsx';
import { Field } from '../../components/form.tsx';
import { ProblemBox } from '../../components/problem-box.tsx';
import { roles } from '../../state/access.ts';
import { api, canEverywhere, fieldProblem } from '../../state/api.ts';
import { useRequest } from '../../state/use-request.ts';
import { text } from '../../text.ts';
import { GRANTABLE } from './permission-areas.ts';
import { PermissionList, PermissionPicker } from './permission-list.tsx';

const words = text.access.roles;

/** @param edited null = a new one
 *  @param from a new one begins with what this one holds, as far as the signed-in user holds it himself */
export function RoleDialog({
  edited: role,
  from,
  isReadOnly = false,
  onClose,
}: {
  readonly edited: Role | null;
  readonly from?: Role;
  readonly isReadOnly?: boolean;
  readonly onClose: () => void;
}) {
  const name = useSignal(role?.name ?? '');
  const title = useSignal(role?.title ?? '');
  const chosen = useSignal<ReadonlySet<Permission>>(
    new Set(role?.permissions ?? from?.permissions.filter((one) => one !== 'self.manage' && canEverywhere(one)) ?? []),
  );
  const isTried = useSignal(false);
  const request = useRequest();
  const save = async () => {
    isTried.value = true;
    if (chosen.value.size === 0) return;
    const body = {
      name: name.value.trim(),
      permissions: [...chosen.value],
      ...(title.value.trim() ? { title: title.value.trim() } : {}),
    };
    const done = await request.run(async () => {
      if (role) await api('PATCH /roles/{id}', { params: { id: role.id }, body });
      else await api('POST /roles', { body });
      await roles.reload();
    });
    if (done) onClose();
  };
  if (role && isReadOnly)
    return (
      <Dialog
        isWide
        title={words.showTitle(role.name)}
        onClose={onClose}
        foot={<Button onClick={onClose}>{text.actions.close}</Button>}
      >
        <p>{role.title}</p>
        {role.state === 'built_in' && <p class="muted small">{words.builtInNote}</p>}
        <PermissionList permissions={role.permissions.filter((one) => one !== 'self.manage')} />
      </Dialog>
    );
  const problem = request.problem.value;
  return (
    <Dialog
      isWide
      title={role ? words.editTitle(role.name) : words.createTitle}
      onClose={onClose}
      onSubmit={() => void save()}
      foot={
        <>
          <Button onClick={onClose}>{text.actions.cancel}</Button>
          <Button type="submit" kind="primary" isBusy={request.isBusy.value}>
            {role ? words.save : words.create}
          </Button>
        </>
      }
    >
      {role && <p class="muted">{words.editNote(role.grants)}</p>}
      {problem && <ProblemBox isCompact problem={problem} />}
      <div class="form-row">
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
      </div>
      {isTried.value && chosen.value.size === 0 && <p class="field-problem">{words.problem}</p>}
      <PermissionPicker
        offered={GRANTABLE}
        chosen={chosen.value}
        isOwn={canEverywhere}
        onChange={(next) => (chosen.value = next)}
      />
    </Dialog>
  );
}

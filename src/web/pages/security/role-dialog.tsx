/** Shows, makes and edits a role: the permissions by area, each with what it lets one do. */

import { useSignal } from '@preact/signals';
import type { Role } from '#contract/access.ts';
import type { Permission } from '#contract/permissions.ts';
import { Button } from '../../components/button.tsx';
import { Dialog } from '../../components/dialog.tsx';
import { NameField, SaveDialog, TitleField } from '../../components/save-dialog.tsx';
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
  const isReady = () => {
    isTried.value = true;
    return chosen.value.size > 0;
  };
  const save = async () => {
    const body = {
      name: name.value.trim(),
      permissions: [...chosen.value],
      ...(title.value.trim() ? { title: title.value.trim() } : {}),
    };
    if (role) await api('PATCH /roles/{id}', { params: { id: role.id }, body });
    else await api('POST /roles', { body });
    await roles.reload();
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
    <SaveDialog
      isWide
      title={role ? words.editTitle(role.name) : words.createTitle}
      action={role ? words.save : words.create}
      request={request}
      onSave={save}
      onClose={onClose}
      lead={role && <p class="muted">{words.editNote(role.grants)}</p>}
      isReady={isReady}
    >
      <div class="form-row">
        <NameField label={words.name} problem={fieldProblem(problem, 'name')} value={name} />
        <TitleField label={words.title} problem={fieldProblem(problem, 'title')} value={title} />
      </div>
      {isTried.value && chosen.value.size === 0 && <p class="field-problem">{words.problem}</p>}
      <PermissionPicker
        offered={GRANTABLE}
        chosen={chosen.value}
        isOwn={canEverywhere}
        onChange={(next) => (chosen.value = next)}
      />
    </SaveDialog>
  );
}

/** Gives a role to a user or group somewhere, and says while one chooses what that gives. */

import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { Permission } from '#contract/permissions.ts';
import { idOfScope } from '#kernel/names.ts';
import { Button } from '../../components/button.tsx';
import { Dialog } from '../../components/dialog.tsx';
import { Field } from '../../components/form.tsx';
import { ProblemBox } from '../../components/problem-box.tsx';
import { Glyph } from '../../components/state-mark.tsx';
import { grants, groups, roles, users } from '../../state/access.ts';
import { api, can, canEverywhere } from '../../state/api.ts';
import { projects } from '../../state/projects.ts';
import { showToast } from '../../state/toasts.ts';
import { useRequest } from '../../state/use-request.ts';
import { vms } from '../../state/vms.ts';
import { text } from '../../text.ts';
import { PermissionList } from './permission-list.tsx';
import { PlaceField } from './place-field.tsx';
import { scopeName } from './scope-name.ts';

const words = text.access.grants;

/** The project that a scope lies in; null = none. */
function projectOf(scope: string): string | null {
  const id = idOfScope(scope);
  if (scope.startsWith('project:')) return id;
  return vms.data.value?.get(id)?.project ?? null;
}

function holdsThere(permission: Permission, scope: string): boolean {
  const project = projectOf(scope);
  return canEverywhere(permission) || (scope !== 'all' && project !== null && can(permission, project));
}

/** @param subject `user:ID` or `group:ID` when it is clear whom it is for
 *  @param place a scope when it is clear where */
export function GrantDialog({
  subject = '',
  place = null,
  onClose,
}: {
  readonly subject?: string;
  readonly place?: string | null;
  readonly onClose: () => void;
}) {
  const who = useSignal(subject);
  const role = useSignal('');
  const scope = useSignal<string | null>(place ?? (canEverywhere('access.manage') ? 'all' : null));
  const isTried = useSignal(false);
  const request = useRequest();
  useEffect(() => {
    for (const resource of [users, groups, roles, grants]) resource.ensure();
    if (can('project.read')) projects.ensure();
    if (can('vm.read')) vms.ensure();
  }, []);
  const grant = async () => {
    isTried.value = true;
    const where = scope.value;
    if (who.value === '' || role.value === '' || where === null) return;
    const [type = '', id = ''] = who.value.split(':');
    const done = await request.run(async () => {
      const made = await api('POST /grants', {
        body: { ...(type === 'user' ? { user: id } : { group: id }), role: role.value, scope: where },
      });
      showToast({ kind: 'good', title: words.granted(made.name) });
      await Promise.all([grants.reload(), users.reload()]);
    });
    if (done) onClose();
  };
  const problem = request.problem.value;
  return (
    <Dialog
      isWide
      title={words.dialogTitle}
      onClose={onClose}
      onSubmit={() => void grant()}
      foot={
        <>
          <Button onClick={onClose}>{text.actions.cancel}</Button>
          <Button type="submit" kind="primary" isBusy={request.isBusy.value}>
            {words.action}
          </Button>
        </>
      }
    >
      {problem && <ProblemBox isCompact problem={problem} />}
      <div class="form-row">
        <Field label={words.who} problem={isTried.value && who.value === '' ? words.chooseWho : null}>
          {(field) => (
            <select {...field} value={who.value} onChange={(event) => (who.value = event.currentTarget.value)}>
              <option value="">{words.chooseWho}</option>
              <optgroup label={words.users}>
                {(users.data.value ?? []).map(({ id, name }) => (
                  <option key={id} value={`user:${id}`}>
                    {name}
                  </option>
                ))}
              </optgroup>
              <optgroup label={words.groups}>
                {(groups.data.value ?? []).map(({ id, name }) => (
                  <option key={id} value={`group:${id}`}>
                    {name}
                  </option>
                ))}
              </optgroup>
            </select>
          )}
        </Field>
        <Field label={words.role} problem={isTried.value && role.value === '' ? words.chooseRole : null}>
          {(field) => (
            <select {...field} value={role.value} onChange={(event) => (role.value = event.currentTarget.value)}>
              <option value="">{words.chooseRole}</option>
              {(roles.data.value ?? []).map(({ id, name }) => (
                <option key={id} value={id}>
                  {name}
                </option>
              ))}
            </select>
          )}
        </Field>
        <PlaceField
          label={words.where}
          value={scope.value}
          isTried={isTried.value}
          allows={(one, project) =>
            one === 'all' || project === null ? canEverywhere('access.manage') : can('access.manage', project)
          }
          onChange={(value) => (scope.value = value)}
        />
      </div>
      <Preview who={who.value} roleId={role.value} scope={scope.value} />
    </Dialog>
  );
}

/** What the chosen grant would give, what of it is held there already, and what speaks against it. */
function Preview({
  who,
  roleId,
  scope,
}: {
  readonly who: string;
  readonly roleId: string;
  readonly scope: string | null;
}) {
  const [type = '', id = ''] = who.split(':');
  const role = roles.data.value?.find((one) => one.id === roleId);
  const user = users.data.value?.find((one) => type === 'user' && one.id === id);
  const group = groups.data.value?.find((one) => type === 'group' && one.id === id);
  const subject = user ?? group;
  if (!role || !subject || scope === null)
    return (
      <section class="preview">
        <h3>{words.preview}</h3>
        <p class="muted">{words.previewEmpty}</p>
      </section>
    );
  const permissionsOf = (name: string) => roles.data.value?.find((one) => one.name === name)?.permissions ?? [];
  const project = projectOf(scope);
  const reaches = (granted: string) =>
    granted === 'all' || granted === scope || (project !== null && granted === `project:${project}`);
  const held = new Set(
    (grants.data.value ?? [])
      .filter(
        (grant) =>
          reaches(grant.scope) &&
          (grant.subject.id === id || user?.groups.some((one) => one.id === grant.subject.id) === true),
      )
      .flatMap((grant) => permissionsOf(grant.role)),
  );
  const given = role.permissions.filter((permission) => permission !== 'self.manage');
  const already = given.filter((permission) => held.has(permission));
  const beyond = given.filter((permission) => !holdsThere(permission, scope));
  return (
    <section class="preview" aria-live="polite">
      <h3>{words.preview}</h3>
      <p>{words.gives(subject.name, scopeName(scope) ?? text.access.wholeSystem)}</p>
      {group && <p class="muted small">{words.members(group.members.length)}</p>}
      {beyond.length > 0 && (
        <p class="field-warning">
          <Glyph tone="warn" shape="triangle" />{' '}
          {words.beyond(beyond.slice(0, 4).join(', ') + (beyond.length > 4 ? ' …' : ''))}
        </p>
      )}
      {scope === 'all' && given.includes('access.manage') && (
        <p class="field-warning">
          <Glyph tone="warn" shape="triangle" /> {words.powerful}
        </p>
      )}
      {already.length > 0 && (
        <p class="muted small">{already.length === given.length ? words.nothingNew : words.already(already.length)}</p>
      )}
      <PermissionList permissions={given} held={already} />
    </section>
  );
}

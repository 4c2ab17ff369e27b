/** Permissions with what each lets one do, by area: to look at, or to choose from. */

import { useSignal } from '@preact/signals';
import { PERMISSION_MEANINGS, type Permission } from '#contract/permissions.ts';
import { Check } from '../../components/form.tsx';
import { Icon } from '../../components/icon.tsx';
import { Badge } from '../../components/state-mark.tsx';
import { text } from '../../text.ts';
import { areasOf } from './permission-areas.ts';

const words = text.access.roles;

/** @param held these are held already: shown grey, with a tick */
export function PermissionList({
  permissions,
  held = [],
}: {
  readonly permissions: readonly Permission[];
  readonly held?: readonly Permission[];
}) {
  return (
    <div class="permission-areas">
      {areasOf(permissions).map((area) => (
        <section key={area.id}>
          <h3>{area.name}</h3>
          <ul>
            {area.permissions.map((permission) => (
              <li key={permission} class={held.includes(permission) ? 'muted' : ''}>
                <code>{permission}</code> {held.includes(permission) && <Badge>{text.access.grants.held}</Badge>}{' '}
                <span class="muted small">{PERMISSION_MEANINGS[permission]}</span>
              </li>
            ))}
          </ul>
        </section>
      ))}
    </div>
  );
}

/** @param offered what can be chosen
 *  @param isOwn whether the signed-in user holds it himself; others cannot be chosen */
export function PermissionPicker({
  offered,
  chosen,
  isOwn,
  onChange,
}: {
  readonly offered: readonly Permission[];
  readonly chosen: ReadonlySet<Permission>;
  readonly isOwn: (permission: Permission) => boolean;
  readonly onChange: (chosen: ReadonlySet<Permission>) => void;
}) {
  const wanted = useSignal('');
  const set = (permissions: readonly Permission[], isOn: boolean) => {
    const next = new Set(chosen);
    for (const permission of permissions) {
      if (!isOn) next.delete(permission);
      else if (isOwn(permission)) next.add(permission);
    }
    onChange(next);
  };
  const found = offered.filter((permission) =>
    `${permission} ${PERMISSION_MEANINGS[permission]}`.toLowerCase().includes(wanted.value.trim().toLowerCase()),
  );
  return (
    <div class="permission-picker">
      <div class="picker-head">
        <span class="filter-search">
          <Icon name="search" />
          <input
            type="search"
            aria-label={words.find}
            placeholder={words.find}
            autocomplete="off"
            value={wanted.value}
            onInput={(event) => (wanted.value = event.currentTarget.value)}
          />
        </span>
        <span class="muted small" role="status">
          {words.chosen(chosen.size, offered.length)}
        </span>
      </div>
      <div class="permission-areas is-picker">
        {areasOf(found).map((area) => {
          const own = area.permissions.filter(isOwn);
          const count = area.permissions.filter((permission) => chosen.has(permission)).length;
          return (
            <fieldset key={area.id}>
              <legend class="visually-hidden">{words.area(area.name, count, area.permissions.length)}</legend>
              <Check
                label={
                  <strong>
                    {area.name}{' '}
                    <span class="muted small">
                      {count}/{area.permissions.length}
                    </span>
                  </strong>
                }
                checked={own.length > 0 && own.every((permission) => chosen.has(permission))}
                disabled={own.length === 0}
                onChange={(isOn) => set(area.permissions, isOn)}
              />
              <div class="permission-checks">
                {area.permissions.map((permission) => (
                  <Check
                    key={permission}
                    label={<code>{permission}</code>}
                    hint={
                      isOwn(permission)
                        ? PERMISSION_MEANINGS[permission]
                        : `${PERMISSION_MEANINGS[permission]}. ${words.notOwn}`
                    }
                    checked={chosen.has(permission)}
                    disabled={!isOwn(permission) && !chosen.has(permission)}
                    onChange={(isOn) => set([permission], isOn)}
                  />
                ))}
              </div>
            </fieldset>
          );
        })}
        {found.length === 0 && <p class="muted">{text.access.filtered}</p>}
      </div>
    </div>
  );
}

/** What can be done with a user, with the dialogs that it opens. */

import { useSignal } from '@preact/signals';
import type { User } from '#contract/access.ts';
import { ConfirmDialog } from '../../components/dialog.tsx';
import { Menu, type MenuEntry } from '../../components/menu.tsx';
import { mayManageAccess, users } from '../../state/access.ts';
import { api, can } from '../../state/api.ts';
import { showProblem } from '../../state/operations.ts';
import { navigate } from '../../state/router.ts';
import { text } from '../../text.ts';
import { GrantDialog } from './grant-dialog.tsx';
import { LinkDialog, UserFormDialog } from './user-dialogs.tsx';

const words = text.access.users;
type Open = 'edit' | 'link' | 'disable' | 'delete' | 'grant';

export function UserMenu({ user }: { readonly user: User }) {
  const open = useSignal<Open | null>(null);
  const close = () => (open.value = null);
  const change = async (work: () => Promise<unknown>) => {
    try {
      await work();
      await users.reload();
    } catch (error) {
      showProblem(error);
    }
  };
  const setState = (state: User['state']) =>
    change(() => api('PATCH /users/{id}', { params: { id: user.id }, body: { state } }));
  const entries: MenuEntry[] = [
    ...(can('access.manage') ? [{ label: words.grant, icon: 'plus' as const, run: () => (open.value = 'grant') }] : []),
    ...(mayManageAccess()
      ? [
          { label: words.edit, icon: 'edit' as const, run: () => (open.value = 'edit') },
          {
            label: words.link,
            icon: 'key' as const,
            isDisabled: user.state === 'disabled',
            run: () => (open.value = 'link'),
          },
          user.state === 'active'
            ? { label: words.disable, icon: 'pause' as const, startsGroup: true, run: () => (open.value = 'disable') }
            : { label: words.enable, icon: 'play' as const, startsGroup: true, run: () => void setState('active') },
          { label: words.remove, icon: 'trash' as const, isDangerous: true, run: () => (open.value = 'delete') },
        ]
      : []),
  ];
  if (entries.length === 0) return null;
  return (
    <>
      <Menu label={words.actionsFor(user.name)} entries={entries} />
      {open.value === 'edit' && <UserFormDialog user={user} onClose={close} />}
      {open.value === 'link' && <LinkDialog user={user} onClose={close} />}
      {open.value === 'grant' && <GrantDialog subject={`user:${user.id}`} onClose={close} />}
      {open.value === 'disable' && (
        <ConfirmDialog
          title={words.disableTitle(user.name)}
          action={words.disableAction}
          onClose={close}
          onConfirm={() => void setState('disabled')}
        >
          <p>{words.disableNote}</p>
        </ConfirmDialog>
      )}
      {open.value === 'delete' && (
        <ConfirmDialog
          title={words.deleteTitle(user.name)}
          action={words.deleteAction}
          typedName={user.name}
          onClose={close}
          onConfirm={() =>
            void change(async () => {
              await api('DELETE /users/{id}', { params: { id: user.id } });
              navigate('/settings/security/users');
            })
          }
        >
          <p>{words.deleteNote}</p>
        </ConfirmDialog>
      )}
    </>
  );
}

/** The sections of the settings; those that one may not see are not offered. */

import { Tabs } from '../../components/page.tsx';
import { can } from '../../state/api.ts';
import { text } from '../../text.ts';

const words = text.access.tabs;

const SECTIONS = ['account', 'users', 'groups', 'roles', 'grants', 'sign-in'] as const;
export type SecuritySection = (typeof SECTIONS)[number];

/** What of the security settings the signed-in user may see. */
export function visibleSections(): readonly SecuritySection[] {
  return can('access.read') ? SECTIONS : ['account'];
}

const LABELS: Readonly<Record<SecuritySection, string>> = {
  account: words.account,
  users: words.users,
  groups: words.groups,
  roles: words.roles,
  grants: words.grants,
  'sign-in': words.signIn,
};

export function SettingsTabs({ current }: { readonly current: SecuritySection | 'general' }) {
  return (
    <Tabs
      label={words.label}
      current={current}
      tabs={[
        { id: 'general', label: words.general, href: '/settings' },
        ...visibleSections().map((id) => ({ id, label: LABELS[id], href: `/settings/security/${id}` })),
      ]}
    />
  );
}

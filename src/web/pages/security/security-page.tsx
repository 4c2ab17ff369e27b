/** Settings → Security: my account, users, groups, roles, grants and sign-in methods, each under its own address. */

import { PageHead } from '../../components/page.tsx';
import { text } from '../../text.ts';
import { SettingsTabs, visibleSections } from '../settings/settings-tabs.tsx';
import { AccountSection } from './account-section.tsx';
import { GrantsSection } from './grants-section.tsx';
import { GroupsSection } from './groups-section.tsx';
import { RolesSection } from './roles-section.tsx';
import './security.css';
import { SignInSection } from './sign-in-section.tsx';
import { UsersSection } from './users-section.tsx';

const SECTIONS = {
  account: AccountSection,
  users: UsersSection,
  groups: GroupsSection,
  roles: RolesSection,
  grants: GrantsSection,
  'sign-in': SignInSection,
} as const;

export function SecurityPage({ params }: { readonly params: Readonly<Record<string, string>> }) {
  const current = visibleSections().find((section) => section === params['section']) ?? 'account';
  const Section = SECTIONS[current];
  return (
    <>
      <PageHead title={text.pages.settings} />
      <SettingsTabs current={current} />
      <Section />
    </>
  );
}

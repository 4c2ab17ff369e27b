/** One user: facts, groups, grants, and what it may do with the reason. */

import { useMemo } from 'preact/hooks';
import type { User } from '#contract/access.ts';
import { IconButton } from '../../components/button.tsx';
import { TimeAgo } from '../../components/figures.tsx';
import { Card, EmptyState, Facts, Loaded, PageHead } from '../../components/page.tsx';
import { AccountMark } from '../../components/state-mark.tsx';
import { groups, mayManageAccess, users } from '../../state/access.ts';
import { api } from '../../state/api.ts';
import { createResource } from '../../state/collection.ts';
import { showProblem } from '../../state/operations.ts';
import { text } from '../../text.ts';
import { SettingsTabs } from '../settings/settings-tabs.tsx';
import { AskRights } from './ask-rights.tsx';
import { GrantsCard } from './grants-card.tsx';
import { KeysCard } from './keys-card.tsx';
import { RightsCard } from './rights-card.tsx';
import './security.css';
import { UserMenu } from './user-menu.tsx';

const words = text.access.users;

export function UserPage({ params }: { readonly params: Readonly<Record<string, string>> }) {
  const id = params['id'] ?? '';
  return (
    <Loaded resource={users} lines={6}>
      {(all) => {
        const user = all.find((one) => one.id === id || one.name === id);
        if (user) return <UserView key={user.id} user={user} />;
        return (
          <EmptyState
            icon="users"
            title={text.errors.noPage.title}
            action={<a href="/settings/security/users">{words.back}</a>}
          />
        );
      }}
    </Loaded>
  );
}

function UserView({ user }: { readonly user: User }) {
  const rights = useMemo(
    () => createResource(() => api('GET /users/{id}/rights', { params: { id: user.id }, query: {} })),
    [user.id],
  );
  return (
    <>
      <PageHead title={user.name} note={user.title}>
        <UserMenu user={user} />
      </PageHead>
      <SettingsTabs current="users" />
      <div class="stack security">
        <div class="columns">
          <Card>
            <Facts
              items={[
                [words.state, <AccountMark key="s" state={user.state} />],
                [words.idle, user.idleMinutes === null ? words.idleDefault : words.idleUnit(user.idleMinutes)],
                [words.lastSignIn, user.lastSignInAt ? <TimeAgo iso={user.lastSignInAt} /> : text.access.never],
                [words.since, <TimeAgo key="t" iso={user.createdAt} />],
                [words.source, user.source === 'local' ? words.local : user.source],
              ]}
            />
          </Card>
          <GroupsOf user={user} />
        </div>
        <GrantsCard subject={user} />
        <KeysCard owner={user} />
        <AskRights user={user} />
        <RightsCard user={user} rights={rights} />
      </div>
    </>
  );
}

function GroupsOf({ user }: { readonly user: User }) {
  const change = async (groupId: string, body: { add?: string[]; remove?: string[] }) => {
    try {
      await api('PATCH /groups/{id}', { params: { id: groupId }, body });
      await Promise.all([users.reload(), groups.reload()]);
    } catch (error) {
      showProblem(error);
    }
  };
  return (
    <Card title={words.inGroups}>
      <div class="stack">
        {user.groups.length === 0 ? (
          <p class="muted">{words.noGroups}</p>
        ) : (
          <ul class="member-list">
            {user.groups.map((group) => (
              <li key={group.id}>
                <span>{group.name}</span>
                {mayManageAccess() && (
                  <IconButton
                    icon="close"
                    label={words.leave(group.name)}
                    onClick={() => void change(group.id, { remove: [user.id] })}
                  />
                )}
              </li>
            ))}
          </ul>
        )}
        {mayManageAccess() && (
          <Loaded resource={groups} lines={1}>
            {(all) => {
              const others = all.filter((group) => !user.groups.some(({ id }) => id === group.id));
              if (others.length === 0) return null;
              return (
                <select
                  aria-label={words.joinGroup}
                  value=""
                  onChange={(event) => {
                    const id = event.currentTarget.value;
                    event.currentTarget.value = '';
                    if (id) void change(id, { add: [user.id] });
                  }}
                >
                  <option value="">{words.joinGroup}…</option>
                  {others.map((group) => (
                    <option key={group.id} value={group.id}>
                      {group.name}
                    </option>
                  ))}
                </select>
              );
            }}
          </Loaded>
        )}
      </div>
    </Card>
  );
}

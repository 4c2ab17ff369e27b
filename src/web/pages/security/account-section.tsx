/** My account: who I am, what I may do, my sessions and tokens. Slices with sign-in methods of their own add cards. */

import type { IdentityView } from '#contract/access.ts';
import { Card, Facts } from '../../components/page.tsx';
import { Badge } from '../../components/state-mark.tsx';
import { session } from '../../state/api.ts';
import { text } from '../../text.ts';
import { ACCOUNT_CARDS } from './account-cards.ts';
import { SessionsCard } from './sessions-card.tsx';
import { TokensCard } from './tokens-card.tsx';

const words = text.access.account;

export function AccountSection() {
  const state = session.value;
  if (state.kind !== 'signed_in') return null;
  const { identity } = state;
  return (
    <div class="stack security">
      <Card title={words.title}>
        <Facts
          items={[
            [words.user, <strong key="u">{identity.user}</strong>],
            [words.signedIn, text.signInMethods[identity.method]],
            [
              words.roles,
              identity.roles.length === 0 ? (
                words.noRoles
              ) : (
                <span key="r" class="badges">
                  {identity.roles.map((role) => (
                    <Badge key={role}>{role}</Badge>
                  ))}
                </span>
              ),
            ],
            [words.may, <OwnRights key="m" identity={identity} />],
          ]}
        />
      </Card>
      {ACCOUNT_CARDS.map((AccountCard) => (
        <AccountCard key={AccountCard.name} />
      ))}
      <SessionsCard isOwn />
      <TokensCard />
    </div>
  );
}

/** Where how much is allowed; the names on demand. */
function OwnRights({ identity }: { readonly identity: IdentityView }) {
  const { permissions, anywhere, projects } = identity;
  const inProjects = new Set(projects.flatMap((project) => project.permissions));
  const places = [
    { name: words.everywhere, held: permissions.filter((one) => one !== 'self.manage') },
    ...projects.map((project) => ({
      name: words.inProject(project.name),
      held: project.permissions.filter((one) => one !== 'self.manage' && !permissions.includes(one)),
    })),
    { name: words.inVms, held: anywhere.filter((one) => !permissions.includes(one) && !inProjects.has(one)) },
  ].filter(({ held }) => held.length > 0);
  if (places.length === 0) return <>{words.nothing}</>;
  return (
    <div class="own-rights">
      {places.map(({ name, held }) => (
        <details key={name}>
          <summary>
            {words.permissions(held.length)} {name}
          </summary>
          <p class="mono small permission-names">{held.join(', ')}</p>
        </details>
      ))}
    </div>
  );
}

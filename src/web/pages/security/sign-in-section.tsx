/** How people and programs get in, what no setting changes, and who is in now. */

import { useEffect } from 'preact/hooks';
import { SearchField } from '../../components/filters.tsx';
import { Card } from '../../components/page.tsx';
import { Prose } from '../../components/prose.tsx';
import { StackTable } from '../../components/stack-table.tsx';
import { SwitchMark } from '../../components/state-mark.tsx';
import { oidcProviders } from '../../state/library.ts';
import { passkeyPlace } from '../../state/passkeys.ts';
import { text } from '../../text.ts';
import { SessionsCard } from './sessions-card.tsx';
import { signInMethods } from './sign-in-methods.ts';
import { TokensCard } from './tokens-card.tsx';

const words = text.access.signIn;

export function SignInSection() {
  useEffect(() => {
    passkeyPlace.ensure();
    oidcProviders.ensure();
  }, []);
  return (
    <div class="stack security">
      <Card class="is-flush" title={words.methods}>
        <StackTable
          rows={signInMethods()}
          keyOf={(method) => method.id}
          columns={[
            { head: words.method, kind: 'title', cell: (method) => method.name },
            { head: words.state, isSelfEvident: true, cell: (method) => <SwitchMark isOn={method.isOn} /> },
            { head: words.how, isSelfEvident: true, class: 'breaks', cell: (method) => <Prose value={method.how} /> },
          ]}
        />
      </Card>
      <div class="filters">
        <SearchField label={words.search} />
      </div>
      <SessionsCard />
      <TokensCard isAll />
      <Card title={words.limits}>
        <ul class="limits">
          {words.limitList.map((limit) => (
            <li key={limit}>{limit}</li>
          ))}
        </ul>
      </Card>
    </div>
  );
}

/** How people and programs get in, what no setting changes, and who is in now. Slices with sign-in methods add rows and cards. */

import { Card } from '../../components/page.tsx';
import { Prose } from '../../components/prose.tsx';
import { StackTable } from '../../components/stack-table.tsx';
import { AccountMark } from '../../components/state-mark.tsx';
import { text } from '../../text.ts';
import { SessionsCard } from './sessions-card.tsx';
import { SIGN_IN_CARDS, SIGN_IN_METHODS } from './sign-in-methods.ts';
import { TokensCard } from './tokens-card.tsx';

const words = text.access.signIn;

export function SignInSection() {
  return (
    <div class="stack security">
      <Card class="is-flush" title={words.methods}>
        <StackTable
          rows={SIGN_IN_METHODS}
          keyOf={(method) => method.name}
          columns={[
            { head: words.method, kind: 'title', cell: (method) => method.name },
            { head: words.state, isSelfEvident: true, cell: () => <AccountMark state="active" /> },
            { head: words.how, isSelfEvident: true, class: 'breaks', cell: (method) => <Prose value={method.how} /> },
          ]}
        />
      </Card>
      {SIGN_IN_CARDS.map((SignInCard) => (
        <SignInCard key={SignInCard.name} />
      ))}
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

/** Sign-in with a signature that is made by hand and pasted. */

import { useSignal } from '@preact/signals';
import type { IdentityView } from '#contract/access.ts';
import type { Problem } from '#contract/common.ts';
import type { ChallengeView } from '#contract/sign-in.ts';
import { Button } from '../../components/button.tsx';
import { Field } from '../../components/form.tsx';
import { ProblemBox } from '../../components/problem-box.tsx';
import { Prose } from '../../components/prose.tsx';
import { SignatureBox } from '../../components/signature-box.tsx';
import { api, problemOf } from '../../state/api.ts';
import { text } from '../../text.ts';

const words = text.signIn.byHand;

export function PasteSignIn({ onSignedIn }: { readonly onSignedIn: (identity: IdentityView) => void }) {
  const user = useSignal('');
  const challenge = useSignal<ChallengeView | null>(null);
  const problem = useSignal<Problem | null>(null);
  const isBusy = useSignal(false);

  const attempt = async (work: () => Promise<void>) => {
    isBusy.value = true;
    problem.value = null;
    try {
      await work();
    } catch (error) {
      // A challenge is spent by the first try, whatever came of it.
      challenge.value = null;
      problem.value = problemOf(error);
    } finally {
      isBusy.value = false;
    }
  };
  const begin = () =>
    attempt(async () => {
      challenge.value = await api('POST /auth/challenge', { body: { user: user.value.trim(), by: 'person' } });
    });
  const send = (nonce: string, signature: string) =>
    attempt(async () => onSignedIn(await api('POST /auth/ssh', { body: { nonce, signature } })));

  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        if (user.value.trim() !== '') void begin();
      }}
    >
      <h1>{words.title}</h1>
      {problem.value && <ProblemBox problem={problem.value} isCompact />}
      {challenge.value ? (
        <SignatureBox
          key={challenge.value.nonce}
          challenge={challenge.value}
          action={text.signature.send}
          isBusy={isBusy.value}
          onSignature={(signature) => void send(challenge.value?.nonce ?? '', signature)}
          onAgain={() => void begin()}
        />
      ) : (
        <>
          <p class="muted">
            <Prose value={words.how} />
          </p>
          <Field label={words.user}>
            {(field) => (
              <input
                {...field}
                autocomplete="username"
                autocapitalize="off"
                spellcheck={false}
                value={user.value}
                onInput={(event) => (user.value = event.currentTarget.value)}
              />
            )}
          </Field>
          <Button type="submit" kind="primary" class="large" isBusy={isBusy.value} disabled={user.value.trim() === ''}>
            {words.begin}
          </Button>
        </>
      )}
    </form>
  );
}

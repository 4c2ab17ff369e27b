/** Sign-in: by one-time link, or one of the other ways. The link carries its token behind the `#`, which browsers never send;
 *  only the button spends it, so a mail scanner or a link preview that opens the address spends nothing. */

import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { Problem } from '#contract/common.ts';
import { Button } from '../../components/button.tsx';
import { CopyButton } from '../../components/copy-button.tsx';
import { Field } from '../../components/form.tsx';
import { Logo } from '../../components/icon.tsx';
import { ProblemBox } from '../../components/problem-box.tsx';
import { Prose } from '../../components/prose.tsx';
import { api, problemOf, wasSignedIn } from '../../state/api.ts';
import { text } from '../../text.ts';
import { CodeSignIn } from './code-sign-in.tsx';
import { enter } from './enter.ts';
import { OidcButtons } from './oidc-buttons.tsx';
import { PasskeyButton } from './passkey-button.tsx';
import { PasteSignIn } from './paste-sign-in.tsx';
import { type SignInWay, SignInWays } from './sign-in-ways.tsx';

const words = text.signIn;

/** Takes a pasted link or a bare token. */
function tokenOf(pasted: string): string {
  const trimmed = pasted.trim();
  return trimmed.slice(trimmed.lastIndexOf('#') + 1);
}

function isLink(pasted: string): boolean {
  return /^[\w-]{20,}$/.test(tokenOf(pasted));
}

export function SignInPage() {
  const token = useSignal(tokenOf(window.location.hash));
  const pasted = useSignal('');
  const way = useSignal<SignInWay>('link');
  const isBusy = useSignal(false);
  const problem = useSignal<Problem | null>(null);
  useEffect(() => {
    document.title = `${words.title} · Hyper-NixOS`;
    // The token leaves the address bar, and with it the history, at once.
    if (window.location.hash.length > 1) window.history.replaceState(null, '', window.location.pathname);
    const onHash = () => {
      if (window.location.hash.length > 1) {
        token.value = tokenOf(window.location.hash);
        window.history.replaceState(null, '', window.location.pathname);
      }
    };
    window.addEventListener('hashchange', onHash);
    return () => window.removeEventListener('hashchange', onHash);
  }, [token]);

  const signIn = async (value: string) => {
    isBusy.value = true;
    problem.value = null;
    try {
      enter(await api('POST /auth/link', { body: { token: value } }));
    } catch (error) {
      problem.value = problemOf(error);
      token.value = '';
    } finally {
      isBusy.value = false;
    }
  };

  return (
    <main class="sign-in">
      <div class="sign-in-card">
        <p class="sign-in-brand">
          <Logo size={34} />
          <span>{text.product}</span>
        </p>
        {token.value === '' && way.value === 'code' && <CodeSignIn onSignedIn={enter} />}
        {token.value === '' && way.value === 'paste' && <PasteSignIn onSignedIn={enter} />}
        {token.value ? (
          <form
            onSubmit={(event) => {
              event.preventDefault();
              void signIn(token.value);
            }}
          >
            <h1>{words.ready}</h1>
            <p class="muted">{words.readyNote(window.location.host)}</p>
            <Button type="submit" kind="primary" class="large" isBusy={isBusy.value}>
              {words.button}
            </Button>
          </form>
        ) : way.value !== 'link' ? null : (
          <form
            onSubmit={(event) => {
              event.preventDefault();
              if (isLink(pasted.value)) void signIn(tokenOf(pasted.value));
            }}
          >
            <h1>{words.title}</h1>
            {wasSignedIn() && !problem.value && <p>{words.ended}</p>}
            {problem.value && <ProblemBox problem={problem.value} isCompact />}
            <PasskeyButton onSignedIn={enter} onProblem={(value) => (problem.value = value)} />
            <OidcButtons onSignedIn={enter} onProblem={(value) => (problem.value = value)} />
            <p class="muted">{words.how}</p>
            <p class="command">
              <code>{words.command}</code>
              <CopyButton value={words.command} />
            </p>
            <p class="muted small">
              <Prose value={words.commandNote} />
            </p>
            <Field
              label={words.paste}
              problem={pasted.value.trim() !== '' && !isLink(pasted.value) ? words.noLink : null}
            >
              {(field) => (
                <input
                  {...field}
                  class="mono"
                  autocomplete="off"
                  spellcheck={false}
                  value={pasted.value}
                  onInput={(event) => (pasted.value = event.currentTarget.value)}
                />
              )}
            </Field>
            <Button type="submit" kind="primary" class="large" isBusy={isBusy.value} disabled={!isLink(pasted.value)}>
              {words.button}
            </Button>
          </form>
        )}
        {token.value === '' && <SignInWays current={way.value} onChoose={(chosen) => (way.value = chosen)} />}
      </div>
    </main>
  );
}

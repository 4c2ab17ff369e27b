/** Sign-in through an identity provider: a button for each, and what is done when the provider sends the browser back. */

import { signal, useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { IdentityView } from '#contract/access.ts';
import type { Problem } from '#contract/common.ts';
import { Button } from '../../components/button.tsx';
import { api, problemOf } from '../../state/api.ts';
import { oidcProviders } from '../../state/library.ts';
import { currentPath, currentQuery, matchPath, navigate } from '../../state/router.ts';
import { text } from '../../text.ts';

/** True from the first look at the answer, so that its code is sent once whatever is drawn again. */
const isReturning = signal(false);

interface Props {
  readonly onSignedIn: (identity: IdentityView) => void;
  readonly onProblem: (problem: Problem | null) => void;
}

/** Finishes a sign-in that the address of the page is the answer to. */
async function finish({ onSignedIn, onProblem }: Props): Promise<void> {
  const provider = matchPath('/sign-in/oidc/:id', currentPath.peek())?.['id'];
  const query = currentQuery.peek();
  const state = query.get('state');
  if (provider === undefined || isReturning.peek()) return;
  isReturning.value = true;
  // Code and state leave the address bar, and with it the history, at once.
  navigate('/sign-in', { replace: true });
  try {
    const given = (name: 'code' | 'iss' | 'error') => {
      const value = query.get(name);
      return value === null ? {} : { [name]: value };
    };
    onSignedIn(
      await api('POST /auth/oidc/finish', {
        body: { provider, state: state ?? '-', ...given('code'), ...given('iss'), ...given('error') },
      }),
    );
  } catch (error) {
    onProblem(problemOf(error));
  } finally {
    isReturning.value = false;
  }
}

export function OidcButtons({ onSignedIn, onProblem }: Props) {
  const busyId = useSignal<string | null>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the address is looked at once, when the page opens
  useEffect(() => {
    void finish({ onSignedIn, onProblem });
    // Without the answer there are simply no buttons; the other ways to sign in remain.
    void oidcProviders.reload();
  }, []);
  if (isReturning.value)
    return (
      <p class="muted" role="status">
        {text.oidc.returning}
      </p>
    );
  const start = async (id: string) => {
    busyId.value = id;
    onProblem(null);
    try {
      const { url } = await api('POST /auth/oidc/{id}/start', { params: { id } });
      window.location.assign(url);
    } catch (error) {
      busyId.value = null;
      onProblem(problemOf(error));
    }
  };
  return (
    <>
      {(oidcProviders.data.value ?? []).map(({ id, name }) => (
        <Button
          key={id}
          class="large"
          icon="external"
          isBusy={busyId.value === id}
          disabled={busyId.value !== null}
          onClick={() => void start(id)}
        >
          {text.oidc.signIn(name)}
        </Button>
      ))}
    </>
  );
}
